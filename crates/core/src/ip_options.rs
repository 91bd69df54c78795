//! IPv4 options, as the kernel's forwarding treats them (RFC 791 section 3.1): record route and timestamps are filled in,
//! malformed ones refused, source routes dropped.
//!
//! Kernel behaviour, experiment `ip_options.py`: towards a server both say the virtual address, towards the client the route
//! says the virtual address and a timestamp the director's on the servers' side. What follows the end of options is zeroed.
//! Other options stay as they are.

use core::net::Ipv4Addr;
use std::net::IpAddr;

use ipvs_wire::checksum;
use ipvs_wire::icmp_error::ErrorKind;

use crate::director::Director;
use crate::host::AddressKind;
use crate::icmp;
use crate::packet::Packet;
use crate::receive::Arrival;
use crate::verdict::{Reason, Verdict};

/// Length of an IPv4 header without options, bytes.
const FIXED: usize = 20;

/// Kinds of options (IANA, "IP Option Numbers").
mod kind {
    pub(super) const END: u8 = 0;
    pub(super) const NO_OPERATION: u8 = 1;
    pub(super) const RECORD_ROUTE: u8 = 7;
    pub(super) const TIMESTAMP: u8 = 68;
    pub(super) const LOOSE_SOURCE_ROUTE: u8 = 131;
    pub(super) const STRICT_SOURCE_ROUTE: u8 = 137;
    pub(super) const ROUTER_ALERT: u8 = 148;
}

/// What timestamps are of (the option's flag).
mod stamp {
    pub(super) const TIMES: u8 = 0;
    pub(super) const ADDRESSES: u8 = 1;
    pub(super) const PRESPECIFIED: u8 = 3;
}

/// Most hops that a timestamp option can note that it has no room for.
const MOST_OVERFLOW: u8 = 15;

/// Why a packet does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The byte at this place of the header makes no sense.
    At(usize),
    /// It wants to choose its way, which hosts do not permit by default (net.ipv4.conf.*.accept_source_route).
    SourceRoute,
}

/// What is written into options.
#[derive(Clone, Copy, Debug)]
struct Record {
    /// The address that a recorded route gets.
    route: Ipv4Addr,
    /// The address beside a timestamp.
    stamp: Ipv4Addr,
    /// Milliseconds since midnight, universal time.
    time: u32,
}

/// Has an option of `len` bytes room for `entry` bytes where its pointer points? `None`: it is full.
fn room(option: &[u8], entry: usize) -> Option<bool> {
    let pointer = usize::from(*option.get(2)?);
    (pointer <= option.len()).then_some(pointer + entry - 1 <= option.len())
}

/// Bytes of an entry of a timestamp option; `None` of a flag that nobody knows.
fn entry(flag: u8) -> Option<usize> {
    match flag & 0xf {
        stamp::TIMES => Some(4),
        stamp::ADDRESSES | stamp::PRESPECIFIED => Some(8),
        _ => None,
    }
}

/// The place behind an option that starts at `at`.
fn end_of(header: &[u8], at: usize) -> Option<usize> {
    let len = usize::from(*header.get(at + 1)?);
    (len >= 2 && at + len <= header.len()).then_some(at + len)
}

/// Checks the options of a header, in their order.
fn check(header: &[u8]) -> Result<(), Fault> {
    let (mut at, mut seen_route, mut seen_stamp, mut source_route) = (FIXED, false, false, false);
    while let Some(&kind) = header.get(at) {
        match kind {
            kind::END => break,
            kind::NO_OPERATION => {
                at += 1;
                continue;
            }
            _ => {}
        }
        let end = end_of(header, at).ok_or(Fault::At(at))?;
        let option = header.get(at..end).ok_or(Fault::At(at))?;
        let (len, pointer) = (option.len(), option.get(2).copied().unwrap_or(0));
        match kind {
            kind::RECORD_ROUTE => {
                if std::mem::replace(&mut seen_route, true) {
                    return Err(Fault::At(at));
                }
                require(len >= 3, at + 1)?;
                require(pointer >= 4 && room(option, 4) != Some(false), at + 2)?;
            }
            kind::TIMESTAMP => {
                if std::mem::replace(&mut seen_stamp, true) {
                    return Err(Fault::At(at));
                }
                require(len >= 4, at + 1)?;
                let flag = option.get(3).copied().unwrap_or(0);
                require(pointer >= 5, at + 2)?;
                match room(option, entry(flag).unwrap_or(1)) {
                    Some(fits) => require(fits, at + 2)?,
                    None => require(flag >> 4 < MOST_OVERFLOW, at + 3)?,
                }
            }
            kind::LOOSE_SOURCE_ROUTE | kind::STRICT_SOURCE_ROUTE => {
                require(len >= 3, at + 1)?;
                require(pointer >= 4, at + 2)?;
                if std::mem::replace(&mut source_route, true) {
                    return Err(Fault::At(at));
                }
            }
            kind::ROUTER_ALERT => require(len >= 4, at + 1)?,
            _ => {}
        }
        at = end;
    }
    if source_route { Err(Fault::SourceRoute) } else { Ok(()) }
}

fn require(holds: bool, place: usize) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(Fault::At(place)) }
}

/// Fills in what the options of a checked header have room for. `is_own`: whether an address is the director's.
fn fill(header: &mut [u8], record: &Record, is_own: impl Fn(Ipv4Addr) -> bool) {
    let mut at = FIXED;
    while let Some(&kind) = header.get(at) {
        match kind {
            kind::END => {
                header.get_mut(at..).unwrap_or_default().fill(0);
                return;
            }
            kind::NO_OPERATION => {
                at += 1;
                continue;
            }
            _ => {}
        }
        let Some(end) = end_of(header, at) else { return };
        let option = header.get_mut(at..end).unwrap_or_default();
        match kind {
            kind::RECORD_ROUTE => {
                note(option, &record.route.octets());
            }
            kind::TIMESTAMP => timestamp(option, record, &is_own),
            _ => {}
        }
        at = end;
    }
}

/// Writes an entry where the option's pointer points, and moves that on.
fn note(option: &mut [u8], entry: &[u8]) {
    if room(option, entry.len()) != Some(true) {
        return;
    }
    let Some(pointer) = option.get(2).copied() else { return };
    let start = usize::from(pointer).saturating_sub(1);
    if let Some(place) = option.get_mut(start..start + entry.len()) {
        place.copy_from_slice(entry);
    }
    if let Some(place) = option.get_mut(2) {
        *place = pointer.saturating_add(entry.len() as u8);
    }
}

fn timestamp(option: &mut [u8], record: &Record, is_own: impl Fn(Ipv4Addr) -> bool) {
    let (Some(&pointer), Some(&flag)) = (option.get(2), option.get(3)) else { return };
    let start = usize::from(pointer).saturating_sub(1);
    let time = record.time.to_be_bytes();
    let with_time = |address: [u8; 4]| [address, time].concat();
    match flag & 0xf {
        _ if room(option, 1).is_none() => {
            if let Some(place) = option.get_mut(3) {
                *place = place.saturating_add(0x10);
            }
        }
        stamp::TIMES => note(option, &time),
        stamp::ADDRESSES => note(option, &with_time(record.stamp.octets())),
        stamp::PRESPECIFIED => {
            let named = option.get(start..).and_then(<[u8]>::first_chunk).copied();
            if let Some(named) = named.filter(|named| is_own(Ipv4Addr::from(*named))) {
                note(option, &with_time(named));
            }
        }
        _ => {}
    }
}

/// Notes the director in the options of a packet that goes on: `route` in a recorded route, `stamp` beside a timestamp.
#[inline]
pub(crate) fn record(arrival: Arrival<'_>, packet: &mut Packet<'_>, route: IpAddr, stamp: Option<IpAddr>) {
    if arrival.headers.transport > FIXED && !arrival.headers.is_ipv6() {
        record_options(arrival, packet, route, stamp);
    }
}

#[cold]
fn record_options(arrival: Arrival<'_>, packet: &mut Packet<'_>, route: IpAddr, stamp: Option<IpAddr>) {
    let Arrival { host, headers, .. } = arrival;
    let (IpAddr::V4(route), Some(IpAddr::V4(stamp))) = (route, stamp.or(Some(route))) else { return };
    let is_own =
        |address: Ipv4Addr| address == route || host.address_kind(address.into()) == AddressKind::Local;
    let time = host.milliseconds_of_day();
    if let Some(header) = packet.as_mut_slice().get_mut(..headers.transport) {
        fill(header, &Record { route, stamp, time }, is_own);
        checksum::fill_ipv4_header(header);
    }
}

impl Director {
    /// Ends the way of a packet whose IPv4 options a host would not take: with an error that points to them, from the address
    /// that it is for, or else from the host's own.
    #[inline]
    pub(crate) fn refuse_options(&self, arrival: Arrival<'_>, packet: &mut Packet<'_>) -> Option<Verdict> {
        let headers = arrival.headers;
        if headers.is_ipv6() || headers.transport <= FIXED {
            return None;
        }
        self.refuse_fault(arrival, packet)
    }

    #[cold]
    fn refuse_fault(&self, arrival: Arrival<'_>, packet: &mut Packet<'_>) -> Option<Verdict> {
        let Arrival { host, headers, .. } = arrival;
        let pointer = match check(packet.as_slice().get(..headers.transport)?).err()? {
            Fault::At(place) => place as u32,
            Fault::SourceRoute => return Some(Verdict::Drop(Reason::SourceRoute)),
        };
        let to = headers.destination;
        let reporter = match host.address_kind(to) == AddressKind::Local || self.interests.is_virtual(to) {
            true => Some(to),
            false => host.source_address(headers.source),
        };
        Some(match reporter {
            Some(own) => {
                icmp::answer(packet, own, ErrorKind::ParameterProblem { pointer }, Reason::Malformed)
            }
            None => Verdict::Drop(Reason::Malformed),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: Record = Record {
        route: Ipv4Addr::new(203, 0, 113, 1),
        stamp: Ipv4Addr::new(10, 0, 0, 254),
        time: 0x0102_0304,
    };

    fn header(options: &[u8]) -> Vec<u8> {
        let mut header = vec![0; FIXED];
        header.extend(options);
        header.resize(header.len().next_multiple_of(4), 0);
        header
    }

    fn filled(options: &[u8]) -> Vec<u8> {
        let mut header = header(options);
        assert_eq!(check(&header), Ok(()), "{options:?}");
        fill(&mut header, &RECORD, |address| address == Ipv4Addr::new(10, 0, 0, 254));
        header.split_off(FIXED)
    }

    #[test]
    fn routes_and_timestamps_are_filled_in() {
        assert_eq!(filled(&[7, 7, 4, 0, 0, 0, 0]), [7, 7, 8, 203, 0, 113, 1, 0]);
        assert_eq!(filled(&[7, 7, 8, 9, 9, 9, 9]), [7, 7, 8, 9, 9, 9, 9, 0]);
        assert_eq!(filled(&[1, 7, 11, 5, 0, 0, 0, 0, 0, 0, 0, 0]), [1, 7, 11, 9, 0, 203, 0, 113, 1, 0, 0, 0]);
        assert_eq!(filled(&[68, 8, 5, 0, 0, 0, 0, 0]), [68, 8, 9, 0, 1, 2, 3, 4]);
        assert_eq!(filled(&[68, 8, 9, 0x20, 7, 7, 7, 7]), [68, 8, 9, 0x30, 7, 7, 7, 7]);
        let addresses = [68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(filled(&addresses), [68, 12, 13, 1, 10, 0, 0, 254, 1, 2, 3, 4]);
        let own = [68, 12, 5, 3, 10, 0, 0, 254, 0, 0, 0, 0];
        assert_eq!(filled(&own), [68, 12, 13, 3, 10, 0, 0, 254, 1, 2, 3, 4]);
        let other = [68, 12, 5, 3, 10, 0, 0, 1, 0, 0, 0, 0];
        assert_eq!(filled(&other), other);
    }

    #[test]
    fn what_else_there_is_stays_and_what_follows_the_end_is_zeroed() {
        for options in [[148, 4, 0, 0], [30, 4, 1, 2], [158, 3, 1, 1], [1, 1, 1, 0], [136, 4, 0, 1]] {
            assert_eq!(filled(&options), options);
        }
        assert_eq!(filled(&[0, 7, 7, 7]), [0, 0, 0, 0]);
    }

    #[test]
    fn problems_point_to_where_they_are() {
        for (options, place) in [
            (&[7, 2, 4, 0][..], 21),
            (&[7, 7, 4, 0, 0, 0, 0, 7, 7, 4, 0, 0, 0, 0], 27),
            (&[68, 8, 9, 0xf0, 0, 0, 0, 0], 23),
            (&[30, 40, 0, 0], 20),
            (&[30, 0, 0, 0], 20),
            (&[7, 11, 3, 0, 0, 0, 0, 0, 0, 0, 0], 22),
            (&[7, 11, 9, 0, 0, 0, 0, 0, 0, 0, 0], 22),
            (&[68, 12, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0], 22),
            (&[68, 8, 7, 0, 0, 0, 0, 0], 22),
            (&[68, 12, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0], 22),
            (&[68, 12, 9, 3, 0, 0, 0, 0, 0, 0, 0, 0], 22),
            (&[68, 3, 5, 0], 21),
            (&[148, 3, 0, 0], 21),
            (&[131, 2, 0, 0], 21),
            (&[131, 7, 3, 10, 0, 2, 12], 22),
            (&[131, 7, 4, 10, 0, 2, 12, 137, 7, 4, 10, 0, 2, 12], 27),
            (&[131, 7, 4, 10, 0, 2, 12, 7, 2, 4, 0], 28),
            (&[1, 1, 1, 7], 23),
        ] {
            assert_eq!(check(&header(options)), Err(Fault::At(place)), "{options:?}");
        }
        for kind in [131, 137] {
            assert_eq!(check(&header(&[kind, 7, 4, 10, 0, 0, 1])), Err(Fault::SourceRoute));
        }
    }
}
