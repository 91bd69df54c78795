//! A connection as a packet found it: in its entry, or by its record in the flow cache, which spares the wait for the entry.

use ipvs_flow::{
    Address, EntryIndex, EntryRef, Recalled, Status, Tick,
    steady::{TIMEOUTS, TIMEOUTS_NUMBER},
};

use crate::step::Step;

/// What a packet needs of its connection. Getters read word by word; [`Connection::is_current`] says whether it was one connection's.
pub trait Connection {
    /// Index of the destination.
    fn destination(&self) -> u32;
    /// The destination's port.
    fn destination_port(&self) -> u16;
    /// The address and the port that the client sends to.
    fn virtual_end(&self) -> (Address, u16);
    /// Flags, state and marks, as they are.
    fn status(&self) -> Status;
    /// The status, if the packet may go by it; if not, it is noted that the packet was handed over.
    fn settled_status(&self) -> Option<Status>;
    /// Whether its timeout is that which stands at a place of the timeouts.
    fn has_timeout(&self, place: usize, timeouts: &[u32; TIMEOUTS]) -> bool;
    /// Whether what was read before was one connection's.
    fn is_current(&self) -> bool;
    /// Takes a step. `None`: nothing was changed, the daemon must see to it. The last thing that may fail.
    fn take(&self, step: Step, index: EntryIndex, destination: u32, now: Tick) -> Option<()>;
    /// Counts a packet from the client.
    fn note_packet_in(&self);
    /// Whether one more can be counted.
    fn counts_on(&self) -> bool;
}

impl Connection for EntryRef<'_> {
    #[inline(always)]
    fn destination(&self) -> u32 {
        EntryRef::destination(self)
    }

    #[inline(always)]
    fn destination_port(&self) -> u16 {
        EntryRef::destination_port(self)
    }

    #[inline(always)]
    fn virtual_end(&self) -> (Address, u16) {
        EntryRef::virtual_end(self)
    }

    #[inline(always)]
    fn status(&self) -> Status {
        EntryRef::status(self)
    }

    #[inline(always)]
    fn settled_status(&self) -> Option<Status> {
        EntryRef::settled_status(self)
    }

    #[inline(always)]
    fn has_timeout(&self, place: usize, timeouts: &[u32; TIMEOUTS]) -> bool {
        timeouts[place & (TIMEOUTS - 1)] == self.timeout()
    }

    #[inline(always)]
    fn is_current(&self) -> bool {
        EntryRef::is_current(self)
    }

    #[inline(always)]
    fn take(&self, step: Step, index: EntryIndex, destination: u32, now: Tick) -> Option<()> {
        step.take(index, self, destination, now)
    }

    #[inline(always)]
    fn note_packet_in(&self) {
        EntryRef::note_packet_in(self);
    }

    #[inline(always)]
    fn counts_on(&self) -> bool {
        true
    }
}

impl Connection for Recalled<'_> {
    #[inline(always)]
    fn destination(&self) -> u32 {
        Recalled::destination(self)
    }

    #[inline(always)]
    fn destination_port(&self) -> u16 {
        Recalled::destination_port(self)
    }

    #[inline(always)]
    fn virtual_end(&self) -> (Address, u16) {
        Recalled::virtual_end(self)
    }

    #[inline(always)]
    fn status(&self) -> Status {
        Recalled::status(self)
    }

    #[inline(always)]
    fn settled_status(&self) -> Option<Status> {
        Some(Recalled::status(self))
    }

    #[inline(always)]
    fn has_timeout(&self, _: usize, timeouts: &[u32; TIMEOUTS]) -> bool {
        self.has_timeout_of(timeouts[TIMEOUTS_NUMBER])
    }

    #[inline(always)]
    fn is_current(&self) -> bool {
        Recalled::is_current(self)
    }

    #[inline(always)]
    fn take(&self, step: Step, _: EntryIndex, _: u32, now: Tick) -> Option<()> {
        // What changes something is not for records.
        if !step.stays() {
            return None;
        }
        self.touch(now);
        Some(())
    }

    #[inline(always)]
    fn note_packet_in(&self) {
        Recalled::note_packet_in(self);
    }

    #[inline(always)]
    fn counts_on(&self) -> bool {
        Recalled::counts_on(self)
    }
}
