use std::net::{Ipv4Addr, Ipv6Addr};

use ipvs_wire::fragment::Fragments;
use proptest::prelude::*;

use super::*;

/// A datagram with `payload` bytes behind its IP header, all numbered.
fn datagram(ipv6: bool, payload: usize, identification: u16) -> Vec<u8> {
    let mut packet = if ipv6 {
        let mut packet = vec![0x60, 0, 0, 0, 0, 0, 17, 64];
        packet.extend(Ipv6Addr::from(1).octets());
        packet.extend(Ipv6Addr::from(2).octets());
        packet
    } else {
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0];
        packet[4..6].copy_from_slice(&identification.to_be_bytes());
        packet.extend(Ipv4Addr::from(1).octets());
        packet.extend(Ipv4Addr::from(2).octets());
        packet
    };
    let header = packet.len();
    packet.extend((0..payload).map(|at| (at / 8) as u8));
    let total = packet.len() as u16;
    if ipv6 {
        packet[4..6].copy_from_slice(&(total - header as u16).to_be_bytes());
    } else {
        packet[2..4].copy_from_slice(&total.to_be_bytes());
        ipvs_wire::checksum::fill_ipv4_header(&mut packet);
    }
    packet
}

/// The datagram in fragments for links of `mtu` bytes.
fn cut(packet: &[u8], mtu: usize, identification: u32) -> Vec<Vec<u8>> {
    written(packet, mtu, Some(Pieces::OWN), identification)
}

fn written(packet: &[u8], mtu: usize, pieces: Option<Pieces<'_>>, identification: u32) -> Vec<Vec<u8>> {
    let headers = Headers::parse(packet).unwrap();
    let mut fragments = Fragments::new(packet, &headers, mtu, pieces, identification).unwrap();
    let mut out = vec![0; mtu];
    std::iter::from_fn(|| fragments.write_next(&mut out).unwrap().map(|len| out[..len].to_vec())).collect()
}

fn add(reassembly: &mut Reassembly, packet: &[u8]) -> Outcome {
    add_at(reassembly, Instant::default(), packet)
}

fn add_at(reassembly: &mut Reassembly, now: Instant, packet: &[u8]) -> Outcome {
    let headers = Headers::parse(packet).unwrap();
    reassembly.add(now, packet, &headers, 10).0
}

fn assert_empty(reassembly: &Reassembly) {
    assert_eq!((reassembly.waiting.len(), reassembly.memory, reassembly.deadline()), (0, 0, None));
    assert!(reassembly.ages.iter().all(BTreeMap::is_empty));
}

/// A fragment of the numbered IPv4 datagram.
fn piece(payload: &[u8], offset: usize, more: bool, mark: u8) -> Vec<u8> {
    let mut packet = datagram(false, 0, 77);
    packet[1] = mark;
    packet.extend(&payload[offset..]);
    let total = packet.len() as u16;
    packet[2..4].copy_from_slice(&total.to_be_bytes());
    packet[6..8].copy_from_slice(&((offset / 8) as u16 | if more { 0x2000 } else { 0 }).to_be_bytes());
    ipvs_wire::checksum::fill_ipv4_header(&mut packet);
    packet
}

/// Adds pieces `(start, end)` of a datagram of 64 bytes; how each fared: held, whole or dropped.
fn fate(pieces: &[(usize, usize)]) -> String {
    let payload: Vec<u8> = (0..80).collect();
    let mut reassembly = Reassembly::default();
    let letter = |&(start, end): &(usize, usize)| match add(
        &mut reassembly,
        &piece(&payload[..end], start, end < 64, 0),
    ) {
        Outcome::Held => 'h',
        Outcome::Whole(whole) => {
            assert_eq!(whole.buffer[30..10 + whole.len], payload[..64]);
            'w'
        }
        Outcome::Dropped => 'd',
    };
    pieces.iter().map(letter).collect()
}

#[test]
fn duplicates_are_ignored_and_overlaps_end_the_datagram() {
    assert_eq!(fate(&[(0, 16), (16, 32), (32, 64)]), "hhw");
    assert_eq!(fate(&[(32, 64), (16, 32), (0, 16)]), "hhw");
    assert_eq!(fate(&[(0, 16), (0, 16), (16, 64)]), "hhw");
    // Within one, and within two, that are there.
    assert_eq!(fate(&[(0, 32), (8, 16), (32, 48), (24, 40), (48, 64)]), "hhhhw");
    // Around one; into one; across a gap.
    assert_eq!(fate(&[(8, 16), (0, 32)]), "hd");
    assert_eq!(fate(&[(0, 16), (32, 64), (16, 40)]), "hhd");
    assert_eq!(fate(&[(0, 16), (24, 32), (8, 32)]), "hhd");
    // Beyond the end; an end before what is there.
    assert_eq!(fate(&[(32, 64), (64, 72)]), "hd");
    let payload = [0; 80];
    let mut reassembly = Reassembly::default();
    assert!(matches!(add(&mut reassembly, &piece(&payload[..48], 32, true, 0)), Outcome::Held));
    assert!(matches!(add(&mut reassembly, &piece(&payload[..40], 24, false, 0)), Outcome::Dropped));
    assert_empty(&reassembly);
    // An odd length in the middle, and nothing at all.
    assert!(matches!(add(&mut reassembly, &piece(&payload[..13], 0, true, 0)), Outcome::Dropped));
    assert!(matches!(add(&mut reassembly, &piece(&payload[..16], 0, true, 0)), Outcome::Held));
    assert!(matches!(add(&mut reassembly, &piece(&payload[..16], 16, false, 0)), Outcome::Dropped));
    assert_empty(&reassembly);
}

#[test]
fn an_ipv6_datagrams_first_fragment_has_its_transport_header_and_atomic_ones_lose_theirs() {
    let fragment = |payload: usize, more: bool, protocol: u8| {
        let mut packet = datagram(true, 8 + payload, 0);
        packet[6] = 44;
        packet[40..48].copy_from_slice(&[protocol, 0, 0, u8::from(more), 0, 0, 0, 9]);
        packet
    };
    for (protocol, least) in [(6, 24), (17, 8), (58, 8)] {
        let mut reassembly = Reassembly::default();
        assert!(matches!(add(&mut reassembly, &fragment(least - 8, true, protocol)), Outcome::Dropped));
        assert_empty(&reassembly);
        assert!(matches!(add(&mut reassembly, &fragment(least, true, protocol)), Outcome::Held));
    }
    let Outcome::Whole(whole) = add(&mut Reassembly::default(), &fragment(100, false, 17)) else {
        panic!("not whole")
    };
    let packet = &whole.buffer[10..10 + whole.len];
    assert_eq!((packet.len(), packet[6]), (140, 17));
    assert_eq!(written(packet, 1500, Some(whole.pieces()), 5), [packet]);
}

#[test]
fn marks_of_congestion_are_kept() {
    let payload = [7; 32];
    let whole = |marks: [u8; 2]| {
        let mut reassembly = Reassembly::default();
        let first = add(&mut reassembly, &piece(&payload[..16], 0, true, marks[0]));
        assert!(matches!(first, Outcome::Held));
        let last = add(&mut reassembly, &piece(&payload, 16, false, marks[1]));
        assert_empty(&reassembly);
        match last {
            Outcome::Whole(whole) => Some(whole.buffer[11]),
            _ => None,
        }
    };
    assert_eq!(
        [whole([2, 3]), whole([3, 1]), whole([1, 2]), whole([0x28, 0x48])],
        [Some(3), Some(3), Some(1), Some(0x28)]
    );
    assert_eq!([whole([0, 3]), whole([2, 0])], [None, None]);
}

#[test]
fn what_waits_too_long_is_taken_out_once() {
    let mut reassembly = Reassembly::default();
    let start = Instant::from_nanos(7);
    let (v4, v6) = (cut(&datagram(false, 2000, 1), 1500, 1), cut(&datagram(true, 2000, 1), 1500, 1));
    add_at(&mut reassembly, start, &v6[0]);
    add_at(&mut reassembly, start, &v4[1]);
    assert_eq!(reassembly.deadline(), Some(start + PATIENCE_IPV4));
    assert_eq!(reassembly.take_overdue(start + (PATIENCE_IPV4 - Duration::from_nanos(1))), None);
    assert_eq!(reassembly.take_overdue(start + PATIENCE_IPV4), Some(None));
    assert_eq!(reassembly.take_overdue(start + PATIENCE_IPV4), None);
    assert_eq!(reassembly.deadline(), Some(start + PATIENCE_IPV6));
    assert_eq!(reassembly.take_overdue(start + PATIENCE_IPV6).unwrap().as_deref(), Some(&v6[0][..]));
    assert_empty(&reassembly);
}

#[test]
fn a_flood_of_pieces_stays_within_the_memory_and_the_newest_win() {
    let mut reassembly = Reassembly::default();
    let mut evicted = 0;
    for source in 0..20_000u32 {
        let mut fragment = cut(&datagram(false, 2000, 1), 1500, 1).swap_remove(0);
        fragment[12..16].copy_from_slice(&source.to_be_bytes());
        let headers = Headers::parse(&fragment).unwrap();
        evicted += reassembly.add(Instant::default(), &fragment, &headers, 0).1;
        assert!(reassembly.memory <= MEMORY);
    }
    assert_eq!(evicted + reassembly.waiting.len(), 20_000);
    assert!(reassembly.waiting.len() > 1000);
    // A datagram whose pieces come together is not shut out.
    let pieces = cut(&datagram(true, 8000, 1), 1500, 1);
    let last = pieces.iter().map(|piece| add(&mut reassembly, piece)).last();
    assert!(matches!(last, Some(Outcome::Whole(_))));
}

proptest! {
    #[test]
    fn datagrams_come_out_as_they_were_and_leave_as_they_came(
        ipv6: bool, payload in 1usize..20_000, mtu in 1280usize..1600, order: u64, twice: bool,
    ) {
        let packet = datagram(ipv6, payload, 5);
        prop_assume!(packet.len() > mtu);
        let pieces = cut(&packet, mtu, 5);
        let mut shuffled: Vec<_> = pieces.iter().enumerate().collect();
        shuffled.sort_by_key(|(number, _)| (*number as u64).wrapping_mul(order | 1) >> 7);
        let mut reassembly = Reassembly::default();
        let last = shuffled.pop().unwrap();
        for (_, piece) in shuffled {
            prop_assert!(matches!(add(&mut reassembly, piece), Outcome::Held));
            if twice {
                prop_assert!(matches!(add(&mut reassembly, piece), Outcome::Held));
            }
        }
        let Outcome::Whole(whole) = add(&mut reassembly, last.1) else { panic!("not whole") };
        prop_assert_eq!(&whole.buffer[10..10 + whole.len], &packet[..]);
        assert_empty(&reassembly);
        // On a wider link in the same pieces; on a narrower one in smaller ones that make up the same.
        prop_assert_eq!(&written(&packet, 9000, Some(whole.pieces()), 5), &pieces);
        let narrow = written(&packet, 600, Some(whole.pieces()), 5);
        prop_assert!(narrow.iter().all(|piece| piece.len() <= 600));
        let again = narrow.iter().map(|piece| add(&mut reassembly, piece)).last().unwrap();
        let Outcome::Whole(again) = again else { panic!("not whole") };
        prop_assert_eq!(again.buffer, whole.buffer);
    }

    #[test]
    fn nothing_panics_and_nothing_is_left(packets in prop::collection::vec(
        (any::<bool>(), 0u16..40, any::<bool>(), prop::collection::vec(any::<u8>(), 0..60), 0u8..3), 1..200,
    )) {
        let mut reassembly = Reassembly::default();
        for (ipv6, offset, more, payload, identification) in packets {
            let mut packet = datagram(ipv6, 0, identification.into());
            if ipv6 {
                packet[6] = 44;
                packet.extend([17, 0]);
                packet.extend(((offset * 8) | u16::from(more)).to_be_bytes());
                packet.extend([0, 0, 0, identification]);
                packet.extend(&payload);
                let len = packet.len() as u16 - 40;
                packet[4..6].copy_from_slice(&len.to_be_bytes());
            } else {
                packet[6..8].copy_from_slice(&(offset | if more { 0x2000 } else { 0 }).to_be_bytes());
                packet.extend(&payload);
                let len = packet.len() as u16;
                packet[2..4].copy_from_slice(&len.to_be_bytes());
            }
            if let Outcome::Whole(whole) = add(&mut reassembly, &packet) {
                let headers = Headers::parse(&whole.buffer[10..10 + whole.len]).unwrap();
                prop_assert_eq!(headers.total_len, whole.len);
                prop_assert_eq!(headers.fragment, ipvs_wire::Fragment::Whole);
            }
        }
        while reassembly.take_overdue(Instant::from_nanos(u64::MAX)).is_some() {}
        assert_empty(&reassembly);
    }
}
