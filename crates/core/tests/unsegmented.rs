//! Packets that are yet to be cut into segments: one packet to the director, whose segments must fit.
#![allow(clippy::unwrap_used, reason = "a test may fail that way")]

mod rig;

use ipvs_core::{
    Command, DestinationConfig, DestinationId, ForwardingMethod, Reason, Reply, ServiceId, Tunnel,
    TunnelType, Verdict,
};
use ipvs_wire::tunnel::Encapsulation;
use ipvs_wire::{Headers, checksum};
use rig::{Family, Rig, tcp};

/// A TCP service with one server and a connection of the client.
fn rig(family: Family, forwarding: ForwardingMethod) -> (Rig, ServiceId) {
    let mut rig = Rig::new(100);
    rig.host.local.push(family.director());
    let service = rig.service(family, 6, "rr");
    let tunnel = Tunnel { kind: TunnelType::GRE, port: 0, flags: 0 };
    rig.execute(Command::AddDestination(
        service,
        DestinationId { address: family.server(1), port: 80 },
        DestinationConfig { tunnel, ..DestinationConfig::new(forwarding, 1) },
    ));
    rig.receive(&segment(family, "S", 0));
    (rig, service)
}

fn segment(family: Family, flags: &str, payload: usize) -> Vec<u8> {
    tcp((family.client(), 1234), (family.vip(), 80), flags, &vec![7; payload], 64)
}

#[test]
fn it_is_held_against_the_mtu_by_its_segments_and_counts_once() {
    for method in [ForwardingMethod::MASQUERADE, ForwardingMethod::DIRECT] {
        let (mut rig, service) = rig(Family::V6, method);
        let next = Family::V6.server(1);
        rig.host.mtu.insert(next, 1400);
        let mut packet = segment(Family::V6, "A", 4000);
        // Its checksum is yet to be made.
        packet[40 + 16] ^= 0x55;
        let (verdict, bytes, wrapping) = rig.receive_unsegmented(&packet, 1400);
        assert_eq!((verdict, bytes.len(), wrapping), (Verdict::Forward { next }, packet.len(), None));
        assert_eq!(rig.receive_unsegmented(&packet, 1401).0, Verdict::Reply(Reason::TooBig));
        assert_eq!(rig.receive(&segment(Family::V6, "A", 2000)).0, Verdict::Reply(Reason::TooBig));
        // What is shorter than a segment may be is no longer for that.
        let short = segment(Family::V6, "A", 1000);
        assert_eq!(rig.receive_unsegmented(&short, 9000).0, Verdict::Forward { next });
        let Reply::Service(info) = rig.execute(Command::GetService(service)) else { panic!() };
        assert_eq!(info.stats.counters.packets_in, 5);
    }
}

#[test]
fn each_segment_goes_into_the_tunnel() {
    let (mut rig, _) = rig(Family::V4, ForwardingMethod::TUNNEL);
    let fragmentable = |payload| {
        let mut packet = segment(Family::V4, "A", payload);
        packet[6] = 0;
        checksum::fill_ipv4_header(&mut packet);
        packet
    };
    let packet = fragmentable(3000);
    let (verdict, bytes, wrapping) = rig.receive_unsegmented(&packet, 1400);
    let server = Family::V4.server(1);
    assert_eq!((verdict, bytes.len()), (Verdict::Forward { next: server }, packet.len()));
    assert_eq!(bytes[8], 63, "one hop less");
    let (outer, encapsulation) = wrapping.unwrap();
    assert_eq!((outer.destination, encapsulation), (server, Encapsulation::Gre { checksum: false }));
    assert!(!outer.dont_fragment);
    // Each segment has an identification of its own.
    let (_, whole) = rig.receive(&fragmentable(10));
    let next = u16::from_be_bytes([whole[4], whole[5]]);
    assert!(next.wrapping_sub(outer.identification) >= 3, "{next} after {}", outer.identification);
}

/// A header of the PROXY protocol needs no checksum to go by.
#[test]
fn a_header_goes_ahead_of_it() {
    let mut rig = Rig::new(100);
    let service = rig.service(Family::V4, 6, "rr");
    let server = Family::V4.server(1);
    let told =
        DestinationConfig { proxy: Some(true), ..DestinationConfig::new(ForwardingMethod::MASQUERADE, 1) };
    rig.execute(Command::AddDestination(service, DestinationId { address: server, port: 80 }, told));
    let numbered = |mut packet: Vec<u8>, sequence: u32, acknowledgment: u32| {
        packet[24..28].copy_from_slice(&sequence.to_be_bytes());
        packet[28..32].copy_from_slice(&acknowledgment.to_be_bytes());
        let headers = Headers::parse(&packet).unwrap();
        checksum::fill_transport(&mut packet, &headers);
        packet
    };
    rig.receive(&numbered(segment(Family::V4, "S", 0), 99, 0));
    let answer = tcp((server, 80), (Family::V4.client(), 1234), "SA", &[], 64);
    rig.receive(&numbered(answer, 9, 100));
    let mut packet = numbered(segment(Family::V4, "A", 4000), 100, 10);
    packet[20 + 16] ^= 0x55;
    let (verdict, bytes, _) = rig.receive_unsegmented(&packet, 1400);
    assert_eq!(verdict, Verdict::Forward { next: server });
    assert_eq!((&bytes[40..53], bytes[40 + 28]), (&b"\r\n\r\n\0\r\nQUIT\n\x21"[..], 7));
}
