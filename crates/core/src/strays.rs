//! Packets from real servers that belong to no connection, which `nat_icmp_send` refuses (spec section 5).

use ipvs_wire::Ports;
use ipvs_wire::icmp_error::ErrorKind;

use crate::director::Director;
use crate::forward;
use crate::host::AddressKind;
use crate::icmp;
use crate::packet::Packet;
use crate::protocol::Signal;
use crate::receive::Arrival;
use crate::sysctl::Sysctl;
use crate::verdict::{Reason, Verdict};

impl Director {
    /// Whether a packet of that kind from a real server is refused if it belongs to no connection: not a reset.
    #[inline]
    pub(crate) fn refuses_strays(&self, signal: Signal) -> bool {
        self.sysctls.value(Sysctl::NatIcmpSend) != 0 && !signal.is_reset()
    }

    /// Refuses a packet from a masquerading destination's address and port with an ICMP port unreachable, as one that
    /// the host was about to forward, or that was for the director, if [such](Director::refuses_strays) are. `None`: it is no such
    /// packet, or passes.
    #[inline(never)] // as for `schedule`
    pub(crate) fn refuse_stray(
        &self,
        arrival: Arrival<'_>,
        packet: &mut Packet<'_>,
        ports: Ports,
    ) -> Option<Verdict> {
        let (host, headers) = (arrival.host, arrival.headers);
        self.destinations.find_any(u16::from(headers.protocol), headers.source, ports.source)?;
        let to = headers.destination;
        let reporter = if host.address_kind(to) == AddressKind::Local || self.interests.is_virtual(to) {
            Some(to)
        } else {
            let own = host.source_address(headers.source);
            if let Err(verdict) = forward::towards_client(arrival, packet, to, own) {
                return Some(verdict);
            }
            own
        };
        Some(match reporter {
            Some(own) => icmp::answer(packet, own, ErrorKind::PortUnreachable, Reason::NoConnection),
            None => Verdict::Drop(Reason::NoConnection),
        })
    }
}
