//! What the program sees of a frame that may lie in several buffers: the same, but it is sent by a map of its own.

use aya_ebpf::bindings::{xdp_action, xdp_md};
use ipvs_flow::EntryIndex;

use crate::context::{Context, Difference, Tags, Tunnels, as_xdp_program};
use crate::stages::{Stages, stages};
use crate::transport::Packet;
use crate::wrap::{Wrap, wraps_as_xdp_program};
use crate::{encapsulate, forward, full_nat, steady};

/// Such a frame.
#[repr(transparent)]
pub struct Frags(xdp_md);

impl Context for Frags {
    const GUESSES_CHECKSUMS: bool = true;
    const ADJUSTS_CHECKSUMS: bool = false;
    const TAGS: Tags = Tags::Inside;
    const TUNNELS: Tunnels = Tunnels::All;
    const DROP: u32 = xdp_action::XDP_DROP;

    as_xdp_program!();

    #[inline(always)]
    fn interface(this: *mut Self) -> u32 {
        xdp_md::interface(this.cast())
    }
}

impl Wrap for Frags {
    wraps_as_xdp_program!();
}

stages! { Frags by xdp_md:
    steady_ipv4 (steady_ipv4_frags) = steady::forward::<Frags, false>,
    steady_ipv6 (steady_ipv6_frags) = steady::forward::<Frags, true>,
    elsewhere (elsewhere_frags) = steady::elsewhere::<Frags>,
    tunnel_recalled (tunnel_recalled_frags) = encapsulate::recalled::<Frags>,;
    inbound_ipv4 (inbound_ipv4_frags) &Packet = forward::inbound, false;
    inbound_ipv6 (inbound_ipv6_frags) &Packet = forward::inbound, true;
    outbound_ipv4 (outbound_ipv4_frags) &Packet = forward::outbound, false;
    outbound_ipv6 (outbound_ipv6_frags) &Packet = forward::outbound, true;
    tunnel_ipv4 (tunnel_ipv4_frags) &Packet = encapsulate::inbound, false;
    tunnel_ipv6 (tunnel_ipv6_frags) &Packet = encapsulate::inbound, true;
    translate_in_ipv4 (translate_in_ipv4_frags) &Packet = full_nat::inbound, false;
    translate_in_ipv6 (translate_in_ipv6_frags) &Packet = full_nat::inbound, true;
    translate_out_ipv4 (translate_out_ipv4_frags) &mut Packet = full_nat::outbound, false;
    translate_out_ipv6 (translate_out_ipv6_frags) &mut Packet = full_nat::outbound, true;
}
