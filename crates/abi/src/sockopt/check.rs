//! What the kernel refuses before it reads the caller's memory.

use crate::errno::Errno;

use super::layout;
use super::number::{BASE, get, set};

/// Which system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// getsockopt.
    Get,
    /// setsockopt.
    Set,
}

/// Checks option `number` with the caller's buffer of `length` bytes (`optlen`); `privileged`: whether the caller has
/// CAP_NET_ADMIN. Returns how many bytes are copied from its buffer (EFAULT if that fails): of a set all, of a get
/// what the option reads.
///
/// # Errors
/// The kernel's, in its order: EINVAL for a negative length, ENOPROTOOPT for a number that is not IPVS's, EPERM,
/// EINVAL for a length that does not fit.
pub fn check(operation: Operation, number: u32, length: i32, privileged: bool) -> Result<usize, Errno> {
    let length = usize::try_from(length).map_err(|_| Errno::EINVAL)?;
    let last = match operation {
        Operation::Get => get::MAX,
        Operation::Set => set::MAX,
    };
    if !(BASE..=last).contains(&number) {
        return Err(Errno::ENOPROTOOPT);
    }
    if !privileged {
        return Err(Errno::EPERM);
    }
    match operation {
        Operation::Set if length == set_length(number) => Ok(length),
        Operation::Get if length >= get_length(number) => Ok(get_length(number)),
        _ => Err(Errno::EINVAL),
    }
}

/// The length that a set must have; 0 also for those that are not supported.
const fn set_length(number: u32) -> usize {
    match number {
        set::ADD | set::EDIT | set::DEL | set::ZERO => layout::SERVICE,
        set::ADDDEST | set::DELDEST | set::EDITDEST => layout::SERVICE + layout::DESTINATION,
        set::TIMEOUT => layout::TIMEOUTS,
        set::STARTDAEMON | set::STOPDAEMON => layout::DAEMON,
        _ => 0,
    }
}

/// The length that a get must have at least, and reads.
const fn get_length(number: u32) -> usize {
    match number {
        get::VERSION => layout::VERSION,
        get::INFO => layout::INFO,
        get::SERVICES => layout::SERVICES_HEAD,
        get::SERVICE => layout::SERVICE_ENTRY,
        get::DESTS => layout::DESTINATIONS_HEAD,
        get::TIMEOUT => layout::TIMEOUTS,
        get::DAEMON => 2 * layout::DAEMON,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Negative lengths come before everything, also for callers without privilege; then whose number it is.
    #[test]
    fn checks_come_in_the_kernels_order() {
        use Operation::{Get, Set};
        for (operation, last) in [(Get, get::MAX), (Set, set::MAX)] {
            for number in [BASE - 1, BASE, last, last + 1] {
                assert_eq!(check(operation, number, -1, false), Err(Errno::EINVAL));
            }
            assert_eq!(check(operation, BASE - 1, 0, false), Err(Errno::ENOPROTOOPT));
            assert_eq!(check(operation, last + 1, 0, true), Err(Errno::ENOPROTOOPT));
            assert_eq!(check(operation, last, 0, false), Err(Errno::EPERM));
        }
        assert_eq!(check(Set, set::FLUSH, 0, true), Ok(0));
        assert_eq!(check(Set, set::FLUSH, 1, true), Err(Errno::EINVAL));
        assert_eq!(check(Set, set::ADDDEST, 68, true), Ok(68));
        assert_eq!(check(Set, set::ADDDEST, 69, true), Err(Errno::EINVAL));
        assert_eq!(check(Get, get::SERVICES, 8 + 104, true), Ok(8));
        assert_eq!(check(Get, get::SERVICES, 7, true), Err(Errno::EINVAL));
        assert_eq!(check(Get, get::DAEMON, 47, true), Err(Errno::EINVAL));
        assert_eq!(check(Get, get::DAEMON, 48, true), Ok(48));
    }
}
