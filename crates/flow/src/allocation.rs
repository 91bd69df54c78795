//! Free entries and free overflow lines.
//!
//! Both are kept as stacks threaded through the free lines themselves, above a mark up to which lines were ever used:
//! fresh memory stays untouched, and what was freed last, still cached, is used first. Their state is a header line
//! under a lock that is held for a few instructions.

use crate::{
    entry,
    layout::Layout,
    line::{Line, Memory},
    sync::{AtomicU32, Ordering, lock_taken, lock_to_release, spin_loop},
};

/// The stacks of a table.
pub(crate) struct Allocation<'t, M> {
    pub(crate) memory: &'t M,
    pub(crate) layout: Layout,
    pub(crate) header: &'t Line,
}

/// Words of a stack's state in the header line: the number of its top line plus one, and the mark.
struct Stack<'t> {
    top: &'t AtomicU32,
    mark: &'t AtomicU32,
}

impl<'t, M: Memory> Allocation<'t, M> {
    /// Takes an entry: its index and its line.
    pub(crate) fn take_entry(&self) -> Option<(u32, &'t Line)> {
        self.locked(|| {
            let index =
                self.take(self.entries(), self.layout.capacity, |n| self.entry(n).map(entry::free_link))?;
            self.used().store(self.len() + 1, Ordering::Relaxed);
            Some((index, self.entry(index)?))
        })
    }

    /// Gives an entry back. It must have been retired and no slot may point to it.
    pub(crate) fn give_entry(&self, index: u32) {
        self.locked(|| {
            self.used().store(self.len().saturating_sub(1), Ordering::Relaxed);
            if let Some(line) = self.entry(index) {
                give(self.entries(), index, entry::free_link(line));
            }
        });
    }

    /// Takes an overflow line, all zero: its number and the line.
    pub(crate) fn take_overflow(&self) -> Option<(u32, &'t Line)> {
        self.locked(|| {
            let count = self.layout.overflow_lines;
            let number = self.take(self.overflows(), count, |n| self.overflow(n).map(Line::control))?;
            let line = self.overflow(number)?;
            line.control().store(0, Ordering::Relaxed);
            Some((number, line))
        })
    }

    /// Gives an overflow line back. Its slots must be empty and no chain may lead to it.
    pub(crate) fn give_overflow(&self, number: u32) {
        self.locked(|| {
            if let Some(line) = self.overflow(number) {
                give(self.overflows(), number, line.control());
            }
        });
    }

    /// Runs this while nobody else does; not at all if somebody does.
    pub(crate) fn alone(&self, run: impl FnOnce()) {
        let lock = self.header.word::<6>();
        // Orderings as in `locked`.
        if lock.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            run();
            lock.store(0, Ordering::Release);
        }
    }

    /// Entries in use.
    pub(crate) fn len(&self) -> u32 {
        self.used().load(Ordering::Relaxed)
    }

    /// Entries with at least this index were never used.
    pub(crate) fn entry_mark(&self) -> u32 {
        self.entries().mark.load(Ordering::Relaxed)
    }

    fn take<'a>(
        &self,
        stack: Stack<'t>,
        count: u32,
        link: impl Fn(u32) -> Option<&'a AtomicU32>,
    ) -> Option<u32> {
        let top = stack.top.load(Ordering::Relaxed);
        if let Some(number) = top.checked_sub(1) {
            stack.top.store(link(number)?.load(Ordering::Relaxed), Ordering::Relaxed);
            return Some(number);
        }
        let mark = stack.mark.load(Ordering::Relaxed);
        if mark >= count {
            return None;
        }
        stack.mark.store(mark + 1, Ordering::Relaxed);
        Some(mark)
    }

    fn locked<R>(&self, run: impl FnOnce() -> R) -> R {
        let lock = self.header.word::<0>();
        // Acquire: we see what the former holder did; its Release below is the other half.
        while lock.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
            spin_loop();
        }
        lock_taken();
        let result = run();
        lock_to_release();
        lock.store(0, Ordering::Release);
        result
    }

    fn entry(&self, index: u32) -> Option<&'t Line> {
        self.memory.line(self.layout.entries_start() + index)
    }

    fn overflow(&self, number: u32) -> Option<&'t Line> {
        self.memory.line(self.layout.overflow_start() + number)
    }

    fn entries(&self) -> Stack<'t> {
        Stack { top: self.header.word::<1>(), mark: self.header.word::<2>() }
    }

    fn overflows(&self) -> Stack<'t> {
        Stack { top: self.header.word::<3>(), mark: self.header.word::<4>() }
    }

    fn used(&self) -> &'t AtomicU32 {
        self.header.word::<5>()
    }
}

fn give(stack: Stack<'_>, number: u32, link: &AtomicU32) {
    link.store(stack.top.load(Ordering::Relaxed), Ordering::Relaxed);
    stack.top.store(number + 1, Ordering::Relaxed);
}
