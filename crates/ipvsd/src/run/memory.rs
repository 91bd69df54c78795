//! Free memory, which the director's defence goes by.

use std::time::Duration;

use ipvs_core::{Director, Instant};
use rustix::param::page_size;
use rustix::system::sysinfo;

/// How old what the director was told may be.
const AGE: Duration = Duration::from_secs(1);

/// When the director was told last.
#[derive(Debug, Default)]
pub(super) struct Memory {
    told: Option<Instant>,
}

impl Memory {
    /// Tells the director, if it wants to know and was not told within the last second.
    pub(super) fn refresh(&mut self, now: Instant, director: &mut Director) {
        if director.watches_memory() && self.told.is_none_or(|told| now.saturating_since(told) >= AGE) {
            self.tell(now, director);
        }
    }

    /// Tells the director.
    pub(super) fn tell(&mut self, now: Instant, director: &mut Director) {
        self.told = Some(now);
        director.set_available_memory(available());
    }
}

/// Unused memory and buffers, in pages.
fn available() -> u64 {
    let info = sysinfo();
    let free = info.freeram.saturating_add(info.bufferram);
    free.saturating_mul(u64::from(info.mem_unit)) / page_size() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_memory_is_free() {
        let pages = available();
        assert!(pages > 0 && pages < 1 << 50, "{pages}");
    }
}
