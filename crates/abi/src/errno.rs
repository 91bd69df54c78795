//! Error numbers: the one table from the engine's [`Error`] to what a caller sees.

use core::fmt;

use ipvs_core::Error;

/// A Linux error number, positive (the generic numbering: x86, ARM, RISC-V, s390).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Errno(pub i32);

/// Declares the numbers with their names, in one place.
macro_rules! errnos {
    ($($name:ident = $number:literal, $text:literal;)+) => {
        impl Errno {
            $(#[doc = $text] pub const $name: Self = Self($number);)+

            /// The symbolic name ("ESRCH"), if it is one that IPVS uses.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 { $($number => Some(stringify!($name)),)+ _ => None }
            }

            /// The text that strerror(3) gives for it in the C locale, if it is one that IPVS uses.
            pub const fn text(self) -> Option<&'static str> {
                match self.0 { $($number => Some($text),)+ _ => None }
            }
        }
    };
}

errnos! {
    EPERM = 1, "Operation not permitted";
    ENOENT = 2, "No such file or directory";
    ESRCH = 3, "No such process";
    EIO = 5, "Input/output error";
    ENXIO = 6, "No such device or address";
    ENOMEM = 12, "Cannot allocate memory";
    EFAULT = 14, "Bad address";
    EBUSY = 16, "Device or resource busy";
    EEXIST = 17, "File exists";
    ENODEV = 19, "No such device";
    EINVAL = 22, "Invalid argument";
    ERANGE = 34, "Numerical result out of range";
    EMSGSIZE = 90, "Message too long";
    ENOPROTOOPT = 92, "Protocol not available";
    EOPNOTSUPP = 95, "Operation not supported";
    EAFNOSUPPORT = 97, "Address family not supported by protocol";
    EADDRINUSE = 98, "Address already in use";
    ENETUNREACH = 101, "Network is unreachable";
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text() {
            Some(text) => f.write_str(text),
            None => write!(f, "Unknown error {}", self.0),
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "Errno({})", self.0),
        }
    }
}

impl std::error::Error for Errno {}

impl From<Error> for Errno {
    fn from(error: Error) -> Self {
        match error {
            Error::NoSuchService | Error::NoSyncDaemon => Self::ESRCH,
            Error::ServiceExists
            | Error::DestinationExists
            | Error::SyncDaemonRuns
            | Error::MarkRuleExists
            | Error::PoolAddressExists => Self::EEXIST,
            // Another number than that of a destination that is not there.
            Error::NoSuchPool => Self::ENXIO,
            Error::PoolFamily => Self::EAFNOSUPPORT,
            Error::FullNatService => Self::EOPNOTSUPP,
            Error::FullNatDestinations => Self::EBUSY,
            Error::PoolInUse => Self::EBUSY,
            Error::PoolAddressVirtual => Self::EADDRINUSE,
            Error::NoSuchInterface => Self::ENODEV,
            Error::NetworkUnreachable => Self::ENETUNREACH,
            Error::NoSuchScheduler
            | Error::NoSuchPersistenceEngine
            | Error::NoSuchHelper
            | Error::NoSuchDestination
            | Error::NoSuchMarkRule
            | Error::NoSuchPoolAddress => Self::ENOENT,
            Error::NegativeWeight | Error::ThresholdsReversed => Self::ERANGE,
            Error::OutOfMemory => Self::ENOMEM,
            // Everything else that the kernel refuses, it refuses as an invalid argument.
            _ => Self::EINVAL,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_numbers_and_texts_agree() {
        assert_eq!(format!("{:?} {}", Errno::ESRCH, Errno::ESRCH), "ESRCH No such process");
        assert_eq!(format!("{:?} {}", Errno(1234), Errno(1234)), "Errno(1234) Unknown error 1234");
        for number in 0..200 {
            if let Some(text) = Errno(number).text() {
                let system = std::io::Error::from_raw_os_error(number).to_string();
                assert_eq!(system, format!("{text} (os error {number})"));
            }
        }
    }
}
