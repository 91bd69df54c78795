//! Virtual addresses that are not the host's.
//!
//! With kernel IPVS a virtual address is an address of the host, whose stack answers what IPVS leaves alone. Here it
//! need not be one; then nobody else would answer, and the host, taking the packet for one to forward, might send it
//! back to the router it came from. So the director answers as a host would.

use ipvs_wire::icmp_error::ErrorKind;
use ipvs_wire::ipv6::{HEADER_LEN, Ipv6Packet};
use ipvs_wire::{Headers, TCP_RESET_LEN, checksum, rewrite, tcp_reset};

use crate::director::Director;
use crate::host::{AddressKind, Host};
use crate::icmp;
use crate::packet::Packet;
use crate::protocol::{ICMP, ICMPV6, TCP, UDP};
use crate::verdict::{Reason, Verdict};

/// Place of the next-header field of an IPv6 header without extensions.
const NEXT_HEADER: u32 = 6;

/// Where in an IPv6 packet the field is that names its transport protocol.
fn naming(packet: &[u8]) -> u32 {
    let Ok(packet) = Ipv6Packet::new_checked(packet) else { return 0 };
    let (mut place, mut end) = (NEXT_HEADER, HEADER_LEN);
    for extension in packet.extensions().map_while(Result::ok) {
        place = end as u32;
        end += extension.bytes.len();
    }
    place
}

impl Director {
    /// Whether the error or reset in `packet` can be sent. What comes from an address that is neither virtual nor the
    /// host's, of marked packets, does not leave; for IPv6 it comes from the host instead (kernel
    /// behaviour, experiment `mark_services.py`).
    pub(crate) fn speaks(&self, host: &dyn Host, packet: &mut Packet<'_>) -> bool {
        let Ok(headers) = Headers::parse(packet.as_slice()) else { return false };
        let from = headers.source;
        if !(self.marks.cover(from) || packet.mark() != 0)
            || self.interests.is_virtual(from)
            || host.address_kind(from) == AddressKind::Local
        {
            return true;
        }
        let Some(own) = host.source_address(headers.destination).filter(|own| own.is_ipv6()) else {
            return false;
        };
        if rewrite::set_source(packet.as_mut_slice(), &headers, own, 0).is_err() {
            return false;
        }
        let Ok(headers) = Headers::parse(packet.as_slice()) else { return false };
        checksum::fill_transport(packet.as_mut_slice(), &headers);
        true
    }

    /// What becomes of a packet that IPVS leaves alone: it passes to the host, unless it is for a virtual address
    /// that the host does not have.
    pub(crate) fn leave(&self, host: &dyn Host, packet: &mut Packet<'_>, headers: &Headers) -> Verdict {
        let address = headers.destination;
        // What came from the host's stack goes on there.
        if packet.hook().is_some()
            || !self.config.refuses_for_virtual
            || !self.interests.is_virtual(address)
            || host.address_kind(address) == AddressKind::Local
        {
            return Verdict::Pass;
        }
        match headers.protocol {
            TCP => {
                let mut reset = [0; TCP_RESET_LEN];
                let len = tcp_reset(packet.as_slice(), headers, &mut reset).unwrap_or(0);
                match reset.get(..len) {
                    Some(reset) if len > 0 && packet.replace(reset) => Verdict::Reply(Reason::NotServed),
                    _ => Verdict::Drop(Reason::NotServed),
                }
            }
            UDP => icmp::answer(packet, address, ErrorKind::PortUnreachable, Reason::NotServed),
            // What no host answers.
            ICMP | ICMPV6 => Verdict::Drop(Reason::NotServed),
            // As a host without that protocol.
            _ => {
                let kind = ErrorKind::ProtocolUnreachable { pointer: naming(packet.as_slice()) };
                icmp::answer(packet, address, kind, Reason::NotServed)
            }
        }
    }
}
