//! The functions that a frame's way consists of, for each kind of program. Functions of their own: each has a stack of its own (all
//! stacks of a chain of calls share 512 bytes), and is verified without regard to how one came to it. Their names are not mangled, so that
//! the object does not depend on the folder that it is built in; hence no generic functions, which have no such names.

use aya_ebpf::bindings::{__sk_buff, xdp_action, xdp_md};
use ipvs_flow::EntryIndex;

use crate::context::Context;
use crate::transport::Packet;
use crate::{encapsulate, forward, full_nat, steady};

/// What forwards returns one of these actions; XDP_ABORTED, which the program never means, says that nothing was done: what a kind of
/// program lacks never does anything.
pub trait Stages: Context {
    /// Reads an IPv4 packet, and forwards it if that is all: see [`steady::forward`].
    fn steady_ipv4(this: *mut Self, packet: &mut Packet) -> u32;
    /// The same for IPv6.
    #[inline(always)]
    fn steady_ipv6(_: *mut Self, _: &mut Packet) -> u32 {
        steady::UNREAD
    }
    /// What [`steady::ELSEWHERE`] asks for: see [`steady::elsewhere`].
    fn elsewhere(this: *mut Self, packet: &mut Packet) -> u32;
    /// Forwards by tunneling what [`steady::BY_TUNNEL`] tells of: see [`encapsulate::recalled`].
    #[inline(always)]
    fn tunnel_recalled(_: *mut Self, _: &mut Packet) -> u32 {
        xdp_action::XDP_ABORTED
    }
    /// Forwards an IPv4 packet from the client of the connection in an entry.
    fn inbound_ipv4(this: *mut Self, packet: &Packet, index: u32, version: u32) -> u32;
    /// The same for IPv6.
    #[inline(always)]
    fn inbound_ipv6(_: *mut Self, _: &Packet, _: u32, _: u32) -> u32 {
        xdp_action::XDP_ABORTED
    }
    /// Forwards an IPv4 packet from the server of the connection in an entry.
    fn outbound_ipv4(this: *mut Self, packet: &Packet, index: u32, version: u32) -> u32;
    /// The same for IPv6.
    #[inline(always)]
    fn outbound_ipv6(_: *mut Self, _: &Packet, _: u32, _: u32) -> u32 {
        xdp_action::XDP_ABORTED
    }
    /// By tunneling.
    #[inline(always)]
    fn tunnel_ipv4(_: *mut Self, _: &Packet, _: u32, _: u32) -> u32 {
        xdp_action::XDP_ABORTED
    }
    /// The same for IPv6.
    #[inline(always)]
    fn tunnel_ipv6(_: *mut Self, _: &Packet, _: u32, _: u32) -> u32 {
        xdp_action::XDP_ABORTED
    }
    /// By full NAT: from the client.
    #[inline(always)]
    fn translate_in_ipv4(_: *mut Self, _: &Packet, _: u32, _: u32) -> u32 {
        xdp_action::XDP_ABORTED
    }
    /// The same for IPv6.
    #[inline(always)]
    fn translate_in_ipv6(_: *mut Self, _: &Packet, _: u32, _: u32) -> u32 {
        xdp_action::XDP_ABORTED
    }
    /// By full NAT: from the server of a reply entry.
    #[inline(always)]
    fn translate_out_ipv4(_: *mut Self, _: &mut Packet, _: u32, _: u32) -> u32 {
        xdp_action::XDP_ABORTED
    }
    /// The same for IPv6.
    #[inline(always)]
    fn translate_out_ipv6(_: *mut Self, _: &mut Packet, _: u32, _: u32) -> u32 {
        xdp_action::XDP_ABORTED
    }
}

/// Those of a kind of program, which the kernel knows by the name of its context's type.
macro_rules! stages {
    ($context:ident by $raw:ident: $($steady:ident ($steadies:ident) = $reads:expr,)+; $($stage:ident ($does:ident) $packet:ty = $module:ident::$way:ident, $of:literal;)+) => {
        $(
            #[unsafe(no_mangle)]
            #[inline(never)]
            extern "C" fn $steadies(context: *mut $raw, packet: &mut Packet) -> u32 {
                $reads(context.cast::<$context>(), packet)
            }
        )+
        $(
            #[unsafe(no_mangle)]
            #[inline(never)]
            extern "C" fn $does(context: *mut $raw, packet: $packet, index: u32, version: u32) -> u32 {
                $module::$way::<$context, $of>(context.cast(), packet, EntryIndex(index), version)
                    .unwrap_or(xdp_action::XDP_ABORTED)
            }
        )+

        impl Stages for $context {
            $(
                #[inline(always)]
                fn $steady(this: *mut Self, packet: &mut Packet) -> u32 {
                    $steadies(this.cast(), packet)
                }
            )+
            $(
                #[inline(always)]
                fn $stage(this: *mut Self, packet: $packet, index: u32, version: u32) -> u32 {
                    $does(this.cast(), packet, index, version)
                }
            )+
        }
    };
}

#[allow(unused_imports, reason = "the bench's object has no program for frames on their way out")]
pub(crate) use stages;

stages! { xdp_md by xdp_md:
    steady_ipv4 (steady_ipv4) = steady::forward::<xdp_md, false>, steady_ipv6 (steady_ipv6) = steady::forward::<xdp_md, true>,
    elsewhere (elsewhere) = steady::elsewhere::<xdp_md>, tunnel_recalled (tunnel_recalled) = encapsulate::recalled::<xdp_md>,;
    inbound_ipv4 (inbound_ipv4) &Packet = forward::inbound, false;
    inbound_ipv6 (inbound_ipv6) &Packet = forward::inbound, true;
    outbound_ipv4 (outbound_ipv4) &Packet = forward::outbound, false;
    outbound_ipv6 (outbound_ipv6) &Packet = forward::outbound, true;
    tunnel_ipv4 (tunnel_ipv4) &Packet = encapsulate::inbound, false;
    tunnel_ipv6 (tunnel_ipv6) &Packet = encapsulate::inbound, true;
    translate_in_ipv4 (translate_in_ipv4) &Packet = full_nat::inbound, false;
    translate_in_ipv6 (translate_in_ipv6) &Packet = full_nat::inbound, true;
    translate_out_ipv4 (translate_out_ipv4) &mut Packet = full_nat::outbound, false;
    translate_out_ipv6 (translate_out_ipv6) &mut Packet = full_nat::outbound, true;
}

stages! { __sk_buff by __sk_buff:
    steady_ipv4 (steady_ipv4_tc) = steady::forward::<__sk_buff, false>,
    steady_ipv6 (steady_ipv6_tc) = steady::forward::<__sk_buff, true>,
    elsewhere (elsewhere_tc) = steady::elsewhere::<__sk_buff>,
    tunnel_recalled (tunnel_recalled_tc) = encapsulate::recalled::<__sk_buff>,;
    inbound_ipv4 (inbound_ipv4_tc) &Packet = forward::inbound, false;
    inbound_ipv6 (inbound_ipv6_tc) &Packet = forward::inbound, true;
    outbound_ipv4 (outbound_ipv4_tc) &Packet = forward::outbound, false;
    outbound_ipv6 (outbound_ipv6_tc) &Packet = forward::outbound, true;
    tunnel_ipv4 (tunnel_ipv4_tc) &Packet = encapsulate::inbound, false;
    tunnel_ipv6 (tunnel_ipv6_tc) &Packet = encapsulate::inbound, true;
    translate_in_ipv4 (translate_in_ipv4_tc) &Packet = full_nat::inbound, false;
    translate_in_ipv6 (translate_in_ipv6_tc) &Packet = full_nat::inbound, true;
    translate_out_ipv4 (translate_out_ipv4_tc) &mut Packet = full_nat::outbound, false;
    translate_out_ipv6 (translate_out_ipv6_tc) &mut Packet = full_nat::outbound, true;
}
