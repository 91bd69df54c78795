//! Virtual addresses that are not the host's.
//!
//! With kernel IPVS a virtual address is an address of the host, whose stack answers what IPVS leaves alone. Here it
//! need not be one; then nobody else would answer, and the host, taking the packet for one to forward, might send it
//! back to the router it came from. So the director answers as a host would.

use ipvs_wire::icmp_error::ErrorKind;
use ipvs_wire::{Headers, TCP_RESET_LEN, tcp_reset};

use crate::director::Director;
use crate::host::{AddressKind, Host};
use crate::icmp;
use crate::ip_options::are_for_the_host;
use crate::packet::Packet;
use crate::protocol::{TCP, UDP};
use crate::verdict::{Reason, Verdict};

impl Director {
    /// What becomes of a packet that IPVS leaves alone: it passes to the host, unless it is for a virtual address
    /// that the host does not have.
    pub(crate) fn leave(&self, host: &dyn Host, packet: &mut Packet<'_>, headers: &Headers) -> Verdict {
        let address = headers.destination;
        if !self.config.refuses_for_virtual
            || !self.interests.is_virtual(address)
            || host.address_kind(address) == AddressKind::Local
        {
            return Verdict::Pass;
        }
        match headers.protocol {
            _ if are_for_the_host(packet.as_slice(), headers) => Verdict::Drop(Reason::NotServed),
            TCP => {
                let mut reset = [0; TCP_RESET_LEN];
                let len = tcp_reset(packet.as_slice(), headers, &mut reset).unwrap_or(0);
                match reset.get(..len) {
                    Some(reset) if len > 0 && packet.replace(reset) => Verdict::Reply(Reason::NotServed),
                    _ => Verdict::Drop(Reason::NotServed),
                }
            }
            UDP => icmp::answer(packet, address, ErrorKind::PortUnreachable, Reason::NotServed),
            _ => Verdict::Drop(Reason::NotServed),
        }
    }
}
