//! What a packet does to its connection's state and timeout: by the same tables and in the same memory as the daemon.

use ipvs_flow::{
    EntryIndex, EntryRef, Load, Status, Tick,
    event::shortened,
    steady::{self, TIMEOUTS, is_active_tcp},
    tcp::Direction,
};
use ipvs_wire::protocol;

use crate::cache;
use crate::connection::Connection;
use crate::shared::{events, load, timeout, timeouts};
use crate::transport::Headers;

/// What a packet does to its connection.
#[derive(Clone, Copy)]
pub struct Step {
    /// The status of which that was found.
    seen: Status,
    /// The state that follows.
    to: u8,
    /// Whether state or timeout change.
    changes: bool,
}

impl Step {
    /// What `packet` does to the connection; `None` if the daemon must see to it.
    #[inline(always)]
    pub fn of(
        packet: &Headers,
        connection: &impl Connection,
        seen: Status,
        direction: Direction,
    ) -> Option<Self> {
        let segment = if packet.protocol == protocol::TCP { Some(packet.flags) } else { None };
        // Looked up once.
        let timeouts = timeouts()?;
        let timeout = |place: usize| timeouts.get(place & (TIMEOUTS - 1)).copied();
        let has_timeout = |place| connection.has_timeout(place, timeouts);
        let (to, changes) = steady::step(segment, seen, direction, timeout, has_timeout)?;
        Some(Self { seen, to, changes })
    }

    /// Whether the state stays as it is.
    #[inline(always)]
    pub fn stays(&self) -> bool {
        !self.changes
    }

    /// Takes the step. `None`: nothing was changed, the daemon must see to it. The last thing that may fail.
    #[inline(always)]
    pub fn take(self, index: EntryIndex, entry: &EntryRef<'_>, destination: u32, now: Tick) -> Option<()> {
        if self.changes {
            let (events, line) = (events(), load(destination)?);
            // A daemon that was told much and looked at nothing: the packet wakes it.
            if events.wakes_reader() || events.is_full() {
                return None;
            }
            let moved = entry.try_advance(self.seen, self.to, is_active_tcp(self.to))?;
            match moved.activity {
                Some(true) => Load::of(line).activate(),
                Some(false) => Load::of(line).deactivate(),
                None => {}
            }
            let shorter =
                entry.follow_state(self.to, |state| timeout(usize::from(state)).unwrap_or_default());
            entry.touch_late(now);
            // Whether it may be there is looked at behind the call: the verifier would follow both ways to the end.
            cache::forget(index, entry.version());
            if shorter {
                events.push(shortened(index.0));
            }
        } else {
            entry.touch_late(now);
        }
        Some(())
    }
}
