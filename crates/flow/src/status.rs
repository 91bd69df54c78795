//! Word 10 of an entry: flags, state and marks of a connection, and how two programs move it from state to state.
//!
//! The daemon and the XDP program may have packets of one connection at the same time. Each change is one
//! compare-exchange of the word, so none is lost, and who made it counts the destination's connections anew
//! ([`crate::Load`]). Three bits tell apart the connections that an entry holds one after the other: a change that is late
//! does not meet the next one. A connection is closed ([`Change::close`]) before it is removed.
//!
//! | bits | content |
//! |---|---|
//! | 0–15 | flags, see [`crate::flag`]; but bit 6: cached, the flow cache may have a record of the connection |
//! | 16–22 | state |
//! | 23 | handed: a packet went to the daemon because of the mark, since [`Change::settle`] last looked |
//! | 24–27 | mark: 0, or packets that changed the connection may still be on their way out |
//! | 28 | guarded: changes of state have more effects than those here |
//! | 29–31 | the low bits of the entry's version when the connection began |

use crate::{
    Change, EntryRef, Memory,
    flag::INACTIVE,
    sync::{AtomicU32, Ordering, load_contended, load_traced},
};

/// No flag of [`crate::flag`] has that bit.
const CACHED: u32 = 1 << 6;
const FLAGS: u32 = 0xffff & !CACHED;
const STATE_SHIFT: u32 = 16;
const STATE: u32 = 0x7f << STATE_SHIFT;
const HANDED: u32 = 1 << 23;
const MARK_SHIFT: u32 = 24;
const MARK: u32 = 0xf << MARK_SHIFT;
const GUARDED: u32 = 1 << 28;
const GENERATION_SHIFT: u32 = 29;

/// Tries of [`EntryRef::settled_status`] while others change the status.
const TRIES: u32 = 3;

/// Rounds of [`EntryRef::follow_state`] in the XDP program: one, and one for each change that comes between.
const ROUNDS: u32 = 3;

/// Flags, state and marks of a connection, read together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(u32);

/// A change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The state before.
    pub from: u8,
    /// The state now.
    pub to: u8,
    /// The connection became active, or inactive: to be counted at its destination.
    pub activity: Option<bool>,
}

/// Where a state lies in the word. States are below 128.
#[inline(always)]
const fn bits_of(state: u8) -> u32 {
    ((state as u32) << STATE_SHIFT) & STATE
}

impl Status {
    /// Greatest mark that [`Change::set_unsettled`] takes.
    pub const GREATEST_MARK: u8 = 0xf;

    /// The status of a new connection, which begins when the entry's version is `version`.
    pub(crate) const fn new(flags: u16, state: u8, version: u32) -> Self {
        Self(flags as u32 & FLAGS | bits_of(state) | (version >> 1) << GENERATION_SHIFT)
    }

    pub(crate) const fn word(self) -> u32 {
        self.0
    }

    /// The flags.
    #[inline(always)]
    pub const fn flags(self) -> u16 {
        (self.0 & FLAGS) as u16
    }

    /// Whether the flow cache may have a record of the connection: who changes the connection calls [`crate::Table::forget`].
    #[inline(always)]
    pub const fn is_cached(self) -> bool {
        self.0 & CACHED != 0
    }

    /// The state.
    #[inline(always)]
    pub const fn state(self) -> u8 {
        ((self.0 & STATE) >> STATE_SHIFT) as u8
    }

    /// Not 0 while a packet that changed the connection may still be on its way out: later ones must not overtake it.
    #[inline(always)]
    pub const fn unsettled(self) -> u8 {
        ((self.0 & MARK) >> MARK_SHIFT) as u8
    }

    /// Whether the connection is unsettled for no more than some turns of the daemon.
    #[inline(always)]
    const fn is_settling(self) -> bool {
        !matches!(self.unsettled(), 0 | Self::GREATEST_MARK)
    }

    /// Whether only the daemon may change the state.
    #[inline(always)]
    pub const fn is_guarded(self) -> bool {
        self.0 & GUARDED != 0
    }

    /// The status after a change to state `to`, and the change.
    #[inline(always)]
    const fn moved(self, to: u8, active: bool) -> (Self, Moved) {
        let from = self.state();
        let mut word = self.0 & !STATE | bits_of(to);
        let mut activity = None;
        if from != to && active == (self.flags() & INACTIVE != 0) {
            word ^= INACTIVE as u32;
            activity = Some(active);
        }
        (Self(word), Moved { from, to, activity })
    }
}

impl EntryRef<'_> {
    /// Flags, state and marks.
    #[inline(always)]
    pub fn status(&self) -> Status {
        Status(load_traced(self.status_word(), Ordering::Relaxed))
    }

    /// Moves the connection to state `to` if its status is still `seen`.
    #[inline(always)]
    pub fn try_advance(&self, seen: Status, to: u8, active: bool) -> Option<Moved> {
        let (new, moved) = seen.moved(to, active);
        if new == seen {
            return Some(moved);
        }
        let word = self.status_word();
        // SeqCst: see `follow_state`.
        word.compare_exchange(seen.0, new.0, Ordering::SeqCst, Ordering::Relaxed).is_ok().then_some(moved)
    }

    /// Gives the connection, which was moved to `state`, the timeout of that state, or of the one that it has meanwhile come to.
    /// Whether its end may come nearer by that.
    ///
    /// Both programs call it after each change. The change, the exchange of the timeout and the second look at the state are
    /// in one order that both agree on (SeqCst): who stores the timeout of a state that was left sees that it was left.
    #[inline(always)]
    pub fn follow_state(&self, state: u8, timeout_of: impl Fn(u8) -> u32) -> bool {
        let (mut state, mut shorter) = (state, false);
        for _ in 0..ROUNDS {
            shorter |= self.exchange_timeout(timeout_of(state));
            let now = Status(self.status_word().load(Ordering::SeqCst)).state();
            if now == state {
                break;
            }
            state = now;
        }
        shorter
    }

    /// Sets the timeout, in ticks; whether that is shorter than the one before.
    #[inline(always)]
    fn exchange_timeout(&self, timeout: u32) -> bool {
        let word = self.timeout_word();
        // The cache line stays shared between the processors that only read it.
        if word.load(Ordering::SeqCst) == timeout {
            return false;
        }
        timeout < word.swap(timeout, Ordering::SeqCst)
    }

    /// For the XDP program: the status, if the packet at hand may go by it. `None`: the packet goes to the daemon, before which the
    /// connection does not settle.
    #[inline(always)]
    pub fn settled_status(&self) -> Option<Status> {
        for _ in 0..TRIES {
            let seen = self.status();
            if !seen.is_settling() {
                return Some(seen);
            }
            let word = self.status_word();
            let handed = seen.0 | HANDED;
            if word.compare_exchange(seen.0, handed, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                return None;
            }
        }
        None
    }

    /// Marks the connection as cached, if its status is still `seen`; the status from then on.
    #[inline(always)]
    pub(crate) fn set_cached(&self, seen: Status) -> Option<Status> {
        let marked = Status(seen.0 | CACHED);
        if marked != seen {
            let word = self.status_word();
            // SeqCst: before the second look at the connection, see `cache`.
            word.compare_exchange(seen.0, marked.0, Ordering::SeqCst, Ordering::Relaxed).ok()?;
        }
        Some(marked)
    }

    /// Sets the bits of `mask`, so that nobody's change of the others is lost.
    fn set_status_bits(&self, mask: u32, bits: u32) {
        let word: &AtomicU32 = self.status_word();
        let bits = bits & mask;
        let mut old = word.load(Ordering::Relaxed);
        while old & mask != bits {
            let new = old & !mask | bits;
            match word.compare_exchange_weak(old, new, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(current) => old = current,
            }
        }
    }
}

impl<M: Memory> Change<'_, M> {
    /// Moves the connection to the state that `next` says follows its present one; with it comes whether the connection is
    /// active then.
    #[inline]
    pub fn advance(&self, next: impl Fn(u8) -> (u8, bool)) -> Moved {
        loop {
            let seen = Status(load_contended(self.status_word()));
            let (to, active) = next(seen.state());
            if let Some(moved) = self.try_advance(seen, to, active) {
                return moved;
            }
        }
    }

    /// Ends all changes of state by others, before the connection is removed. Returns its flags.
    pub fn close(&self) -> u16 {
        Status(self.status_word().fetch_or(MARK, Ordering::Relaxed)).flags()
    }

    /// Sets what [`Status::unsettled`] tells, up to [`Status::GREATEST_MARK`].
    pub fn set_unsettled(&self, mark: u8) {
        self.set_status_bits(MARK, u32::from(mark) << MARK_SHIFT);
    }

    /// Takes the mark off, unless the program handed a packet over since this was last called: that one may still wait in a
    /// queue, and would be overtaken. Whether the mark is off.
    pub fn settle(&self) -> bool {
        let word: &AtomicU32 = self.status_word();
        let mut old = word.load(Ordering::Relaxed);
        loop {
            let waits = old & HANDED != 0;
            let new = if waits { old & !HANDED } else { old & !MARK };
            match word.compare_exchange_weak(old, new, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return !waits,
                Err(current) => old = current,
            }
        }
    }

    /// Leaves changes of the connection's state to the daemon.
    pub fn guard(&self) {
        self.set_status_bits(GUARDED, GUARDED);
    }

    /// Sets the state, a number below 128.
    pub fn set_state(&self, state: u8) {
        self.set_status_bits(STATE, bits_of(state));
    }

    /// Sets the flags.
    pub fn set_flags(&self, flags: u16) {
        self.set_status_bits(FLAGS, u32::from(flags));
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::{Address, HeapTable, Key, NewConnection, Tick};

    fn new() -> NewConnection {
        let address = Address::from([192, 0, 2, 1]);
        let key = Key {
            ipv6: false,
            template: false,
            protocol: 6,
            client: address,
            client_port: 1,
            virtual_address: address,
            virtual_port: 2,
        };
        NewConnection { key, destination: 3, destination_port: 4, flags: INACTIVE, state: 0, timeout: 100 }
    }

    #[test]
    fn a_change_is_counted_once_and_marks_stay() {
        let table = HeapTable::allocate(1, [1, 2]).unwrap();
        let entry = table.change(table.insert(&new(), Tick(0)).unwrap()).unwrap();
        entry.set_unsettled(Status::GREATEST_MARK);
        entry.guard();
        let moved = entry.advance(|state| (state + 1, true));
        assert_eq!(moved, Moved { from: 0, to: 1, activity: Some(true) });
        assert_eq!(entry.advance(|_| (1, false)).activity, None, "the state stays, and so do the counts");
        assert_eq!(entry.advance(|_| (7, true)).activity, None);
        assert_eq!(entry.advance(|_| (2, false)).activity, Some(false));
        let status = entry.status();
        assert_eq!((status.flags(), status.state(), status.unsettled()), (INACTIVE, 2, 15));
        assert!(status.is_guarded());
    }

    #[test]
    fn a_late_change_does_not_meet_the_next_connection() {
        let table = HeapTable::allocate(1, [1, 2]).unwrap();
        let index = table.insert(&new(), Tick(0)).unwrap();
        let (first, seen) = (table.change(index).unwrap(), table.entry(index).unwrap().status());
        assert_eq!(first.close(), INACTIVE);
        assert_eq!(first.try_advance(seen, 1, true), None, "it is closed");
        for _ in 0..7 {
            assert!(table.remove(index));
            table.insert(&new(), Tick(0)).unwrap();
            assert_eq!(first.try_advance(seen, 1, true), None);
        }
    }

    #[test]
    fn what_was_handed_over_is_waited_for_once() {
        let table = HeapTable::allocate(1, [1, 2]).unwrap();
        let entry = table.change(table.insert(&new(), Tick(0)).unwrap()).unwrap();
        let settled = || entry.settled_status().map(|status| (status.flags(), status.state()));
        entry.set_state(0x7f);
        assert_eq!(settled(), Some((INACTIVE, 0x7f)));
        entry.set_unsettled(3);
        assert_eq!(settled(), None);
        assert_eq!((entry.status().state(), entry.status().unsettled()), (0x7f, 3));
        assert!(!entry.settle() && entry.status().unsettled() == 3, "it may still be on its way");
        assert!(entry.settle());
        assert_eq!(settled(), Some((INACTIVE, 0x7f)));
        // One that stays with the daemon is not waited for.
        entry.set_unsettled(Status::GREATEST_MARK);
        assert!(entry.settled_status().is_some() && entry.settle());
    }

    #[test]
    fn a_shorter_timeout_is_told() {
        let table = HeapTable::allocate(1, [1, 2]).unwrap();
        let entry = table.entry(table.insert(&new(), Tick(0)).unwrap()).unwrap();
        assert!(!entry.follow_state(0, |_| 100) && !entry.follow_state(0, |_| 200));
        assert!(entry.follow_state(0, |_| 199));
        // Of the state that it has: 0.
        entry.follow_state(5, |state| if state == 0 { 10 } else { 20 });
        assert_eq!(entry.timeout(), 10);
    }
}
