//! Packets that wait in the kernel while they are judged by their headers.

use std::net::{TcpListener, UdpSocket};
use std::thread;

use ipvs_datapath::{Attach, Counter, Offload, Options};
use ipvs_wire::{Headers, checksum};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::director::{Director, Nat, Payload, end};
use crate::topology::{SERVER, SERVER6, Topology, VIP, VIP6, echo_tcp, exchange_tcp, pattern};
use crate::trunk::{Trunk, stand_in};

/// Verdicts of a classifier.
const REDIRECTED: u32 = 7;
const LEFT_ALONE: u32 = u32::MAX;

/// Flags of TCP.
const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

fn by_tc() -> Options {
    Options { attach: Attach::Tc.into(), frames_per_queue: 1024, ..Options::default() }
}

fn tcp(virtual_address: &str, server: &str, local: bool) -> Nat {
    Nat {
        protocol: 6,
        virtual_end: end(virtual_address, 80),
        server: end(server, 8080),
        local,
        direct: false,
    }
}

/// Sends bytes to a server and back: packets wait, and some come whole.
fn echo(topology: &Topology, director: &Director, nat: Nat) {
    let place = if nat.local { &topology.director } else { &topology.server };
    let listener = place.run(|| TcpListener::bind(nat.server).unwrap());
    let data = pattern(3_000_000);
    thread::scope(|scope| {
        scope.spawn(|| echo_tcp(&listener, 1));
        let answer = topology.client.run(|| exchange_tcp(nat.virtual_end, &data));
        assert!(answer == data, "{} of {} bytes: {:?}", answer.len(), data.len(), director.counters());
    });
    let (parked, whole) = (director.counter(Counter::Parked), director.counter(Counter::BroughtWhole));
    assert!(0 < whole && whole <= parked, "{:?}", director.counters());
}

/// What goes to the host itself is brought whole, and cut.
#[test]
fn to_a_server_on_the_director() {
    for (virtual_address, server) in [(VIP, "10.1.0.1"), (VIP6, "fd01::1")] {
        let topology = Topology::new();
        let director = Director::open(&topology.director, &by_tc());
        let nat = tcp(virtual_address, server, true);
        director.serve(nat);
        echo(&topology, &director, nat);
        assert!(director.counter(Counter::ToHost) > 0 && director.counter(Counter::Segmented) > 0);
    }
}

/// An engine that reads what packets carry gets them whole, and they leave as if they had never waited.
#[test]
fn whole_for_an_engine_that_reads_payload() {
    for (virtual_address, server) in [(VIP, SERVER), (VIP6, SERVER6)] {
        let topology = Topology::new();
        let director = Director::open(&topology.director, &by_tc());
        director.with(|_, services| services.1 = Payload::Read);
        let nat = tcp(virtual_address, server, false);
        director.serve(nat);
        echo(&topology, &director, nat);
        assert!(director.counter(Counter::Unsegmented) > 0);
    }
}

/// What the host sends by the device that whole packets come by is nobody's, and does not keep the daemon awake.
#[test]
fn what_the_host_sends_there() {
    let topology = Topology::new();
    let director = Director::open(&topology.director, &by_tc());
    topology.director.ip("addr add 10.9.0.1/24 dev ipvsd0-whole");
    topology.director.ip("neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev ipvsd0-whole nud permanent");
    topology.director.run(|| UdpSocket::bind("10.9.0.1:0").unwrap().send_to(b"hello", "10.9.0.2:9").unwrap());
    director.wait("nothing is readable", |director| {
        director.with(|datapath, _| {
            let descriptors = datapath.descriptors();
            let mut fds: Vec<PollFd<'_>> =
                descriptors.into_iter().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
            poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 0
        })
    });
    assert_eq!(director.counter(Counter::BroughtWhole), 0);
}

/// By an interface that is smaller than the segments they are cut behind the director, and have to come whole for that.
#[test]
fn whole_where_the_way_is_narrower() {
    let topology = Topology::new();
    let director = Director::open(&topology.director, &by_tc());
    // The stand-in for a director does not say that they are too big, and IPv4 without DF may be fragmented.
    topology.client.run(|| std::fs::write("/proc/sys/net/ipv4/ip_no_pmtu_disc", "1").unwrap());
    topology.director.ip("link set d1 mtu 1400");
    let nat = tcp(VIP, SERVER, false);
    director.serve(nat);
    echo(&topology, &director, nat);
    assert!(director.counter(Counter::Segmented) > 0, "{:?}", director.counters());
}

/// An Ethernet frame with a TCP segment of IPv4, or of IPv6, from the client to the virtual service.
fn segment(receiver: [u8; 6], ipv6: bool, hops: u8, flags: u8, payload: usize) -> Vec<u8> {
    let mut frame = vec![0; 14];
    frame[..6].copy_from_slice(&receiver);
    let len = 20 + payload;
    if ipv6 {
        frame[12..].copy_from_slice(&[0x86, 0xdd]);
        frame.extend([0x60, 0, 0, 0, (len >> 8) as u8, len as u8, 6, hops]);
        for address in ["fd01::2", VIP6] {
            frame.extend(address.parse::<std::net::Ipv6Addr>().unwrap().octets());
        }
    } else {
        frame[12..].copy_from_slice(&[0x08, 0x00]);
        let total = len + 20;
        frame.extend([0x45, 0, (total >> 8) as u8, total as u8, 0, 1, 0, 0, hops, 6, 0, 0]);
        for address in ["10.1.0.2", VIP] {
            frame.extend(address.parse::<std::net::Ipv4Addr>().unwrap().octets());
        }
        ipvs_wire::checksum::fill_ipv4_header(&mut frame[14..]);
    }
    frame.extend(40_000u16.to_be_bytes());
    frame.extend(80u16.to_be_bytes());
    frame.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    frame.resize(frame.len() + payload, 7);
    frame
}

/// Only what can wait there does; all else goes by the TAP device as before.
#[test]
fn which_packets_wait() {
    let topology = Topology::new();
    let director = Director::open(&topology.director, &by_tc());
    director.serve(tcp(VIP, SERVER, false));
    director.serve(tcp(VIP6, SERVER6, false));
    let (d0, own) = topology.director.interface("d0");
    director.with(move |datapath, _| {
        // Whether it waits: its receiver's address is another then.
        let waits = |frame: &[u8], cut: u32| {
            let trial = datapath.try_classifier(d0, frame, cut).unwrap();
            assert!([REDIRECTED, LEFT_ALONE].contains(&trial.action), "{}", trial.action);
            (trial.action == REDIRECTED).then(|| trial.frame[..6] != frame[..6])
        };
        for ipv6 in [false, true] {
            let data = segment(own, ipv6, 64, ACK, 100);
            assert_eq!(waits(&data, 0), Some(true));
            assert_eq!(waits(&segment(own, ipv6, 64, ACK, 3000), 1448), Some(true));
            for (flags, payload, expected) in [
                (SYN, 0, false),
                (SYN, 100, false),
                (ACK, 0, false),
                (ACK, 1, true),
                (FIN | ACK, 0, true),
                (RST, 0, true),
            ] {
                let frame = segment(own, ipv6, 64, flags, payload);
                assert_eq!(waits(&frame, 0), Some(expected), "{ipv6} {flags} {payload}");
            }
            // No router would forward it, though a server on the director may take it.
            assert_eq!(waits(&segment(own, ipv6, 1, ACK, 100), 0), Some(false));
            assert_eq!(waits(&segment(own, ipv6, 2, ACK, 100), 0), Some(true));
            // To another host.
            assert_eq!(waits(&segment([2; 6], ipv6, 64, ACK, 100), 0), Some(false));
        }
        // A first fragment, and options.
        let mut fragment = segment(own, false, 64, ACK, 100);
        fragment[20] = 0x20;
        ipvs_wire::checksum::fill_ipv4_header(&mut fragment[14..]);
        assert_eq!(waits(&fragment, 0), Some(false));
        let mut optional = segment(own, false, 64, ACK, 100);
        optional[14] = 0x46;
        optional.splice(34..34, [1, 1, 1, 0]);
        optional[17] += 4;
        ipvs_wire::checksum::fill_ipv4_header(&mut optional[14..]);
        assert_eq!(waits(&optional, 0), Some(false));
        // From a link-local address, which no other link has.
        let mut local = segment(own, true, 64, ACK, 100);
        local[22..24].copy_from_slice(&[0xfe, 0x80]);
        assert_eq!(waits(&local, 0), Some(false));
    });
}

/// One tag of 802.1Q is no reason not to wait: the packet leaves whole, with the tag of its way, or none.
#[test]
fn in_vlans() {
    const TAG: [u8; 4] = [0x81, 0, 0x60, 5];
    const SERVICE_TAG: [u8; 4] = [0x88, 0xa8, 0, 5];
    const OF_WAY: [u8; 4] = [0x81, 0, 0, 100];
    const PAYLOAD: usize = 20_000;
    const CUT: usize = 1400;
    let topology = Topology::new();
    let server = topology.server.hardware_address("s0");
    stand_in(&topology.director, ("v1", "d1"), &server, &[(SERVER, 32), (SERVER6, 128)]);
    let mut trunk = Trunk::lay(&topology);
    let client = topology.client.hardware_address("c0");
    for host in ["10.1.0.2", "fd01::2"] {
        topology.director.ip(&format!("neigh replace {host} lladdr {client} nud permanent dev d0"));
    }
    let director = Director::open(&topology.director, &by_tc());
    let (v1, _) = topology.director.interface("v1");
    let (d1, _) = topology.director.interface("d1");
    director.with(move |datapath, _| datapath.take_for_vlan(v1, d1, OF_WAY));
    let (_, own) = topology.director.interface("d0");
    for (virtual_address, server) in [(VIP, SERVER), (VIP6, SERVER6)] {
        director.serve(tcp(virtual_address, server, false));
        let ipv6 = server == SERVER6;
        for (tag, waits) in [(&[][..], true), (&TAG[..], true), (&SERVICE_TAG[..], false)] {
            let before = director.counter(Counter::Parked);
            let mut frame = segment(own, ipv6, 64, ACK, PAYLOAD);
            let headers = Headers::parse(&frame[14..]).unwrap();
            checksum::leave_to_card(&mut frame[14..], &headers).unwrap();
            frame.splice(12..12, tag.iter().copied());
            let tcp = frame.len() - PAYLOAD - 20;
            let offload = Offload::to_cut(ipv6, CUT as u16).placed(tcp + 20, tcp, 16);
            let (front, back) = trunk.way(true);
            front.bring(&frame, &offload);
            let (left, offload) = back.wait();
            assert_eq!(left[12..16], OF_WAY);
            let payload = if waits { PAYLOAD } else { CUT };
            assert!(left.ends_with(&vec![7; payload]), "{}", left.len());
            assert_eq!(left.len(), frame.len() - tag.len() + 4 - PAYLOAD + payload);
            assert_eq!(offload.segment(), waits.then_some(CUT));
            let after = Headers::parse(&left[18..]).unwrap();
            assert_eq!(after.destination, end(server, 0).ip());
            assert_eq!(director.counter(Counter::Parked) - before, u64::from(waits));
            let frames = if waits { 1 } else { PAYLOAD.div_ceil(CUT) };
            (1..frames).for_each(|_| _ = back.wait());
        }
    }
    assert_eq!(director.counter(Counter::BroughtWhole), 0);
}
