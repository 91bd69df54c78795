//! Every field and every checksum, against packets made by etherparse.
#![allow(clippy::unwrap_used)]

mod packets;

use std::net::IpAddr;

use etherparse::IpHeaders;
use ipvs_wire::{
    Fragment, Headers, Malformed, Ports, checksum, icmpv4::Icmpv4Packet, icmpv6::Icmpv6Packet,
    ipv4::Ipv4Packet, ipv6::Ipv6Packet, sctp::SctpPacket, tcp, tcp::TcpPacket, transport, udp::UdpPacket,
};
use packets::{Spec, Upper, internet_sum, spec};
use proptest::prelude::*;

fn check_transport(spec: &Spec, packet: &[u8], headers: &Headers) -> Result<(), TestCaseError> {
    let data = headers.payload(packet);
    let ports = Ports { source: spec.source_port, destination: spec.destination_port };
    if spec.has_ports() {
        prop_assert_eq!(transport::ports(packet, headers), Ok(ports));
        prop_assert_eq!(transport::ports_embedded(packet, headers), Ok(ports));
    } else {
        prop_assert_eq!(transport::ports(packet, headers), Err(Malformed::Protocol));
    }
    match &spec.upper {
        Upper::Tcp { sequence, acknowledgment, flags, window, urgent, options } => {
            let view = TcpPacket::new_checked(data).unwrap();
            prop_assert_eq!((view.source_port(), view.destination_port()), (ports.source, ports.destination));
            prop_assert_eq!((view.sequence(), view.acknowledgment()), (*sequence, *acknowledgment));
            prop_assert_eq!((view.flags().0, view.window(), view.urgent()), (*flags, *window, *urgent));
            prop_assert_eq!((view.options(), view.payload()), (&options[..], &spec.payload[..]));
            let seen = tcp::flags(packet, headers).unwrap();
            prop_assert_eq!(
                [seen.fin(), seen.syn(), seen.rst(), seen.psh(), seen.ack(), seen.urg()],
                [1, 2, 4, 8, 16, 32].map(|bit| flags & bit != 0)
            );
        }
        Upper::Udp => {
            let view = UdpPacket::new_checked(data).unwrap();
            prop_assert_eq!((view.source_port(), view.destination_port()), (ports.source, ports.destination));
            prop_assert_eq!((view.length(), view.payload()), (data.len(), &spec.payload[..]));
        }
        Upper::Sctp { tag } => {
            let view = SctpPacket::new_checked(data).unwrap();
            prop_assert_eq!((view.source_port(), view.destination_port()), (ports.source, ports.destination));
            prop_assert_eq!(view.verification_tag(), *tag);
            prop_assert!(view.verify_checksum());
        }
        Upper::Icmp { kind, code, rest } if spec.is_ipv6() => {
            let view = Icmpv6Packet::new_checked(data).unwrap();
            prop_assert_eq!((view.kind(), view.code()), (*kind, *code));
            prop_assert_eq!((view.mtu().to_be_bytes(), view.payload()), (*rest, &spec.payload[..]));
        }
        Upper::Icmp { kind, code, rest } => {
            let view = Icmpv4Packet::new_checked(data).unwrap();
            prop_assert_eq!((view.kind(), view.code()), (*kind, *code));
            prop_assert_eq!(
                [view.identifier(), view.sequence()],
                [u16::from_be_bytes([rest[0], rest[1]]), u16::from_be_bytes([rest[2], rest[3]])]
            );
            prop_assert_eq!(view.payload(), &spec.payload[..]);
            prop_assert!(view.verify_checksum());
        }
        Upper::Other(_) => {}
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn fields_are_those_that_were_written(spec in spec(), padding in 0usize..20) {
        let mut packet = spec.build();
        let len = packet.len();
        packet.resize(len + padding, 0xa5);
        let headers = Headers::parse(&packet).unwrap();
        let (ip, protocol) = spec.ip();
        prop_assert_eq!((headers.source, headers.destination), (spec.source, spec.destination));
        prop_assert_eq!((headers.protocol, headers.transport), (protocol, spec.transport_offset()));
        prop_assert_eq!((headers.total_len, headers.is_ipv6()), (len, spec.is_ipv6()));
        prop_assert_eq!((headers.hop_limit, headers.traffic_class), (spec.hop_limit, spec.traffic_class));
        prop_assert_eq!(headers.fragment, match (spec.is_whole(), spec.is_later()) {
            (true, _) => Fragment::Whole,
            (_, true) => Fragment::Later,
            _ => Fragment::First,
        });
        match ip {
            IpHeaders::Ipv4(header, _) => {
                prop_assert_eq!(headers.dont_fragment, spec.dont_fragment);
                prop_assert_eq!(headers.identification, u32::from(spec.identification));
                let view = Ipv4Packet::new_checked(&packet).unwrap();
                prop_assert_eq!((view.header_len(), view.total_len()), (header.header_len(), len));
                prop_assert_eq!((view.tos(), view.identification()), (spec.traffic_class, spec.identification));
                prop_assert_eq!((view.dont_fragment(), view.more_fragments()),
                    (spec.dont_fragment, spec.more_fragments));
                prop_assert_eq!(view.fragment_offset(), usize::from(spec.fragment_offset) * 8);
                prop_assert_eq!((view.ttl(), view.protocol()), (spec.hop_limit, protocol));
                prop_assert_eq!(view.checksum(), header.header_checksum);
                prop_assert!(view.verify_checksum());
                prop_assert_eq!(IpAddr::V4(view.source()), spec.source);
                prop_assert_eq!(IpAddr::V4(view.destination()), spec.destination);
                prop_assert_eq!((view.options(), view.payload()), (&spec.options[..], &spec.transport()[..]));
            }
            IpHeaders::Ipv6(header, _) => {
                prop_assert!(headers.dont_fragment);
                prop_assert_eq!(headers.identification, spec.extensions.fragment.unwrap_or(0));
                let view = Ipv6Packet::new_checked(&packet).unwrap();
                prop_assert_eq!((view.traffic_class(), view.flow_label()), (spec.traffic_class, spec.flow_label));
                prop_assert_eq!((view.payload_len(), view.payload()), (len - 40, &packet[40..len]));
                prop_assert_eq!((view.next_header(), view.hop_limit()), (header.next_header.0, spec.hop_limit));
                prop_assert_eq!(IpAddr::V6(view.source()), spec.source);
                prop_assert_eq!(IpAddr::V6(view.destination()), spec.destination);
                let extensions: Vec<_> = view.extensions().map(Result::unwrap).collect();
                let bytes: usize = extensions.iter().map(|e| e.bytes.len()).sum();
                prop_assert_eq!(40 + bytes, headers.transport);
                prop_assert_eq!(extensions.last().map_or(header.next_header.0, |e| e.next_header), protocol);
            }
        }
        if spec.is_later() {
            let refused = transport::ports(&packet, &headers);
            prop_assert!(matches!(refused, Err(Malformed::Fragment | Malformed::Protocol)));
        } else {
            check_transport(&spec, &packet, &headers)?;
        }
    }

    #[test]
    fn checksums_are_right_and_a_flipped_bit_is_seen(spec in spec(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let packet = spec.build();
        let headers = Headers::parse(&packet).unwrap();
        prop_assert!(checksum::verify_transport(&packet, &headers));
        if !spec.is_whole() {
            return Ok(());
        }
        // Fill reproduces what etherparse wrote.
        let mut filled = packet.clone();
        if let Some(field) = match spec.upper {
            Upper::Tcp { .. } => Some(16..18),
            Upper::Udp => Some(6..8),
            Upper::Sctp { .. } => Some(8..12),
            Upper::Icmp { .. } => Some(2..4),
            Upper::Other(_) => None,
        } {
            filled[headers.transport + field.start..headers.transport + field.end].fill(0x5a);
        }
        checksum::fill_transport(&mut filled, &headers);
        prop_assert_eq!(&filled, &packet);

        if matches!(spec.upper, Upper::Other(_)) {
            return Ok(());
        }
        let mut broken = packet.clone();
        let offset = headers.transport + at.index(packet.len() - headers.transport);
        broken[offset] ^= 1 << bit;
        // A UDP checksum that becomes zero means "none".
        let none = matches!(spec.upper, Upper::Udp) && !spec.is_ipv6()
            && broken[headers.transport + 6..headers.transport + 8] == [0, 0];
        prop_assert!(none || !checksum::verify_transport(&broken, &headers), "at {}", offset);
    }

    #[test]
    fn sums_of_any_length_and_alignment(data in prop::collection::vec(any::<u8>(), 0..300), skip in 0usize..8) {
        let data = data.get(skip..).unwrap_or_default();
        prop_assert_eq!(checksum::sum(data), internet_sum(data));
    }

    #[test]
    fn a_partial_checksum_is_completed(spec in spec()) {
        let packet = spec.build();
        let headers = Headers::parse(&packet).unwrap();
        let mut partial = packet.clone();
        let expected = spec.is_whole() && match spec.upper {
            Upper::Tcp { .. } | Upper::Udp => true,
            Upper::Icmp { .. } => spec.is_ipv6(),
            Upper::Sctp { .. } => true,
            Upper::Other(_) => false,
        };
        let len = (packet.len() - headers.transport) as u16;
        let addresses = if spec.is_ipv6() { &packet[8..40] } else { &packet[12..20] };
        let pseudo = [addresses, &len.to_be_bytes(), &[0, headers.protocol]].concat();
        let pseudo = internet_sum(&pseudo).to_be_bytes();
        let field = headers.transport + match spec.upper {
            Upper::Tcp { .. } => 16,
            Upper::Udp => 6,
            Upper::Sctp { .. } => 8,
            _ => 2,
        };
        if expected {
            if matches!(spec.upper, Upper::Sctp { .. }) {
                partial[field..field + 4].fill(0);
            } else {
                partial[field..field + 2].copy_from_slice(&pseudo);
            }
        }
        prop_assert_eq!(checksum::complete_partial(&mut partial, &headers), expected);
        prop_assert_eq!(&partial, &packet);
        // A complete one stays, whether it happens to look partial or not.
        checksum::complete_partial(&mut partial, &headers);
        prop_assert_eq!(&partial, &packet);
    }

    #[test]
    fn a_packet_cut_short_is_malformed(spec in spec(), at in any::<prop::sample::Index>()) {
        let packet = spec.build();
        let cut = &packet[..at.index(packet.len())];
        prop_assert!(Headers::parse(cut).is_err());
        let quoted = Headers::parse_embedded(cut);
        if cut.len() >= spec.transport_offset() {
            prop_assert_eq!(quoted, Headers::parse(&packet));
        } else {
            prop_assert!(quoted.is_err());
        }
    }
}

#[test]
fn wrong_headers_are_named() {
    assert_eq!(Headers::parse(&[]), Err(Malformed::Truncated));
    assert_eq!(Headers::parse(&[0x50; 60]), Err(Malformed::BadVersion));
    let mut v4 = [0u8; 40];
    v4[0] = 0x45;
    v4[3] = 40;
    assert!(Headers::parse(&v4).is_ok());
    assert_eq!(Headers::parse(&v4[..39]), Err(Malformed::BadLength));
    assert_eq!(Headers::parse(&v4[..19]), Err(Malformed::Truncated));
    v4[3] = 19;
    assert_eq!(Headers::parse(&v4), Err(Malformed::BadLength));
    v4[0] = 0x44;
    assert_eq!(Headers::parse(&v4), Err(Malformed::BadHeader));
    v4[0] = 0x4f;
    assert_eq!(Headers::parse(&v4), Err(Malformed::Truncated));
}

#[test]
fn a_chain_of_extension_headers_is_bounded() {
    let chain = |count: usize| {
        let mut packet = vec![0x60, 0, 0, 0, 0, (count * 8) as u8, if count == 0 { 6 } else { 60 }, 64];
        packet.resize(40, 1);
        for n in 1..=count {
            packet.extend([if n == count { 6 } else { 60 }, 0, 1, 4, 0, 0, 0, 0]);
        }
        Headers::parse(&packet).map(|headers| (headers.protocol, headers.transport))
    };
    assert_eq!(chain(0), Ok((6, 40)));
    assert_eq!(chain(16), Ok((6, 40 + 16 * 8)));
    assert_eq!(chain(17), Err(Malformed::TooManyExtensions));
}
