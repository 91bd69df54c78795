//! Rewriting in place against packets built anew by etherparse.
#![allow(clippy::unwrap_used)]

mod packets;

use ipvs_wire::{Fragment, Headers, Malformed, checksum, rewrite};
use packets::{Spec, Upper, spec, spec_and_end};
use proptest::prelude::*;
use std::net::IpAddr;

/// The packet with another end.
fn with_end(spec: &Spec, source: bool, address: IpAddr, port: u16) -> Spec {
    let mut spec = spec.clone();
    if source {
        (spec.source, spec.source_port) = (address, port);
    } else {
        (spec.destination, spec.destination_port) = (address, port);
    }
    spec
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_rewritten_packet_is_the_one_built_anew((spec, address, port) in spec_and_end(), source: bool) {
        let mut packet = spec.build();
        let before = packet.clone();
        let headers = Headers::parse(&packet).unwrap();
        let set = if source { rewrite::set_source } else { rewrite::set_destination };
        let result = set(&mut packet, &headers, address, port);
        let old_port = if source { spec.source_port } else { spec.destination_port };
        if matches!(spec.upper, Upper::Sctp { .. }) && headers.fragment == Fragment::First && port != old_port {
            prop_assert_eq!(result, Err(Malformed::Fragment));
            prop_assert_eq!(packet, before);
            return Ok(());
        }
        prop_assert_eq!(result, Ok(()));
        let mut wanted = with_end(&spec, source, address, port).build();
        if spec.is_later() {
            // Only the IP header changes: the rest is no transport header.
            wanted[headers.transport..].copy_from_slice(&before[headers.transport..]);
        }
        prop_assert_eq!(packet, wanted);
    }

    #[test]
    fn both_ends_with_one_parse((spec, address, port) in spec_and_end()) {
        let mut packet = spec.build();
        let headers = Headers::parse(&packet).unwrap();
        prop_assume!(headers.fragment == Fragment::Whole);
        rewrite::set_source(&mut packet, &headers, address, port).unwrap();
        rewrite::set_destination(&mut packet, &headers, spec.source, spec.source_port).unwrap();
        let mut wanted = with_end(&spec, false, spec.source, spec.source_port);
        wanted = with_end(&wanted, true, address, port);
        prop_assert_eq!(packet, wanted.build());
    }

    #[test]
    fn a_udp_checksum_of_zero_is_computed((mut spec, address, port) in spec_and_end()) {
        spec.upper = Upper::Udp;
        let mut packet = spec.build();
        let headers = Headers::parse(&packet).unwrap();
        prop_assume!(headers.fragment != Fragment::Later);
        let field = headers.transport + 6..headers.transport + 8;
        packet[field.clone()].fill(0);
        rewrite::set_source(&mut packet, &headers, address, port).unwrap();
        let mut wanted = with_end(&spec, true, address, port).build();
        if headers.fragment == Fragment::First {
            wanted[field].fill(0);
        }
        prop_assert_eq!(packet, wanted);
    }

    #[test]
    fn a_quoted_packet_is_the_beginning_of_the_one_built_anew(
        (spec, address, port) in spec_and_end(),
        source: bool,
        at in any::<prop::sample::Index>(),
    ) {
        let whole = spec.build();
        let full = Headers::parse(&whole).unwrap();
        let least = full.transport + if spec.has_ports() && !spec.is_later() { 4 } else { 0 };
        let cut = least + at.index(whole.len() - least + 1);
        let mut quoted = whole[..cut].to_vec();
        let headers = Headers::parse_embedded(&quoted).unwrap();
        let set = if source { rewrite::set_embedded_source } else { rewrite::set_embedded_destination };
        set(&mut quoted, &headers, address, port).unwrap();
        let mut wanted = with_end(&spec, source, address, port).build();
        if spec.is_later() {
            wanted[full.transport..].copy_from_slice(&whole[full.transport..]);
        }
        let field = match spec.upper {
            Upper::Sctp { .. } => full.transport + 8..full.transport + 12,
            Upper::Tcp { .. } => full.transport + 16..full.transport + 18,
            Upper::Udp => full.transport + 6..full.transport + 8,
            Upper::Icmp { .. } => full.transport + 2..full.transport + 4,
            _ => 0..0,
        };
        // The transport checksum stays.
        if !spec.is_later() {
            wanted[field.clone()].copy_from_slice(&whole[field]);
        }
        prop_assert_eq!(&quoted[..], &wanted[..cut]);
    }

    #[test]
    fn a_hop_is_counted(mut spec in spec()) {
        let mut packet = spec.build();
        rewrite::decrement_hop_limit(&mut packet);
        spec.hop_limit = spec.hop_limit.saturating_sub(1);
        prop_assert_eq!(packet, spec.build());
    }

    #[test]
    fn the_other_family_is_refused((spec, _, port) in spec_and_end()) {
        let mut packet = spec.build();
        let headers = Headers::parse(&packet).unwrap();
        let other = if spec.is_ipv6() { "10.0.0.1" } else { "2001:db8::1" }.parse().unwrap();
        for set in [rewrite::set_source, rewrite::set_destination, rewrite::set_embedded_source] {
            prop_assert_eq!(set(&mut packet, &headers, other, port), Err(Malformed::Family));
        }
        prop_assert_eq!(packet, spec.build());
    }
}

/// An update whose result is zero: 0xffff in UDP, where zero means "none", and zero in TCP.
#[test]
fn a_checksum_that_becomes_zero() {
    use etherparse::PacketBuilder;
    let (source, destination) =
        ("10.0.0.1".parse::<IpAddr>().unwrap(), "10.0.0.2".parse::<IpAddr>().unwrap());
    let mut seen = [0; 2];
    for port in 0..=0xffffu16 {
        let mut udp = Vec::new();
        PacketBuilder::ipv4([10, 0, 0, 9], [10, 0, 0, 2], 9).udp(1, 2).write(&mut udp, b"data").unwrap();
        let headers = Headers::parse(&udp).unwrap();
        rewrite::set_source(&mut udp, &headers, source, port).unwrap();
        rewrite::set_destination(&mut udp, &headers, destination, 2).unwrap();
        assert_ne!(udp[26..28], [0, 0]);
        assert!(checksum::verify_transport(&udp, &headers));
        seen[0] += usize::from(udp[26..28] == [0xff, 0xff]);

        let mut tcp = Vec::new();
        PacketBuilder::ipv4([10, 0, 0, 9], [10, 0, 0, 2], 9)
            .tcp(1, 2, 3, 4)
            .write(&mut tcp, b"data")
            .unwrap();
        let headers = Headers::parse(&tcp).unwrap();
        rewrite::set_source(&mut tcp, &headers, source, port).unwrap();
        assert_ne!(tcp[36..38], [0xff, 0xff]);
        assert!(checksum::verify_transport(&tcp, &headers));
        seen[1] += usize::from(tcp[36..38] == [0, 0]);
    }
    assert_eq!(seen, [1, 1]);
}
