//! Memory of a connection table that a test keeps an eye on.

use std::sync::Arc;

use ipvs_core::{Config, Director, Instant, TableMemory};
use ipvs_flow::{Layout, Line};

/// Most connections.
pub(super) const CAPACITY: u32 = 512;

/// Memory that the test keeps an eye on.
#[derive(Clone)]
pub(super) struct Watched(Arc<dyn AsRef<[Line]> + Send + Sync>);

impl AsRef<[Line]> for Watched {
    fn as_ref(&self) -> &[Line] {
        (*self.0).as_ref()
    }
}

struct Lines(Box<[Line]>);

impl AsRef<[Line]> for Lines {
    fn as_ref(&self) -> &[Line] {
        &self.0
    }
}

struct Unboxed(Box<dyn AsRef<[Line]> + Send + Sync>);

impl AsRef<[Line]> for Unboxed {
    fn as_ref(&self) -> &[Line] {
        (*self.0).as_ref()
    }
}

pub(super) fn watched(memory: TableMemory) -> Watched {
    match memory {
        TableMemory::Heap(lines) => Watched(Arc::new(Lines(lines))),
        TableMemory::Shared(lines) => Watched(Arc::new(Unboxed(lines))),
    }
}

impl Watched {
    pub(super) fn director(&self, config: Config, now: Instant) -> Director {
        Director::in_memory(config, now, TableMemory::Shared(Box::new(self.clone()))).unwrap()
    }

    /// All words, the ticks of entries' latest packets aside (word 13), which differ by the time between two runs.
    pub(super) fn words(&self) -> Vec<[u32; 16]> {
        let end = Layout::for_capacity(CAPACITY).unwrap().lines() as usize;
        let entries = end - CAPACITY as usize..end;
        let words = |(number, line): (usize, &Line)| {
            let mut words = line.to_words();
            if entries.contains(&number) {
                words[13] = 0;
            }
            words
        };
        self.as_ref().iter().enumerate().map(words).collect()
    }
}
