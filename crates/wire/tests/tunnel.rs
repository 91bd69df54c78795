//! Tunneled packets against those of the kernel's IPVS (`conformance/experiments/tunnel_bytes.py`).
#![allow(clippy::unwrap_used, reason = "a test may fail that way")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipvs_wire::tunnel::{Encapsulation, Outer, encapsulate, inner_ipv4, sum_of_whole};
use ipvs_wire::{Headers, Malformed, checksum};
use proptest::prelude::*;

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// What can only be read off the kernel's packet: the flow's source port. The rest is given.
fn encapsulation(name: &str, packet: &[u8], at: usize) -> Encapsulation {
    let gue = |checksum| Encapsulation::Gue {
        source_port: u16::from_be_bytes([packet[at], packet[at + 1]]),
        port: 6080,
        checksum,
    };
    match name {
        "ipip" => Encapsulation::Ipip,
        "gue" => gue(false),
        "gue-csum" | "gue-remcsum" => gue(true),
        "gre" => Encapsulation::Gre { checksum: false },
        "gre-csum" => Encapsulation::Gre { checksum: true },
        other => panic!("{other}"),
    }
}

#[test]
fn every_tunneled_packet_is_the_kernels_to_the_bit() {
    let recorded = include_str!("reference/tunnels.txt");
    let mut count = 0;
    for line in recorded.lines() {
        let (name, hex) = line.split_once(' ').unwrap();
        let whole = bytes(hex);
        let ipv6 = whole[0] >> 4 == 6;
        let encapsulation = encapsulation(name, &whole, if ipv6 { 40 } else { 20 });
        let overhead = encapsulation.overhead(ipv6);
        let (source, destination): (IpAddr, IpAddr) = if ipv6 {
            ("2001:db8:2::1".parse().unwrap(), "2001:db8:2::11".parse().unwrap())
        } else {
            ("10.0.2.1".parse().unwrap(), "10.0.2.11".parse().unwrap())
        };
        let mut made = vec![0xee; overhead];
        made.extend_from_slice(&whole[overhead..]);
        let inner = Headers::parse(&whole[overhead..]).unwrap();
        let dont_fragment = inner.dont_fragment && !inner.is_ipv6();
        let identification = if dont_fragment || ipv6 { 0 } else { u16::from_be_bytes([whole[4], whole[5]]) };
        let outer = Outer { source, destination, dont_fragment, identification };
        encapsulate(&mut made, &outer, encapsulation).unwrap();
        assert_eq!(made, whole, "{line}");
        if !ipv6 {
            let headers = Headers::parse(&whole).unwrap();
            let found = inner_ipv4(&whole, headers.transport, headers.protocol);
            assert_eq!(found, (!inner.is_ipv6()).then_some(overhead), "{line}");
        }
        count += 1;
    }
    assert_eq!(count, 192);
}

proptest! {
    #[test]
    fn no_bytes_make_it_fail(
        data in proptest::collection::vec(any::<u8>(), 0..200),
        kind in 0..4,
        ipv6: bool,
        mixed: bool,
        header in 0..80usize,
        protocol: u8,
    ) {
        let encapsulation = match kind {
            0 => Encapsulation::Ipip,
            1 => Encapsulation::Gue { source_port: 1, port: 2, checksum: true },
            2 => Encapsulation::Gre { checksum: false },
            _ => Encapsulation::Gre { checksum: true },
        };
        let address = |ipv6: bool| -> IpAddr {
            if ipv6 { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() }
        };
        let outer = Outer {
            source: address(ipv6 != mixed),
            destination: address(ipv6),
            dont_fragment: true,
            identification: 0,
        };
        let mut packet = data.clone();
        let outcome = encapsulate(&mut packet, &outer, encapsulation);
        let holds = data.len() >= encapsulation.overhead(ipv6) + 20;
        prop_assert_eq!(outcome.is_ok(), holds && !mixed, "{:?}", outcome);
        prop_assert!(holds || outcome == Err(Malformed::Truncated));
        let _ = inner_ipv4(&data, header, protocol);
    }
}

/// As the XDP program finds it.
fn sum_by_headers(packet: &[u8]) -> u16 {
    let word = |at: usize| u32::from_ne_bytes(packet[at..at + 4].try_into().unwrap());
    let ipv6 = packet[0] >> 4 == 6;
    let (protocol, header) = if ipv6 { (packet[6], 40) } else { (packet[9], 20) };
    let ends = if ipv6 { 0 } else { u64::from(word(12)) + u64::from(word(16)) };
    sum_of_whole(ipv6, [word(0), word(4)], ends, protocol, (packet.len() - header) as u16)
}

proptest! {
    #[test]
    fn the_sum_of_a_whole_packet_is_known_without_its_payload(
        ipv6: bool,
        udp: bool,
        mut header in any::<[u8; 40]>(),
        payload in proptest::collection::vec(any::<u8>(), 0..200),
        ports: [u8; 4],
        wrong in 0..4u8,
    ) {
        let transport = if udp { 8 } else { 20 };
        let length = transport + payload.len();
        let (ip, protocol) = (if ipv6 { 40 } else { 20 }, if udp { 17 } else { 6 });
        if ipv6 {
            header[0] = 0x60 | header[0] & 0xf;
            header[4..6].copy_from_slice(&(length as u16).to_be_bytes());
            header[6] = protocol;
        } else {
            header[0] = 0x45;
            header[2..4].copy_from_slice(&((length + ip) as u16).to_be_bytes());
            header[6..8].copy_from_slice(&[0x40, 0]);
            header[9] = protocol;
        }
        let mut packet = header[..ip].to_vec();
        packet.extend(ports);
        packet.resize(ip + transport, 0);
        if udp {
            packet[ip + 4..ip + 6].copy_from_slice(&(length as u16).to_be_bytes());
        } else {
            packet[ip + 12] = 0x50;
        }
        packet.extend(&payload);
        checksum::fill_ipv4_header(&mut packet);
        let headers = Headers::parse(&packet).unwrap();
        checksum::fill_transport(&mut packet, &headers);
        // One representation of zero: that of a sum of something.
        let by_headers = checksum::add(0xffff, sum_by_headers(&packet));
        prop_assert_eq!(by_headers, checksum::sum(&packet));
        if wrong > 0 {
            packet[ip] ^= wrong;
            prop_assert_ne!(checksum::add(0xffff, sum_by_headers(&packet)), checksum::sum(&packet));
        }
    }
}
