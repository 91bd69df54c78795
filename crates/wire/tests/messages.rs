//! ICMP errors, echo replies, fragments, ARP and neighbour discovery, read back by etherparse.
#![allow(clippy::unwrap_used)]

mod packets;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{
    ArpHardwareId, ArpOperation, EtherType, Icmpv6Type, LinkExtHeader, NetHeaders, PacketBuilder,
    PacketHeaders, TransportHeader, VlanId,
};
use ipvs_wire::{
    Fragment, Headers, arp, checksum, echo,
    ethernet::{self, EthernetHeader, MacAddress, Tag},
    fragment::Fragments,
    icmp_error::{self, ErrorKind, Refused, icmp_error},
    ndp,
};
use packets::{Upper, spec, spec_of};
use proptest::prelude::*;

const KINDS: [(ErrorKind, [u8; 2], [u8; 2]); 8] = [
    (ErrorKind::PortUnreachable, [3, 3], [1, 4]),
    (ErrorKind::HostUnreachable, [3, 1], [1, 3]),
    (ErrorKind::NetUnreachable, [3, 0], [1, 0]),
    (ErrorKind::AdministrativelyProhibited, [3, 13], [1, 1]),
    (ErrorKind::TimeExceeded, [11, 0], [3, 0]),
    (ErrorKind::FragmentationNeeded { mtu: 1400 }, [3, 4], [2, 0]),
    (ErrorKind::ProtocolUnreachable { pointer: 6 }, [3, 2], [4, 1]),
    (ErrorKind::ParameterProblem { pointer: 21 }, [12, 0], [4, 0]),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn an_icmp_error_quotes_the_packet(mut spec in spec(), more in 0usize..1500, which in 0..KINDS.len()) {
        spec.payload.resize(spec.payload.len() + more, 7);
        let original = spec.build();
        let headers = Headers::parse(&original).unwrap();
        let (kind, v4, v6) = KINDS[which];
        let from: IpAddr = if spec.is_ipv6() { "2001:db8::1" } else { "192.0.2.1" }.parse().unwrap();
        let mut out = [0xee; 1280];
        let result = icmp_error(&original, from, kind, &mut out);
        let group = |address: IpAddr| address.is_multicast()
            || address == IpAddr::V4(Ipv4Addr::BROADCAST);
        let too_big = spec.is_ipv6() && which == 5;
        let reserved = matches!(spec.source, IpAddr::V4(a) if a.octets()[0] >= 240);
        let error = match (&spec.upper, spec.is_ipv6()) {
            (Upper::Icmp { kind, .. }, false) => [3, 4, 5, 11, 12].contains(kind),
            (Upper::Icmp { kind, .. }, true) => *kind < 128 || *kind == 137,
            _ => false,
        };
        let refused = if spec.is_later() {
            Some(Refused::AboutFragment)
        } else if error {
            Some(Refused::AboutError)
        } else if group(spec.source) || spec.source.is_unspecified() || reserved
            || (group(spec.destination) && !too_big) {
            Some(Refused::NotUnicast)
        } else {
            None
        };
        if let Some(refused) = refused {
            prop_assert_eq!(result, Err(refused));
            return Ok(());
        }
        let len = result.unwrap();
        let made = &out[..len];
        let parsed = PacketHeaders::from_ip_slice(made).unwrap();
        let quote = if spec.is_ipv6() {
            prop_assert_eq!(len, (original.len() + 48).min(1280));
            let Some(NetHeaders::Ipv6(ip, _)) = parsed.net else { panic!("family") };
            prop_assert_eq!((Ipv6Addr::from(ip.destination), ip.hop_limit), (match spec.source {
                IpAddr::V6(address) => address,
                IpAddr::V4(_) => unreachable!(),
            }, 64));
            let Some(TransportHeader::Icmpv6(icmp)) = parsed.transport else { panic!("transport") };
            let payload = parsed.payload.slice();
            let checksum = icmp.icmp_type.calc_checksum(ip.source, ip.destination, payload).unwrap();
            prop_assert_eq!(icmp.checksum, checksum);
            prop_assert_eq!(&made[40..42], &v6);
            payload
        } else {
            prop_assert_eq!(len, (original.len() + 28).min(576));
            let Some(NetHeaders::Ipv4(ip, _)) = parsed.net else { panic!("family") };
            prop_assert_eq!(ip.header_checksum, ip.calc_header_checksum());
            prop_assert_eq!((IpAddr::from(ip.destination), ip.time_to_live), (spec.source, 64));
            prop_assert!(!ip.dont_fragment);
            prop_assert_eq!(internet_checksum(&made[20..]), 0);
            prop_assert_eq!(&made[20..22], &v4);
            &made[28..]
        };
        prop_assert_eq!(quote, &original[..quote.len()]);
        let header = Headers::parse(made).unwrap();
        prop_assert!(icmp_error::is_icmp_error(made, &header));
        prop_assert_eq!(icmp_error::quoted_offset(made, &header), Some(len - quote.len()));
        let quoted = Headers::parse_embedded(quote).unwrap();
        prop_assert_eq!((quoted.source, quoted.total_len), (headers.source, headers.total_len));
        // Never an error about an error.
        let mut again = [0; 1280];
        prop_assert_eq!(icmp_error(made, from, kind, &mut again), Err(Refused::AboutError));
        prop_assert_eq!(icmp_error(&original, from, kind, &mut again[..len - 1]), Err(Refused::NoRoom));
    }

    #[test]
    fn an_echo_request_is_answered(ipv6: bool, id: u16, sequence: u16, data in prop::collection::vec(any::<u8>(), 0..99)) {
        let (mut request, mut reply) = (Vec::new(), Vec::new());
        if ipv6 {
            let (a, b) = ([0x20; 16], [0x21; 16]);
            PacketBuilder::ipv6(a, b, 3).icmpv6_echo_request(id, sequence).write(&mut request, &data).unwrap();
            PacketBuilder::ipv6(b, a, 64).icmpv6_echo_reply(id, sequence).write(&mut reply, &data).unwrap();
        } else {
            let (a, b) = ([10, 1, 2, 3], [10, 0, 0, 1]);
            PacketBuilder::ipv4(a, b, 3).icmpv4_echo_request(id, sequence).write(&mut request, &data).unwrap();
            PacketBuilder::ipv4(b, a, 64).icmpv4_echo_reply(id, sequence).write(&mut reply, &data).unwrap();
            // etherparse sets "don't fragment"; Linux clears it in its replies.
            reply[6] = 0;
            checksum::fill_ipv4_header(&mut reply);
        }
        let headers = Headers::parse(&request).unwrap();
        let mut broken = request.clone();
        *broken.last_mut().unwrap() ^= 1;
        prop_assert_eq!(echo::reply(&mut broken, &headers), Ok(false));
        prop_assert_eq!(echo::reply(&mut request, &headers), Ok(true));
        prop_assert_eq!(&request, &reply);
        // A reply is no request.
        let headers = Headers::parse(&reply).unwrap();
        prop_assert_eq!(echo::reply(&mut request, &headers), Ok(false));
        prop_assert_eq!(&request, &reply);
    }

    #[test]
    fn fragments_make_up_the_packet(mut spec in spec_of(false), more in 0usize..2000, mtu in 68usize..1600) {
        spec.payload.resize(spec.payload.len() + more, 3);
        spec.fragment_offset %= 1000;
        // Valid options: record route (not copied), no-operation, router alert (copied), end.
        let mut options = vec![7, 7, 4, 0, 0, 0, 0, 1, 0x94, 4, 0, 0, 0, 0, 0, 0];
        options.truncate(spec.options.len().min(16) & !3);
        spec.options = options;
        let packet = spec.build();
        let headers = Headers::parse(&packet).unwrap();
        let cut = Fragments::new(&packet, &headers, mtu, None, 0);
        if spec.dont_fragment && packet.len() > mtu {
            prop_assert!(cut.is_err());
            return Ok(());
        }
        let mut cut = cut.unwrap();
        let mut payload = Vec::new();
        let mut out = vec![0; packet.len().min(mtu)];
        let mut more = true;
        while let Some(len) = cut.write_next(&mut out).unwrap() {
            let (ip, rest) = etherparse::Ipv4Header::from_slice(&out[..len]).unwrap();
            prop_assert!(more && len <= mtu);
            prop_assert_eq!(ip.header_checksum, ip.calc_header_checksum());
            prop_assert_eq!((usize::from(ip.total_len), ip.identification), (len, spec.identification));
            let offset = usize::from(ip.fragment_offset.byte_offset());
            prop_assert_eq!(offset, usize::from(spec.fragment_offset) * 8 + payload.len());
            let last = payload.len() + rest.len() == spec.transport().len();
            prop_assert!(last || rest.len() % 8 == 0);
            prop_assert_eq!(ip.more_fragments, !last || spec.more_fragments);
            if payload.is_empty() {
                prop_assert_eq!(ip.options.as_slice(), &spec.options[..]);
            } else if ip.options.len() == 16 {
                prop_assert_eq!(ip.options.as_slice(), &[1, 1, 1, 1, 1, 1, 1, 1, 0x94, 4, 0, 0, 0, 0, 0, 0][..]);
            }
            payload.extend_from_slice(rest);
            more = !last;
        }
        prop_assert!(!more);
        prop_assert_eq!(payload, spec.transport());
    }

    #[test]
    fn frames_with_and_without_tags(destination: [u8; 6], source: [u8; 6], tags in prop::collection::vec(0u16..4096, 0..3)) {
        let builder = PacketBuilder::ethernet2(source, destination);
        let mut frame = Vec::new();
        let id = |tag: u16| VlanId::try_new(tag).unwrap();
        match tags[..] {
            [] => builder.ipv4([1; 4], [2; 4], 3).udp(4, 5).write(&mut frame, b"six"),
            [a] => builder.single_vlan(id(a)).ipv6([1; 16], [2; 16], 3).udp(4, 5).write(&mut frame, b"six"),
            [a, b, ..] => builder.double_vlan(id(a), id(b)).ipv4([1; 4], [2; 4], 3).udp(4, 5).write(&mut frame, b"six"),
        }.unwrap();
        let header = EthernetHeader::parse(&frame).unwrap();
        prop_assert_eq!((header.destination, header.source), (MacAddress(destination), MacAddress(source)));
        prop_assert_eq!(header.tags().map(Tag::id).collect::<Vec<_>>(), tags.clone());
        prop_assert_eq!(header.payload, 14 + 4 * tags.len());
        let wanted = if tags.len() == 1 { ethernet::EtherType::IPV6 } else { ethernet::EtherType::IPV4 };
        prop_assert_eq!(header.ether_type, wanted);
        prop_assert!(Headers::parse(&frame[header.payload..]).is_ok());
        let mut copy = frame.clone();
        copy[..header.payload].fill(0);
        header.emit(&mut copy).unwrap();
        prop_assert_eq!(&copy, &frame);
        let parsed = PacketHeaders::from_ethernet_slice(&frame).unwrap();
        let priorities: Vec<u8> = parsed.link_exts.iter().map(|ext| match ext {
            LinkExtHeader::Vlan(vlan) => vlan.pcp.value(),
            _ => unreachable!(),
        }).collect();
        prop_assert_eq!(header.tags().map(Tag::priority).collect::<Vec<_>>(), priorities);
        ethernet::set_addresses(&mut copy, MacAddress(source), MacAddress(destination)).unwrap();
        let back = EthernetHeader::parse(&copy).unwrap();
        prop_assert_eq!(back, header.with_addresses(MacAddress(source), MacAddress(destination)));
    }

    #[test]
    fn arp_is_what_etherparse_reads(mac: [u8; 6], sender: [u8; 4], target: [u8; 4], our: [u8; 6]) {
        let request = arp::ArpPacket::request(MacAddress(mac), sender.into(), target.into());
        let mut bytes = [0xee; 46];
        request.emit(&mut bytes).unwrap();
        prop_assert_eq!(arp::ArpPacket::parse(&bytes), Ok(request));
        let read = etherparse::ArpPacket::from_slice(&bytes).unwrap();
        prop_assert_eq!((read.hw_addr_type, read.proto_addr_type), (ArpHardwareId::ETHERNET, EtherType::IPV4));
        prop_assert_eq!(read.operation, ArpOperation::REQUEST);
        let reply = request.reply(MacAddress(our));
        reply.emit(&mut bytes).unwrap();
        let read = etherparse::ArpPacket::from_slice(&bytes).unwrap().try_eth_ipv4().unwrap();
        prop_assert_eq!(read.operation, ArpOperation::REPLY);
        prop_assert_eq!((read.sender_mac, read.sender_ipv4), (our, target));
        prop_assert_eq!((read.target_mac, read.target_ipv4), (mac, sender));
        bytes[1] = 2;
        prop_assert!(arp::ArpPacket::parse(&bytes).is_err());
    }

    #[test]
    fn a_solicitation_and_its_answer(source: u128, target: u128, mac: [u8; 6], our: [u8; 6]) {
        let target = Ipv6Addr::from(target & !(0xffu128 << 120));
        let source = Ipv6Addr::from(source & !(0xffu128 << 120) | 1 << 120);
        let ask = ndp::Solicitation { source, target, source_mac: Some(MacAddress(mac)) };
        let mut out = [0xee; ndp::MAX_LEN];
        let len = ask.emit(&mut out).unwrap();
        let headers = Headers::parse(&out[..len]).unwrap();
        prop_assert_eq!(ndp::Solicitation::parse(&out[..len], &headers), Ok(ask));
        let read = PacketHeaders::from_ip_slice(&out[..len]).unwrap();
        let Some(TransportHeader::Icmpv6(icmp)) = read.transport else { panic!("transport") };
        prop_assert_eq!(icmp.icmp_type, Icmpv6Type::NeighborSolicitation);
        let (answer, to) = ask.answer(MacAddress(our));
        prop_assert_eq!(to, source);
        let len = answer.emit(target, to, &mut out).unwrap();
        let read = PacketHeaders::from_ip_slice(&out[..len]).unwrap();
        let Some(NetHeaders::Ipv6(ip, _)) = read.net else { panic!("family") };
        let Some(TransportHeader::Icmpv6(icmp)) = read.transport else { panic!("transport") };
        prop_assert!(matches!(icmp.icmp_type, Icmpv6Type::NeighborAdvertisement(h) if h.solicited && h.r#override && !h.router));
        let payload = read.payload.slice();
        prop_assert_eq!(icmp.checksum, icmp.icmp_type.calc_checksum(ip.source, ip.destination, payload).unwrap());
        prop_assert_eq!(&payload[..16], &target.octets());
        prop_assert_eq!(&payload[16..], &[&[2, 1][..], &our].concat()[..]);
        let headers = Headers::parse(&out[..len]).unwrap();
        prop_assert_eq!(ndp::Advertisement::parse(&out[..len], &headers), Ok(answer));
        // From beyond the link.
        out[7] = 254;
        let headers = Headers::parse(&out[..len]).unwrap();
        prop_assert!(ndp::Advertisement::parse(&out[..len], &headers).is_err());
    }
}

fn internet_checksum(data: &[u8]) -> u16 {
    !packets::internet_sum(data)
}

#[test]
fn duplicate_address_detection_is_answered_to_all_nodes() {
    let target: Ipv6Addr = "2001:db8::abcd:1234".parse().unwrap();
    let ask = ndp::Solicitation { source: Ipv6Addr::UNSPECIFIED, target, source_mac: None };
    assert_eq!(ask.destination(), "ff02::1:ffcd:1234".parse::<Ipv6Addr>().unwrap());
    let mut out = [0; ndp::MAX_LEN];
    let len = ask.emit(&mut out).unwrap();
    let headers = Headers::parse(&out[..len]).unwrap();
    assert_eq!(ndp::Solicitation::parse(&out[..len], &headers), Ok(ask));
    let (answer, to) = ask.answer(MacAddress([1; 6]));
    assert_eq!((answer.solicited, to), (false, "ff02::1".parse().unwrap()));
    assert_eq!(
        ethernet::multicast(IpAddr::V6(ask.destination())),
        Some(MacAddress([0x33, 0x33, 0xff, 0xcd, 0x12, 0x34]))
    );
}

#[test]
fn an_echo_request_to_a_group_or_with_options_is_left() {
    let mut packet = Vec::new();
    PacketBuilder::ipv4([10, 0, 0, 1], [224, 0, 0, 1], 3)
        .icmpv4_echo_request(1, 2)
        .write(&mut packet, b"x")
        .unwrap();
    let headers = Headers::parse(&packet).unwrap();
    assert_eq!(headers.fragment, Fragment::Whole);
    let before = packet.clone();
    assert_eq!(echo::reply(&mut packet, &headers), Ok(false));
    assert_eq!(packet, before);

    // Four bytes of options.
    let mut packet =
        [&[0x46, 0, 0, 32, 0, 0, 0, 0, 9, 1, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2][..], &[1; 4], &[8; 8]].concat();
    let headers = Headers::parse(&packet).unwrap();
    checksum::fill_transport(&mut packet, &headers);
    let before = packet.clone();
    assert_eq!(echo::reply(&mut packet, &headers), Ok(false));
    assert_eq!(packet, before);
}
