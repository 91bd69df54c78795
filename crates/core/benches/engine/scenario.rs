//! What is measured: a director with so many connections, and one kind of packet.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ipvs_core::{
    AddressKind, Command, Config, DestinationConfig, DestinationId, Director, ForwardingMethod, Host,
    Instant, Packet, ServiceConfig, ServiceId, Verdict,
};

use crate::traffic::{self, End, FRAME_LEN, Flags, PACKET_LEN, SERVER_PORT, VIRTUAL_ADDRESS, VIRTUAL_PORT};

/// Packets made at a time, then measured together: a batch stays in the level-2 cache, as a ring's burst does.
pub(crate) const BATCH: usize = 256;
const SERVERS: u32 = 8;

/// How packets reach the servers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Nat,
    Direct,
}

/// The kind of packet measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// From a client of an established connection.
    Established,
    /// A server's answer on an established connection.
    Answer,
    /// A SYN of a new client.
    New,
}

/// One measurement.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) method: Method,
    pub(crate) kind: Kind,
    /// Established connections in the table; a power of two.
    pub(crate) connections: u32,
}

impl Scenario {
    /// All of them.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for (method, kind) in [
            (Method::Nat, Kind::Established),
            (Method::Nat, Kind::Answer),
            (Method::Nat, Kind::New),
            (Method::Direct, Kind::Established),
            (Method::Direct, Kind::New),
        ] {
            all.extend([1 << 10, 1 << 16, 1 << 20].map(|connections| Self { method, kind, connections }));
        }
        all
    }

    /// A name without blanks, as `--only` takes it.
    pub(crate) fn name(&self) -> String {
        let method = if self.method == Method::Nat { "nat" } else { "dr" };
        let kind = match self.kind {
            Kind::Established => "established",
            Kind::Answer => "answer",
            Kind::New => "new",
        };
        format!("{method}-{kind}-{}", self.connections)
    }
}

/// A host that has no addresses and reaches everything.
struct Anywhere;

impl Host for Anywhere {
    fn address_kind(&self, _: IpAddr) -> AddressKind {
        AddressKind::Unicast
    }

    fn path_mtu(&self, _: IpAddr) -> Option<u32> {
        Some(1500)
    }

    fn source_address(&self, _: IpAddr) -> Option<IpAddr> {
        Some(Ipv4Addr::new(10, 0, 0, 254).into())
    }
}

/// A director with the scenario's connections.
pub(crate) struct Bench {
    scenario: Scenario,
    director: Director,
    now: Instant,
    frames: Vec<u8>,
    /// The server of each connection, for its answers.
    servers: Vec<u8>,
    position: u32,
    next_client: u32,
}

impl Bench {
    /// Makes the director and its connections. `spare` more connections fit into its table.
    pub(crate) fn new(scenario: Scenario, spare: u32) -> Self {
        let now = Instant::from_nanos(1_000_000_000_000);
        let config = Config { capacity: scenario.connections + spare, seed: 7, ..Config::default() };
        let director = Director::new(config, now).unwrap();
        let servers = vec![0; scenario.connections as usize];
        let frames = vec![0; BATCH * FRAME_LEN];
        let mut bench =
            Self { scenario, director, now, frames, servers, position: 0, next_client: scenario.connections };
        bench.configure();
        for number in 0..scenario.connections {
            for flags in [Flags::Syn, Flags::Ack] {
                let virtual_end = (VIRTUAL_ADDRESS, VIRTUAL_PORT);
                traffic::write_packet(&mut bench.frames, traffic::client(number), virtual_end, flags);
                let Verdict::Forward { next: IpAddr::V4(next) } = bench.receive(0) else {
                    panic!("not forwarded")
                };
                bench.servers[number as usize] = next.octets()[3] - 1;
            }
        }
        bench
    }

    /// Bytes that the benchmark itself holds.
    pub(crate) fn own_bytes(&self) -> u64 {
        (self.frames.capacity() + self.servers.capacity()) as u64
    }

    fn configure(&mut self) {
        let service = ServiceId::Address { protocol: 6, address: VIRTUAL_ADDRESS.into(), port: VIRTUAL_PORT };
        let config = ServiceConfig::new("rr");
        self.director.execute(self.now, &Anywhere, Command::AddService(service, config)).unwrap();
        let (forwarding, port) = match self.scenario.method {
            Method::Nat => (ForwardingMethod::MASQUERADE, SERVER_PORT),
            Method::Direct => (ForwardingMethod::DIRECT, VIRTUAL_PORT),
        };
        for number in 0..SERVERS {
            let id = DestinationId { address: traffic::server(number).into(), port };
            let config = DestinationConfig::new(forwarding, 1);
            let command = Command::AddDestination(service, id, config);
            self.director.execute(self.now, &Anywhere, command).unwrap();
        }
    }

    /// Gives the frame at `offset` to the director.
    #[inline]
    fn receive(&mut self, offset: usize) -> Verdict {
        let frame = &mut self.frames[offset..offset + FRAME_LEN];
        self.director.receive(self.now, &Anywhere, &mut Packet::new(frame, 0, PACKET_LEN))
    }

    /// Writes the next batch of packets, and lets 256 microseconds pass.
    pub(crate) fn prepare(&mut self) {
        self.now = self.now + Duration::from_micros(256);
        if self.director.poll_timeout().is_some_and(|due| due <= self.now) {
            self.director.poll(self.now);
        }
        for slot in 0..BATCH {
            let (source, destination, flags) = self.next();
            let frame = &mut self.frames[slot * FRAME_LEN..][..FRAME_LEN];
            traffic::write_packet(frame, source, destination, flags);
        }
    }

    fn next(&mut self) -> (End, End, Flags) {
        let virtual_end = (VIRTUAL_ADDRESS, VIRTUAL_PORT);
        if self.scenario.kind == Kind::New {
            let client = traffic::client(self.next_client);
            self.next_client += 1;
            return (client, virtual_end, Flags::Syn);
        }
        // A full-period linear congruential walk over all connections: no order that a prefetcher could use.
        let mask = self.scenario.connections - 1;
        self.position = self.position.wrapping_mul(0x915f_77f5).wrapping_add(0x3c6e_f35f) & mask;
        let client = traffic::client(self.position);
        if self.scenario.kind == Kind::Established {
            return (client, virtual_end, Flags::Ack);
        }
        let server = traffic::server(u32::from(self.servers[self.position as usize]));
        ((server, SERVER_PORT), client, Flags::Ack)
    }

    /// The measured part: the director takes the batch. How many packets it forwarded.
    #[inline(never)]
    pub(crate) fn measured_section(&mut self) -> usize {
        let mut forwarded = 0;
        for slot in 0..BATCH {
            forwarded += usize::from(matches!(self.receive(slot * FRAME_LEN), Verdict::Forward { .. }));
        }
        forwarded
    }

    /// Ends the connections that [`Kind::New`] made: a SYN's 60 s pass, the established ones' 900 s do not.
    pub(crate) fn forget_new(&mut self) {
        if self.scenario.kind == Kind::New {
            self.now = self.now + Duration::from_secs(61);
            while self.director.poll_timeout().is_some_and(|due| due <= self.now) {
                self.director.poll(self.now);
            }
            self.next_client = self.scenario.connections;
        }
    }
}
