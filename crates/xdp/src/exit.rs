//! Sending a frame by an interface. The functions that forward say by which one; each kind of program sends it in its way.

use aya_ebpf::{bindings::xdp_action, helpers::generated::bpf_redirect, macros::map, maps::DevMap};

use crate::transport::Packet;

/// Interfaces, by their index: the kernel finds one faster here than in its namespace. It takes out those that go.
#[map(name = "exits")]
pub static EXITS: DevMap = DevMap::with_max_entries(EXITS_LEN, 0);
/// The same for frames in several buffers: the kernel has a map for one of both, since entries may have programs.
#[map(name = "exits_frags")]
pub static EXITS_FRAGS: DevMap = DevMap::with_max_entries(EXITS_LEN, 0);
const EXITS_LEN: u32 = 4096;

/// In the place of an action, above the index of an interface: the frame is to leave by that.
pub const LEAVES: u32 = 1 << 31;
/// In the place of an action: the frame is to leave by the interface of `Packet::exit`, if that is in [`EXITS`] (`bulk.rs`).
pub const PUT_OFF: u32 = 0x80;

/// What becomes of a frame that needs nobody else.
pub enum Fate {
    /// It leaves by an interface.
    Leaves(u32),
    /// It leaves by an interface in [`EXITS`].
    PutOff(u32),
    /// An action of the program.
    Done(u32),
}

impl Fate {
    /// What an action says of the packet at hand.
    #[inline(always)]
    pub fn of(action: u32, packet: &Packet) -> Self {
        match action {
            action if action & LEAVES != 0 => Fate::Leaves(action & !LEAVES),
            PUT_OFF => Fate::PutOff(packet.exit),
            action => Fate::Done(action),
        }
    }

    /// The action of a program that sends by a map.
    #[inline(always)]
    pub fn action(self, exits: &DevMap) -> u32 {
        match self {
            Fate::Leaves(interface) => send(exits, interface),
            // Without an entry it would leave unseen: then the interface is gone.
            Fate::PutOff(interface) => exits.redirect(interface, 0).unwrap_or(xdp_action::XDP_DROP),
            Fate::Done(action) => action,
        }
    }
}

/// Sends the frame: the action.
#[inline(always)]
pub fn send(exits: &DevMap, interface: u32) -> u32 {
    exits.redirect(interface, 0).unwrap_or_else(|_| redirect(interface))
}

/// Sends the frame without a map: the action.
#[inline(always)]
pub fn redirect(interface: u32) -> u32 {
    // SAFETY: a plain helper call.
    unsafe { bpf_redirect(interface, 0) as u32 }
}
