//! The same packets as kernel IPVS made them: captures from the reference (Linux 6.1), see `reference/capture.sh`.
#![allow(clippy::unwrap_used)]

use std::net::IpAddr;

use ipvs_wire::{
    Fragment, Headers, checksum, echo,
    fragment::Fragments,
    icmp_error::{self, ErrorKind, icmp_error},
    protocol, rewrite, transport,
};

/// The IP packets of a capture: of each record the frame's payload.
fn packets(capture: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = &capture[24..];
    let mut packets = Vec::new();
    while !rest.is_empty() {
        let len = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        let (frame, after) = rest[16..].split_at(len);
        rest = after;
        if matches!(frame[12..14], [0x08, 0x00] | [0x86, 0xdd]) {
            packets.push(frame[14..].to_vec());
        }
    }
    packets
}

fn client() -> Vec<Vec<u8>> {
    packets(include_bytes!("reference/client.pcap"))
}

fn server() -> Vec<Vec<u8>> {
    packets(include_bytes!("reference/server.pcap"))
}

fn virtual_address(ipv6: bool) -> IpAddr {
    if ipv6 { "2001:db8:1::100" } else { "10.0.1.100" }.parse().unwrap()
}

/// Clears what is arbitrary: IPv4 identification (with the checksum), IPv6 flow label.
fn without_arbitrary(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    if packet[0] >> 4 == 4 {
        assert!(checksum::verify_ipv4_header(&packet));
        packet[4..6].fill(0);
        packet[10..12].fill(0);
    } else {
        packet[1] &= 0xf0;
        packet[2..4].fill(0);
    }
    packet
}

fn kind(icmp: &[u8], ipv6: bool) -> ErrorKind {
    let mtu = u32::from_be_bytes(icmp[4..8].try_into().unwrap());
    match (ipv6, icmp[0], icmp[1]) {
        (false, 3, 3) | (true, 1, 4) => ErrorKind::PortUnreachable,
        (false, 3, 4) | (true, 2, 0) => ErrorKind::FragmentationNeeded { mtu },
        (false, 11, 0) | (true, 3, 0) => ErrorKind::TimeExceeded,
        other => panic!("unexpected {other:?}"),
    }
}

#[test]
fn the_directors_icmp_errors() {
    let mut seen = 0;
    let packets = client();
    for (at, packet) in packets.iter().enumerate() {
        let headers = Headers::parse(packet).unwrap();
        let error = icmp_error::is_icmp_error(packet, &headers);
        if !error || headers.source != virtual_address(headers.is_ipv6()) || headers.hop_limit != 64 {
            continue;
        }
        let kind = kind(headers.payload(packet), headers.is_ipv6());
        let mut original = packets[at - 1].clone();
        if let ErrorKind::FragmentationNeeded { .. } = kind {
            // It is about the packet as it would go on.
            rewrite::decrement_hop_limit(&mut original);
        }
        let mut out = [0; 1280];
        let len = icmp_error(&original, headers.source, kind, &mut out).unwrap();
        assert_eq!(without_arbitrary(&out[..len]), without_arbitrary(packet));
        seen += 1;
    }
    assert_eq!(seen, 7);
}

#[test]
fn forwarded_packets_and_their_fragments() {
    let server = server();
    let mut arrived = server.iter().filter(|packet| {
        let headers = Headers::parse(packet).unwrap();
        headers.protocol == protocol::UDP
    });
    let mut seen = [0; 3];
    for mut packet in client() {
        let headers = Headers::parse(&packet).unwrap();
        if headers.protocol != protocol::UDP {
            continue;
        }
        let port = transport::ports(&packet, &headers).unwrap().destination;
        let narrow = port == 82;
        let refused = port == 81 || headers.hop_limit == 1 || (narrow && headers.dont_fragment);
        if refused {
            continue;
        }
        let address = match (headers.is_ipv6(), narrow) {
            (false, false) => "10.0.2.11",
            (false, true) => "10.0.2.51",
            (true, _) => "2001:db8:2::11",
        };
        let none = packet[headers.transport + 6..headers.transport + 8] == [0, 0];
        rewrite::set_destination(&mut packet, &headers, address.parse().unwrap(), port).unwrap();
        rewrite::decrement_hop_limit(&mut packet);
        if !narrow {
            assert_eq!(&packet, arrived.next().unwrap());
            seen[usize::from(none)] += 1;
            continue;
        }
        let mut cut = Fragments::new(&packet, &headers, 1000, None, 0).unwrap();
        let mut out = [0; 1000];
        while let Some(len) = cut.write_next(&mut out).unwrap() {
            let wanted = arrived.next().unwrap();
            let first = Headers::parse(wanted).unwrap().fragment == Fragment::First;
            if first && headers.transport > 20 {
                // The kernel has filled in the timestamp option; the rest is the same.
                assert_eq!(out[36..len], wanted[36..]);
            } else {
                assert_eq!(&out[..len], wanted);
            }
            seen[2] += 1;
        }
    }
    assert!(arrived.next().is_none());
    assert_eq!(seen, [4, 2, 4]);
}

#[test]
fn errors_of_a_server_on_their_way_to_the_client() {
    let is_error = |packet: &Vec<u8>| icmp_error::is_icmp_error(packet, &Headers::parse(packet).unwrap());
    let client = client();
    let mut translated = client.iter().filter(|packet| {
        let headers = Headers::parse(packet).unwrap();
        is_error(packet) && headers.hop_limit == 63
    });
    let mut seen = 0;
    for mut packet in server().into_iter().filter(is_error) {
        let headers = Headers::parse(&packet).unwrap();
        assert!(checksum::verify_transport(&packet, &headers));
        let address = virtual_address(headers.is_ipv6());
        let offset = icmp_error::quoted_offset(&packet, &headers).unwrap();
        let quoted = &mut packet[offset..];
        let inner = Headers::parse_embedded(quoted).unwrap();
        rewrite::set_embedded_destination(quoted, &inner, address, 83).unwrap();
        rewrite::set_source(&mut packet, &headers, address, 0).unwrap();
        rewrite::decrement_hop_limit(&mut packet);
        checksum::fill_transport(&mut packet, &headers);
        let mut wanted = translated.next().unwrap().clone();
        // The kernel has left the ICMPv6 checksum to the veth device.
        let headers = Headers::parse(&wanted).unwrap();
        assert_eq!(checksum::complete_partial(&mut wanted, &headers), headers.is_ipv6());
        assert_eq!(packet, wanted);
        seen += 1;
    }
    assert!(translated.next().is_none());
    assert_eq!(seen, 3);
}

#[test]
fn echo_replies() {
    let client = client();
    let mut seen = [0; 2];
    for (at, packet) in client.iter().enumerate() {
        let headers = Headers::parse(packet).unwrap();
        if headers.protocol != protocol::ICMP || packet[headers.transport] != 8 {
            continue;
        }
        let mut answer = packet.clone();
        if echo::reply(&mut answer, &headers).unwrap() {
            assert_eq!(without_arbitrary(&answer), without_arbitrary(&client[at + 1]));
            seen[0] += 1;
        } else {
            // One with options, which the kernel answers and we do not; one with a wrong checksum.
            assert!(headers.transport > 20 || !checksum::verify_transport(packet, &headers));
            assert_eq!(&answer, packet);
            seen[1] += 1;
        }
    }
    assert_eq!(seen, [1, 2]);
}
