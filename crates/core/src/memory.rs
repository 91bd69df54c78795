//! Where the connection table lies.

use core::fmt;
use core::ops::Deref;

use ipvs_flow::{Layout, Line, Memory, MemoryError, Table};

use crate::explain::Copies;

/// Memory for the connection table: the heap, or what is shared with a forwarder beside the director.
pub enum TableMemory {
    /// On the heap.
    Heap(Box<[Line]>),
    /// Mapped from elsewhere for the life of the process; otherwise as `Shared`. Each packet asks for a dozen lines: here that
    /// costs no call.
    Mapped(&'static [Line]),
    /// Mapped from elsewhere; all zero for a new table. As many lines as [`Layout::lines_with_words_beside`] says.
    Shared(Box<dyn AsRef<[Line]> + Send + Sync>),
}

/// The connection table of a director.
pub(crate) type ConnectionTable = Table<Lines>;

/// The lines of a director's connection table.
#[derive(Debug)]
pub(crate) enum Lines {
    /// Themselves.
    Real(TableMemory),
    /// Copies, in a trial.
    Trial(Box<Copies>),
}

#[cfg(test)]
impl Lines {
    /// The memory, of a director that is gone.
    pub(crate) fn into_real(self) -> TableMemory {
        match self {
            Self::Real(memory) => memory,
            Self::Trial(copies) => copies.into_original(),
        }
    }
}

impl Memory for Lines {
    #[inline(always)]
    fn line(&self, number: u32) -> Option<&Line> {
        let lines: &[Line] = match self {
            Self::Real(TableMemory::Heap(lines)) => lines,
            Self::Real(TableMemory::Mapped(lines)) => lines,
            Self::Real(TableMemory::Shared(_)) | Self::Trial(_) => return self.ask_for(number),
        };
        lines.get(number as usize)
    }
}

impl Lines {
    /// In a function of its own: that is rare, and the way of all packets stays short.
    #[cold]
    #[inline(never)]
    fn ask_for(&self, number: u32) -> Option<&Line> {
        match self {
            Self::Real(memory) => memory.get(number as usize),
            Self::Trial(copies) => copies.line(number as usize),
        }
    }
}

impl TableMemory {
    /// Heap memory for a table of `capacity` connections.
    ///
    /// # Errors
    /// If no table has this capacity.
    pub fn heap(capacity: u32) -> Result<Self, MemoryError> {
        let lines = Layout::for_capacity(capacity)?.lines_with_words_beside();
        Ok(Self::Heap((0..lines).map(|_| Line::zeroed()).collect()))
    }
}

impl Deref for TableMemory {
    type Target = [Line];

    fn deref(&self) -> &[Line] {
        match self {
            Self::Heap(lines) => lines,
            Self::Mapped(lines) => lines,
            Self::Shared(lines) => (**lines).as_ref(),
        }
    }
}

impl fmt::Debug for TableMemory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Heap(_) => "Heap",
            Self::Mapped(_) => "Mapped",
            Self::Shared(_) => "Shared",
        };
        formatter.debug_struct(name).field("lines", &self.len()).finish()
    }
}
