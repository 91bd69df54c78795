//! The real servers: small, but real ones on real sockets, each in its own namespace.
//!
//! They run on threads of this process and end with it; those of crowds are processes.

pub(crate) mod crowd;
pub(crate) mod decapsulate;
mod http;
mod udp;

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use crate::Error;
use crate::options::{Mode, Options, Protocol};
use crate::topology::Topology;

/// The name under which server `index` (from 0) answers.
pub(crate) fn name(index: usize) -> String {
    format!("server-{}", index + 1)
}

/// Starts a server in every server namespace. The sockets are open when this returns. The processes among the servers end when
/// what is returned is dropped; must be called from a thread that outlives them.
pub(crate) fn start_all(topology: &Topology, options: &Options) -> Result<Vec<crowd::Process>, Error> {
    let mut processes = Vec::new();
    for (index, host) in topology.servers.iter().enumerate() {
        let (name, addresses) = (name(index), topology.listen_addresses(host));
        let failed = |error| Error::setup(format!("serve in the namespace of {name}"), error);
        if options.mode == Mode::Tun {
            let (inner, outer) = (topology.service.ip(), host.address);
            host.namespace
                .run(|| decapsulate::start((options.tunnel, options.tunnel_checksum), outer, inner))??;
        }
        for address in addresses {
            match options.protocol {
                Protocol::Tcp => {
                    let listener = host.namespace.run(|| listen(address))?.map_err(failed)?;
                    if options.at_once.is_some() || options.kills.is_some() {
                        processes.push(crowd::Process::start(listener, &name).map_err(failed)?);
                    } else {
                        on_thread(&name, move |name| http::serve(&listener, name)).map_err(failed)?;
                    }
                }
                Protocol::Udp => {
                    let socket = host.namespace.run(|| UdpSocket::bind(address))?.map_err(failed)?;
                    on_thread(&name, move |name| udp::serve(&socket, name)).map_err(failed)?;
                }
            }
        }
    }
    Ok(processes)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    // The default backlog of 128 would refuse part of a burst.
    rustix::net::listen(&listener, 4096)?;
    Ok(listener)
}

fn on_thread(name: &str, serve: impl FnOnce(&str) + Send + 'static) -> io::Result<()> {
    let owned = name.to_owned();
    std::thread::Builder::new().name(owned.clone()).spawn(move || serve(&owned)).map(drop)
}
