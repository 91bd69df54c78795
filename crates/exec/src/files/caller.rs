//! What /proc says about the process behind a request.

use std::fs;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    /// The user, as the mounting user namespace numbers it.
    pub(super) uid: u32,
    /// The thread; 0 if it is in a process namespace that is not seen from here.
    pub(super) thread: u32,
}

/// The capability to administer networks, as a bit number.
pub(super) const CAP_NET_ADMIN: u32 = 12;
/// The capability to override access modes, as a bit number.
pub(super) const CAP_DAC_OVERRIDE: u32 = 1;

const SIGKILL: u32 = 9;

impl From<&fuser::Request> for Caller {
    fn from(request: &fuser::Request) -> Self {
        Self { uid: request.uid(), thread: request.pid() }
    }
}

impl Caller {
    /// Whether the capability is effective, and in the user namespace of this process: elsewhere it counts for nothing
    /// here. No, if that cannot be seen.
    pub(super) fn has_capability(self, number: u32) -> bool {
        let namespace = |process: &str| fs::read_link(format!("/proc/{process}/ns/user")).ok();
        let thread = self.thread.to_string();
        field(&self.status(), "CapEff").is_some_and(|mask| mask >> number & 1 == 1)
            && namespace(&thread).is_some_and(|theirs| Some(theirs) == namespace("self"))
    }

    /// Whether a signal is about to kill the thread, or it is gone already.
    pub(super) fn is_killed(self) -> bool {
        let status = self.status();
        let pending = |name| field(&status, name).is_none_or(|mask| mask >> (SIGKILL - 1) & 1 == 1);
        self.thread != 0 && (pending("SigPnd") || pending("ShdPnd"))
    }

    /// /proc/THREAD/status; empty if there is no such thread.
    fn status(self) -> String {
        fs::read_to_string(format!("/proc/{}/status", self.thread)).unwrap_or_default()
    }
}

/// The hexadecimal value of `name` in the text of a status file.
fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let status =
            "Name:\tx\nSigPnd:\t0000000000000100\nShdPnd:\t0000000000000000\nCapEff:\t000001ffffffffff\n";
        assert_eq!(field(status, "SigPnd"), Some(0x100));
        assert_eq!(field(status, "ShdPnd"), Some(0));
        assert_eq!(field(status, "Pnd"), None);
        assert_eq!(field(status, "Name"), None);
    }

    #[test]
    fn a_thread_that_lives_is_not_killed() {
        let caller = Caller { uid: 0, thread: std::process::id() };
        assert!(!caller.is_killed());
        assert!(Caller { thread: u32::MAX, ..caller }.is_killed());
        assert!(!Caller { thread: 0, ..caller }.is_killed(), "a thread that cannot be seen may live");
    }
}
