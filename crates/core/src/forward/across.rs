//! Full NAT between the families: IPv6 clients of IPv4 servers, and the reverse.

use std::net::IpAddr;

use ipvs_wire::icmp_error::icmp_error_about_quote;
use ipvs_wire::{Headers, checksum, family};

use crate::icmp::Quote;
use crate::local_pool::End;
use crate::packet::Packet;

/// Longest ICMP error that we send.
const LONGEST_ERROR: usize = 1280;

/// How many bytes a packet grows, or shrinks, when it is sent to `next`.
pub(crate) fn growth(headers: &Headers, next: IpAddr) -> isize {
    match (headers.is_ipv6(), next.is_ipv6()) {
        (true, false) => 20 - headers.transport as isize,
        (false, true) => 40 - headers.transport as isize,
        _ => 0,
    }
}

/// Gives the packet the header of the other family, between these ends. Its hop limit is that of the packet now.
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
    let [kind, code, _, _, rest @ ..] = *headers.payload(bytes).first_chunk::<8>()?;
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
