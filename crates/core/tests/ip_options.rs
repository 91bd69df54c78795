//! IPv4 options on the way through the director, as in `conformance/experiments/ip_options.py`.
#![allow(clippy::unwrap_used, reason = "a test may fail that way")]

mod rig;

use ipvs_core::{ForwardingMethod, Reason, Verdict};
use ipvs_wire::checksum;
use rig::{Family, Rig, seen, udp};

const V4: Family = Family::V4;
const RECORD_ROUTE: [u8; 8] = [7, 7, 4, 0, 0, 0, 0, 0];
const ADDRESSES: [u8; 12] = [68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0];

fn with_options(packet: &[u8], options: &[u8]) -> Vec<u8> {
    let mut with = [&packet[..20], options, &packet[20..]].concat();
    with[0] = 0x45 + (options.len() / 4) as u8;
    let total = with.len() as u16;
    with[2..4].copy_from_slice(&total.to_be_bytes());
    checksum::fill_ipv4_header(&mut with);
    with
}

fn rig(method: ForwardingMethod) -> Rig {
    let mut rig = Rig::new(10);
    let service = rig.service(V4, 17, "rr");
    rig.destination(service, V4.server(1), method, 1);
    rig
}

fn question(options: &[u8]) -> Vec<u8> {
    with_options(&udp((V4.client(), 1234), (V4.vip(), 80), b"question", 64), options)
}

fn answer(options: &[u8]) -> Vec<u8> {
    with_options(&udp((V4.server(1), 8080), (V4.client(), 1234), b"answer", 64), options)
}

#[test]
fn the_director_is_recorded_both_ways() {
    let mut rig = rig(ForwardingMethod::MASQUERADE);
    let vip = [203, 0, 113, 1];
    let (verdict, there) = rig.receive(&question(&RECORD_ROUTE));
    assert_eq!(verdict, Verdict::Forward { next: V4.server(1) });
    assert_eq!(there[20..28], [7, 7, 8, vip[0], vip[1], vip[2], vip[3], 0]);
    assert!(seen(&there).checksums_ok);
    let (_, there) = rig.receive(&question(&ADDRESSES));
    assert_eq!(there[20..32], [68, 12, 13, 1, vip[0], vip[1], vip[2], vip[3], 0, 0, 0, 0]);
    let (verdict, back) = rig.receive(&answer(&RECORD_ROUTE));
    assert_eq!(verdict, Verdict::Forward { next: V4.client() });
    assert_eq!(back[20..28], [7, 7, 8, vip[0], vip[1], vip[2], vip[3], 0]);
    let packet = seen(&back);
    assert_eq!((packet.source, packet.checksums_ok), ((V4.vip(), 80), true));
    // The director's address on the servers' side.
    let (_, back) = rig.receive(&answer(&ADDRESSES));
    assert_eq!(back[20..32], [68, 12, 13, 1, 10, 0, 0, 254, 0, 0, 0, 0]);
}

#[test]
fn by_direct_routing_and_inside_a_tunnel() {
    for (method, inner) in [(ForwardingMethod::DIRECT, 0), (ForwardingMethod::TUNNEL, 20)] {
        let (verdict, sent) = rig(method).receive(&question(&RECORD_ROUTE));
        assert_eq!(verdict, Verdict::Forward { next: V4.server(1) });
        assert_eq!(sent[inner + 20..inner + 28], [7, 7, 8, 203, 0, 113, 1, 0]);
        assert!(seen(&sent[inner..]).checksums_ok);
    }
}

#[test]
fn malformed_ones_are_refused_before_a_connection_is_made() {
    let mut rig = rig(ForwardingMethod::MASQUERADE);
    let bad = [7, 2, 4, 0];
    for (packet, reporter) in [(question(&bad), V4.vip()), (answer(&bad), V4.director())] {
        let (verdict, error) = rig.receive(&packet);
        assert_eq!(verdict, Verdict::Reply(Reason::Malformed));
        assert_eq!((&error[20..22], &error[24..28]), (&[12, 0][..], &[21, 0, 0, 0][..]));
        let parsed = seen(&error);
        assert_eq!((parsed.source.0, parsed.checksums_ok, parsed.payload), (reporter, true, packet));
    }
    let routed = question(&[131, 7, 4, 10, 0, 0, 12, 0]);
    assert_eq!(rig.receive(&routed).0, Verdict::Drop(Reason::SourceRoute));
    assert!(rig.connections().is_empty());
    // What the director leaves alone stays as it came.
    rig.host.local.push(V4.vip());
    let other = with_options(&udp((V4.client(), 1234), (V4.vip(), 81), b"x", 64), &RECORD_ROUTE);
    assert_eq!(rig.receive(&other), (Verdict::Pass, other));
}
