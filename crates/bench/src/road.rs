//! Three hosts and two cables, for one path.

use std::net::{IpAddr, Ipv4Addr};

use ipvs_lab::parts::{End, Interrupt, Links, Namespace, has_ipv6, receive_offload, set_sysctl};
use std::time::Duration;

use crate::Error;
use crate::address::{
    BACK, BACK_END, CLIENT, CLIENT_END, FRONT, FRONT_END, PREFIX, SERVER_END, SERVERS, STRANGERS, VIRTUAL,
};
use crate::method;
use crate::path::Path;

/// Ends of the cables, in the order client, director's front and back, server.
pub(crate) const C0: &str = "c0";
pub(crate) const D0: &str = "d0";
pub(crate) const D1: &str = "d1";
pub(crate) const S0: &str = "s0";

/// Time for cables to become operational.
const LIMIT: Duration = Duration::from_secs(10);

/// Client, director and server. All neighbours are told, so nothing is asked for in the midst of a measurement.
#[derive(Debug)]
pub(crate) struct Road {
    pub(crate) client: Namespace,
    pub(crate) director: Namespace,
    pub(crate) server: Namespace,
    /// Numbers of `c0` and `d1`.
    pub(crate) out: u32,
    pub(crate) onward: u32,
}

impl Road {
    /// Builds it; `prefix` begins the names of the namespaces.
    pub(crate) fn build(prefix: &str, path: Path, interrupt: &Interrupt) -> Result<Self, Error> {
        let namespace = |role: &str| Namespace::create(format!("{prefix}-{}-{role}", path.name()));
        let (client, director, server) = (namespace("client")?, namespace("director")?, namespace("server")?);
        for host in [&client, &director, &server] {
            on(host, |links| {
                if has_ipv6() {
                    for scope in ["all", "default"] {
                        set_sysctl(&format!("ipv6/conf/{scope}/disable_ipv6"), "1")?;
                    }
                }
                use_cubic()?;
                links.up("lo")
            })?;
        }
        let end = |namespace, name, hardware| End { namespace, name, hardware };
        on(&director, |links| {
            links.join(end(&director, D0, FRONT_END), end(&client, C0, CLIENT_END))?;
            links.join(end(&director, D1, BACK_END), end(&server, S0, SERVER_END))
        })?;
        connect_client(&client, path)?;
        connect_server(&server)?;
        let onward = connect_director(&director, path)?;
        let out = on(&client, |links| links.index(C0))?;
        for host in [&client, &director, &server] {
            let ready = |links: &Links| interrupt.wait(LIMIT, || Ok(links.all_operational()?.then_some(())));
            if on(host, ready)?.is_none() {
                return Err(Error::setup(
                    format!("bring up the interfaces of {}", host.name()),
                    "not operational after 10 seconds",
                ));
            }
        }
        if path.is_xdp() {
            // What an XDP program takes must have complete checksums, what it sends must be taken.
            client.run(|| ipvs_lab::like_a_wire(C0))??;
            server.run(|| ipvs_lab::like_a_wire(S0))??;
        }
        Ok(Self { client, director, server, out, onward })
    }

    /// Whether the director takes frames that an XDP program at the client sends; without, it is a cable as made.
    pub(crate) fn take_frames(&self, on: bool) -> Result<(), Error> {
        self.director.run(|| receive_offload(D0, on))?
    }
}

fn connect_client(client: &Namespace, path: Path) -> Result<(), Error> {
    on(client, |links| {
        links.add_address(C0, CLIENT.into(), PREFIX)?;
        links.up(C0)?;
        links.add_neighbour(C0, FRONT.into(), FRONT_END)?;
        links.add_neighbour(C0, VIRTUAL.into(), FRONT_END)?;
        links.add_default_route(FRONT.into())?;
        if path == Path::Haproxy {
            set_sysctl("ipv4/ip_local_port_range", "1024 65535")?;
        }
        Ok(())
    })
}

fn connect_server(server: &Namespace) -> Result<(), Error> {
    on(server, |links| {
        for address in SERVERS {
            links.add_address(S0, address.into(), PREFIX)?;
        }
        links.up(S0)?;
        links.add_neighbour(S0, BACK.into(), BACK_END)?;
        links.add_default_route(BACK.into())
    })
}

/// The number of `d1`.
fn connect_director(director: &Namespace, path: Path) -> Result<u32, Error> {
    on(director, |links| {
        set_sysctl("ipv4/ip_forward", "1")?;
        for scope in ["all", "default", D0, D1] {
            set_sysctl(&format!("ipv4/conf/{scope}/rp_filter"), "0")?;
            set_sysctl(&format!("ipv4/conf/{scope}/send_redirects"), "0")?;
        }
        links.add_address(D0, FRONT.into(), PREFIX)?;
        links.add_address(D1, BACK.into(), PREFIX)?;
        if matches!(path, Path::Nft | Path::Haproxy) {
            links.add_address(D0, VIRTUAL.into(), 32)?;
        }
        if path == Path::Haproxy {
            set_sysctl("ipv4/ip_local_port_range", "1024 65535")?;
        }
        links.up(D0)?;
        links.up(D1)?;
        links.add_neighbour(D0, CLIENT.into(), CLIENT_END)?;
        for address in method::servers(path) {
            links.add_neighbour(D1, address.into(), SERVER_END)?;
        }
        let (network, prefix): (Ipv4Addr, u8) = STRANGERS;
        links.add_route(network.into(), prefix, IpAddr::from(CLIENT))?;
        links.index(D1)
    })
}

/// TCP goes by CUBIC (RFC 9438), Linux' default, whatever the machine is set to: BBR sends at a rate that it estimates, by a timer, and that
/// would be measured instead of the director. Where the kernel has no CUBIC, by Reno, which every one has.
fn use_cubic() -> Result<(), Error> {
    let name = "ipv4/tcp_congestion_control";
    set_sysctl(name, "cubic").or_else(|_| set_sysctl(name, "reno"))
}

/// Works on the links of a host.
fn on<T: Send>(host: &Namespace, work: impl FnOnce(&Links) -> Result<T, Error> + Send) -> Result<T, Error> {
    host.run(|| work(&Links::open()?))?
}
