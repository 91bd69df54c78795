//! Packets on the model.

use std::net::IpAddr;

use ipvs_core::Sysctl;

use crate::schedulers;
use crate::state::{End, Entry, Model, ticks};
use crate::tcp;

const MASQUERADE: u8 = 0;
const LOCAL: u8 = 1;

const PERSISTENT: u32 = 1;
const ONE_PACKET: u32 = 4;

/// Hop limit of all packets as they come.
pub const HOPS: u8 = 64;

/// A packet: without flags a datagram.
#[derive(Clone, Debug)]
pub struct Segment {
    pub protocol: u16,
    pub source: End,
    pub destination: End,
    pub flags: &'static str,
    /// Bytes with the IP header.
    pub length: u64,
}

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// On the route to an address, with these ends and this hop limit.
    Forward(IpAddr, End, End, u8),
    /// To the host, with these ends.
    Deliver(End, End),
    Pass,
    Drop(&'static str),
    Reply(&'static str),
}

/// Length of an ICMP error about a packet: quotes up to 576 bytes in all, over IPv6 up to 1280.
fn error_length(packet: &Segment) -> u64 {
    if packet.source.0.is_ipv6() { (48 + packet.length).min(1280) } else { (28 + packet.length).min(576) }
}

impl Model {
    /// How many connections a packet to a client may belong to: more than one cannot be told apart.
    pub fn answered(&self, packet: &Segment) -> Vec<u64> {
        let is_of = |it: &&Entry| {
            let server = &self.destinations[&it.destination];
            !it.template
                && it.protocol == packet.protocol
                && it.client == packet.destination
                && it.method == MASQUERADE
                && (server.id.address, it.port) == packet.source
        };
        self.entries.iter().filter(is_of).map(|it| it.uid).collect()
    }

    pub fn receive(&mut self, packet: &Segment) -> Fate {
        if self.services.is_empty() {
            return Fate::Pass;
        }
        let is_of = |it: &&Entry| {
            !it.template
                && it.protocol == packet.protocol
                && it.client == packet.source
                && it.virtual_end == packet.destination
        };
        let inbound = self.entries.iter().find(is_of).cloned();
        if let Some(entry) = inbound {
            if self.begins_anew(&entry, packet) {
                self.note("reused");
                let available = self.is_available(entry.destination);
                self.remove(entry.uid);
                let fate = self.schedule(packet);
                // The error counts for the connection that it ends (kernel behaviour, weight-0 in
                // `conformance/packets/lifecycle.table`).
                if fate == Fate::Reply("no-destination") && available && entry.method != MASQUERADE {
                    self.count(entry.destination, [0, 0, 1, 0, error_length(packet)]);
                }
                return fate;
            }
            return self.inbound(entry.uid, packet);
        }
        match self.answered(packet).first() {
            Some(uid) => self.outbound(*uid, packet),
            None => self.schedule(packet),
        }
    }

    fn begins_anew(&self, entry: &Entry, packet: &Segment) -> bool {
        if !packet.flags.contains('S') || packet.protocol != 6 {
            return false;
        }
        if self.setting(Sysctl::ExpireNodestConn) != 0 && self.destinations[&entry.destination].weight == 0 {
            return true;
        }
        let mode = self.setting(Sysctl::ConnReuseMode);
        let unseen = entry.method != MASQUERADE;
        let ended = ["TW", "CL"].contains(&entry.state) || (entry.state == "FW" && mode & 2 != 0 && unseen);
        mode != 0 && ended && entry.control.is_none()
    }

    fn inbound(&mut self, uid: u64, packet: &Segment) -> Fate {
        let entry = self.entry(uid).clone();
        if !self.is_available(entry.destination) {
            if self.setting(Sysctl::ExpireNodestConn) == 0 {
                return Fate::Drop("destination-unavailable");
            }
            self.remove(uid);
            return self.schedule(packet);
        }
        self.count(entry.destination, [0, 1, 0, packet.length, 0]);
        self.advance_state(uid, packet, if entry.method == MASQUERADE { "in" } else { "only" });
        self.to_server(entry.destination, entry.method, entry.port, packet)
    }

    fn to_server(&self, destination: u64, method: u8, port: u16, packet: &Segment) -> Fate {
        let server = self.destinations[&destination].id.address;
        match method {
            MASQUERADE => Fate::Forward(server, packet.source, (server, port), HOPS - 1),
            LOCAL => Fate::Deliver(packet.source, packet.destination),
            _ => Fate::Forward(server, packet.source, packet.destination, HOPS - 1),
        }
    }

    fn outbound(&mut self, uid: u64, packet: &Segment) -> Fate {
        let entry = self.entry(uid).clone();
        if self.is_available(entry.destination) {
            self.count(entry.destination, [0, 0, 1, 0, packet.length]);
        }
        self.advance_state(uid, packet, "out");
        Fate::Forward(packet.destination.0, entry.virtual_end, packet.destination, HOPS - 1)
    }

    fn advance_state(&mut self, uid: u64, packet: &Segment, direction: &str) {
        let (secure, tick) = (self.setting(Sysctl::SecureTcp) == 3, self.tick());
        let [established, fin_wait, datagram] = self.timeouts.map(|seconds| seconds as u32);
        let entry = self.entry(uid);
        let before = entry.state;
        let (seconds, assures) = if packet.protocol == 6 {
            entry.state = tcp::next(secure, direction, packet.flags, before);
            let seconds = match entry.state {
                "ES" => established,
                "FW" => fin_wait,
                other => tcp::timeout(other),
            };
            (seconds, entry.state == "ES" && before != "ES")
        } else {
            (datagram, direction == "out")
        };
        entry.timeout = ticks(seconds);
        entry.seen = tick;
        let (control, after) = (entry.control, entry.state);
        self.follow_handshake(uid, after);
        if let Some(template) = control.filter(|_| assures) {
            self.entry(template).state = "ASSURED";
        }
    }

    /// The service for a packet without a connection.
    fn service_for(&self, protocol: u16, (address, port): End) -> Option<usize> {
        let at = |port| self.service_at((protocol, address, port));
        let data_of_ftp = protocol == 6 && (port == 20 || port >= 1024);
        at(port).or_else(|| if data_of_ftp { at(21) } else { None }).or_else(|| at(0))
    }

    fn schedule(&mut self, packet: &Segment) -> Fate {
        let flag = |letter| packet.flags.contains(letter);
        let sloppy = self.setting(Sysctl::SloppyTcp) != 0;
        if packet.protocol == 6 && (flag('R') || !(flag('S') || sloppy)) {
            return Fate::Pass;
        }
        let Some(service) = self.service_for(packet.protocol, packet.destination) else { return Fate::Pass };
        if self.is_dropped() {
            return Fate::Drop("defence");
        }
        let (_, _, own_port) = self.services[service].key;
        let (flags, port) = (self.services[service].flags, packet.destination.1);
        if packet.source.1 == 20 || (own_port != port && flags & PERSISTENT == 0) {
            return Fate::Pass;
        }
        self.make_room(service, packet.protocol);
        let route = if flags & PERSISTENT != 0 {
            match self.persist(service, packet) {
                Ok(route) => route,
                Err(fate) => return fate,
            }
        } else {
            let Some(destination) = self.choose(service, packet) else {
                return Fate::Reply("no-destination");
            };
            let own = self.destinations[&destination].id.port;
            (destination, if own == 0 { port } else { own }, None)
        };
        let (destination, port, control) = route;
        let method = self.destinations[&destination].method;
        if flags & ONE_PACKET != 0 && packet.protocol == 17 {
            self.note("one packet");
            let before = self.total_of(destination);
            self.after_binding(destination, before + 1);
            self.count(destination, [1, 1, 0, packet.length, 0]);
            self.after_unbinding(destination, before + 1);
            return self.to_server(destination, method, port, packet);
        }
        let uid = self.uid();
        let entry = Entry {
            uid,
            protocol: packet.protocol,
            client: packet.source,
            virtual_end: packet.destination,
            destination,
            port,
            method,
            state: if packet.protocol == 6 { "NO" } else { "UDP" },
            template: false,
            found: true,
            control,
            half_open: None,
            timeout: ticks(3),
            seen: self.tick(),
        };
        if !self.insert(entry) {
            return Fate::Drop("table-full");
        }
        self.count(destination, [1, 0, 0, 0, 0]);
        self.inbound(uid, packet)
    }

    /// drop_packet: each of so many goes, and at a negative or no distance all do.
    fn is_dropped(&mut self) -> bool {
        let (rate, left) = &mut self.drop_rate;
        if *rate == 0 {
            return false;
        }
        *left -= 1;
        if *left > 0 {
            return false;
        }
        *left = *rate;
        self.note("defence");
        true
    }

    fn choose(&mut self, service: usize, packet: &Segment) -> Option<u64> {
        let list = self.candidates(service);
        let service = &mut self.services[service];
        let name = service.scheduler.clone();
        schedulers::choose(
            &name,
            &mut service.memory,
            &list,
            service.flags,
            packet.source,
            packet.destination.0,
        )
    }

    /// Where a persistent service sends a packet: destination, port there, and the template.
    fn persist(&mut self, service: usize, packet: &Segment) -> Result<(u64, u16, Option<u64>), Fate> {
        let (_, _, own_port) = self.services[service].key;
        let (netmask, timeout) = (self.services[service].netmask, self.services[service].timeout);
        let port = packet.destination.1;
        let of_one_port = own_port == port && own_port != 21;
        let client = (network(packet.source.0, netmask), 0);
        let virtual_end = (packet.destination.0, if of_one_port { port } else { 0 });
        let is_it = |it: &&Entry| {
            it.template
                && it.found
                && it.protocol == packet.protocol
                && (it.client, it.virtual_end) == (client, virtual_end)
        };
        let mut template = self.entries.iter().find(is_it).map(|it| it.uid);
        if let Some(uid) = template {
            let destination = self.entry(uid).destination;
            let quiescent = self.setting(Sysctl::ExpireQuiescentTemplate) != 0
                && self.destinations[&destination].weight == 0;
            if quiescent || !self.is_available(destination) {
                self.note("template invalid");
                let entry = self.entry(uid);
                entry.found = false;
                entry.virtual_end.1 = 65535;
                entry.port = 65535;
                template = None;
            }
        }
        let uid = match template {
            Some(uid) => uid,
            None => {
                let Some(destination) = self.choose(service, packet) else {
                    return Err(Fate::Reply("no-destination"));
                };
                let server = &self.destinations[&destination];
                let (port, method) = (if of_one_port { server.id.port } else { 0 }, server.method);
                let uid = self.uid();
                let entry = Entry {
                    uid,
                    protocol: packet.protocol,
                    client,
                    virtual_end,
                    destination,
                    port,
                    method,
                    state: "NONE",
                    template: true,
                    found: true,
                    control: None,
                    half_open: None,
                    timeout: ticks(timeout),
                    seen: self.tick(),
                };
                if !self.insert(entry) {
                    return Err(Fate::Drop("table-full"));
                }
                uid
            }
        };
        let tick = self.tick();
        let entry = self.entry(uid);
        entry.seen = tick;
        let destination = entry.destination;
        let server_port = self.destinations[&destination].id.port;
        let port = if own_port == port && server_port != 0 { server_port } else { port };
        Ok((destination, port, Some(uid)))
    }
}

fn network(address: IpAddr, netmask: u32) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = netmask.to_be_bytes();
            let mut bytes = address.octets();
            bytes.iter_mut().zip(mask).for_each(|(byte, mask)| *byte &= mask);
            bytes.into()
        }
        IpAddr::V6(address) => {
            let mut bytes = address.octets();
            for bit in netmask as usize..128 {
                bytes[bit / 8] &= !(0x80 >> (bit % 8));
            }
            bytes.into()
        }
    }
}
