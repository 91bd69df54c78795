//! What netfilter gives us of the host's stack: packets that it marked for a mark service, and those of clients on this host to
//! virtual services. XDP sees neither: the one before netfilter does, the other never.
//!
//! Spoken natively to nf_tables, not by the program `iptables` or `nft`: sets make a change and a packet cost the same however
//! many services there are, chains can stand exactly where the kernel's IPVS has its hooks, and the kernel removes all of it with
//! this process, however that ends. The rules of others, by whichever program, are not touched.

mod message;
mod parked;
mod queue;
mod rule;
mod socket;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;

use ipvs_core::{Interest, InterestChange};

use crate::program::Endpoint;
pub(crate) use parked::{Parked, ParkedQueue};
pub(crate) use queue::{Fate, Queue, Waiting};
use socket::Socket;
use table::{MOST_ELEMENTS, Set, Table, Way};

/// Types of the ICMP errors that may concern a connection (IPv4: unreachable, source quench, time exceeded; IPv6: all).
const ERRORS: [&[u8]; 2] = [&[3, 4, 11], &[1, 2, 3, 4]];

/// What is needed of the kernel, for those who lack it.
const NEEDED: &str = "the kernel needs nf_tables (CONFIG_NF_TABLES), nfnetlink_queue (CONFIG_NETFILTER_NETLINK_QUEUE), and \
                      CONFIG_NFT_QUEUE or CONFIG_NFT_COMPAT with CONFIG_NETFILTER_XT_TARGET_NFQUEUE";

/// Elements of sets, by family (IPv6 last).
type Elements = [BTreeMap<Set, BTreeSet<Vec<u8>>>; 2];

/// The tables and the queue of this network namespace.
#[derive(Debug)]
pub(crate) struct Netfilter {
    /// `None`: the kernel has none, or another process has it.
    pub(crate) queue: Option<Queue>,
    rules: Option<Rules>,
    /// All that is wanted.
    wanted: Elements,
    /// Whether clients on this host are served.
    local_clients: bool,
    /// Why there is no queue or no table, until it was said.
    fault: Option<io::Error>,
}

/// The tables, one for each family.
#[derive(Debug)]
struct Rules {
    socket: Socket,
    tables: [Table; 2],
    /// The tables are there.
    standing: [bool; 2],
    way: Option<Way>,
    /// Index of the host port.
    host_port: u32,
}

impl Netfilter {
    /// Binds the queue and removes the tables that a daemon that was killed may have left, in the network namespace of the calling
    /// thread. Nothing is lost, and nothing said, while no service needs it.
    pub(crate) fn open(host_port: u32, local_clients: bool) -> Self {
        let mut fault = None;
        let mut note = |error| fault = fault.take().or(Some(error));
        let queue = Queue::open(host_port).map_err(&mut note).ok();
        let socket = Socket::open(1 << 20).map_err(&mut note).ok();
        let mut rules = socket.map(|socket| Rules {
            socket,
            tables: [Table::new(false), Table::new(true)],
            standing: [false; 2],
            way: None,
            host_port,
        });
        if let Some(Rules { socket, tables, .. }) = &mut rules {
            for table in tables {
                if table.delete(socket).is_ok() {
                    tracing::info!("removed an nf_tables table that an earlier run left");
                }
            }
        }
        Self { queue, rules, wanted: Elements::default(), local_clients, fault }
    }

    /// Takes a change of what the director must see.
    pub(crate) fn apply(&mut self, change: InterestChange) {
        let (interest, added) = match change {
            InterestChange::Added(interest) => (interest, true),
            InterestChange::Removed(interest) => (interest, false),
        };
        match interest {
            Interest::Virtual { protocol, address, port } if self.local_clients => {
                let endpoint = Endpoint { protocol, address, port };
                self.change_endpoint((Set::Services, Set::Addresses), &endpoint, added);
            }
            Interest::Mark { ipv6, mark } => {
                self.change(ipv6, Set::Marks, mark.to_ne_bytes().into(), added);
                let family = usize::from(ipv6);
                let any = self.wanted[family].get(&Set::Marks).is_some_and(|marks| !marks.is_empty());
                for kind in ERRORS[family] {
                    self.change(ipv6, Set::Errors, vec![*kind], any);
                }
                self.review(ipv6);
            }
            _ => {}
        }
    }

    /// Whether a masquerading server is on this host, so that its answers to clients on this host, too, are wanted.
    pub(crate) fn set_local_server(&mut self, server: &Endpoint, local: bool) {
        if self.local_clients {
            self.change_endpoint((Set::Servers, Set::ServerAddresses), server, local);
        }
    }

    fn change_endpoint(&mut self, (ported, any): (Set, Set), endpoint: &Endpoint, added: bool) {
        // No packet has a protocol above 255.
        let Ok(protocol) = u8::try_from(endpoint.protocol) else { return };
        let mut key = match endpoint.address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        // Each part of a key is padded to four bytes.
        key.extend([protocol, 0, 0, 0]);
        let mut set = any;
        if endpoint.port != 0 {
            set = ported;
            key.extend(endpoint.port.to_be_bytes());
            key.extend([0, 0]);
        }
        let ipv6 = endpoint.address.is_ipv6();
        self.change(ipv6, set, key, added);
        self.review(ipv6);
    }

    /// Notes that an element is wanted or no longer, and tells the table if it stands.
    fn change(&mut self, ipv6: bool, set: Set, key: Vec<u8>, added: bool) {
        let elements = self.wanted[usize::from(ipv6)].entry(set).or_default();
        let changed = if added { elements.insert(key.clone()) } else { elements.remove(&key) };
        if let Some(rules) = self.rules.as_mut().filter(|rules| changed && rules.standing[usize::from(ipv6)])
        {
            let result = rules.tables[usize::from(ipv6)].change(&rules.socket, set, added, &[key]);
            if let Err(error) = result {
                tracing::warn!(?set, added, %error, "could not change netfilter's rules for virtual services");
            }
        }
    }

    /// Makes the table of a family when it is needed first, and removes it when it no longer is.
    fn review(&mut self, ipv6: bool) {
        let family = usize::from(ipv6);
        let wanted = &self.wanted[family];
        // Servers alone need none: their clients come by services.
        let needed = [Set::Marks, Set::Services, Set::Addresses]
            .iter()
            .any(|set| wanted.get(set).is_some_and(|set| !set.is_empty()));
        let Some(rules) = self.rules.as_mut().filter(|_| self.queue.is_some()) else {
            if needed && let Some(error) = self.fault.take() {
                explain(&error);
            }
            return;
        };
        if needed == rules.standing[family] {
            return;
        }
        if !needed {
            if let Err(error) = rules.tables[family].delete(&rules.socket) {
                tracing::warn!(%error, "could not remove netfilter's rules for virtual services");
            }
            rules.standing[family] = false;
        } else if let Err(error) = rules.stand(family, wanted) {
            explain(&error);
            // A kernel that cannot is not asked again.
            self.rules = None;
        }
    }
}

impl Rules {
    /// Makes a table with these elements.
    fn stand(&mut self, family: usize, wanted: &BTreeMap<Set, BTreeSet<Vec<u8>>>) -> io::Result<()> {
        let Self { socket, tables, .. } = self;
        let table = &mut tables[family];
        let ways = match &self.way {
            Some(way) => std::slice::from_ref(way),
            None => &Way::ALL[..],
        };
        let mut outcome = Ok(());
        for way in ways {
            outcome = table.create(socket, *way, self.host_port);
            if outcome.is_ok() {
                tracing::debug!(?way, ipv6 = table.ipv6, "netfilter's rules for virtual services");
                self.way = Some(*way);
                break;
            }
        }
        outcome?;
        self.standing[family] = true;
        for (set, keys) in wanted {
            let keys: Vec<_> = keys.iter().cloned().collect();
            for keys in keys.chunks(MOST_ELEMENTS) {
                table.change(socket, *set, true, keys)?;
            }
        }
        Ok(())
    }
}

impl Drop for Netfilter {
    fn drop(&mut self) {
        // Before the queue ends: with it gone packets would still pass, for the rules say so.
        let Some(Rules { socket, tables, standing, .. }) = &mut self.rules else { return };
        for (table, _) in tables.iter_mut().zip(standing).filter(|(_, standing)| **standing) {
            let _ = table.delete(socket);
        }
    }
}

/// Says what does not work, and why.
fn explain(error: &io::Error) {
    let remedy = match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
        Some(rustix::io::Errno::BUSY) => {
            "another process has netfilter queue 26998 of this network namespace: stop it"
        }
        Some(rustix::io::Errno::PERM) => "run as root or with CAP_NET_ADMIN",
        _ => NEEDED,
    };
    tracing::warn!(%error, remedy, "no netfilter queue: clients on this host do not reach virtual services, and marks that netfilter gives have no effect (`ipvsd mark` has)");
}
