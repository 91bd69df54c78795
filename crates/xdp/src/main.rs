//! The XDP program of ipvsd. A packet of a known connection is forwarded here, by the connection table that the daemon
//! writes. What else concerns a virtual service, or comes from a destination of
//! a masquerading service, goes to the daemon's AF_XDP socket of the receive queue; everything else goes to the host's
//! stack untouched. While there is more than the daemon can take, first segments of new connections are dropped.
//!
//! The program decides nothing that IPVS decides: a packet that it hands over needlessly is forwarded or given back by
//! the daemon.
//! Packets of which it cannot see the headers (truncated, more than two VLAN tags, long chains of IPv6 extension
//! headers) stay with the host.
#![no_std]
#![no_main]

mod birth;
mod bulk;
mod cache;
mod classify;
mod clock;
mod connection;
mod context;
mod encapsulate;
mod exit;
mod expected;
mod filter;
mod forward;
mod frags;
mod full_nat;
mod icmp;
mod ipv4;
mod ipv6;
mod leaving;
mod lookup;
mod maps;
mod packet;
mod parking;
mod rewrite;
mod route;
mod shared;
mod stages;
mod steady;
mod step;
mod sums;
mod tc;
mod transport;
mod vlan;
mod wrap;

use aya_ebpf::{
    bindings::xdp_action,
    macros::{classifier, xdp},
    maps::DevMap,
    programs::{TcContext, XdpContext},
};

use crate::classify::{HOST, JUDGED, classify};
use crate::exit::{EXITS, EXITS_FRAGS, Fate};
use crate::frags::Frags;
use crate::maps::{AWAITED_SHIFT, Counter, INTERFACES, SOCKETS, count};

/// For drivers and modes that deliver each frame in one buffer (native mode).
#[xdp]
pub fn ipvsd(context: XdpContext) -> u32 {
    run(&context, forward::forward(context.ctx), &EXITS)
}

/// The same for frames in several buffers (generic mode, large MTUs).
#[xdp(frags)]
pub fn ipvsd_frags(context: XdpContext) -> u32 {
    run(&context, forward::forward(context.ctx.cast::<Frags>()), &EXITS_FRAGS)
}

/// At the end of the way: for each of the frames that the kernel has collected for an interface.
#[xdp(map = "devmap")]
pub fn ipvsd_leaving(context: XdpContext) -> u32 {
    leaving::leave(context.ctx)
}

/// As a classifier (tc) at an interface.
#[classifier]
pub fn ipvsd_tc(context: TcContext) -> i32 {
    tc::receive(context.skb.skb)
}

/// At the TAP device by which the daemon sends to such an interface.
#[classifier]
pub fn ipvsd_tap(context: TcContext) -> i32 {
    tc::send(context.skb.skb)
}

/// On the way out of the namespace where packets wait.
#[classifier]
pub fn ipvsd_ticket(context: TcContext) -> i32 {
    parking::ticket(context.skb.skb)
}

/// Where packets come back that waited there.
#[classifier]
pub fn ipvsd_release(context: TcContext) -> i32 {
    parking::release(context.skb.skb)
}

#[inline(always)]
fn run(context: &XdpContext, fate: Option<Fate>, exits: &DevMap) -> u32 {
    if let Some(fate) = fate {
        return fate.action(exits);
    }
    match classify(context.ctx) {
        HOST => {
            count(Counter::Passed);
            return xdp_action::XDP_PASS;
        }
        JUDGED if !forward::wakes() && filter::sheds() => return xdp_action::XDP_DROP,
        _ => {}
    }
    let interface = context.ingress_ifindex() as u32;
    // SAFETY: the value is a plain u32, written by the daemon before the program is attached.
    let Some(known) = (unsafe { INTERFACES.get(interface) }) else {
        count(Counter::NoSocket);
        return xdp_action::XDP_PASS;
    };
    let (base, awaited) = (*known & (1 << AWAITED_SHIFT) - 1, *known >> AWAITED_SHIFT);
    let queue = context.rx_queue_index();
    // XDP_PASS when the queue never had a socket: the host then treats the packet as if ipvsd were not there. Where a daemon is
    // awaited the host must not see it, for it would refuse what belongs to a connection: it comes again.
    let without = if queue < awaited { xdp_action::XDP_DROP } else { xdp_action::XDP_PASS };
    let action = SOCKETS.redirect(base + queue, u64::from(without)).unwrap_or_else(|action| action);
    count(if action == xdp_action::XDP_REDIRECT { Counter::Redirected } else { Counter::NoSocket });
    action
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

/// The kernel lets only programs under a GPL-compatible licence call some helpers.
#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
pub static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
