//! Random operations: commands, packets, time.

use std::net::IpAddr;

use ipvs_core::{
    Command, ConnectionFlags, DestinationConfig, DestinationId, ForwardingMethod, MarkTarget, ServiceConfig,
    ServiceId, Sysctl, Timeouts, Tunnel,
};

use crate::random::Random;
use crate::rig::Family;
use crate::schedulers;
use crate::state::End;

/// One step of a run; its `Debug` form is enough to repeat it.
#[derive(Clone, Debug)]
pub enum Operation {
    Command(Command),
    /// drop_packet from now on, for one of so many; 0: no longer.
    DropPackets(i64),
    /// From one end to another, with these flags; without any word of them a datagram.
    Packet {
        from: End,
        to: End,
        flags: Option<&'static str>,
        payload: usize,
    },
    /// Of the connection with this number (of those that there are), from its client or its server.
    Next {
        number: usize,
        by_server: bool,
        flags: &'static str,
        payload: usize,
    },
    /// Milliseconds pass.
    Pass(u64),
}

/// What a run is made of.
#[derive(Clone, Copy, Debug)]
pub struct Flavour {
    pub family: Family,
    /// Entries of the connection table.
    pub capacity: u32,
    /// Most half-open connections of a service; 0: no limit.
    pub quota: u32,
    /// Of a hundred services, how many are persistent.
    pub persistent: u64,
    /// Of a thousand operations, how many are commands.
    pub commands: u64,
}

/// Draws operations.
pub struct Generator {
    random: Random,
    flavour: Flavour,
}

const PORTS: [u16; 5] = [80, 53, 21, 8080, 30_000];
const SERVICES: [(u16, u8, u16); 7] =
    [(6, 1, 80), (6, 1, 0), (6, 1, 21), (6, 2, 80), (17, 1, 53), (17, 1, 0), (17, 2, 53)];

impl Generator {
    pub fn new(seed: u64, flavour: Flavour) -> Self {
        Self { random: Random::new(seed), flavour }
    }

    pub fn next(&mut self) -> Operation {
        match self.random.below(1000) {
            n if n < self.flavour.commands => self.command(),
            n if n < self.flavour.commands + 70 => self.pass(),
            n if n < 400 => self.stray(),
            _ => {
                let by_server = self.random.below(2) == 0;
                let flags = match by_server {
                    true => self.random.weighted(&[
                        (35, "SA"),
                        (45, "A"),
                        (14, "FA"),
                        (5, "R"),
                        (1, ""),
                        (1, "RA"),
                    ]),
                    false => self.random.weighted(&[
                        (20, "S"),
                        (60, "A"),
                        (14, "FA"),
                        (5, "R"),
                        (1, ""),
                        (1, "SR"),
                    ]),
                };
                let number = self.random.below(1 << 32) as usize;
                Operation::Next { number, by_server, flags, payload: self.payload() }
            }
        }
    }

    /// A packet that belongs to no connection but by chance.
    fn stray(&mut self) -> Operation {
        let (protocol, number, port) = self.random.pick(&SERVICES);
        let port = if port == 0 || self.random.below(5) == 0 { self.random.pick(&PORTS) } else { port };
        let (client, virtual_end) = (self.client(), (self.virtual_address(number), port));
        let flags = self.random.weighted(&[(70, "S"), (20, "A"), (5, "FA"), (3, "R"), (1, ""), (1, "SR")]);
        let flags = (protocol == 6).then_some(flags);
        let server = self.server_id();
        let (from, to) = match self.random.below(10) {
            0 => ((server.address, server.port), client),
            _ => (client, virtual_end),
        };
        Operation::Packet { from, to, flags, payload: self.payload() }
    }

    fn payload(&mut self) -> usize {
        self.random.pick(&[0, 0, 1, 100, 1000])
    }

    fn pass(&mut self) -> Operation {
        let most = self.random.weighted(&[(40, 50), (35, 3_000), (18, 40_000), (6, 200_000), (1, 1_200_000)]);
        Operation::Pass(1 + self.random.below(most))
    }

    fn client(&mut self) -> End {
        let number = self.random.pick(&[1, 2, 77]);
        let address =
            self.flavour.family.ip(&format!("192.0.2.{number}"), &format!("2001:db8:1::{number:x}"));
        (address, self.random.weighted(&[(5, 4000), (5, 4001), (5, 4002), (5, 61_000), (1, 20)]))
    }

    fn virtual_address(&self, number: u8) -> IpAddr {
        self.flavour.family.ip(&format!("203.0.113.{number}"), &format!("2001:db8:2::{number:x}"))
    }

    fn server_id(&mut self) -> DestinationId {
        let number = 1 + self.random.below(4) as u8;
        DestinationId {
            address: self.flavour.family.server(number),
            port: self.random.weighted(&[(10, 8080), (2, 80), (1, 0)]),
        }
    }

    fn service_id(&mut self) -> ServiceId {
        let (protocol, number, port) = self.random.pick(&SERVICES);
        ServiceId::Address { protocol, address: self.virtual_address(number), port }
    }

    fn service_config(&mut self) -> ServiceConfig {
        let persistent = self.random.below(100) < self.flavour.persistent;
        let ipv4 = self.flavour.family == Family::V4;
        let name = if self.random.below(100) == 0 { "rrr" } else { self.random.pick(&schedulers::NAMES) };
        let name = if name == "none" && self.random.below(3) > 0 { "rr" } else { name };
        ServiceConfig {
            scheduler: name.into(),
            persistence_engine: None,
            // The model knows none, nor are its segments parts of a stream.
            helper: Some("none".into()),
            flags: u32::from(persistent)
                | self.random.weighted(&[(4, 0), (1, 0x04)])
                | self.random.pick(&[0, schedulers::SH_FALLBACK, schedulers::SH_PORT, 0x18]),
            flags_mask: u32::MAX,
            timeout: self.random.pick(&[30, 57, 300]),
            netmask: match ipv4 {
                true => self.random.pick(&[0xffff_ffff, 0xffff_ffff, 0xffff_ff00, 0xffff_fff0]),
                false => self.random.pick(&[128, 128, 64, 121]),
            },
            target: MarkTarget::default(),
        }
    }

    fn destination_config(&mut self) -> DestinationConfig {
        let method = self.random.weighted(&[
            (7, ForwardingMethod::MASQUERADE),
            (2, ForwardingMethod::DIRECT),
            (1, ForwardingMethod::LOCAL),
        ]);
        DestinationConfig {
            forwarding: method,
            flags: ConnectionFlags::default(),
            weight: self.random.weighted(&[(20, 1), (10, 2), (8, 3), (4, 6), (10, 0), (1, 200), (1, -1)]),
            upper_threshold: self.random.weighted(&[(10, 0), (2, 2), (2, 3), (2, 5), (2, 9)]),
            lower_threshold: self.random.weighted(&[(10, 0), (1, 1), (1, 2), (1, 3)]),
            tunnel: Tunnel::default(),
            local_pool: None,
            proxy: None,
        }
    }

    fn command(&mut self) -> Operation {
        let service = self.service_id();
        Operation::Command(match self.random.below(1000) {
            0..300 => Command::AddDestination(service, self.server_id(), self.destination_config()),
            300..550 => Command::EditDestination(service, self.server_id(), self.destination_config()),
            550..640 => Command::DeleteDestination(service, self.server_id()),
            640..740 => Command::AddService(service, self.service_config()),
            740..840 => Command::EditService(service, self.service_config()),
            840..855 => Command::DeleteService(service),
            855..857 => Command::Flush,
            857..865 => Command::Zero(None),
            865..880 => Command::Zero(Some(service)),
            880..900 => {
                let mut seconds = |from: &[i32]| self.random.pick(from);
                Command::SetTimeouts(Timeouts {
                    tcp: seconds(&[0, 100, 900]),
                    tcp_fin: seconds(&[0, 20, 120]),
                    udp: seconds(&[0, 15, 300]),
                })
            }
            900..915 => {
                return Operation::DropPackets(self.random.weighted(&[
                    (20, 0),
                    (4, 10),
                    (3, 5),
                    (1, -1),
                    (1, 1),
                ]));
            }
            _ => {
                let (sysctl, value) = self.random.pick(&[
                    (Sysctl::ExpireNodestConn, 1),
                    (Sysctl::ExpireQuiescentTemplate, 1),
                    (Sysctl::ConnReuseMode, 3),
                    (Sysctl::SloppyTcp, 1),
                    (Sysctl::SecureTcp, 3),
                ]);
                Command::SetSysctl(sysctl, vec![self.random.below(value + 1) as i64])
            }
        })
    }
}
