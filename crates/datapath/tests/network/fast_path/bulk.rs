//! Packets that are put off and looked up in bulk on their way out: they come for good, and are looked at where they arrive.

use std::time::{Duration, Instant as Clock};

use ipvs_core::{
    Command, DestinationId, ForwardingMethod, Host, Instant, Interest, InterestChange, Packet, Reason,
    Verdict,
};
use ipvs_datapath::{Counter, Datapath, Engine, Options, XdpMode};

use super::any_packets;
use super::pair::{Pair, destination, judge, now};
use super::sent::{ACK, CLIENT, SYN, Sent, TCP, Twist, UDP, plain};
use crate::director::end;
use crate::namespace::{Namespace, join};
use crate::topology::{SERVER, Topology, VIP};

/// Another server, behind a link of its own.
const OTHER_SERVER: &str = "10.3.0.2";

/// A payload that fits into a packet of a link, with what may stand behind it.
pub(super) const FITS: usize = 1400;

/// What does not arrive in this time never will, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// The server's end of a link: what arrives there.
pub(super) struct Arrivals {
    datapath: Datapath,
    packets: Taken,
}

/// Takes every packet.
#[derive(Default)]
struct Taken(Vec<Vec<u8>>);

impl Engine for Taken {
    fn receive(&mut self, _: Instant, _: &dyn Host, packet: &mut Packet<'_>) -> Verdict {
        self.0.push(packet.as_slice().to_vec());
        Verdict::Drop(Reason::Malformed)
    }
}

impl Arrivals {
    pub(super) fn open(topology: &Topology) -> Self {
        Self::at(&topology.server)
    }

    fn at(namespace: &Namespace) -> Self {
        let options = Options {
            xdp_mode: XdpMode::Native,
            frames_per_queue: 256,
            answer_arp: false,
            ..Options::default()
        };
        let mut datapath = namespace.run(|| Datapath::open(&options).unwrap());
        let ends = [(SERVER, 8080), (OTHER_SERVER, 8080), (VIP, 81)];
        let all = ends
            .into_iter()
            .flat_map(|(address, port)| [TCP, UDP].map(|protocol| (protocol, end(address, port))));
        datapath.apply_interest(all.map(|(protocol, end)| {
            let (protocol, address, port) = (protocol.into(), end.ip(), end.port());
            InterestChange::Added(Interest::Virtual { protocol, address, port })
        }));
        Self { datapath, packets: Taken::default() }
    }

    /// Those that have arrived.
    fn take(&mut self) -> Vec<Vec<u8>> {
        self.datapath.turn(now(), &mut self.packets);
        std::mem::take(&mut self.packets.0)
    }

    /// The next so many.
    fn next(&mut self, number: usize) -> Vec<Vec<u8>> {
        let start = Clock::now();
        let mut packets = self.take();
        while packets.len() < number {
            let counters = self.datapath.program_counters();
            assert!(start.elapsed() < PATIENCE, "{} of {number} packets arrive: {counters:?}", packets.len());
            packets.extend(self.take());
        }
        packets
    }
}

/// Whether the program may put off a packet, and nobody gathers it before he judges.
pub(super) fn may_be_put_off(sent: &Sent) -> bool {
    let other = [Twist::Fragment, Twist::Options];
    sent.from.ip() == end(CLIENT, 0).ip() && sent.tags().is_empty() && !other.contains(&sent.twist)
}

impl Pair {
    /// Gives a packet to both; whether it was forwarded in the program.
    pub(super) fn send_in_bulk(&mut self, sent: &Sent) -> bool {
        let (frame, interface) = (self.frame(sent), self.ingress(sent).0);
        let (before, noted) = (self.datapath.program_counters(), self.one_table.noted());
        let (verdict, bytes) = judge(&mut self.other, &self.datapath, now(), &sent.packet());
        self.datapath.receive_frame(interface, &frame, 1).unwrap();
        self.datapath.turn(now(), &mut self.one);
        let after = self.datapath.program_counters();
        let arrivals = self.arrivals.as_mut().unwrap();
        if let Verdict::Forward { .. } = verdict {
            let packets = arrivals.next(1);
            // Behind the packet may be padding.
            let arrived: Vec<_> =
                packets.iter().map(|packet| packet.get(..bytes.len()).unwrap_or(packet)).collect();
            assert_eq!(arrived, [&bytes], "{sent:?}");
        }
        self.by_records += u32::from(self.one_table.noted() > noted);
        let fast = after.forwarded > before.forwarded;
        assert!(!fast || matches!(verdict, Verdict::Forward { .. }), "{sent:?}: {verdict:?}");
        self.forwarded += u32::from(fast);
        self.compare_tables(sent, fast);
        fast
    }

    /// Lets so much time pass that the program puts packets off as it is to.
    pub(super) fn pass_time(&mut self) {
        for _ in 0..4 {
            self.passed += Duration::from_millis(150);
            self.datapath.turn(now() + self.passed, &mut self.one);
        }
    }

    fn looked_up(&self) -> u64 {
        self.datapath.program_counters().looked_up_in_bulk
    }
}

#[test]
fn any_packets_meet_the_same_fate_looked_up_in_bulk() {
    let topology = Topology::new();
    topology.director.run(|| {
        let pair = &mut Pair::open_bulk(&topology);
        any_packets(pair);
        let counters = pair.datapath.program_counters();
        println!("{counters:?}");
        assert!(counters.looked_up_in_bulk > 2000, "{counters:?}");
        assert_eq!(counters.lost_misfits, 0);
    });
}

#[test]
fn what_leaves_by_another_interface_is_sent_by_the_daemon() {
    let topology = Topology::new();
    let other = Namespace::new("o");
    join((&topology.director, "d2"), (&other, "o0"));
    topology.director.ip("addr add 10.3.0.1/24 dev d2");
    other.ip(&format!("addr add {OTHER_SERVER}/24 dev o0"));
    topology.director.run(|| {
        let pair = &mut Pair::open_bulk(&topology);
        let mut arrivals = [Arrivals::at(&other)];
        topology.director.ip(&format!(
            "neigh replace {OTHER_SERVER} lladdr {} nud permanent dev d2",
            other.hardware_address("o0")
        ));
        let servers = [SERVER, OTHER_SERVER].map(|server| end(server, 8080));
        let service = pair.serve(UDP, end(VIP, 80), servers[0], ForwardingMethod::MASQUERADE);
        pair.add(service, servers[1], ForwardingMethod::MASQUERADE);
        let flows =
            [4000, 4001].map(|port| Sent { payload: 20, ..plain(UDP, end(CLIENT, port), end(VIP, 80), ACK) });
        let mut send = |pair: &mut Pair| {
            let [frame, next] = [&flows[0], &flows[1]].map(|flow| pair.frame(flow));
            for frame in [frame, next] {
                pair.datapath.receive_frame(pair.front.0, &frame, 1).unwrap();
                pair.datapath.turn(now(), &mut pair.one);
            }
            // Each server has one of the two flows.
            let mut arrived: Vec<_> = pair.arrivals.as_mut().unwrap().next(1);
            arrived.extend(arrivals[0].next(1));
            arrived.iter().map(|packet| packet[16..20].to_vec()).collect::<Vec<_>>()
        };
        let to = [vec![10, 2, 0, 2], vec![10, 3, 0, 2]];
        assert_eq!(send(pair), to);
        assert_eq!(send(pair), to);
        assert_eq!(pair.looked_up(), 0, "two exits");
        let id = DestinationId { address: servers[1].ip(), port: 8080 };
        let rest = destination(ForwardingMethod::MASQUERADE, 0);
        pair.execute(Command::EditDestination(service, id, rest));
        pair.pass_time();
        let sent = pair.datapath.counter(Counter::Sent);
        assert_eq!(send(pair), to);
        assert_eq!(pair.looked_up(), 2, "one exit for all that begins");
        assert_eq!(pair.datapath.counter(Counter::Sent), sent + 1);
        assert_eq!(pair.datapath.counter(Counter::Received), 0, "the daemon decides nothing");
    });
}

/// The kernel drops frames that do not fit the interface where they are put off, without a word.
#[test]
fn what_does_not_fit_the_way_is_not_put_off() {
    let topology = Topology::new();
    topology.director.ip("link set d1 mtu 1400");
    topology.server.ip("link set s0 mtu 1400");
    topology.director.run(|| {
        let pair = &mut Pair::open_bulk(&topology);
        pair.serve(UDP, end(VIP, 80), end(SERVER, 8080), ForwardingMethod::MASQUERADE);
        let of = |payload| Sent { payload, ..plain(UDP, end(CLIENT, 4000), end(VIP, 80), ACK) };
        assert!(pair.send(&of(1372)) && pair.send(&of(1372)));
        assert_eq!((pair.looked_up(), pair.datapath.counter(Counter::Received)), (2, 0));
        assert!(!pair.send_in_bulk(&of(1373)), "too long by a byte: the daemon says so to its sender");
        assert_eq!((pair.looked_up(), pair.datapath.counter(Counter::Received)), (2, 1));
    });
}

#[test]
fn what_is_the_hosts_is_given_back() {
    let topology = Topology::new();
    topology.director.ip(&format!("addr add {VIP}/32 dev d0"));
    topology.director.run(|| {
        let pair = &mut Pair::open_bulk(&topology);
        let service = pair.serve(TCP, end(VIP, 80), end(SERVER, 8080), ForwardingMethod::MASQUERADE);
        let segment = |flags| plain(TCP, end(CLIENT, 4000), end(VIP, 80), flags);
        for flags in [SYN, ACK, ACK] {
            assert!(pair.send(&segment(flags)));
        }
        let looked_up = pair.looked_up();
        assert_eq!(looked_up, 3);
        // The program learns of it a little later.
        pair.execute(Command::DeleteService(service));
        let frame = pair.frame(&plain(TCP, end(CLIENT, 4001), end(VIP, 80), SYN));
        pair.datapath.receive_frame(pair.front.0, &frame, 1).unwrap();
        pair.datapath.turn(now(), &mut pair.one);
        assert_eq!(pair.looked_up(), looked_up + 1);
        assert_eq!(pair.datapath.counter(Counter::ToHost), 1);
        // A service that is not seen may only be about to change, for a second.
        for (time, put_off) in [(1, 2), (2, 2)] {
            (0..time).for_each(|_| pair.pass_time());
            pair.datapath.receive_frame(pair.front.0, &frame, 1).unwrap();
            pair.datapath.turn(now(), &mut pair.one);
            assert_eq!(pair.looked_up(), looked_up + put_off, "after {time}");
        }
    });
}
