//! Sending a frame by an interface.

use aya_ebpf::{helpers::generated::bpf_redirect, macros::map, maps::DevMap};

use crate::context::Context;

/// Interfaces, by their index: the kernel finds one faster here than in its namespace. It takes out those that go.
#[map(name = "exits")]
static EXITS: DevMap = DevMap::with_max_entries(EXITS_LEN, 0);
const EXITS_LEN: u32 = 4096;

/// Sends the frame: the action.
#[inline(always)]
pub fn leave<C: Context>(interface: u32) -> u32 {
    if C::HAS_EXITS
        && let Ok(action) = EXITS.redirect(interface, 0)
    {
        return action;
    }
    // SAFETY: a plain helper call.
    unsafe { bpf_redirect(interface, 0) as u32 }
}
