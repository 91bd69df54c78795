//! The descriptor numbers at which clients find their generic netlink sockets.
//!
//! A filter sees numbers, not what they stand for: so that it can tell these sockets from others, they get numbers of
//! a range that programs hardly ever reach otherwise. A descriptor in that range which is none of these sockets costs
//! its owner a detour on each call, nothing else.

use rustix::process::{Resource, getrlimit};

/// A range of descriptor numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// The first number.
    pub(crate) first: u32,
    /// The number after the last.
    pub(crate) end: u32,
}

/// Where select(2) ends.
const SELECT_END: u64 = 1024;

/// Most sockets at a time.
const MOST: u32 = 64;

impl Window {
    /// The window for a process that may have descriptors below `limit` (the soft RLIMIT_NOFILE; `None`: no limit):
    /// the top quarter of what select(2) can watch, at most 64. `None` if there is no room at all.
    pub(crate) fn below(limit: Option<u64>) -> Option<Self> {
        let end = u32::try_from(limit.unwrap_or(SELECT_END).min(SELECT_END)).ok()?;
        let size = (end / 4).min(MOST);
        (size > 0).then(|| Self { first: end - size, end })
    }

    /// The window for this process and those that it starts.
    pub(crate) fn for_this_process() -> Option<Self> {
        Self::below(getrlimit(Resource::Nofile).current)
    }

    /// The numbers.
    pub(crate) fn numbers(self) -> std::ops::Range<u32> {
        self.first..self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lies_below_the_limit_and_below_what_select_can_watch() {
        let window = |limit| Window::below(limit).map(|window| (window.first, window.end));
        assert_eq!(window(None), Some((960, 1024)));
        assert_eq!(window(Some(1 << 20)), Some((960, 1024)));
        assert_eq!(window(Some(256)), Some((192, 256)));
        assert_eq!(window(Some(100)), Some((75, 100)));
        assert_eq!(window(Some(3)), None);
    }
}
