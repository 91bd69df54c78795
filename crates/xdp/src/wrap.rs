//! Making a frame larger for the headers of a tunnel: where a frame is bytes, by more of them at its front; where it is the host's packet,
//! the host is told what they are, so that it can be cut into segments behind them.

use aya_ebpf::{
    bindings::{
        __sk_buff, BPF_F_ADJ_ROOM_ENCAP_L3_IPV4, BPF_F_ADJ_ROOM_ENCAP_L3_IPV6, BPF_F_ADJ_ROOM_ENCAP_L4_GRE,
        BPF_F_ADJ_ROOM_ENCAP_L4_UDP, BPF_F_ADJ_ROOM_FIXED_GSO, bpf_adj_room_mode::BPF_ADJ_ROOM_MAC, xdp_md,
    },
    helpers::generated::{
        bpf_skb_adjust_room, bpf_skb_change_tail, bpf_xdp_adjust_head, bpf_xdp_adjust_tail,
    },
};
use ipvs_flow::way::Tunnel;
use ipvs_wire::tunnel::Encapsulation;

use crate::context::Context;

/// Pointers into the frame must be made anew behind each of these.
pub trait Wrap: Context {
    /// Whether the room can be given back; if not, it is made last.
    const GIVES_BACK: bool;

    /// Makes room for a tunnel's headers ahead of the IP header, behind the Ethernet header, which is written anew. `false`: nothing was
    /// done.
    fn grow(this: *mut Self, tunnel: &Tunnel) -> bool;
    /// Gives that room back. `false`: it could not be.
    fn give_back(this: *mut Self, tunnel: &Tunnel) -> bool;
    /// Takes bytes from its end; whether they are gone.
    fn trim(this: *mut Self, bytes: u32) -> bool;
}

/// Length of a tunnel's headers.
#[inline(always)]
pub fn overhead(tunnel: &Tunnel) -> usize {
    tunnel.encapsulation.overhead(tunnel.ipv6)
}

impl Wrap for xdp_md {
    // The driver may have left too little, so it is asked first.
    const GIVES_BACK: bool = true;

    #[inline(always)]
    fn grow(this: *mut Self, tunnel: &Tunnel) -> bool {
        // SAFETY: a plain helper call.
        unsafe { bpf_xdp_adjust_head(this, -(overhead(tunnel) as i32)) == 0 }
    }

    #[inline(always)]
    fn give_back(this: *mut Self, tunnel: &Tunnel) -> bool {
        // SAFETY: a plain helper call.
        unsafe { bpf_xdp_adjust_head(this, overhead(tunnel) as i32) == 0 }
    }

    #[inline(always)]
    fn trim(this: *mut Self, bytes: u32) -> bool {
        // SAFETY: a plain helper call.
        bytes == 0 || unsafe { bpf_xdp_adjust_tail(this, -(bytes as i32)) == 0 }
    }
}

impl Wrap for __sk_buff {
    const GIVES_BACK: bool = false;

    #[inline(always)]
    fn grow(this: *mut Self, tunnel: &Tunnel) -> bool {
        let network = if tunnel.ipv6 { BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 } else { BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 };
        let transport = match tunnel.encapsulation {
            Encapsulation::Ipip => 0,
            Encapsulation::Gue { .. } => BPF_F_ADJ_ROOM_ENCAP_L4_UDP,
            Encapsulation::Gre { .. } => BPF_F_ADJ_ROOM_ENCAP_L4_GRE,
        };
        // Segments stay as long as they are: they were found to fit.
        let flags = u64::from(network | transport | BPF_F_ADJ_ROOM_FIXED_GSO);
        // SAFETY: a plain helper call.
        unsafe { bpf_skb_adjust_room(this, overhead(tunnel) as i32, BPF_ADJ_ROOM_MAC, flags) == 0 }
    }

    #[inline(always)]
    fn give_back(_: *mut Self, _: &Tunnel) -> bool {
        false
    }

    #[inline(always)]
    fn trim(this: *mut Self, bytes: u32) -> bool {
        // The kernel refuses this of a packet with a tunnel around it.
        let length = Self::length(this) as u32 - bytes;
        // SAFETY: a plain helper call.
        bytes == 0 || unsafe { bpf_skb_change_tail(this, length, 0) == 0 }
    }
}

/// The methods of a frame that is the XDP program's in another role.
#[allow(unused_macros, reason = "the bench's object has but one role")]
macro_rules! wraps_as_xdp_program {
    () => {
        const GIVES_BACK: bool = true;

        #[inline(always)]
        fn grow(this: *mut Self, tunnel: &ipvs_flow::way::Tunnel) -> bool {
            xdp_md::grow(this.cast(), tunnel)
        }

        #[inline(always)]
        fn give_back(this: *mut Self, tunnel: &ipvs_flow::way::Tunnel) -> bool {
            xdp_md::give_back(this.cast(), tunnel)
        }

        #[inline(always)]
        fn trim(this: *mut Self, bytes: u32) -> bool {
            xdp_md::trim(this.cast(), bytes)
        }
    };
}

#[allow(unused_imports, reason = "the bench's object has but one role")]
pub(crate) use wraps_as_xdp_program;
