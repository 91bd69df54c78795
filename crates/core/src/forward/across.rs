//! Full NAT between the families: IPv6 clients of IPv4 servers, and the reverse.

use std::net::IpAddr;

use ipvs_wire::icmp_error::icmp_error_about_quote;
use ipvs_wire::ipv4::Ipv4Packet;
use ipvs_wire::{Headers, checksum, family};

use super::{Ends, SMALLEST_IPV6};
use crate::director::Director;
use crate::icmp::{LONGEST_ERROR, Quote};
use crate::local_pool::End;
use crate::packet::Packet;
use crate::protocol::{ICMP, ICMPV6};
use crate::receive::Arrival;

/// An ICMPv6 error of this type tells an MTU.
const PACKET_TOO_BIG: u8 = 2;

/// How many bytes a packet grows, or shrinks, when it is sent to `next`.
pub(crate) fn growth(headers: &Headers, next: IpAddr) -> isize {
    match (headers.is_ipv6(), next.is_ipv6()) {
        (true, false) => 20 - headers.transport as isize,
        (false, true) => 40 - headers.transport as isize,
        _ => 0,
    }
}

/// How long a packet may be to leave for `next`, of the other family, by a link of `link` bytes if it must not be fragmented there.
pub(super) fn room(headers: &Headers, next: IpAddr, link: usize) -> usize {
    // ICMP errors are made anew, and short.
    if headers.protocol == if headers.is_ipv6() { ICMPV6 } else { ICMP } {
        return usize::MAX;
    }
    let room = link.saturating_sub_signed(growth(headers, next));
    // What is no longer than an IPv6 sender must be able to send becomes an IPv4 packet that may be fragmented.
    if headers.is_ipv6() { room.max(SMALLEST_IPV6 as usize) } else { room }
}

/// Gives the packet the header of the other family, between these ends. Its hop limit is that of the packet now. From an IPv4 packet
/// that may be fragmented come IPv6 fragments that every link takes, for its sender does not look for the path's MTU, and routers
/// behind us fragment no more (RFC 7915 section 4).
pub(super) fn translate(
    packet: &mut Packet<'_>,
    headers: &Headers,
    source: End,
    destination: End,
) -> Option<()> {
    let hop_limit = Headers::parse(packet.as_slice()).ok()?.hop_limit;
    let payload = packet.as_mut_slice().get_mut(headers.transport..)?;
    let anew = family::set_transport(payload, headers, source, destination).ok()?;
    let mut header = [0; family::HEADER_MAX];
    let len =
        family::header(headers, hop_limit, packet.came_in_pieces(), source.0, destination.0, &mut header)
            .ok()?;
    packet.replace_front(headers.transport, header.get(..len)?).then_some(())?;
    if !headers.is_ipv6() && !headers.dont_fragment {
        packet.cut_to(SMALLEST_IPV6 as usize);
    }
    if anew {
        let headers = Headers::parse(packet.as_slice()).ok()?;
        checksum::fill_transport(packet.as_mut_slice(), &headers);
    }
    Some(())
}

/// Puts an ICMP error of the other family in the place of one: about a packet from `source` to `destination`, from `reporter` to
/// the former. Its hop limit begins anew, as of every error that we make.
pub(super) fn translate_error(
    packet: &mut Packet<'_>,
    headers: &Headers,
    quote: &Quote,
    (source, destination): (End, End),
    reporter: IpAddr,
) -> Option<()> {
    // ESP and AH have no ports.
    if quote.protocol != quote.headers.protocol {
        return None;
    }
    let bytes = packet.as_slice();
    let [kind, code, _, _, mut rest @ ..] = *headers.payload(bytes).first_chunk::<8>()?;
    if headers.is_ipv6() && kind == PACKET_TOO_BIG {
        // No link may say less, and no sender heed it (RFC 8201 section 4).
        rest = u32::from_be_bytes(rest).max(SMALLEST_IPV6).to_be_bytes();
    }
    let fields = family::error_fields(headers.is_ipv6(), (kind, code, rest))?;
    let quoted = bytes.get(quote.offset..)?;
    let mut about = [0; LONGEST_ERROR];
    let mut header = [0; family::HEADER_MAX];
    let inner = &quote.headers;
    let len = family::header(inner, inner.hop_limit, false, source.0, destination.0, &mut header).ok()?;
    about.get_mut(..len)?.copy_from_slice(header.get(..len)?);
    let payload = quoted.get(inner.transport..)?;
    let payload = payload.get(..LONGEST_ERROR - len).unwrap_or(payload);
    let room = about.get_mut(len..len + payload.len())?;
    room.copy_from_slice(payload);
    family::set_ports(room, source.1, destination.1).ok()?;
    let about = about.get(..len + payload.len())?;
    let mut error = [0; LONGEST_ERROR];
    let len = icmp_error_about_quote(about, reporter, fields, &mut error).ok()?;
    packet.replace(error.get(..len)?).then_some(())
}

impl Director {
    /// Numbers an IPv6 packet that has become IPv4 and may be fragmented, so that its fragments are told from others' (RFC 7915 section
    /// 5.1): its ends have other packets of other clients too, so what it had as IPv6 would not do.
    #[inline]
    pub(super) fn identify(&mut self, arrival: Arrival<'_>, packet: &mut Packet<'_>, ends: &Ends) {
        if arrival.headers.is_ipv6() {
            self.identify_ipv4(packet, ends);
        }
    }

    fn identify_ipv4(&mut self, packet: &mut Packet<'_>, ends: &Ends) {
        let count = packet.segments();
        let Ok(mut header) = Ipv4Packet::new_checked(packet.as_mut_slice()) else { return };
        if !header.dont_fragment() {
            header.set_identification(self.destinations.identify(ends.destination, count));
            header.fill_checksum();
        }
    }
}
