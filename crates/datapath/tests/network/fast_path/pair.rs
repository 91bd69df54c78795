//! The XDP program with its director, and a director alone, side by side.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipvs_core::{
    Command, Config, DestinationConfig, DestinationId, Director, ForwardingMethod, Instant, MarkTarget,
    Packet, Reply, ServiceConfig, ServiceId, TableMemory, Verdict,
};
use ipvs_datapath::{
    Attach, BulkLookup, Datapath, FastPathOptions, Offload, Options, Shared, SynFilter, Trial, XdpMode,
};
use ipvs_flow::{EntryIndex, Key, Table};
use ipvs_wire::{Headers, checksum};
use rustix::time::{ClockId, clock_gettime};

use super::bulk::{self, Arrivals};
use super::sent::{CLIENT, CLIENT6, Sent};
use super::tunnels;
use super::watched::{CAPACITY, Watched, watched};
use crate::namespace::Namespace;
use crate::topology::{SERVER, SERVER6, Topology};
use crate::trunk::Trunk;

/// Verdicts of XDP and of a classifier.
const REDIRECT: u32 = 4;
const CLASSIFIER_REDIRECT: u32 = 7;

pub(super) fn now() -> Instant {
    let time = clock_gettime(ClockId::Monotonic);
    Instant::from_nanos(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// Both, side by side, in the director's namespace.
pub(super) struct Pair {
    pub(super) datapath: Datapath,
    /// With the program in front.
    pub(super) one: Director,
    /// Alone.
    pub(super) other: Director,
    pub(super) one_table: Watched,
    pub(super) other_table: Watched,
    /// The interfaces, by (index, hardware address).
    pub(super) front: (u32, [u8; 6]),
    pub(super) back: (u32, [u8; 6]),
    pub(super) forwarded: u32,
    /// Of those from clients, those by a record of the flow cache alone.
    pub(super) by_records: u32,
    /// The VLAN tag that frames must leave with to clients, and to servers.
    pub(super) tags: [Option<[u8; 4]>; 2],
    /// The program is a classifier.
    pub(super) classifier: bool,
    /// What makes the other ends ready.
    pub(super) ends: Vec<Datapath>,
    /// Where packets arrive that come for good.
    pub(super) arrivals: Option<Arrivals>,
    /// Its links, where frames come for good.
    trunk: Option<Trunk>,
    /// How much later it is for what is looked at once in a while.
    pub(super) passed: Duration,
}

impl Pair {
    /// Opens both, with links whose other ends take frames: they have programs of their own.
    pub(super) fn open(topology: &Topology) -> Self {
        Self::open_filtering(topology, SynFilter::Off)
    }

    /// As [`Pair::open`], with the filter of first segments.
    pub(super) fn open_filtering(topology: &Topology, syn_filter: SynFilter) -> Self {
        let ready = |namespace: &Namespace| {
            let options = Options { xdp_mode: XdpMode::Native, frames_per_queue: 64, ..Options::default() };
            namespace.run(|| Datapath::open(&options).unwrap())
        };
        let ends = [ready(&topology.client), ready(&topology.server)];
        Self { ends: Vec::from(ends), ..Self::open_with(topology, syn_filter) }
    }

    /// Opens both. Neighbours are known beforehand.
    pub(super) fn open_as_it_is(topology: &Topology) -> Self {
        Self::open_with(topology, SynFilter::Off)
    }

    /// Opens both, with the program as a classifier.
    pub(super) fn open_classifier(topology: &Topology) -> Self {
        Self::open_attached(topology, SynFilter::Off, Attach::Tc)
    }

    /// As [`Pair::open_classifier`], between links that are a trunk's: tags are beside the frames' bytes there.
    pub(super) fn open_on_trunk(topology: &Topology) -> Self {
        let trunk = Trunk::lay(topology);
        Self { trunk: Some(trunk), ..Self::open_classifier(topology) }
    }

    /// As [`Pair::open_as_it_is`], with the filter of first segments.
    pub(super) fn open_with(topology: &Topology, syn_filter: SynFilter) -> Self {
        Self::open_attached(topology, syn_filter, Attach::Xdp)
    }

    /// As [`Pair::open`], looking packets up in bulk: those come for good, and what leaves is looked at where it arrives.
    pub(super) fn open_bulk(topology: &Topology) -> Self {
        let arrivals = Arrivals::open(topology);
        let pair = Self::open_looking_up(topology, SynFilter::Off, Attach::Xdp, BulkLookup::On);
        Self { arrivals: Some(arrivals), ..pair }
    }

    fn open_attached(topology: &Topology, syn_filter: SynFilter, attach: Attach) -> Self {
        Self::open_looking_up(topology, syn_filter, attach, BulkLookup::Off)
    }

    fn open_looking_up(
        topology: &Topology,
        syn_filter: SynFilter,
        attach: Attach,
        bulk_lookup: BulkLookup,
    ) -> Self {
        let (client, server) =
            (topology.client.hardware_address("c0"), topology.server.hardware_address("s0"));
        for (address, mac, link) in [
            (CLIENT, &client, "d0"),
            (CLIENT6, &client, "d0"),
            (SERVER, &server, "d1"),
            (SERVER6, &server, "d1"),
        ] {
            topology.director.ip(&format!("neigh replace {address} lladdr {mac} nud permanent dev {link}"));
        }
        for family in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            std::fs::write(format!("/proc/sys/net/{family}"), "1").unwrap();
        }
        let config = Config { capacity: CAPACITY, seed: 99, ..Config::default() };
        let options = Options {
            attach: attach.into(),
            // All that it has.
            interfaces: Vec::new(),
            xdp_mode: XdpMode::Native,
            frames_per_queue: 256,
            syn_filter,
            // Whether the program forwards a frame is told by whether it changes it.
            parking: false,
            fast_path: Some(FastPathOptions {
                forward: true,
                capacity: CAPACITY,
                hash_key: config.hash_key(),
                destinations: 256,
                bulk_lookup,
            }),
            ..Options::default()
        };
        let mut datapath = Datapath::open(&options).unwrap();
        let Shared { memory, fast_path } = datapath.take_shared().unwrap();
        let one_table = watched(memory);
        let other_table = watched(TableMemory::heap(CAPACITY).unwrap());
        let start = now();
        let mut one = one_table.director(config, start);
        one.set_fast_path(fast_path);
        let other = other_table.director(config, start);
        let (front, back) = (topology.director.interface("d0"), topology.director.interface("d1"));
        let (classifier, ends) = (attach == Attach::Tc, Vec::new());
        Self {
            datapath,
            one,
            other,
            one_table,
            other_table,
            front,
            back,
            forwarded: 0,
            by_records: 0,
            tags: [None; 2],
            classifier,
            ends,
            arrivals: None,
            trunk: None,
            passed: Duration::ZERO,
        }
    }

    pub(super) fn execute(&mut self, command: Command) -> Reply {
        let now = now();
        let one = self.one.execute(now, self.datapath.host(), command.clone());
        let other = self.other.execute(now, self.datapath.host(), command);
        assert_eq!(one, other);
        self.follow();
        one.unwrap()
    }

    /// What the daemon does after a command and at the end of a turn.
    pub(super) fn follow(&mut self) {
        self.one.settle();
        self.datapath.apply_interest(self.one.take_interest_changes());
        let _ = self.other.take_interest_changes();
        let changes = self.one.take_destination_changes();
        self.datapath.follow_director(&changes, &self.one.state_timeouts());
    }

    pub(super) fn serve(
        &mut self,
        protocol: u8,
        at: SocketAddr,
        server: SocketAddr,
        forwarding: ForwardingMethod,
    ) -> ServiceId {
        let id = self.serve_by(protocol, at, "rr", 0);
        self.add(id, server, forwarding);
        id
    }

    /// A service without destinations.
    pub(super) fn serve_by(
        &mut self,
        protocol: u8,
        at: SocketAddr,
        scheduler: &str,
        flags: u32,
    ) -> ServiceId {
        let id = ServiceId::Address { protocol: protocol.into(), address: at.ip(), port: at.port() };
        let netmask = if at.is_ipv4() { u32::MAX } else { 128 };
        self.execute(Command::AddService(
            id,
            ServiceConfig {
                scheduler: scheduler.into(),
                persistence_engine: None,
                helper: None,
                flags,
                flags_mask: u32::MAX,
                timeout: 0,
                netmask,
                target: MarkTarget::default(),
            },
        ));
        id
    }

    pub(super) fn add(&mut self, service: ServiceId, server: SocketAddr, forwarding: ForwardingMethod) {
        self.execute(Command::AddDestination(
            service,
            DestinationId { address: server.ip(), port: server.port() },
            destination(forwarding, 1),
        ));
        if self.arrivals.is_some() {
            self.pass_time();
        }
    }

    /// The frame in which a packet comes.
    pub(super) fn frame(&self, sent: &Sent) -> Vec<u8> {
        let mut frame = self.ingress(sent).1.to_vec();
        frame.extend([2, 0, 0, 0, 0, 9]);
        frame.extend(sent.tags().as_flattened());
        frame.extend(if sent.from.is_ipv4() { [8, 0] } else { [0x86, 0xdd] });
        frame.extend(sent.packet());
        frame
    }

    pub(super) fn ingress(&self, sent: &Sent) -> (u32, [u8; 6]) {
        if is_client(sent.from.ip()) { self.front } else { self.back }
    }

    /// Ends the connections of both that end within so many seconds if nothing comes. Those that begin later and end
    /// earlier do so at the next call: it must not be for less than the one before.
    pub(super) fn end_after(&mut self, seconds: u64) {
        let later = now() + Duration::from_secs(seconds);
        self.one.settle();
        self.one.poll(later);
        self.other.poll(later);
        let (one, other) = (self.one_table.connections(), self.other_table.connections());
        assert!(one.keys().eq(other.keys()), "{one:?}\n{other:?}");
        assert!(seconds < 100_000 || one.is_empty());
    }

    /// Connections of the director with the program in front.
    pub(super) fn connections(&self) -> Vec<EntryIndex> {
        Table::attach(self.one_table.as_ref()).unwrap().entries_from(0).collect()
    }

    /// Gives a packet to both; whether the program forwarded it.
    pub(super) fn send(&mut self, sent: &Sent) -> bool {
        if self.arrivals.is_some() && bulk::may_be_put_off(sent) {
            // The daemon cuts what is longer than its link's packets.
            return self.send_in_bulk(&Sent { payload: sent.payload.min(bulk::FITS), ..sent.clone() });
        }
        let trial = self.program(sent);
        self.compare(sent, &trial)
    }

    /// The same for one that changes nothing of the connection of that key; whether the program forwarded it by the record in the
    /// flow cache: by the entry it could not.
    pub(super) fn goes_by_record(&mut self, sent: &Sent, of: &Key) -> bool {
        let timeout = self.one_table.exchange_timeout(of, u32::MAX);
        let trial = self.program(sent);
        assert_eq!(self.one_table.exchange_timeout(of, timeout), u32::MAX);
        self.compare(sent, &trial)
    }

    /// What the program makes of a packet.
    pub(super) fn program(&mut self, sent: &Sent) -> Trial {
        let (frame, interface) = (self.frame(sent), self.ingress(sent).0);
        let noted = self.one_table.noted();
        let trial = match (&mut self.trunk, self.classifier) {
            (Some(trunk), _) => Ok(by_trunk(trunk, &self.datapath, is_client(sent.from.ip()), frame)),
            (None, true) => self.datapath.try_classifier(interface, &frame, 0),
            (None, false) => self.datapath.try_program(interface, &frame, 1),
        };
        self.by_records += u32::from(self.one_table.noted() > noted);
        trial.unwrap()
    }

    /// Whether the program forwarded a packet, of which it made `trial`: then as the other director does; if not, ours does it as that.
    fn compare(&mut self, sent: &Sent, trial: &Trial) -> bool {
        let (packet, frame) = (sent.packet(), self.frame(sent));
        let redirect = if self.classifier { CLASSIFIER_REDIRECT } else { REDIRECT };
        let now = now();
        // A classifier is told of checksums that are left to the card: here there are none.
        let judge = if self.classifier { judge_as_it_is } else { judge };
        let (verdict, bytes) = judge(&mut self.other, &self.datapath, now, &packet);
        // A hand-over is a redirect as well: to the socket, unchanged.
        let fast = trial.action == redirect && trial.frame != frame;
        if fast {
            let Verdict::Forward { next } = verdict else { panic!("{verdict:?}") };
            let (by, tag) = match is_client(next) {
                true => (self.front.1, self.tags[0]),
                false => (self.back.1, self.tags[1]),
            };
            assert_eq!(trial.frame[6..12], by, "{sent:?}");
            let header = if tag.is_some() { 18 } else { 14 };
            assert!(tag.is_none_or(|tag| trial.frame[12..16] == tag), "{sent:?}: {:?}", trial.frame);
            let packet_after = trial.frame.get(header..header + bytes.len()).expect("a whole packet");
            assert_eq!(
                tunnels::comparable(packet_after, sent),
                tunnels::comparable(&bytes, sent),
                "{sent:?}"
            );
            let tunneled = bytes.len() > packet.len();
            assert_eq!(
                trial.frame.len(),
                if tunneled {
                    header + bytes.len()
                } else {
                    frame.len() - sent.tags().as_flattened().len() + header - 14
                }
            );
            let ethertype: [u8; 2] = if bytes[0] >> 4 == 4 { [8, 0] } else { [0x86, 0xdd] };
            assert_eq!(trial.frame[header - 2..header], ethertype, "{sent:?}");
            self.forwarded += 1;
        } else {
            assert_eq!(trial.frame, frame, "{sent:?}: handed over changed");
            let one = judge(&mut self.one, &self.datapath, now, &packet);
            assert_eq!(one, (verdict, bytes), "{sent:?}");
        }
        self.compare_tables(sent, fast);
        fast
    }

    /// Sent, and nothing more came: the tables are the same.
    pub(super) fn compare_tables(&mut self, sent: &Sent, fast: bool) {
        self.one.settle();
        self.one.settle();
        assert!(!self.one.is_unsettled());
        let (one, other) = (self.one_table.connections(), self.other_table.connections());
        let differing = one.iter().zip(&other).find(|(one, other)| one != other);
        assert_eq!(differing, None, "{sent:?}: the tables differ; forwarded by the program: {fast}");
        assert_eq!(one.len(), other.len(), "{sent:?}");
    }

    pub(super) fn listings(&mut self, services: &[ServiceId]) {
        for service in services {
            self.execute(Command::GetService(*service));
            self.execute(Command::ListDestinations { service: *service, cursor: 0, limit: 100 });
        }
        self.execute(Command::GetStats);
    }
}

/// What becomes of a frame that comes for good.
fn by_trunk(trunk: &mut Trunk, datapath: &Datapath, from_client: bool, frame: Vec<u8>) -> Trial {
    let (by, onward) = trunk.way(from_client);
    while onward.next().is_some() {}
    let before = datapath.program_counters().forwarded;
    by.bring(&frame, &Offload::default());
    let forwarded = datapath.program_counters().forwarded > before;
    let frame = if forwarded { onward.next().expect("what was forwarded leaves").0.to_vec() } else { frame };
    Trial { action: CLASSIFIER_REDIRECT, frame, time: Duration::ZERO }
}

pub(super) fn judge(
    director: &mut Director,
    datapath: &Datapath,
    now: Instant,
    packet: &[u8],
) -> (Verdict, Vec<u8>) {
    let mut packet = packet.to_vec();
    if let Ok(headers) = Headers::parse(&packet) {
        checksum::complete_partial(&mut packet, &headers);
    }
    judge_as_it_is(director, datapath, now, &packet)
}

/// As [`judge`], with the checksum that the packet has.
fn judge_as_it_is(
    director: &mut Director,
    datapath: &Datapath,
    now: Instant,
    packet: &[u8],
) -> (Verdict, Vec<u8>) {
    let mut buffer = vec![0; 4096];
    buffer[256..256 + packet.len()].copy_from_slice(packet);
    let mut packet = Packet::new(&mut buffer, 256, packet.len());
    let verdict = director.receive(now, datapath.host(), &mut packet);
    (verdict, packet.as_slice().to_vec())
}

fn is_client(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.octets()[..3] == [10, 1, 0],
        IpAddr::V6(address) => address.segments()[0] == 0xfd01,
    }
}

pub(super) fn destination(forwarding: ForwardingMethod, weight: i32) -> DestinationConfig {
    DestinationConfig::new(forwarding, weight)
}
