//! Single packets.

use ipvs_core::{Command, DestinationConfig, Reason, Sysctl, Verdict};

use crate::rig::{End, Family, Rig, tcp};
use crate::segment::Segment;
use crate::{SERVER_PORT, header, rig, server, service, told};

/// A connection by a client's port.
struct Talk {
    client: End,
    vip: End,
    server: End,
}

impl Talk {
    fn new(family: Family, port: u16) -> Self {
        Self {
            client: (family.client(), port),
            vip: (family.vip(), 80),
            server: (family.server(1), SERVER_PORT),
        }
    }

    /// What the server gets of a segment.
    fn client(&self, rig: &mut Rig, segment: &Segment) -> Segment {
        let (verdict, packet) = rig.receive(&segment.packet(self.client, self.vip));
        assert_eq!(verdict, Verdict::Forward { next: self.server.0 });
        let (seen, from, to) = Segment::read(&packet);
        assert_eq!((from, to), (self.client, self.server));
        seen
    }

    /// What the client gets of a segment.
    fn server(&self, rig: &mut Rig, segment: &Segment) -> Segment {
        let (verdict, packet) = rig.receive(&segment.packet(self.server, self.client));
        assert_eq!(verdict, Verdict::Forward { next: self.client.0 });
        let (seen, from, to) = Segment::read(&packet);
        assert_eq!((from, to), (self.vip, self.client));
        seen
    }

    /// The handshake up to the server's SYN.
    fn meet(&self, rig: &mut Rig) {
        let syn = Segment { sequence: 999, syn: true, ..Segment::default() };
        assert_eq!(self.client(rig, &syn), syn);
        self.server(rig, &answer());
    }
}

/// The server's SYN.
fn answer() -> Segment {
    let (mss, scale) = (Some(1460), Some(7));
    let syn = Segment {
        sequence: 4999,
        acknowledgment: Some(1000),
        syn: true,
        window: 64_000,
        ..Segment::default()
    };
    Segment { mss, scale, ..syn }
}

/// A segment of the client's.
fn said(sequence: u32, data: &[u8]) -> Segment {
    Segment { sequence, acknowledgment: Some(5000), window: 500, data: data.to_vec(), ..Segment::default() }
}

/// A segment of the server's.
fn heard(acknowledgment: u32) -> Segment {
    Segment { sequence: 5000, acknowledgment: Some(acknowledgment), window: 500, ..Segment::default() }
}

#[test]
fn the_header_goes_with_the_ack_that_ends_the_handshake() {
    for family in Family::BOTH {
        let (mut rig, talk) = (rig(family), Talk::new(family, 4000));
        let length = header(family, 4000).len() as u32;
        let syn = Segment { sequence: 999, syn: true, mss: Some(1460), window: 9, ..Segment::default() };
        assert_eq!(talk.client(&mut rig, &syn), syn);
        let seen = talk.server(&mut rig, &answer());
        let (mss, window) = (Some(1460 - length as u16), 64_000 - length as u16);
        assert_eq!(seen, Segment { mss, window, ..answer() });
        let with_header = Segment { data: header(family, 4000), ..said(1000, b"") };
        assert_eq!(talk.client(&mut rig, &said(1000, b"")), with_header);
        // Not acknowledged yet: again, also before data.
        let data = [&header(family, 4000)[..], b"hello"].concat();
        assert_eq!(talk.client(&mut rig, &said(1000, b"hello")), Segment { data, ..said(1000, b"") });
        assert_eq!(talk.client(&mut rig, &said(1005, b"more")), said(1005 + length, b"more"));
        assert_eq!(talk.server(&mut rig, &heard(1000)), Segment { window: 499, ..heard(1000) });
        assert_eq!(talk.server(&mut rig, &heard(1001)), Segment { window: 499, ..heard(1000) });
        // What the server saw twice of the header alone is not told.
        let block = Some((1000, 1000 + length));
        assert_eq!(talk.server(&mut rig, &Segment { block, ..heard(1005 + length) }), heard(1005));
        assert_eq!(talk.client(&mut rig, &said(1000, b"hello")), said(1000 + length, b"hello"));
        let block = |moved| Some((1100 + moved, 1200 + moved));
        let seen = talk.server(&mut rig, &Segment { block: block(length), ..heard(1005 + length) });
        assert_eq!(seen, Segment { block: block(0), ..heard(1005) });
        // Late, from before the header came.
        assert_eq!(talk.server(&mut rig, &heard(1000)), heard(1000));
        assert_eq!(rig.destinations(service(family))[0].active, 1);
    }
}

#[test]
fn the_end_comes_behind_the_header() {
    let (mut rig, talk) = (rig(Family::V4), Talk::new(Family::V4, 4000));
    talk.meet(&mut rig);
    let fin = Segment { fin: true, ..said(1000, b"") };
    let seen = talk.client(&mut rig, &fin);
    assert_eq!(seen, Segment { fin: true, ..Segment { data: header(Family::V4, 4000), ..said(1000, b"") } });
    assert_eq!(talk.server(&mut rig, &heard(1029)), heard(1001));
}

#[test]
fn resets_have_the_number_that_the_server_waits_for() {
    let (mut rig, talk) = (rig(Family::V4), Talk::new(Family::V4, 4000));
    let reset = |sequence| Segment { rst: true, sequence, ..Segment::default() };
    let syn = Segment { sequence: 999, syn: true, ..Segment::default() };
    talk.client(&mut rig, &syn);
    assert_eq!(talk.client(&mut rig, &reset(1000)), reset(1000));
    talk.client(&mut rig, &syn);
    // Of the server, instead of an answer.
    let refused = Segment { rst: true, window: 0, sequence: 0, ..heard(1000) };
    assert_eq!(talk.server(&mut rig, &refused), refused);
    talk.client(&mut rig, &syn);
    talk.server(&mut rig, &answer());
    talk.client(&mut rig, &said(1000, b""));
    assert_eq!(talk.client(&mut rig, &reset(1000)), reset(1000));
    talk.server(&mut rig, &heard(1028));
    assert_eq!(talk.client(&mut rig, &reset(1000)), reset(1028));
}

#[test]
fn data_in_a_syn_wait_for_the_handshake() {
    let (mut rig, talk) = (rig(Family::V4), Talk::new(Family::V4, 4000));
    let syn = Segment { sequence: 999, syn: true, mss: Some(1460), ..Segment::default() };
    // A Fast Open cookie in place of the window scale and its filler.
    let mut packet =
        Segment { data: b"hello".to_vec(), scale: Some(3), ..syn.clone() }.packet(talk.client, talk.vip);
    assert_eq!(packet[44..48], [3, 3, 3, 0]);
    packet[44..48].copy_from_slice(&[34, 4, 7, 7]);
    let checksum = |packet: &[u8]| {
        let sliced = etherparse::SlicedPacket::from_ip(packet).unwrap();
        let Some(etherparse::TransportSlice::Tcp(tcp)) = sliced.transport else { panic!("no TCP") };
        let header = etherparse::Ipv4HeaderSlice::from_slice(packet).unwrap().to_header();
        tcp.to_header().calc_checksum_ipv4(&header, tcp.payload()).unwrap()
    };
    let right = checksum(&packet);
    packet[36..38].copy_from_slice(&right.to_be_bytes());
    let (verdict, packet) = rig.receive(&packet);
    assert!(matches!(verdict, Verdict::Forward { .. }), "{verdict:?}");
    assert_eq!(packet[44..48], [1; 4]);
    assert_eq!(Segment::read(&packet).0, syn);
}

#[test]
fn damaged_segments_carry_no_header() {
    let (mut rig, talk) = (rig(Family::V4), Talk::new(Family::V4, 4000));
    talk.meet(&mut rig);
    let mut packet = said(1000, b"hello").packet(talk.client, talk.vip);
    *packet.last_mut().unwrap() ^= 1;
    assert_eq!(rig.receive(&packet).0, Verdict::Drop(Reason::Malformed));
}

/// The rest comes again: its sender is told how far the server got.
#[test]
fn no_segment_is_greater_than_the_way_to_the_server() {
    let (mut rig, talk) = (rig(Family::V4), Talk::new(Family::V4, 4000));
    talk.meet(&mut rig);
    rig.host.mtu.insert(Family::V4.server(1), 1000);
    let seen = talk.client(&mut rig, &Segment { fin: true, ..said(1000, &[7; 950]) });
    assert_eq!(seen.data, [&header(Family::V4, 4000)[..], &[7; 932]].concat());
    assert!(!seen.fin);
    assert_eq!(talk.server(&mut rig, &heard(1960)), heard(1932));
}

#[test]
fn taken_up_in_its_midst_the_header_is_behind() {
    let (mut rig, talk) = (rig(Family::V4), Talk::new(Family::V4, 4000));
    rig.set(Sysctl::SloppyTcp, 1);
    assert_eq!(talk.client(&mut rig, &said(7000, b"more")), said(7028, b"more"));
    assert_eq!(talk.server(&mut rig, &heard(7032)), heard(7004));
}

#[test]
fn before_its_handshake_nothing_goes_to_the_server() {
    let (mut rig, talk) = (rig(Family::V4), Talk::new(Family::V4, 4000));
    talk.client(&mut rig, &Segment { sequence: 999, syn: true, ..Segment::default() });
    let packet = said(1000, b"hello").packet(talk.client, talk.vip);
    assert_eq!(rig.receive(&packet).0, Verdict::Drop(Reason::ProxyHeader));
}

/// Connections keep what they began with.
#[test]
fn edits_concern_new_connections() {
    let family = Family::V4;
    let mut rig = rig(family);
    let (old, new) = (Talk::new(family, 4000), Talk::new(family, 4001));
    old.meet(&mut rig);
    let plain = DestinationConfig { proxy: Some(false), ..told() };
    rig.execute(Command::EditDestination(service(family), server(family), plain));
    assert_eq!(old.client(&mut rig, &said(1000, b"")).data, header(family, 4000));
    new.client(&mut rig, &Segment { sequence: 999, syn: true, ..Segment::default() });
    assert_eq!(new.server(&mut rig, &answer()), answer());
    assert_eq!(new.client(&mut rig, &said(1000, b"hello")), said(1000, b"hello"));
}

#[test]
fn a_new_connection_in_the_place_of_an_old_one_has_a_header_of_its_own() {
    let family = Family::V4;
    let (mut rig, talk) = (rig(family), Talk::new(family, 4000));
    rig.set(Sysctl::ConnReuseMode, 0);
    talk.meet(&mut rig);
    talk.client(&mut rig, &said(1000, b""));
    talk.server(&mut rig, &heard(1028));
    let again = |sequence, acknowledgment| {
        (Segment { sequence, syn: true, ..Segment::default() }, Segment { acknowledgment, ..answer() })
    };
    let (syn, answer) = again(70_000, Some(70_001));
    talk.client(&mut rig, &syn);
    talk.server(&mut rig, &answer);
    assert_eq!(talk.client(&mut rig, &said(70_001, b"")).data, header(family, 4000));
}

/// Overtaken by the end of its connection, whose state then permits another in its place.
#[test]
fn a_syn_that_comes_again_begins_no_other() {
    let (mut rig, talk) = (rig(Family::V4), Talk::new(Family::V4, 4000));
    talk.meet(&mut rig);
    talk.client(&mut rig, &Segment { fin: true, ..said(1000, b"") });
    assert_eq!(rig.state(), "TIME_WAIT");
    talk.client(&mut rig, &Segment { sequence: 999, syn: true, ..Segment::default() });
    assert_eq!(talk.server(&mut rig, &heard(1029)), heard(1001));
    assert_eq!(rig.destinations(service(Family::V4))[0].stats.counters.connections, 1);
}

/// The setting is of TCP: a mark's other connections have nothing of it.
#[test]
fn datagrams_of_a_mark_service_go_as_they_are() {
    let family = Family::V4;
    let mut rig = Rig::new(100);
    let id = ipvs_core::ServiceId::Mark { ipv6: false, mark: 5 };
    rig.execute(Command::AddService(id, crate::rig::round_robin(0)));
    rig.execute(Command::AddDestination(id, server(family), told()));
    let datagram = crate::rig::udp((family.client(), 4000), (family.vip(), 80), b"hello", 64);
    let (verdict, packet) = rig.receive_from_netfilter(&datagram, ipvs_core::Hook::Input, 5);
    assert!(matches!(verdict, Verdict::Forward { .. }), "{verdict:?}");
    assert_eq!(crate::rig::seen(&packet).payload, b"hello");
    let syn = tcp((family.client(), 4000), (family.vip(), 80), "S", b"", 64);
    rig.receive_from_netfilter(&syn, ipvs_core::Hook::Input, 5);
    let ack = said(1001, b"").packet((family.client(), 4000), (family.vip(), 80));
    let (verdict, _) = rig.receive_from_netfilter(&ack, ipvs_core::Hook::Input, 5);
    assert_eq!(verdict, Verdict::Drop(Reason::ProxyHeader));
}
