//! ICMP errors from within a tunnel: a router on the way to the server complains about the outer packet, to the director that
//! sent it. The client learns it as if from the virtual address.
//!
//! Over IPv4 and for IPv4 clients, as the kernel does; all others are the host's (seen on the reference,
//! `conformance/experiments/tunnel_errors.py`).

use ipvs_wire::icmp_error::{self, icmp_error_about_quote};
use ipvs_wire::{Headers, checksum, tunnel};

use crate::command::ForwardingMethod;
use crate::director::Director;
use crate::forward;
use crate::host::AddressKind;
use crate::icmp::Quote;
use crate::packet::Packet;
use crate::receive::{Arrival, Match};
use crate::verdict::{Reason, Verdict};

/// Destination unreachable because of the size (RFC 1191).
const FRAGMENTATION_NEEDED: (u8, u8) = (3, 4);

impl Director {
    /// What becomes of an ICMP error if it is about a packet in a tunnel of ours; `None` if it is not.
    pub(crate) fn error_from_tunnel(
        &mut self,
        arrival: Arrival<'_>,
        packet: &mut Packet<'_>,
    ) -> Option<Verdict> {
        let Arrival { now, host, headers } = arrival;
        let bytes = packet.as_slice();
        let outer_at = icmp_error::quoted_offset(bytes, headers)?;
        let outer_bytes = bytes.get(outer_at..)?;
        let outer = Headers::parse_embedded(outer_bytes).ok().filter(|outer| !outer.is_ipv6())?;
        let inner_at = tunnel::inner_ipv4(outer_bytes, outer.transport, outer.protocol)?;
        if host.address_kind(headers.destination) != AddressKind::Local {
            return None;
        }
        let quote = Quote::at(bytes, outer_at + inner_at)?;
        let (source, destination) = quote.ends();
        let Some(Match::Inbound(index)) = self.find(quote.protocol, source, destination) else {
            return None;
        };
        let ends = self.ends(index)?;
        if ends.method() != ForwardingMethod::TUNNEL || ends.server_address != outer.destination {
            return None;
        }
        if !checksum::verify_transport(bytes, headers) {
            return Some(Verdict::Drop(Reason::IcmpMalformed));
        }
        let tunnel = self.destinations.get(ends.destination)?.config.tunnel;
        let icmp: [u8; 8] = headers.payload(bytes).first_chunk().copied()?;
        let [kind, code, _, _, mut rest @ ..] = icmp;
        if (kind, code) == FRAGMENTATION_NEEDED {
            let [_, _, mtu0, mtu1] = rest;
            let said = u32::from(u16::from_be_bytes([mtu0, mtu1]));
            let known = self.tunnel_paths.learn(now, outer.destination, said);
            let overhead = forward::tunnel::encapsulation(&tunnel, 0).overhead(false);
            rest = known.saturating_sub(overhead as u32).to_be_bytes();
        }
        let quoted = bytes.get(outer_at + inner_at..headers.total_len.min(bytes.len()))?;
        let (stripped, virtual_address) = (quoted.len() as u64, ends.virtual_address);
        let mut error = [0; icmp_error::MAX_LEN_V4];
        let len = icmp_error_about_quote(quoted, virtual_address, (kind, code, rest), &mut error);
        let Some(error) = len.ok().and_then(|len| error.get(..len)) else {
            return Some(Verdict::Drop(Reason::IcmpMalformed));
        };
        if !packet.replace(error) {
            return Some(Verdict::Drop(Reason::IcmpMalformed));
        }
        // The kernel counts what it takes out of the error, and the error that it makes of it.
        let made = packet.len() as u64;
        self.count(ends.destination, |counters| {
            counters.packets_out += 2;
            counters.bytes_out += stripped + made;
        });
        Some(Verdict::Forward { next: quote.headers.source })
    }
}
