//! Masquerading: client and director on the front segment, director and servers on the back one, the director being
//! the servers' gateway.

use super::Topology;
use crate::address::{self, Segment};
use crate::{Error, sysctl};

pub(super) fn connect(topology: &Topology) -> Result<(), Error> {
    let Topology { client, director, servers, .. } = topology;
    topology.on_switch(|links| {
        links.add_bridge("front")?;
        links.add_bridge("back")?;
        links.add_cable("client", "front", &client.namespace, "eth0")?;
        links.add_cable("director", "front", &director.namespace, "eth0")?;
        links.add_cable("director-back", "back", &director.namespace, "eth1")?;
        for (index, server) in servers.iter().enumerate() {
            links.add_cable(&format!("server{}", index + 1), "back", &server.namespace, "eth0")?;
        }
        Ok(())
    })?;
    let gateway = address::of(Segment::Back, address::DIRECTOR, director.address.is_ipv6());
    director.on_links(|links| {
        // A gateway forwards; the answers that the director translates do not depend on it.
        sysctl::forward(gateway.is_ipv6())?;
        links.add_address("eth0", director.address, address::prefix(director.address))?;
        links.add_address("eth1", gateway, address::prefix(gateway))?;
        links.up("eth0")?;
        links.up("eth1")
    })?;
    client.on_links(|links| {
        links.add_address("eth0", client.address, address::prefix(client.address))?;
        links.up("eth0")?;
        links.add_default_route(director.address)
    })?;
    for server in servers {
        server.on_links(|links| {
            links.add_address("eth0", server.address, address::prefix(server.address))?;
            links.up("eth0")?;
            links.add_default_route(gateway)
        })?;
    }
    Ok(())
}
