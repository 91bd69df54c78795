//! The way of a packet of a control connection: its helper reads it, and what has to change does.

use ipvs_flow::EntryIndex;
use ipvs_wire::Headers;

use super::local_port::LocalPorts;
use super::stream::{Piece, Stream};
use super::{Expectation, Helping, Reading, Saying, Side};
use crate::connections::flag;
use crate::destination::DestinationIndex;
use crate::director::Director;
use crate::forward::{Ends, growth};
use crate::packet::Packet;
use crate::protocol::TCP;
use crate::receive::Arrival;
use crate::segment::Segment;
use crate::verdict::{Reason, Verdict};

impl Director {
    /// A packet of a control connection, or the first of a data connection, forwarded by `forward` once the helper has seen it.
    #[cold]
    pub(crate) fn helped(
        &mut self,
        arrival: Arrival<'_>,
        packet: &mut Packet<'_>,
        index: EntryIndex,
        ends: &Ends,
        side: Side,
        forward: impl FnOnce(&mut Self, Arrival<'_>, &mut Packet<'_>) -> Verdict,
    ) -> Verdict {
        self.connections.met(index);
        if ends.flags & flag::HELPED == 0 {
            return forward(self, arrival, packet);
        }
        match self.attend(arrival, packet, index, ends, side) {
            Ok(headers) => forward(self, Arrival { headers: &headers, ..arrival }, packet),
            Err(reason) => Verdict::Drop(reason),
        }
    }

    /// Reads a packet of a control connection, before it is forwarded, and changes it as the helper says. Returns its headers
    /// from then on, or why it must be dropped.
    fn attend(
        &mut self,
        arrival: Arrival<'_>,
        packet: &mut Packet<'_>,
        index: EntryIndex,
        ends: &Ends,
        side: Side,
    ) -> Result<Headers, Reason> {
        let headers = arrival.headers;
        let Some(key) = self.connections.table.entry(index).map(|entry| entry.key()) else {
            return Ok(*headers);
        };
        let client = (key.client.to_ip(key.ipv6), key.client_port);
        let virtual_end = (ends.virtual_address, ends.virtual_port);
        let mut expected = Vec::new();
        let talk = Talk { index, side, client, virtual_end, local: ends.local.map(|(address, _)| address) };
        let outcome = match headers.protocol {
            TCP => self.attend_segment(arrival, packet, ends, talk, &mut expected),
            _ => {
                self.attend_datagram(headers, packet, ends, talk, &mut expected);
                Ok(*headers)
            }
        };
        for expectation in expected {
            self.expect(arrival.now, (index, key), ends, &expectation);
        }
        outcome
    }

    fn attend_datagram(
        &mut self,
        headers: &Headers,
        packet: &Packet<'_>,
        ends: &Ends,
        talk: Talk,
        expected: &mut Vec<Expectation>,
    ) {
        let Some(helper) = self.helper_of(headers.protocol, ends) else { return };
        let text = headers.payload(packet.as_slice()).get(8..).unwrap_or_default();
        let session = self.connections.sessions.open(talk.index, helper);
        let reading = helper.read(&talk.saying(text, true), &mut session.memory, &mut |_| None);
        if let Reading::Expect { expectation, .. } = reading {
            expected.push(expectation);
        }
    }

    fn attend_segment(
        &mut self,
        arrival: Arrival<'_>,
        packet: &mut Packet<'_>,
        ends: &Ends,
        talk: Talk,
        expected: &mut Vec<Expectation>,
    ) -> Result<Headers, Reason> {
        let headers = arrival.headers;
        let segment = Segment::read(packet.as_slice(), headers).ok_or(Reason::Malformed)?;
        let says = !segment.data(packet.as_slice(), headers).is_empty();
        let session = match self.connections.sessions.get_mut(talk.index) {
            Some(session) => session,
            None if !says => return Ok(*headers),
            None => {
                let Some(helper) = self.helper_of(headers.protocol, ends) else { return Ok(*headers) };
                self.connections.sessions.open(talk.index, helper)
            }
        };
        let mut ports = LocalPorts { table: &self.connections.table, pools: &mut self.connections.pools };
        // What its receiver would not take must not be read.
        if !packet.is_undamaged(headers) {
            return Err(Reason::Malformed);
        }
        let (helper, memory) = (session.helper, &mut session.memory);
        let [client, server] = &mut session.streams;
        let (own, other) = match talk.side {
            Side::Client => (client, server),
            Side::Server => (server, client),
        };
        if segment.syn && own.as_ref().is_some_and(|own| !own.begins_at(segment.first())) {
            // Another connection in the place of an old one.
            *own = None;
        }
        let mut written = segment;
        let mut data = None;
        if says || own.is_some() {
            let own = own.get_or_insert_with(|| Stream::new(segment.first()));
            let bytes = segment.data(packet.as_slice(), headers);
            let piece = Piece { sequence: segment.first(), data: bytes, fin: segment.fin };
            let read = |line: &[u8], ended| {
                let saying = talk.saying(line, ended);
                helper.read(&saying, memory, &mut |port| ports.take(talk.index, ends, port))
            };
            let (first, mut output) = own.take(piece, read, expected).ok_or(Reason::OutOfOrder)?;
            if !own.is_plain() || output.bytes != bytes {
                let fixed = packet.len() - bytes.len();
                let next = talk.next(ends);
                let mtu = arrival.host.path_mtu(next).map_or(0, |mtu| mtu as usize);
                let fixed = fixed.saturating_add_signed(growth(headers, next));
                let room = bytes.len().max(mtu.saturating_sub(fixed));
                if output.bytes.len() > room {
                    // Its sender will send the rest again.
                    output.bytes.truncate(room);
                    output.fin = false;
                }
                written.sequence = first.wrapping_sub(u32::from(segment.syn));
                written.fin = output.fin;
                written.urgent = segment.urgent.map(|urgent| {
                    let behind = own.after(segment.sequence.wrapping_add(u32::from(urgent)));
                    behind.wrapping_sub(written.sequence) as u16
                });
                data = Some(output.bytes);
            }
        }
        let other = other.as_mut().filter(|other| !other.is_plain());
        if data.is_none() && other.is_none() {
            return Ok(*headers);
        }
        if let Some(other) = other {
            written.acknowledgment = segment.acknowledgment.map(|number| other.acknowledge(number));
            let block = |left, right| Some(other.block(left, right));
            return written.write(packet, headers, data.as_deref(), block).ok_or(Reason::TooBig);
        }
        let unchanged = |left, right| Some((left, right));
        written.write(packet, headers, data.as_deref(), unchanged).ok_or(Reason::TooBig)
    }

    /// The helper of a connection that has one.
    fn helper_of(&self, protocol: u8, ends: &Ends) -> Option<Helping> {
        self.helper_for(ends.destination, protocol, ends.virtual_port)
    }

    /// The helper that a connection to a destination and from there to `port` of the virtual address has.
    pub(crate) fn helper_for(
        &self,
        destination: DestinationIndex,
        protocol: u8,
        port: u16,
    ) -> Option<Helping> {
        let service = self.services.get(self.destinations.get(destination)?.service?)?;
        service.helper.of(u16::from(protocol), port)
    }
}

/// A control connection and who speaks.
#[derive(Clone, Copy, Debug)]
struct Talk {
    index: EntryIndex,
    side: Side,
    client: (std::net::IpAddr, u16),
    virtual_end: (std::net::IpAddr, u16),
    local: Option<std::net::IpAddr>,
}

impl Talk {
    fn saying<'a>(&self, text: &'a [u8], ended: bool) -> Saying<'a> {
        let Self { side, client, virtual_end, local, .. } = *self;
        Saying { side, text, ended, client, virtual_end, local }
    }

    /// Where the packet goes next.
    fn next(&self, ends: &Ends) -> std::net::IpAddr {
        match self.side {
            Side::Client => ends.server_address,
            Side::Server => ends.client.0,
        }
    }
}
