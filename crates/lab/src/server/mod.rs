//! The real servers: small, but real ones on real sockets, each in its own namespace.
//!
//! They run on threads of this process and end with it.

pub(crate) mod decapsulate;
mod http;
mod udp;

use std::net::{SocketAddr, TcpListener, UdpSocket};

use crate::Error;
use crate::options::{Mode, Options, Protocol};
use crate::topology::Topology;

/// The name under which server `index` (from 0) answers.
pub(crate) fn name(index: usize) -> String {
    format!("server-{}", index + 1)
}

/// Starts a server in every server namespace. The sockets are open when this returns.
pub(crate) fn start_all(topology: &Topology, options: &Options) -> Result<(), Error> {
    for (index, host) in topology.servers.iter().enumerate() {
        let addresses = topology.listen_addresses(host);
        host.namespace.run(|| {
            if options.mode == Mode::Tun {
                decapsulate::start(options.tunnel, host.address, topology.service.ip())?;
            }
            addresses.iter().try_for_each(|address| start(options.protocol, *address, name(index)))
        })??;
    }
    Ok(())
}

fn start(protocol: Protocol, address: SocketAddr, name: String) -> Result<(), Error> {
    let failed = |error| Error::setup(format!("listen on {address} in the namespace of {name}"), error);
    let thread = std::thread::Builder::new().name(name.clone());
    match protocol {
        Protocol::Tcp => {
            let listener = TcpListener::bind(address).map_err(failed)?;
            // The default backlog of 128 would refuse part of a burst.
            rustix::net::listen(&listener, 4096).map_err(|error| failed(error.into()))?;
            thread
                .spawn({
                    let name = name.clone();
                    move || http::serve(&listener, &name)
                })
                .map_err(failed)?;
        }
        Protocol::Udp => {
            let socket = UdpSocket::bind(address).map_err(failed)?;
            thread
                .spawn({
                    let name = name.clone();
                    move || udp::serve(&socket, &name)
                })
                .map_err(failed)?;
        }
    }
    Ok(())
}
