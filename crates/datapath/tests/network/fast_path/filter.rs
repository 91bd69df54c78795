//! The filter of first segments in the XDP program: runs of the program on single frames.

use std::time::{Duration, Instant};

use ipvs_core::{Interest, InterestChange};
use ipvs_datapath::{Datapath, Options, SynFilter};

use super::pair::{Pair, judge, now};
use super::sent::{ACK, CLIENT, CLIENT6, SYN, Sent, TCP, Twist, UDP, plain};
use crate::director::end;
use crate::topology::{SERVER, SERVER6, Topology, VIP, VIP6};

/// Verdicts of XDP.
const DROP: u32 = 1;
const REDIRECT: u32 = 4;

/// What the program does with the packet in a frame to interface `index`, behind `tags` VLAN tags.
fn verdict(datapath: &Datapath, (index, own): (u32, [u8; 6]), sent: &Sent, tags: usize) -> u32 {
    let mut frame = own.to_vec();
    frame.extend([2, 0, 0, 0, 0, 9]);
    for _ in 0..tags {
        frame.extend([0x81, 0, 0, 7]);
    }
    frame.extend(if sent.from.is_ipv4() { [8, 0] } else { [0x86, 0xdd] });
    frame.extend(sent.packet());
    let trial = datapath.try_program(index, &frame, 1).unwrap();
    assert_eq!(trial.frame, frame);
    trial.action
}

/// The interface towards the client.
fn front(topology: &Topology) -> (u32, [u8; 6]) {
    let text = topology.director.ip("-o link show d0");
    (text.split(':').next().unwrap().trim().parse().unwrap(), [2; 6])
}

/// A datapath without fast path that serves ports 80 of both families, TCP and UDP.
fn open(syn_filter: SynFilter) -> Datapath {
    let options = Options { frames_per_queue: 64, syn_filter, ..Options::default() };
    let mut datapath = Datapath::open(&options).unwrap();
    watch(&mut datapath);
    datapath
}

/// Has the services handed over, and what comes from their servers.
fn watch(datapath: &mut Datapath) {
    let services = [(VIP, SERVER), (VIP6, SERVER6)].into_iter().flat_map(|ends| [(TCP, ends), (UDP, ends)]);
    datapath.apply_interest(services.flat_map(|(protocol, (vip, server))| {
        let protocol = u16::from(protocol);
        [
            Interest::Virtual { protocol, address: vip.parse().unwrap(), port: 80 },
            Interest::Server { protocol, address: server.parse().unwrap(), port: 8080 },
        ]
        .map(InterestChange::Added)
    }));
}

/// Repeats until it is let through, which a fifth of a second after the first time it is.
fn repeat_until_through(mut verdict: impl FnMut() -> u32) {
    let end = Instant::now() + Duration::from_secs(100);
    while verdict() != REDIRECT {
        assert!(Instant::now() < end, "not let through");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_first_syn_is_dropped_and_its_repetition_handed_over() {
    let topology = Topology::new();
    topology.director.run(|| {
        let datapath = open(SynFilter::On);
        let front = front(&topology);
        assert!(datapath.is_filtering());
        let options =
            |from, to| Sent { twist: Twist::Options, ..plain(TCP, end(from, 4001), end(to, 80), SYN) };
        let syns = [
            (plain(TCP, end(CLIENT, 4000), end(VIP, 80), SYN), 0),
            (options(CLIENT, VIP), 0),
            (plain(TCP, end(CLIENT, 4002), end(VIP, 80), SYN), 1),
            (plain(TCP, end(CLIENT, 4003), end(VIP, 80), SYN | 0xc0), 2),
            (plain(TCP, end(CLIENT6, 4000), end(VIP6, 80), SYN), 0),
            // To a virtual address, but no service: the daemon would refuse it.
            (plain(TCP, end(CLIENT, 4000), end(VIP, 81), SYN), 0),
        ];
        for (syn, tags) in &syns {
            assert_eq!(verdict(&datapath, front, syn, *tags), DROP, "{syn:?}");
        }
        let dropped = datapath.program_counters();
        assert_eq!((dropped.dropped_syns, dropped.dropped_strays, dropped.redirected), (6, 0, 0));
        for (syn, tags) in &syns {
            repeat_until_through(|| verdict(&datapath, front, syn, *tags));
        }
    });
}

#[test]
fn what_is_no_syn_of_a_client_is_handed_over() {
    let topology = Topology::new();
    topology.director.run(|| {
        let datapath = open(SynFilter::On);
        let front = front(&topology);
        for (client, vip, server) in [(CLIENT, VIP, SERVER), (CLIENT6, VIP6, SERVER6)] {
            for sent in [
                // Whether there is a connection is the daemon's to know.
                plain(TCP, end(client, 4000), end(vip, 80), ACK),
                plain(TCP, end(client, 4000), end(vip, 80), 4),
                plain(TCP, end(server, 8080), end(client, 4000), SYN | ACK),
                // A server may be a client.
                plain(TCP, end(server, 8080), end(vip, 80), SYN),
                plain(UDP, end(client, 4000), end(vip, 80), SYN),
            ] {
                assert_eq!(verdict(&datapath, front, &sent, 0), REDIRECT, "{sent:?}");
            }
        }
        assert_eq!(datapath.program_counters().first_segments, 0);
    });
}

/// The filter drops what the program begins no connection of, but for the packet that has the daemon set more entries aside.
#[test]
fn what_wakes_the_daemon_passes() {
    let topology = Topology::new();
    topology.director.run(|| {
        let mut pair = Pair::open_filtering(&topology, SynFilter::On);
        watch(&mut pair.datapath);
        pair.serve(TCP, end(VIP, 80), end(SERVER, 8080), ipvs_core::ForwardingMethod::MASQUERADE);
        let mut handed_over = 0;
        // A sixteenth of 512 entries is set aside, for all processors together, and the director has no turn meanwhile.
        for port in 0..100 {
            let frame = pair.frame(&plain(TCP, end(CLIENT, 10_000 + port), end(VIP, 80), SYN));
            let trial = pair.datapath.try_program(pair.front.0, &frame, 1).unwrap();
            if trial.frame == frame {
                handed_over += u32::from(trial.action == REDIRECT);
            }
        }
        let dropped = pair.datapath.program_counters().dropped_syns;
        assert!(handed_over >= 1 && dropped > 60, "{handed_over}, {dropped}");
    });
}

#[test]
fn off_and_in_wait_it_does_nothing() {
    let topology = Topology::new();
    topology.director.run(|| {
        for mode in [SynFilter::Off, SynFilter::Auto] {
            let datapath = open(mode);
            assert!(!datapath.is_filtering());
            let syn = plain(TCP, end(CLIENT, 4000), end(VIP, 80), SYN);
            assert_eq!(verdict(&datapath, front(&topology), &syn, 0), REDIRECT);
            assert_eq!(datapath.program_counters().first_segments, 0);
        }
    });
}

#[test]
fn with_the_fast_path_segments_of_known_connections_pass() {
    let topology = Topology::new();
    topology.director.run(|| {
        let mut pair = Pair::open_with(&topology, SynFilter::On);
        watch(&mut pair.datapath);
        for (client, vip, server) in [(CLIENT, VIP, SERVER), (CLIENT6, VIP6, SERVER6)] {
            pair.serve(TCP, end(vip, 80), end(server, 8080), ipvs_core::ForwardingMethod::MASQUERADE);
            let out = |port, flags| plain(TCP, end(client, port), end(vip, 80), flags);
            let front = pair.front;
            assert_eq!(verdict(&pair.datapath, front, &out(4000, SYN), 0), DROP);
            repeat_until_through(|| verdict(&pair.datapath, front, &out(4000, SYN), 0));
            judge(&mut pair.one, &pair.datapath, now(), &out(4000, SYN).packet());
            let before = pair.datapath.program_counters();
            // They change its state: the daemon must have them.
            for flags in [SYN, ACK, 0x11, 4] {
                assert_eq!(verdict(&pair.datapath, front, &out(4000, flags), 0), REDIRECT, "{flags}");
            }
            assert_eq!(pair.datapath.program_counters().first_segments, before.first_segments);
            // Of no connection: these come twice or not at all.
            for flags in [ACK, SYN | ACK, 0x11, 4] {
                let stray = out(5000 + u16::from(flags), flags);
                assert_eq!(verdict(&pair.datapath, front, &stray, 0), DROP, "{flags}");
            }
            let after = pair.datapath.program_counters();
            assert_eq!(after.dropped_strays, before.dropped_strays + 4);
            assert_eq!(after.dropped_syns, before.dropped_syns);
            repeat_until_through(|| verdict(&pair.datapath, front, &out(5000 + u16::from(ACK), ACK), 0));
        }
    });
}
