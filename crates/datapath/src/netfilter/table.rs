//! The nf_tables table of one address family: which packets of the host's stack come to the queue.
//!
//! Sets hold what changes, so a change costs one element and a packet a few hash lookups, however many services there are. The
//! table has an owner, this process's socket: with it the table goes, however the process ends (Linux 5.12; before, the
//! next daemon removes it).
//!
//! The chains stand where the kernel's IPVS has its hooks (experiment `local_clients.py`): behind the filters for what comes in,
//! behind mangling and address translation for what the host sends.

use std::io;

use ipvs_wire::protocol;

use super::message::{APPEND, CREATE, Messages};
use super::queue::{LOCAL_IN, LOCAL_OUT};
use super::rule::{Base, Meta, QueueBy, Rule};
use super::socket::Socket;

pub(super) const NAME: &str = "ipvsd";

const INPUT: (&str, u32, i32) = ("input", LOCAL_IN, 99);
const OUTPUT: (&str, u32, i32) = ("output", LOCAL_OUT, -98);

/// Index of the loopback interface in every network namespace.
const LOOPBACK: u32 = 1;

const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
pub(super) const NEW_TABLE: u16 = SUBSYSTEM << 8;
const DELETE_TABLE: u16 = SUBSYSTEM << 8 | 2;
const NEW_CHAIN: u16 = SUBSYSTEM << 8 | 3;
pub(super) const NEW_RULE: u16 = SUBSYSTEM << 8 | 6;
const NEW_SET: u16 = SUBSYSTEM << 8 | 9;
const NEW_ELEMENT: u16 = SUBSYSTEM << 8 | 12;
const DELETE_ELEMENT: u16 = SUBSYSTEM << 8 | 14;

/// The table is its owner's alone, and goes with it.
const OWNED: u32 = 2;

/// Most elements in a message, whose lists have 16 bits for their length.
pub(super) const MOST_ELEMENTS: usize = 1000;

/// A set of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Set {
    /// Marks of services.
    Marks,
    /// Types of ICMP errors that concern connections.
    Errors,
    /// Virtual services: address, protocol, port.
    Services,
    /// Those for all ports: address, protocol.
    Addresses,
    /// Masquerading servers on this host: address, protocol, port.
    Servers,
    /// Those for all ports: address, protocol.
    ServerAddresses,
}

impl Set {
    pub(super) const ALL: [Self; 6] =
        [Self::Marks, Self::Errors, Self::Services, Self::Addresses, Self::Servers, Self::ServerAddresses];

    const fn name(self) -> &'static str {
        match self {
            Self::Marks => "marks",
            Self::Errors => "errors",
            Self::Services => "services",
            Self::Addresses => "addresses",
            Self::Servers => "servers",
            Self::ServerAddresses => "server-addresses",
        }
    }

    /// Type and length of its elements: the types are for `nft list ruleset` alone.
    fn key(self, ipv6: bool) -> (u32, u32) {
        const MARK: u32 = 19;
        const PROTOCOL: u32 = 12;
        const PORT: u32 = 13;
        let (address, len) = if ipv6 { (8, 16) } else { (7, 4) };
        match self {
            Self::Marks => (MARK, 4),
            Self::Errors => (if ipv6 { 29 } else { 14 }, 1),
            Self::Services | Self::Servers => (address << 12 | PROTOCOL << 6 | PORT, len + 8),
            Self::Addresses | Self::ServerAddresses => (address << 6 | PROTOCOL, len + 4),
        }
    }
}

/// How this kernel makes the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    owned: bool,
    by: QueueBy,
}

impl Way {
    /// The best first.
    pub(super) const ALL: [Self; 4] = [
        Self { owned: true, by: QueueBy::Expression },
        Self { owned: true, by: QueueBy::Target },
        Self { owned: false, by: QueueBy::Expression },
        Self { owned: false, by: QueueBy::Target },
    ];
}

/// The tables of one family, and the socket that owns them.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) ipv6: bool,
    out: Messages,
}

impl Table {
    pub(super) fn new(ipv6: bool) -> Self {
        Self { ipv6, out: Messages::default() }
    }

    /// Number of the family (AF_INET, AF_INET6).
    pub(super) fn family(&self) -> u8 {
        if self.ipv6 { 10 } else { 2 }
    }

    /// Makes the table with empty sets. `host_port` is the index of the interface whose ICMP errors are spared: the
    /// director has left them to the host.
    pub(super) fn create(&mut self, socket: &Socket, way: Way, host_port: u32) -> io::Result<()> {
        let (family, ipv6) = (self.family(), self.ipv6);
        self.transact(socket, |out| {
            out.message((NEW_TABLE, CREATE), family, 0, |it| {
                it.put_text(1, NAME);
                it.put_u32(2, if way.owned { OWNED } else { 0 });
            });
            for (number, set) in Set::ALL.into_iter().enumerate() {
                let (kind, len) = set.key(ipv6);
                out.message((NEW_SET, CREATE), family, 0, |it| {
                    it.put_text(1, NAME);
                    it.put_text(2, set.name());
                    it.put_u32(3, 0);
                    it.put_u32(4, kind);
                    it.put_u32(5, len);
                    it.put_u32(10, number as u32 + 1);
                });
            }
            chain(out, family, INPUT);
            chain(out, family, OUTPUT);
            let mut rule = |(chain, ..): (&str, u32, i32), matches: &dyn Fn(&mut Rule<'_>)| {
                out.message((NEW_RULE, CREATE | APPEND), family, 0, |it| {
                    it.put_text(1, NAME);
                    it.put_text(2, chain);
                    it.nest(4, |it| {
                        let mut rule = Rule(it);
                        matches(&mut rule);
                        rule.queue(way.by);
                    });
                });
            };
            let port = host_port.to_ne_bytes();
            rule(INPUT, &|it| {
                it.meta(Meta::Mark, 0).is_in(Set::Marks.name());
            });
            rule(INPUT, &|it| {
                let icmp = if ipv6 { protocol::ICMPV6 } else { protocol::ICMP };
                it.meta(Meta::Protocol, 0).compare(true, &[icmp]);
                it.meta(Meta::InputInterface, 0).compare(false, &port);
                it.payload(Base::Transport, 0, 1, 0).is_in(Set::Errors.name());
            });
            rule(OUTPUT, &|it| {
                it.meta(Meta::Mark, 0).is_in(Set::Marks.name());
            });
            let (source, destination, len) = if ipv6 { (8, 24, 16) } else { (12, 16, 4) };
            for (ported, any, address, at, leaves) in [
                (Set::Services, Set::Addresses, destination, 2, false),
                (Set::Servers, Set::ServerAddresses, source, 0, true),
            ] {
                for (set, port) in [(ported, true), (any, false)] {
                    rule(OUTPUT, &|it| {
                        if leaves {
                            // To others their answers go by the host port.
                            it.meta(Meta::OutputInterface, 0).compare(true, &LOOPBACK.to_ne_bytes());
                        }
                        it.payload(Base::Network, address, len, 0).meta(Meta::Protocol, len / 4);
                        if port {
                            it.payload(Base::Transport, at, 2, len / 4 + 1);
                        }
                        it.is_in(set.name());
                    });
                }
            }
        })
    }

    /// Removes the table and all in it.
    pub(super) fn delete(&mut self, socket: &Socket) -> io::Result<()> {
        let family = self.family();
        self.transact(socket, |out| {
            out.message((DELETE_TABLE, 0), family, 0, |it| it.put_text(1, NAME));
        })
    }

    /// Enters elements into a set, or takes them out; at most [`MOST_ELEMENTS`].
    pub(super) fn change(
        &mut self,
        socket: &Socket,
        set: Set,
        added: bool,
        keys: &[Vec<u8>],
    ) -> io::Result<()> {
        let family = self.family();
        let kind = if added { (NEW_ELEMENT, CREATE) } else { (DELETE_ELEMENT, 0) };
        self.transact(socket, |out| {
            out.message(kind, family, 0, |it| {
                it.put_text(1, NAME);
                it.put_text(2, set.name());
                it.nest(3, |it| {
                    for key in keys {
                        it.nest(1, |it| it.nest(1, |it| it.put(1, key)));
                    }
                });
            });
        })
    }

    /// Does all of it or nothing.
    pub(super) fn transact(
        &mut self,
        socket: &Socket,
        messages: impl FnOnce(&mut Messages),
    ) -> io::Result<()> {
        let out = &mut self.out;
        out.clear();
        out.message((BATCH_BEGIN, 0), 0, SUBSYSTEM, |_| {});
        messages(out);
        out.ask();
        out.message((BATCH_END, 0), 0, SUBSYSTEM, |_| {});
        socket.request(out)
    }
}

/// Makes a chain of the table, with this name, at a hook, with a priority.
pub(super) fn chain(out: &mut Messages, family: u8, (name, hook, priority): (&str, u32, i32)) {
    out.message((NEW_CHAIN, CREATE), family, 0, |it| {
        it.put_text(1, NAME);
        it.put_text(3, name);
        it.nest(4, |it| {
            it.put_u32(1, hook);
            it.put(2, &priority.to_be_bytes());
        });
        it.put_text(7, "filter");
    });
}
