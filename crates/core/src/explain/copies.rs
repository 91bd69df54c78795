//! The connection table's memory in a trial: what is read or written is a copy. The memory itself, which the fast path may
//! be reading, stays as it is.

use std::cell::OnceCell;

use ipvs_flow::{Layout, Line};

use crate::memory::TableMemory;

/// Lines of a page.
const PAGE: usize = 1024;

type Page = Box<[OnceCell<Box<Line>>]>;

/// A table's memory, and copies of those lines that were asked for.
#[derive(Debug)]
pub(crate) struct Copies {
    original: TableMemory,
    layout: Layout,
    /// Made when one of their lines is asked for.
    pages: Box<[OnceCell<Page>]>,
}

impl Copies {
    /// Without copies yet.
    pub(crate) fn of(original: TableMemory, layout: Layout) -> Self {
        let pages = original.len().div_ceil(PAGE);
        Self { original, layout, pages: (0..pages).map(|_| OnceCell::new()).collect() }
    }

    /// The memory as it was.
    pub(crate) fn into_original(self) -> TableMemory {
        self.original
    }

    /// The copy of a line: the same each time.
    pub(crate) fn line(&self, number: usize) -> Option<&Line> {
        let original = self.original.get(number)?;
        let page = self.pages.get(number / PAGE)?;
        let page = page.get_or_init(|| (0..PAGE).map(|_| OnceCell::new()).collect());
        Some(page.get(number % PAGE)?.get_or_init(|| Box::new(self.layout.copy_of(number as u32, original))))
    }
}
