//! `schedule_icmp`: an ICMP error about a packet of no connection is scheduled as if its client had sent a packet (spec
//! section 5). Persistence engines find nothing in it (seen, `conformance/experiments/sip.py`).

use crate::director::Director;
use crate::icmp::Quote;
use crate::packet::Packet;
use crate::protocol::{TCP, UDP};
use crate::receive::Arrival;
use crate::schedule::{FTP_DATA, Refusal};
use crate::scheduler::Flow;
use crate::sysctl::Sysctl;
use crate::verdict::{Reason, Verdict};

impl Director {
    /// Sends an error about a packet from a service's virtual address, which belongs to no connection, to a server of
    /// the service. The connection that it makes has no state and ends after the seconds of a new one.
    pub(crate) fn schedule_icmp(
        &mut self,
        arrival: Arrival<'_>,
        packet: &mut Packet<'_>,
        quote: &Quote,
    ) -> Verdict {
        let protocol = quote.headers.protocol;
        if self.sysctls.value(Sysctl::ScheduleIcmp) == 0 || !matches!(protocol, TCP | UDP) {
            return Verdict::Pass;
        }
        let ((virtual_address, virtual_port), (client, client_port)) = quote.ends();
        // Its own mark, or that of the packet that its client might have sent.
        let mark = self.mark_of(packet, u16::from(protocol), virtual_address, virtual_port);
        let service = self.services.find(u16::from(protocol), virtual_address, virtual_port, mark);
        let Some(service) = service else { return Verdict::Pass };
        if self.defence.drops_packet() {
            return Verdict::Drop(Reason::Defence);
        }
        if client_port == FTP_DATA {
            return Verdict::Pass;
        }
        let flow = Flow {
            now: arrival.now,
            source: client,
            source_port: client_port,
            destination: virtual_address,
            destination_port: virtual_port,
        };
        let Some(route) = self.route(service, protocol, &flow, || &[]) else { return Verdict::Pass };
        let outcome = route.and_then(|route| {
            let ends = if route.one_packet {
                self.count(route.destination, |counters| counters.connections += 1);
                self.route_ends(&flow, &route)
            } else {
                let new = self.connect(protocol, &flow, &route, None)?;
                self.new_ends(&flow, &route, &new)
            };
            let ends = ends.ok_or(Refusal::NoDestination)?;
            Ok(self.icmp_inbound(arrival, packet, quote, &ends))
        });
        outcome.unwrap_or_else(|refusal| Verdict::Drop(refusal.reason()))
    }
}
