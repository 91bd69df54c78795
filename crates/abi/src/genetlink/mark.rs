//! The MARK nest, an extension of ours: a rule that gives packets their firewall mark.

use ipvs_core::{MOST_PORT_RANGES, MarkRule, PortRange};

use crate::errno::Errno;

use super::attribute::{Policy, Table, Writer, family_of};
use super::number::{family, mark as number};

/// Bytes of a port range.
const RANGE: usize = 4;

/// Reads a rule.
///
/// # Errors
/// EINVAL if something is missing or malformed; what the rule says is for the director to judge.
pub(super) fn read_mark(nest: Option<&[u8]>) -> Result<MarkRule, Errno> {
    let table = Table::<7>::parse(nest.ok_or(Errno::EINVAL)?, |kind| match kind {
        number::PORTS => Policy::AtMost(MOST_PORT_RANGES * RANGE),
        _ => Policy::Any,
    })
    .map_err(|_| Errno::EINVAL)?;
    let read = || {
        let ipv6 = match table.u16(number::AF)? {
            family::INET => false,
            family::INET6 => true,
            _ => return None,
        };
        let (ranges, rest) = table.get(number::PORTS).unwrap_or_default().as_chunks::<RANGE>();
        if !rest.is_empty() {
            return None;
        }
        let range = |&[a, b, c, d]: &[u8; RANGE]| PortRange {
            first: u16::from_be_bytes([a, b]),
            last: u16::from_be_bytes([c, d]),
        };
        Some(MarkRule {
            protocol: table.u16(number::PROTOCOL)?,
            network: table.address(number::NETWORK, ipv6)?,
            prefix: table.u8(number::PREFIX)?,
            ports: ranges.iter().map(range).collect(),
            mark: table.u32(number::MARK)?,
        })
    };
    read().ok_or(Errno::EINVAL)
}

/// Appends a rule.
pub(super) fn write_mark(writer: &mut Writer<'_>, rule: &MarkRule) {
    writer.u16(number::AF, family_of(rule.network));
    writer.u16(number::PROTOCOL, rule.protocol);
    writer.address(number::NETWORK, rule.network);
    writer.u8(number::PREFIX, rule.prefix);
    if !rule.ports.is_empty() {
        let bytes = |range: &PortRange| [range.first.to_be_bytes(), range.last.to_be_bytes()].concat();
        writer.bytes(number::PORTS, &rule.ports.iter().flat_map(bytes).collect::<Vec<_>>());
    }
    writer.u32(number::MARK, rule.mark);
}
