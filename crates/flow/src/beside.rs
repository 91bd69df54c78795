//! One word more per entry, behind the table: for who owns the table, of no concern to lookups.

use crate::{
    EntryIndex, Table,
    line::{Memory, WORDS},
    sync::{AtomicU32, Ordering},
};

impl<M: Memory> Table<M> {
    /// The word beside an entry, 0 at first; `None` if the memory is not as long as
    /// [`crate::Layout::lines_with_words_beside`] says.
    pub fn beside(&self, index: EntryIndex) -> Option<u32> {
        self.word_beside(index).map(|word| word.load(Ordering::Relaxed))
    }

    /// Sets the word beside an entry.
    pub fn set_beside(&self, index: EntryIndex, value: u32) {
        if let Some(word) = self.word_beside(index) {
            word.store(value, Ordering::Relaxed);
        }
    }

    fn word_beside(&self, index: EntryIndex) -> Option<&AtomicU32> {
        if index.0 >= self.layout().capacity {
            return None;
        }
        let per_line = WORDS as u32;
        self.memory().line(self.layout().lines() + index.0 / per_line)?.get(index.0 % per_line)
    }
}
