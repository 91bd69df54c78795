//! The hosts of a lab and the cables between them.
//!
//! Bridges live in a namespace of their own, the switch, so that every interface of the client, the director and the
//! servers is the plain end of a virtual Ethernet cable, with its offloads at their defaults.

mod direct;
mod full_nat;
mod nat;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::interrupt::Interrupt;
use crate::link::Links;
use crate::namespace::Namespace;
use crate::options::{Mode, Options, Protocol};
use crate::{Error, address, offload, sysctl};

/// Time for cables to become operational.
const LIMIT: Duration = Duration::from_secs(10);

/// One host: a namespace and its main address.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) namespace: Namespace,
    pub(crate) address: IpAddr,
}

/// A lab's network.
#[derive(Debug)]
pub(crate) struct Topology {
    pub(crate) client: Host,
    pub(crate) director: Host,
    pub(crate) servers: Vec<Host>,
    /// The virtual service.
    pub(crate) service: SocketAddr,
    /// Port on which the servers listen.
    pub(crate) server_port: u16,
    /// With full NAT the addresses that the director takes for clients.
    pub(crate) pool: Vec<IpAddr>,
    mode: Mode,
    switch: Namespace,
}

impl Topology {
    /// Builds namespaces, cables, addresses and routes. `prefix` begins the namespaces' names.
    pub(crate) fn build(prefix: &str, options: &Options, interrupt: &Interrupt) -> Result<Self, Error> {
        if options.ipv6 && !sysctl::has_ipv6() {
            return Err(Error::Options("this kernel has no IPv6 (ipv6.disable=1?): leave out --ipv6".into()));
        }
        let namespace = |role: &str| prepared(Namespace::create(format!("{prefix}-{role}"))?);
        let host = |role: &str, address| Ok::<_, Error>(Host { namespace: namespace(role)?, address });
        let server_segment = match options.mode {
            Mode::Nat => address::Segment::Back,
            Mode::Dr | Mode::Tun | Mode::FullNat => address::Segment::Front,
        };
        let server_port = match (options.mode, options.protocol) {
            (Mode::Nat | Mode::FullNat, Protocol::Tcp) => 8080,
            (Mode::Nat | Mode::FullNat, Protocol::Udp) => 7007,
            (Mode::Dr | Mode::Tun, protocol) => service_port(protocol),
        };
        let front = |number| address::of(address::Segment::Front, number, options.ipv6);
        let of_servers = options.ipv6 && !options.servers_ipv4;
        let for_servers = |number| address::of(server_segment, number, of_servers);
        let servers = (0..options.weights.len())
            .map(|index| {
                let number = address::SERVER.saturating_add(u8::try_from(index).unwrap_or(u8::MAX));
                host(&format!("server{}", index + 1), for_servers(number))
            })
            .collect::<Result<_, _>>()?;
        let topology = Self {
            client: host("client", front(address::CLIENT))?,
            director: host("director", front(address::DIRECTOR))?,
            servers,
            service: SocketAddr::new(front(address::VIRTUAL), service_port(options.protocol)),
            server_port,
            pool: match options.mode {
                Mode::FullNat => (address::POOL..).take(options.pool.into()).map(for_servers).collect(),
                _ => Vec::new(),
            },
            mode: options.mode,
            switch: namespace("switch")?,
        };
        let in_program = options.fast_path.as_deref() == Some("on");
        match options.mode {
            Mode::Nat => nat::connect(&topology)?,
            Mode::Dr | Mode::Tun => direct::connect(&topology)?,
            Mode::FullNat => full_nat::connect(&topology, in_program)?,
        }
        if options.flood.is_some() {
            // What the servers answer to the flood's sources goes to the client's host, which drops it.
            topology.director.on_links(|links| links.add_default_route(topology.client.address))?;
        }
        // A classifier takes the ends' packets as they are.
        if in_program && options.attach.as_deref() != Some("tc") {
            topology.switch.run(|| {
                let cables: &[&str] = match options.mode {
                    Mode::Nat => &["director", "director-back"],
                    Mode::Dr | Mode::Tun | Mode::FullNat => &["director"],
                };
                cables.iter().try_for_each(|cable| offload::like_a_wire(cable))?;
                // What GRO put together is taken apart again: the far ends read raw sockets, which do not tell partial checksums.
                if options.mode == Mode::Tun {
                    let cables = (1..=topology.servers.len()).map(|number| format!("server{number}"));
                    cables.into_iter().try_for_each(|cable| offload::like_a_wire(&cable))?;
                }
                Ok(())
            })??;
        }
        topology.wait_until_operational(interrupt)?;
        Ok(topology)
    }

    fn wait_until_operational(&self, interrupt: &Interrupt) -> Result<(), Error> {
        let hosts = [&self.client, &self.director].into_iter().chain(&self.servers);
        for namespace in hosts.map(|host| &host.namespace).chain([&self.switch]) {
            let wait = |links: &Links| interrupt.wait(LIMIT, || Ok(links.all_operational()?.then_some(())));
            if namespace.run(|| wait(&Links::open()?))??.is_none() {
                let doing = format!("bring up the interfaces of {}", namespace.name());
                return Err(Error::setup(
                    doing,
                    format!("not operational after {} seconds", LIMIT.as_secs()),
                ));
            }
        }
        Ok(())
    }

    /// The addresses on which server `index` listens: its own, and unless the director translates them the virtual one.
    pub(crate) fn listen_addresses(&self, host: &Host) -> Vec<SocketAddr> {
        let own = SocketAddr::new(host.address, self.server_port);
        match self.mode {
            Mode::Nat | Mode::FullNat => vec![own],
            Mode::Dr | Mode::Tun => vec![own, self.service],
        }
    }

    /// The host whose requests they are.
    pub(crate) fn asking(&self, options: &Options) -> &Host {
        if options.client_on_director { &self.director } else { &self.client }
    }

    /// The address of a server as the director's destination.
    pub(crate) fn destination(&self, host: &Host) -> SocketAddr {
        SocketAddr::new(host.address, self.server_port)
    }

    /// One segment for client, director and servers.
    fn connect_to_one_segment(&self) -> Result<(), Error> {
        self.on_switch(|links| {
            links.add_bridge("front")?;
            links.add_cable("client", "front", &self.client.namespace, "eth0")?;
            links.add_cable("director", "front", &self.director.namespace, "eth0")?;
            for (index, server) in self.servers.iter().enumerate() {
                links.add_cable(&format!("server{}", index + 1), "front", &server.namespace, "eth0")?;
            }
            Ok(())
        })
    }

    /// Works on the links of the switch.
    fn on_switch(&self, work: impl FnOnce(&Links) -> Result<(), Error> + Send) -> Result<(), Error> {
        self.switch.run(|| work(&Links::open()?))?
    }
}

impl Host {
    /// Gives its interface its address.
    fn join_segment(&self) -> Result<(), Error> {
        self.on_links(|links| {
            links.add_address("eth0", self.address, address::prefix(self.address))?;
            links.up("eth0")
        })
    }

    /// Works on the host's links.
    fn on_links(&self, work: impl FnOnce(&Links) -> Result<(), Error> + Send) -> Result<(), Error> {
        self.namespace.run(|| work(&Links::open()?))?
    }
}

/// Port of the virtual service: HTTP, or echo (RFC 862).
fn service_port(protocol: Protocol) -> u16 {
    match protocol {
        Protocol::Tcp => 80,
        Protocol::Udp => 7,
    }
}

/// Loopback up, and the settings that interfaces take over when they come into the namespace.
fn prepared(namespace: Namespace) -> Result<Namespace, Error> {
    namespace.run(|| {
        if sysctl::has_ipv6() {
            // Addresses of a lab are unique by construction: duplicate address detection would only cost seconds,
            // for link-local addresses too, without which a router finds no neighbour.
            for scope in ["all", "default"] {
                for setting in ["accept_dad", "dad_transmits", "accept_ra"] {
                    sysctl::set(&format!("ipv6/conf/{scope}/{setting}"), "0")?;
                }
            }
        }
        Links::open()?.up("lo")
    })??;
    Ok(namespace)
}
