//! Full NAT: client, director and servers on one segment. Nobody has a route to anybody, and the servers nothing of the
//! virtual address: their answers go to the pool's addresses, for which the director answers.

use super::{Host, Topology};
use crate::address::{self, Segment};
use crate::{Error, sysctl};

/// `in_program`: the XDP program is to forward answers, too, for which it asks the kernel's routes as one that forwards.
pub(super) fn connect(topology: &Topology, in_program: bool) -> Result<(), Error> {
    topology.connect_to_one_segment()?;
    let Topology { client, director, servers, .. } = topology;
    if in_program {
        director.on_links(|_| sysctl::forward(director.address.is_ipv6()))?;
    }
    [client, director].into_iter().chain(servers).try_for_each(Host::join_segment)?;
    match servers.first() {
        // The director reaches servers of the other family by an address of that family.
        Some(server) if server.address.is_ipv6() != director.address.is_ipv6() => {
            director.on_links(|links| {
                let own = address::of(Segment::Front, address::DIRECTOR, server.address.is_ipv6());
                links.add_address("eth0", own, address::prefix(own))
            })
        }
        _ => Ok(()),
    }
}
