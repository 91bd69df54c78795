//! Full NAT: client, director and servers on one segment. Nobody has a route to anybody, and the servers nothing of the
//! virtual address: their answers go to the pool's addresses, for which the director answers.

use super::Topology;
use crate::Error;

pub(super) fn connect(topology: &Topology) -> Result<(), Error> {
    topology.connect_to_one_segment()?;
    let Topology { client, director, servers, .. } = topology;
    [client, director].into_iter().chain(servers).try_for_each(super::Host::join_segment)
}
