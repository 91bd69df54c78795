//! Splitting hash lines as connections become more (`directory.rs`): under its lock and that of the new line the slots that belong there
//! are copied, then the directory's word tells of the new line, then the copies left behind are taken out.

use core::iter::successors;

use crate::{
    Key, Memory, Table,
    chain::Chain,
    directory::{Directory, word},
    layout::{HEADER_LINES, Layout},
    line::{Line, SLOTS},
    sync::{AtomicU32, Ordering, fence, load_own, load_traced},
};

/// Lines that are split for a connection that comes in. With four the lines are twice as many before the connections are a
/// tenth more.
const PACE: u32 = 4;

impl<M: Memory> Table<M> {
    /// Splits some lines, if the connections have become so many.
    pub(crate) fn keep_up(&self) {
        let connections = self.len();
        self.grow(PACE, |directory, layout| directory.wants_more(connections, layout));
    }

    /// Makes the directory as large as so many connections need it, at once rather than while they come in.
    pub fn make_room_for(&self, connections: u32) {
        self.grow(u32::MAX, |directory, layout| directory.wants_more(connections, layout));
    }

    fn grow(&self, most: u32, wanted: impl Fn(Directory, Layout) -> bool) {
        let (Some(header), Some(allocation)) = (self.memory().line(0), self.allocation()) else { return };
        let word = word(header);
        if !wanted(Directory::from_word(load_traced(word, Ordering::Relaxed)), self.layout()) {
            return;
        }
        allocation.alone(|| {
            for number in 0..most {
                let directory = Directory::from_word(load_own(word));
                if !wanted(directory, self.layout()) {
                    return;
                }
                if number % PACE == 0 && !cfg!(loom) {
                    self.look_ahead(directory);
                }
                if !self.split(directory, word) {
                    return;
                }
            }
        });
    }

    /// Reads the entries of the lines that are split next, which no cache may hold, so that they are waited for together.
    fn look_ahead(&self, directory: Directory) {
        let directories = successors(Some(directory), |last| Some(last.grown())).take(PACE as usize);
        let number = |it: Directory| HEADER_LINES + it.next();
        for chain in directories.filter_map(|it| Chain::at(self.memory(), self.layout(), number(it))) {
            let slots = chain.lines().next().into_iter().flat_map(Line::slots);
            // The loads are Acquire: no compiler leaves them out.
            for slot in slots {
                let _ = chain.entry_of(slot.load(Ordering::Relaxed));
            }
        }
    }

    /// Splits the next line. `false`: there is no overflow line for it.
    fn split(&self, directory: Directory, word: &AtomicU32) -> bool {
        let chain = |number| Chain::at(self.memory(), self.layout(), HEADER_LINES + number);
        let (Some(from), Some(to)) = (chain(directory.next()), chain(directory.lines)) else { return false };
        // In the order of their numbers, as all who lock two lines.
        from.lock();
        to.lock();
        let grown = directory.grown();
        let goes = |key: &Key| grown.line_of(self.hash(key) as u32) == directory.lines;
        let tell = || {
            from.count_move();
            to.count_move();
            // Release: who goes to the new line sees its slots.
            word.store(grown.to_word(), Ordering::Release);
        };
        let split = match (only_line(&from), only_line(&to)) {
            (Some(old), Some(new)) => {
                divide(&from, (old, new), goes, tell);
                true
            }
            _ => self.divide_chain(&from, &to, goes, tell),
        };
        if split && self.has_cache() {
            // The other fence is in `cache/remember.rs`.
            fence(Ordering::SeqCst);
            let is_cached = |slot| to.entry_of(slot).is_some_and(|entry| entry.status().is_cached());
            if to.slots().any(is_cached) {
                self.empty_buckets(directory.next());
            }
        }
        to.unlock();
        from.unlock();
        split
    }

    /// Moves the slots of those connections that `goes` says to a new chain, of which `tell` tells. `false`: there is no overflow line
    /// for it.
    fn divide_chain(
        &self,
        from: &Chain<'_, M>,
        to: &Chain<'_, M>,
        goes: impl Fn(&Key) -> bool,
        tell: impl FnOnce(),
    ) -> bool {
        let copied = self.copy(from, to, goes);
        if copied {
            tell();
            to.slots().for_each(|slot| self.take_out_slot(from, slot));
        } else {
            while let Some(slot) = to.slots().next() {
                self.take_out_slot(to, slot);
            }
        }
        copied
    }

    /// Copies the slots of those connections that `goes` says. `false`: not all, an overflow line is missing.
    fn copy(&self, from: &Chain<'_, M>, to: &Chain<'_, M>, goes: impl Fn(&Key) -> bool) -> bool {
        from.lines().all(|line| {
            let slots = line.slots().iter().zip(chosen(from, line, &goes));
            slots.filter(|(_, goes)| *goes).all(|(slot, _)| self.append(to, slot.load(Ordering::Relaxed)))
        })
    }
}

/// The line of a chain that has no other. Needs the lock.
fn only_line<'t, M: Memory>(chain: &Chain<'t, M>) -> Option<&'t Line> {
    let mut lines = chain.lines();
    let first = lines.next()?;
    lines.next().is_none().then_some(first)
}

/// Which slots of a line are of connections that `goes` says. Asked of all before anything is done: so the entries, which no cache may
/// hold, are waited for together.
fn chosen<M: Memory>(chain: &Chain<'_, M>, line: &Line, goes: impl Fn(&Key) -> bool) -> [bool; SLOTS] {
    let mut chosen = [false; SLOTS];
    for (slot, chosen) in line.slots().iter().zip(&mut chosen) {
        let entry = chain.entry_of(slot.load(Ordering::Relaxed));
        *chosen = entry.is_some_and(|entry| goes(&entry.key()));
    }
    chosen
}

/// As [`Table::divide_chain`], from a chain's only line to a line that is empty, which nearly all are: those that stay close up in one
/// pass, in their order.
fn divide<M: Memory>(
    from: &Chain<'_, M>,
    (old, new): (&Line, &Line),
    goes: impl Fn(&Key) -> bool,
    tell: impl FnOnce(),
) {
    let chosen = chosen(from, old, goes);
    let mut staying = [0; SLOTS];
    let (mut to, mut stay) = (new.slots().iter(), staying.iter_mut());
    for (slot, goes) in old.slots().iter().zip(chosen) {
        let slot = slot.load(Ordering::Relaxed);
        if slot == 0 {
            break;
        }
        if !goes {
            stay.next().into_iter().for_each(|place| *place = slot);
        } else if let Some(place) = to.next() {
            // Release: who sees the slot sees the entry that it points to.
            place.store(slot, Ordering::Release);
        }
    }
    tell();
    for (slot, stays) in old.slots().iter().zip(staying) {
        if slot.load(Ordering::Relaxed) != stays {
            slot.store(stays, Ordering::Release);
        }
    }
}
