//! The way of a packet of a connection whose server is told the client's address.

use ipvs_flow::EntryIndex;
use ipvs_wire::{Headers, tcp::TcpPacket};

use super::header::{header, length};
use super::numbers::{Beginning, Numbers, Sent, Way};
use crate::connections::flag;
use crate::director::Director;
use crate::explain::describe;
use crate::forward::{self, Ends};
use crate::helper::Side;
use crate::packet::Packet;
use crate::receive::Arrival;
use crate::segment::{Segment, blank, change_header, each_option};
use crate::verdict::{Reason, Verdict};

/// TCP options: maximum segment size, window scale, Fast Open (RFC 7413), and experiments, of which one was Fast Open.
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const FAST_OPEN: u8 = 34;
const EXPERIMENT: u8 = 254;
const FAST_OPEN_EXPERIMENT: [u8; 2] = [0xf9, 0x89];

/// A maximum segment size is not made smaller than this.
const SMALLEST_MSS: u16 = 64;

impl Director {
    /// Has a packet forwarded by `forward`, changed before if its connection's server is told the client's address.
    pub(crate) fn introduced(
        &mut self,
        arrival: Arrival<'_>,
        packet: &mut Packet<'_>,
        index: EntryIndex,
        ends: &Ends,
        side: Side,
        forward: impl FnOnce(&mut Self, Arrival<'_>, &mut Packet<'_>) -> Verdict,
    ) -> Verdict {
        if ends.flags & flag::PROXY == 0 {
            return forward(self, arrival, packet);
        }
        match self.introduce(arrival, packet, index, ends, side) {
            Ok(headers) => forward(self, Arrival { headers: &headers, ..arrival }, packet),
            Err(reason) => Verdict::Drop(reason),
        }
    }

    /// A connection was taken up in its midst (`sloppy_tcp`): another director has put its header in.
    pub(crate) fn introduced_elsewhere(&self, index: EntryIndex) {
        if let Some(entry) = self.connections.table.change(index)
            && entry.flags() & flag::PROXY != 0
        {
            entry.set_flags(entry.flags() | flag::PROXY_ARRIVED);
        }
    }

    /// Whether a SYN is the one that began its connection, overtaken by others of it: then it begins none in its place, in which
    /// nobody would know where the header went.
    pub(crate) fn is_known_syn(&self, index: EntryIndex, packet: &[u8], headers: &Headers) -> bool {
        let Some(Beginning { first, .. }) = self.connections.beginnings.get(index) else { return false };
        TcpPacket::new_checked(headers.payload(packet)).is_ok_and(|it| it.sequence().wrapping_add(1) == first)
    }

    /// Changes a packet. Returns its headers from then on, or why it must be dropped.
    fn introduce(
        &mut self,
        arrival: Arrival<'_>,
        packet: &mut Packet<'_>,
        index: EntryIndex,
        ends: &Ends,
        side: Side,
    ) -> Result<Headers, Reason> {
        let segment = Segment::read(packet.as_slice(), arrival.headers).ok_or(Reason::Malformed)?;
        match side {
            Side::Client if segment.syn => {
                self.note(|_| describe::to_be_told());
                without_data(arrival.headers, packet, &segment)
            }
            Side::Client => self.introduce_to_server(arrival, packet, index, ends, segment),
            Side::Server => self.introduce_to_client(arrival.headers, packet, index, ends, segment),
        }
    }

    fn introduce_to_server(
        &mut self,
        arrival: Arrival<'_>,
        packet: &mut Packet<'_>,
        index: EntryIndex,
        ends: &Ends,
        segment: Segment,
    ) -> Result<Headers, Reason> {
        let headers = arrival.headers;
        let numbers = self.numbers(index, ends);
        let data = segment.data(packet.as_slice(), headers);
        let sent = Sent {
            sequence: segment.sequence,
            length: u32::try_from(data.len()).unwrap_or(u32::MAX),
            rst: segment.rst,
        };
        let unchanged = |left, right| Some((left, right));
        match numbers.to_server(sent) {
            Way::Unchanged => Ok(*headers),
            Way::Nowhere => Err(Reason::ProxyHeader),
            Way::Moved(sequence) => {
                let moved = Segment { sequence, ..segment };
                moved.write(packet, headers, None, unchanged).ok_or(Reason::TooBig)
            }
            Way::WithHeader => {
                if !packet.is_undamaged(headers) {
                    return Err(Reason::Malformed);
                }
                let mut bytes = header(ends.client, (ends.virtual_address, ends.virtual_port));
                let (header_len, data_len) = (bytes.len(), data.len());
                bytes.extend_from_slice(data);
                let fixed = packet.len() - data_len;
                let next = ends.server_address;
                let mtu = arrival.host.path_mtu(next).map_or(0, |mtu| mtu as usize);
                let mtu = mtu.saturating_sub_signed(forward::growth(headers, next));
                let room = data_len.max(mtu.saturating_sub(fixed));
                if room < header_len {
                    return Err(Reason::TooBig);
                }
                let mut with_header = segment;
                if bytes.len() > room {
                    // Its sender will send the rest again.
                    bytes.truncate(room);
                    with_header.fin = false;
                }
                with_header.urgent = segment.urgent.map(|urgent| urgent.saturating_add(header_len as u16));
                self.note(|_| describe::with_proxy_header(ends.client, header_len));
                with_header.write(packet, headers, Some(&bytes), unchanged).ok_or(Reason::TooBig)
            }
        }
    }

    fn introduce_to_client(
        &mut self,
        headers: &Headers,
        packet: &mut Packet<'_>,
        index: EntryIndex,
        ends: &Ends,
        segment: Segment,
    ) -> Result<Headers, Reason> {
        let entry = self.connections.table.change(index).ok_or(Reason::DestinationUnavailable)?;
        let mut numbers = self.numbers(index, ends);
        let Some(acknowledgment) = segment.acknowledgment else { return Ok(*headers) };
        if segment.syn {
            // What it acknowledges is the client's SYN. Repeated when the header has arrived it does no harm: the next
            // acknowledgment says so again.
            let first = acknowledgment;
            let arrived = numbers.arrived && numbers.beginning.is_some_and(|it| it.first == first);
            numbers = Numbers { beginning: None, arrived, ..numbers };
            if !arrived {
                entry.set_flags(entry.flags() & !flag::PROXY_ARRIVED);
            }
            let scale = change_answer(packet, headers, &segment, numbers).ok_or(Reason::Malformed)?;
            self.connections.beginnings.set(index, Beginning { first, scale });
            return Ok(*headers);
        }
        if !numbers.arrived && !segment.rst && numbers.covers(acknowledgment) {
            entry.set_flags(entry.flags() | flag::PROXY_ARRIVED);
            numbers.arrived = true;
        }
        let down = Segment { acknowledgment: Some(numbers.to_client(acknowledgment)), ..segment };
        let headers = down
            .write(packet, headers, None, |left, right| numbers.block(left, right))
            .ok_or(Reason::Malformed)?;
        if !numbers.arrived {
            let scale = numbers.beginning.map_or(0, |it| it.scale);
            let header = headers.payload_mut(packet.as_mut_slice()).get_mut(..segment.header_len);
            change_header(header.ok_or(Reason::Malformed)?, |header| lower_window(header, numbers, scale));
        }
        Ok(headers)
    }

    fn numbers(&self, index: EntryIndex, ends: &Ends) -> Numbers {
        let flags = self.connections.table.entry(index).map_or(0, |entry| entry.flags());
        Numbers {
            beginning: self.connections.beginnings.get(index),
            // The header tells of the client's side, of whichever family the server is.
            length: length(ends.client.0.is_ipv6()),
            arrived: flags & flag::PROXY_ARRIVED != 0,
        }
    }
}

/// A SYN of the client's without data, which it will send again behind the handshake, and without a request to send such.
fn without_data(headers: &Headers, packet: &mut Packet<'_>, segment: &Segment) -> Result<Headers, Reason> {
    let mut headers = *headers;
    if !segment.data(packet.as_slice(), &headers).is_empty() {
        if !packet.is_undamaged(&headers) {
            return Err(Reason::Malformed);
        }
        let without = Segment { fin: false, ..*segment };
        let unchanged = |left, right| Some((left, right));
        headers = without.write(packet, &headers, Some(&[]), unchanged).ok_or(Reason::Malformed)?;
    }
    let header = headers.payload_mut(packet.as_mut_slice()).get_mut(..segment.header_len);
    change_header(header.ok_or(Reason::Malformed)?, |header| {
        each_option(header.get_mut(20..).unwrap_or_default(), |kind, option| {
            let experiment = kind == EXPERIMENT && option.get(2..4) == Some(&FAST_OPEN_EXPERIMENT[..]);
            if kind == FAST_OPEN || experiment {
                blank(option);
            }
        });
    });
    Ok(headers)
}

/// Changes the server's SYN: the client must leave room for the header in its segments and in the window, which is not
/// scaled here. Returns by how many bits later ones are.
fn change_answer(
    packet: &mut Packet<'_>,
    headers: &Headers,
    segment: &Segment,
    numbers: Numbers,
) -> Option<u8> {
    let header = headers.payload_mut(packet.as_mut_slice()).get_mut(..segment.header_len)?;
    let mut scale = 0;
    change_header(header, |header| {
        each_option(header.get_mut(20..).unwrap_or_default(), |kind, option| match (kind, option) {
            (MSS, [_, _, high, low]) => {
                let mss = u16::from_be_bytes([*high, *low]);
                let less = mss.saturating_sub(numbers.length as u16).max(mss.min(SMALLEST_MSS));
                [*high, *low] = less.to_be_bytes();
            }
            (WINDOW_SCALE, [_, _, bits]) => scale = *bits,
            _ => {}
        });
        lower_window(header, numbers, 0);
    })?;
    Some(scale)
}

fn lower_window(header: &mut [u8], numbers: Numbers, scale: u8) {
    if let Some([high, low]) = header.get_mut(14..16) {
        [*high, *low] = numbers.window(u16::from_be_bytes([*high, *low]), scale).to_be_bytes();
    }
}
