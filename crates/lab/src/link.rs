//! Interfaces, addresses and routes of the calling thread's network namespace, by rtnetlink.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use futures_util::TryStreamExt;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::AddressHeaderFlags;
use netlink_packet_route::link::{InfoBridge, InfoData, InfoVeth, LinkAttribute, LinkFlags, State};
use rtnetlink::{Handle, LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder};
use rustix::net::{AddressFamily as SocketFamily, SocketType};

use crate::Error;
use crate::namespace::Namespace;

/// A netlink request that is not answered in this time never will be.
const LIMIT: Duration = Duration::from_secs(10);

/// One end of a cable that joins two namespaces.
#[derive(Debug, Clone, Copy)]
pub struct End<'a> {
    /// Where it is.
    pub namespace: &'a Namespace,
    /// Its name there.
    pub name: &'a str,
    /// Its hardware address.
    pub hardware: [u8; 6],
}

/// The links of one namespace. It works in the namespace of the thread that opened it and must stay on that thread.
pub struct Links {
    runtime: tokio::runtime::Runtime,
    handle: Handle,
}

impl Links {
    /// Opens a netlink socket in the calling thread's namespace.
    ///
    /// # Errors
    /// [`Error`], if the system refuses.
    pub fn open() -> Result<Self, Error> {
        let doing = "open an rtnetlink socket";
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::setup(doing, error))?;
        let handle = {
            let _inside = runtime.enter();
            let (connection, handle, _) =
                rtnetlink::new_connection().map_err(|error| Error::setup(doing, error))?;
            runtime.spawn(connection);
            handle
        };
        Ok(Self { runtime, handle })
    }

    /// Adds a bridge that forwards at once (no spanning tree) and floods multicast (so neighbour discovery needs no
    /// querier).
    pub(crate) fn add_bridge(&self, name: &str) -> Result<(), Error> {
        let message = LinkBridge::new(name)
            .append_info_data(InfoBridge::ForwardDelay(0))
            .append_info_data(InfoBridge::MulticastSnooping(false))
            .build();
        self.execute(format!("add bridge {name}"), self.handle.link().add(message).execute())
    }

    /// Adds a virtual Ethernet cable: `port`, a port of `bridge` here, and `interface` in `namespace`.
    pub(crate) fn add_cable(
        &self,
        port: &str,
        bridge: &str,
        namespace: &Namespace,
        interface: &str,
    ) -> Result<(), Error> {
        let peer = LinkMessageBuilder::<LinkUnspec>::new()
            .name(interface)
            .setns_by_fd(namespace.descriptor())
            .build();
        let message = LinkVeth::new(port, interface)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
            .controller(self.index(bridge)?)
            .up()
            .build();
        let doing = format!("connect {interface} of {} to {bridge}", namespace.name());
        self.execute(doing, self.handle.link().add(message).execute())
    }

    /// Adds a virtual Ethernet cable between two namespaces, whichever this one is.
    ///
    /// # Errors
    /// [`Error`], if the system refuses.
    pub fn join(&self, one: End<'_>, other: End<'_>) -> Result<(), Error> {
        let peer = LinkMessageBuilder::<LinkUnspec>::new()
            .name(other.name)
            .address(other.hardware.to_vec())
            .setns_by_fd(other.namespace.descriptor())
            .build();
        let message = LinkVeth::new(one.name, other.name)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
            .address(one.hardware.to_vec())
            .setns_by_fd(one.namespace.descriptor())
            .build();
        let doing = format!("connect {} of {} to {}", one.name, one.namespace.name(), other.namespace.name());
        self.execute(doing, self.handle.link().add(message).execute())
    }

    /// Tells once and for all at which hardware address a neighbour is.
    ///
    /// # Errors
    /// [`Error`], if the system refuses.
    pub fn add_neighbour(&self, name: &str, address: IpAddr, hardware: [u8; 6]) -> Result<(), Error> {
        let request = self.handle.neighbours().add(self.index(name)?, address);
        let request = request.link_layer_address(&hardware).replace();
        self.execute(format!("add neighbour {address} to {name}"), request.execute())
    }

    /// Brings an interface up.
    ///
    /// # Errors
    /// [`Error`], if there is none or the system refuses.
    pub fn up(&self, name: &str) -> Result<(), Error> {
        let message = LinkUnspec::new_with_index(self.index(name)?).up().build();
        self.execute(format!("bring up {name}"), self.handle.link().set(message).execute())
    }

    /// Whether every interface here is operational: the kernel lets traffic through some time after a cable's second
    /// end has come up, and drops it until then.
    ///
    /// # Errors
    /// [`Error`], if the system refuses.
    pub fn all_operational(&self) -> Result<bool, Error> {
        let mut all = true;
        self.execute("list the interfaces".into(), async {
            let mut links = self.handle.link().get().execute();
            while let Some(link) = links.try_next().await? {
                let loopback = link.header.flags.contains(LinkFlags::Loopback);
                all &= loopback || link.attributes.contains(&LinkAttribute::OperState(State::Up));
            }
            Ok(())
        })?;
        Ok(all)
    }

    /// Adds an address, usable at once.
    ///
    /// # Errors
    /// [`Error`], if the system refuses.
    pub fn add_address(&self, name: &str, address: IpAddr, prefix: u8) -> Result<(), Error> {
        let mut request = self.handle.address().add(self.index(name)?, address, prefix);
        let header = &mut request.message_mut().header;
        if header.family == AddressFamily::Inet6 {
            header.flags |= AddressHeaderFlags::Nodad;
        }
        self.execute(format!("add {address}/{prefix} to {name}"), request.execute())
    }

    /// Adds a default route.
    ///
    /// # Errors
    /// [`Error`], if the system refuses.
    pub fn add_default_route(&self, gateway: IpAddr) -> Result<(), Error> {
        let anywhere = match gateway {
            IpAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
        };
        self.add_route(anywhere, 0, gateway)
    }

    /// Adds a route to a network.
    ///
    /// # Errors
    /// [`Error`], if the system refuses.
    pub fn add_route(&self, network: IpAddr, prefix: u8, gateway: IpAddr) -> Result<(), Error> {
        let doing = format!("add a route to {network}/{prefix} by {gateway}");
        let message = RouteMessageBuilder::<IpAddr>::new()
            .destination_prefix(network, prefix)
            .and_then(|route| route.gateway(gateway))
            .map_err(|error| Error::setup(doing.as_str(), error))?
            .build();
        self.execute(doing, self.handle.route().add(message).execute())
    }

    /// The number of an interface.
    ///
    /// # Errors
    /// [`Error`], if there is none.
    pub fn index(&self, name: &str) -> Result<u32, Error> {
        rustix::net::socket(SocketFamily::INET, SocketType::DGRAM, None)
            .and_then(|socket| rustix::net::netdevice::name_to_index(socket, name))
            .map_err(|error| Error::setup(format!("find interface {name}"), error))
    }

    fn execute(
        &self,
        doing: String,
        request: impl Future<Output = Result<(), rtnetlink::Error>>,
    ) -> Result<(), Error> {
        match self.runtime.block_on(async { tokio::time::timeout(LIMIT, request).await }) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(rtnetlink::Error::NetlinkError(error))) => Err(Error::setup(doing, error.to_io())),
            Ok(Err(error)) => Err(Error::setup(doing, error)),
            Err(_) => Err(Error::setup(doing, "rtnetlink did not answer within 10 seconds")),
        }
    }
}
