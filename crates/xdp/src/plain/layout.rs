//! What the plain balancers and who fills their tables agree on: words, those of packets in network order. The measurement
//! (`crates/datapath/benches/fast_path`) includes this file, too.

/// A flow: client, virtual address, both ports (the client's first), protocol.
pub type Flow = [u32; 4];

/// What is kept of a flow: its destination, when it was last seen (in 4 ms), packets; a spare word.
pub type Known = [u32; 4];

/// A line of the table whose lines hold entries as a whole: flow and what is kept; spare words, as many as the director's entries
/// have other ones.
pub type Line = [u32; 16];

/// A destination: address, port (network order), interface, first bytes of the frames to it.
pub type Destination = [u32; 6];

/// Destinations at most.
pub const DESTINATIONS: u32 = 64;

/// So many lines from a flow's own on are looked at. The table is at most half full: behind eight lie 5 flows in 1000, behind these hardly any.
pub const PROBES: u32 = 16;

/// Odd, with bits all over.
const MULTIPLIERS: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f];

/// The flow's own line, to be cut to the table's size.
#[inline(always)]
pub fn hash(flow: &Flow) -> u32 {
    let [client, address, ports, protocol] = flow.map(u64::from);
    let mixed = (client | address << 32).wrapping_mul(MULTIPLIERS[0]);
    let mixed = (mixed ^ mixed >> 32 ^ (ports | protocol << 32)).wrapping_mul(MULTIPLIERS[1]);
    (mixed >> 32) as u32
}
