//! Direct routing and tunneling: client, director and servers on one segment; the servers hold the virtual address on loopback
//! without answering ARP or neighbour discovery for it.

use super::Topology;
use crate::{Error, address, sysctl};

pub(super) fn connect(topology: &Topology) -> Result<(), Error> {
    let Topology { client, director, servers, .. } = topology;
    topology.connect_to_one_segment()?;
    client.join_segment()?;
    director.join_segment()?;
    let virtual_address = topology.service.ip();
    for server in servers {
        server.on_links(|links| {
            // IPv4 hosts answer ARP for any of their addresses on any interface, unless told to answer only for those
            // of the interface asked (1), and to use only the best local address as source (2). IPv6 hosts answer
            // neighbour discovery only for addresses of the interface asked.
            for interface in ["all", "eth0"] {
                sysctl::set(&format!("ipv4/conf/{interface}/arp_ignore"), "1")?;
                sysctl::set(&format!("ipv4/conf/{interface}/arp_announce"), "2")?;
            }
            links.add_address("lo", virtual_address, address::host_prefix(virtual_address))
        })?;
        server.join_segment()?;
    }
    Ok(())
}
