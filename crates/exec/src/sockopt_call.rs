//! getsockopt and setsockopt of IPVS: the kernel's checks and copies in its order, the rest in the daemon.

use ipvs_abi::errno::Errno;
use ipvs_abi::sockopt::{Operation, check};

use crate::daemon::{CallError, Daemon};
use crate::memory::Memory;
use crate::notification::{Notification, Outcome};
use crate::process::Thread;

use crate::supervisor::Supervisor;
use crate::syscall;

/// Answers such a call, or has the kernel do it: if it is no call on a socket of IP in the namespace that is served.
pub(crate) fn serve(supervisor: &Supervisor, notification: &Notification) -> Outcome {
    let [fd, _, number, value, length, _] = notification.arguments;
    let thread = Thread::new(notification.thread);
    // The numbers are of type int, whatever the upper half holds.
    let Ok(socket) = thread.open().and_then(|descriptors| descriptors.duplicate(fd as u32)) else {
        return Outcome::Continue;
    };
    // TCP and UDP sockets of IPv6 take options of this level, too (seen; `conformance/raw/sockopt.py`).
    let option = |name| syscall::integer_option(&socket, libc::SOL_SOCKET, name).unwrap_or(-1);
    let takes_options = match option(libc::SO_DOMAIN) {
        libc::AF_INET => true,
        libc::AF_INET6 => matches!(option(libc::SO_TYPE), libc::SOCK_STREAM | libc::SOCK_DGRAM),
        _ => false,
    };
    if !takes_options {
        return Outcome::Continue;
    }
    let Some(daemon) = supervisor.daemon_of(&socket) else { return Outcome::Continue };
    let call = Call {
        daemon,
        memory: Memory::of(notification.thread),
        number: number as u32,
        value,
        privileged: supervisor.authority().is_held_by(thread),
        is_wanted: &|| supervisor.listener().is_waiting(notification),
    };
    let outcome =
        if notification.number == libc::SYS_setsockopt { call.set(length as i32) } else { call.get(length) };
    match outcome {
        Ok(()) => Outcome::Value(0),
        Err(CallError::Absent) => Outcome::Error(Errno::ENOPROTOOPT),
        Err(CallError::Unknown) => Outcome::Error(Errno::EIO),
        Err(CallError::Unwanted) => Outcome::Answered,
        Err(CallError::Refused(errno)) => Outcome::Error(errno),
    }
}

struct Call<'a> {
    daemon: &'a Daemon,
    memory: Memory,
    number: u32,
    /// Where the value is or goes.
    value: u64,
    privileged: bool,
    is_wanted: &'a dyn Fn() -> bool,
}

impl Call<'_> {
    /// What was looked up by the thread's id is the caller's if it still waits now.
    fn confirm(&self) -> Result<(), CallError> {
        if (self.is_wanted)() { Ok(()) } else { Err(CallError::Unwanted) }
    }

    fn check(&self, operation: Operation, length: i32) -> Result<Vec<u8>, CallError> {
        let wanted = check(operation, self.number, length, self.privileged).map_err(CallError::Refused)?;
        let bytes = self.memory.read(self.value, wanted).map_err(CallError::Refused)?;
        self.confirm()?;
        Ok(bytes)
    }

    fn set(&self, length: i32) -> Result<(), CallError> {
        let data = self.check(Operation::Set, length)?;
        self.daemon.call(false, self.is_wanted, |client| client.set_sockopt(self.number, &data))
    }

    /// `length` is where the length is.
    fn get(&self, length: u64) -> Result<(), CallError> {
        let given = self.memory.read_array(length).map(i32::from_ne_bytes).map_err(CallError::Refused)?;
        let head = self.check(Operation::Get, given)?;
        // A negative length has been refused.
        let room = given.unsigned_abs();
        let answer =
            self.daemon.call(true, self.is_wanted, |client| client.get_sockopt(self.number, room, &head))?;
        self.confirm()?;
        for (offset, chunk) in &answer.chunks {
            // The daemon writes within the caller's buffer; were it not so, nobody's memory should pay for it.
            let end = u64::from(*offset).saturating_add(chunk.len() as u64);
            let place = self.value.checked_add(u64::from(*offset)).filter(|_| end <= u64::from(room));
            let place = place.ok_or(CallError::Refused(Errno::EFAULT))?;
            self.memory.write(place, chunk).map_err(CallError::Refused)?;
        }
        self.memory.write(length, &answer.length.to_ne_bytes()).map_err(CallError::Refused)
    }
}
