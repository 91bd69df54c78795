//! What is too long, or may be fragmented, between the families: RFC 7915 sections 4 and 5.1.

use super::across::across;
use super::*;

/// What is sent between a client and its server of the other family: from the IPv4 side or the other.
struct Between {
    rig: Rig,
    clients: Family,
    from: End,
}

impl Between {
    fn new(clients: Family, protocol: u16) -> Self {
        let (mut rig, _) = across(clients, protocol);
        let (client, vip) = ((clients.client(), 40_000), (clients.vip(), 80));
        let first = if protocol == 6 { tcp(client, vip, "S", b"", 64) } else { udp(client, vip, b"", 64) };
        let from = seen(&rig.receive(&first).1).source;
        Self { rig, clients, from }
    }

    /// Source and destination of what comes from the side of a family.
    fn ends(&self, side: Family) -> (End, End) {
        match side == self.clients {
            true => ((side.client(), 40_000), (side.vip(), 80)),
            false => ((side.server(1), 8080), self.from),
        }
    }

    /// A datagram of so many bytes in all.
    fn datagram(&self, side: Family, len: usize, dont_fragment: bool) -> Vec<u8> {
        let (from, to) = self.ends(side);
        let mut packet = udp(from, to, &vec![9; len - if side == Family::V4 { 28 } else { 48 }], 64);
        if side == Family::V4 {
            packet[6] = if dont_fragment { 0x40 } else { 0 };
            ipvs_wire::checksum::fill_ipv4_header(&mut packet);
        }
        packet
    }

    /// Where packets from the side of a family go.
    fn next(&self, side: Family) -> IpAddr {
        match (side == self.clients, side) {
            (true, Family::V4) => Family::V6.server(1),
            (true, Family::V6) => Family::V4.server(1),
            (false, _) => self.clients.client(),
        }
    }
}

/// The MTU that an ICMP error tells.
fn told(bytes: &[u8]) -> usize {
    match bytes[0] >> 4 {
        4 => u16::from_be_bytes([bytes[26], bytes[27]]).into(),
        _ => u32::from_be_bytes([bytes[44], bytes[45], bytes[46], bytes[47]]) as usize,
    }
}

/// Nobody looks for the path's MTU then, and IPv6's routers do not fragment: so into fragments that every link takes.
#[test]
fn ipv4_that_may_be_fragmented_becomes_fragments_of_1280_bytes() {
    for clients in Family::BOTH {
        let mut it = Between::new(clients, 17);
        for (len, largest) in [(1000, 0), (1400, 0), (1600, 0), (3000, 1500), (3000, 576)] {
            let next = it.next(Family::V4);
            let packet = it.datagram(Family::V4, len, false);
            let (verdict, bytes, cut) = it.rig.receive_to_cut(&packet, largest);
            assert_eq!((verdict, bytes.len(), cut), (Verdict::Forward { next }, len + 20, Some(1280)));
            assert!(seen(&bytes).checksums_ok);
        }
        // Who looks is told.
        for (len, largest) in [(1480, 0), (1481, 0), (3000, 1500)] {
            let packet = it.datagram(Family::V4, len, true);
            let (verdict, bytes, cut) = it.rig.receive_to_cut(&packet, largest);
            assert_eq!(cut, None);
            match len {
                1480 => assert_eq!(verdict, Verdict::Forward { next: it.next(Family::V4) }),
                _ => assert_eq!((verdict, told(&bytes)), (Verdict::Reply(Reason::TooBig), 1480)),
            }
        }
        assert_eq!(it.rig.director.drops().find(|(reason, _)| *reason == Reason::TooBig).unwrap().1, 2);
    }
}

/// No IPv6 sender need make packets shorter than 1280 bytes: as IPv4 ones these may be fragmented, and have numbers of their own.
#[test]
fn ipv6_of_1280_bytes_goes_by_any_ipv4_link() {
    for clients in Family::BOTH {
        let mut it = Between::new(clients, 17);
        let next = it.next(Family::V6);
        it.rig.host.mtu.insert(next, 576);
        let mut numbers = BTreeSet::new();
        for len in [1280, 600, 48] {
            let packet = it.datagram(Family::V6, len, false);
            let (verdict, bytes, cut) = it.rig.receive_to_cut(&packet, 0);
            assert_eq!((verdict, bytes.len(), cut), (Verdict::Forward { next }, len - 20, None));
            assert!(seen(&bytes).checksums_ok);
            assert_eq!(bytes[6..8], [0, 0]);
            numbers.insert([bytes[4], bytes[5]]);
        }
        assert_eq!(numbers.len(), 3);
        let packet = it.datagram(Family::V6, 1281, false);
        let (verdict, bytes) = it.rig.receive(&packet);
        assert_eq!((verdict, told(&bytes)), (Verdict::Reply(Reason::TooBig), 1280));
        // What came in fragments goes in such, numbered too.
        let packet = it.datagram(Family::V6, 3000, false);
        let (verdict, bytes) = it.rig.receive_reassembled(&packet, 1280);
        assert_eq!((verdict, bytes.len(), &bytes[6..8]), (Verdict::Forward { next }, 2980, &[0, 0][..]));
        assert!(seen(&bytes).checksums_ok && numbers.insert([bytes[4], bytes[5]]));
        // Longer ones must not be fragmented, so their number says nothing.
        it.rig.host.mtu.insert(next, 1500);
        let packet = it.datagram(Family::V6, 1520, false);
        let (verdict, bytes) = it.rig.receive(&packet);
        assert_eq!((verdict, &bytes[4..8]), (Verdict::Forward { next }, &[0, 0, 0x40, 0][..]));
    }
}

#[test]
fn what_is_yet_to_be_cut_is_held_against_the_mtu_by_its_segments() {
    for clients in Family::BOTH {
        for side in Family::BOTH {
            let mut it = Between::new(clients, 6);
            let (next, (from, to)) = (it.next(side), it.ends(side));
            let fits = if side == Family::V4 { 1480 } else { 1520 };
            let packet = tcp(from, to, "A", &[5; 6000], 64);
            let (verdict, bytes, _) = it.rig.receive_unsegmented(&packet, fits);
            assert_eq!(verdict, Verdict::Forward { next });
            // Its sender looks for the path's MTU in either family.
            assert!(side == Family::V4 || bytes[6] == 0x40);
            let (verdict, bytes, _) = it.rig.receive_unsegmented(&packet, fits + 1);
            assert_eq!((verdict, told(&bytes)), (Verdict::Reply(Reason::TooBig), fits));
        }
    }
}

/// A path's MTU, told by a router in one family, is told on in the other's measure, but none that no IPv6 link has.
#[test]
fn mtus_that_routers_tell() {
    for (clients, side, says, expected) in [
        (Family::V6, Family::V6, 1400, 1380),
        (Family::V6, Family::V6, 1280, 1260),
        (Family::V6, Family::V6, 600, 1260),
        (Family::V6, Family::V6, 0, 1260),
        (Family::V4, Family::V6, 600, 1260),
        (Family::V4, Family::V4, 1400, 1420),
        (Family::V4, Family::V4, 576, 1280),
        (Family::V6, Family::V4, 0, 1280),
    ] {
        let mut it = Between::new(clients, 17);
        // A packet to that side, as it left.
        let other = if side == Family::V4 { Family::V6 } else { Family::V4 };
        let packet = it.datagram(other, 300, true);
        let (_, left) = it.rig.receive(&packet);
        let (router, sender) = (side.ip("198.51.100.1", "2001:db8:9::1"), it.ends(side).1.0);
        let mut error = unreachable(router, sender, &left);
        let at = if side == Family::V4 { 20 } else { 40 };
        let [kind, code] = if side == Family::V4 { [3, 4] } else { [2, 0] };
        error[at..at + 8].copy_from_slice(&[kind, code, 0, 0, 0, 0, 0, 0]);
        error[at + 6..at + 8].copy_from_slice(&u16::to_be_bytes(says));
        let headers = ipvs_wire::Headers::parse(&error).unwrap();
        ipvs_wire::checksum::fill_transport(&mut error, &headers);
        let (verdict, bytes) = it.rig.receive(&error);
        assert_eq!(verdict, Verdict::Forward { next: it.ends(other).0.0 }, "{clients:?} {side:?} {says}");
        assert_eq!(
            (told(&bytes), seen(&bytes).checksums_ok),
            (expected, true),
            "{clients:?} {side:?} {says}"
        );
        let quoted = seen(&bytes[if side == Family::V4 { 48 } else { 28 }..]);
        assert_eq!((quoted.source, quoted.destination), it.ends(other));
    }
}

/// ICMP errors are made anew, and short: the link's MTU is nothing to them.
#[test]
fn a_long_icmp_error_crosses() {
    let mut it = Between::new(Family::V6, 17);
    let packet = it.datagram(Family::V6, 1500, false);
    let (_, left) = it.rig.receive(&packet);
    let error = unreachable(Family::V4.server(1), it.from.0, &left[..1472]);
    assert_eq!((error.len(), error[6]), (1500, 0x40));
    let (verdict, bytes, cut) = it.rig.receive_to_cut(&error, 0);
    let client = it.clients.client();
    assert_eq!((verdict, bytes.len(), cut), (Verdict::Forward { next: client }, 1280, None));
    assert!(seen(&bytes).checksums_ok);
}
