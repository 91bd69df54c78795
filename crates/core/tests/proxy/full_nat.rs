//! With full NAT: the server sees a local address alone, and in the header the client's. Either may be of the other family.

use ipvs_core::{Command, DestinationConfig, DestinationId, Error, ForwardingMethod, PoolName, Verdict};

use crate::rig::{End, Family, Rig};
use crate::segment::Segment;
use crate::{SERVER_PORT, header, server, service, told};

/// Where packets to servers of the family come from.
pub(crate) fn local(family: Family) -> std::net::IpAddr {
    family.ip("10.0.0.101", "2001:db8:3::1:1")
}

/// Settings of a server that is told clients' addresses, by full NAT.
fn by_full_nat() -> DestinationConfig {
    let local_pool = Some(PoolName::new("local").unwrap());
    DestinationConfig { forwarding: ForwardingMethod::FULL_NAT, local_pool, ..told() }
}

/// A director with one such server, for clients of `family`.
pub(crate) fn rig(family: Family, of_server: Family) -> Rig {
    let mut rig = Rig::new(100);
    let id = rig.service(family, 6, "rr");
    rig.execute(Command::AddPool(PoolName::new("local").unwrap(), vec![local(of_server)]));
    rig.execute(Command::AddDestination(id, server(of_server), by_full_nat()));
    rig
}

/// Clients and servers by their families.
const EVERYWHERE: [(Family, Family); 4] =
    [(Family::V4, Family::V4), (Family::V6, Family::V6), (Family::V6, Family::V4), (Family::V4, Family::V6)];

/// Sends a segment, which must be forwarded to `to`; what comes there, and from where.
fn sent(rig: &mut Rig, segment: &Segment, from: End, at: End, to: End) -> (Segment, End) {
    let (verdict, packet) = rig.receive(&segment.packet(from, at));
    assert_eq!(verdict, Verdict::Forward { next: to.0 });
    let (seen, source, destination) = Segment::read(&packet);
    assert_eq!(destination, to);
    (seen, source)
}

fn said(sequence: u32, data: &[u8]) -> Segment {
    Segment { sequence, acknowledgment: Some(5000), window: 500, data: data.to_vec(), ..Segment::default() }
}

#[test]
fn the_header_tells_of_the_clients_side() {
    for (family, of_server) in EVERYWHERE {
        let mut rig = rig(family, of_server);
        let (client, vip) = ((family.client(), 4000), (family.vip(), 80));
        let to = (of_server.server(1), SERVER_PORT);
        let length = header(family, 4000).len() as u32;
        let syn = Segment { sequence: 999, syn: true, ..Segment::default() };
        let (seen, from) = sent(&mut rig, &syn, client, vip, to);
        assert_eq!((seen, from.0), (syn, local(of_server)));
        let answer = Segment {
            sequence: 4999,
            acknowledgment: Some(1000),
            syn: true,
            window: 64_000,
            mss: Some(1440),
            ..Segment::default()
        };
        let (seen, source) = sent(&mut rig, &answer, to, from, client);
        assert_eq!(source, vip);
        let (mss, window) = (Some(1440 - length as u16), 64_000 - length as u16);
        assert_eq!(seen, Segment { mss, window, ..answer });
        let data = [&header(family, 4000)[..], b"hello"].concat();
        let (seen, source) = sent(&mut rig, &said(1000, b"hello"), client, vip, to);
        assert_eq!((seen, source), (Segment { data, ..said(1000, b"") }, from));
        let heard = |acknowledgment| Segment {
            sequence: 5000,
            acknowledgment: Some(acknowledgment),
            window: 500,
            ..Segment::default()
        };
        assert_eq!(sent(&mut rig, &heard(1005 + length), to, from, client).0, heard(1005));
        assert_eq!(sent(&mut rig, &said(1005, b"more"), client, vip, to).0, said(1005 + length, b"more"));
    }
}

/// By what leaves: a packet of another family is longer or shorter.
#[test]
fn segments_are_filled_up_to_what_the_way_to_the_server_takes() {
    for (family, of_server) in EVERYWHERE {
        let mut rig = rig(family, of_server);
        let (client, vip) = ((family.client(), 4000), (family.vip(), 80));
        let to = (of_server.server(1), SERVER_PORT);
        let syn = Segment { sequence: 999, syn: true, ..Segment::default() };
        let (_, from) = sent(&mut rig, &syn, client, vip, to);
        let answer = Segment { acknowledgment: Some(1000), ..syn };
        sent(&mut rig, &answer, to, from, client);
        rig.host.mtu.insert(to.0, 1280);
        let header = header(family, 4000);
        let headers = if of_server == Family::V4 { 40 } else { 60 };
        let data = 1280 - headers - 5;
        let (verdict, packet) = rig.receive(&said(1000, &vec![7; data]).packet(client, vip));
        assert_eq!(verdict, Verdict::Forward { next: to.0 }, "{family:?} to {of_server:?}");
        assert_eq!(packet.len(), 1280, "{family:?} to {of_server:?}");
        let expected = [&header[..], &vec![7; data + 5 - header.len()]].concat();
        assert_eq!(Segment::read(&packet).0.data, expected);
    }
}

#[test]
fn who_knows_the_kernels_methods_alone_leaves_it_alone() {
    let family = Family::V4;
    let mut rig = rig(family, family);
    let kernels = DestinationConfig::new(ForwardingMethod::MASQUERADE, 7);
    rig.execute(Command::EditKernelDestination(service(family), server(family), kernels));
    let shown = rig.destinations(service(family))[0].config;
    assert_eq!(shown, DestinationConfig { weight: 7, ..by_full_nat() });
    // From one of the two methods that can do it to the other.
    let masquerading = DestinationConfig { proxy: None, ..told() };
    rig.execute(Command::EditDestination(service(family), server(family), masquerading));
    assert_eq!(rig.destinations(service(family))[0].config, told());
    // Without pool its number is no method.
    let number = DestinationConfig { forwarding: ForwardingMethod::FULL_NAT, ..told() };
    let id = DestinationId { port: 1, ..server(family) };
    for command in [
        Command::EditDestination(service(family), server(family), number),
        Command::AddDestination(service(family), id, number),
    ] {
        assert_eq!(rig.director.execute(rig.now, &rig.host, command), Err(Error::ProxyMethod));
    }
}
