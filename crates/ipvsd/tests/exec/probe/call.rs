//! System calls by their numbers.

use std::ffi::c_long;

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
}

#[cfg(target_arch = "x86_64")]
mod number {
    pub(crate) const READ: i64 = 0;
    pub(crate) const WRITE: i64 = 1;
    pub(crate) const CLOSE: i64 = 3;
    pub(crate) const READV: i64 = 19;
    pub(crate) const WRITEV: i64 = 20;
    pub(crate) const SOCKET: i64 = 41;
    pub(crate) const SENDTO: i64 = 44;
    pub(crate) const RECVFROM: i64 = 45;
    pub(crate) const SENDMSG: i64 = 46;
    pub(crate) const RECVMSG: i64 = 47;
    pub(crate) const BIND: i64 = 49;
    pub(crate) const SETSOCKOPT: i64 = 54;
    pub(crate) const GETSOCKOPT: i64 = 55;
    pub(crate) const SETRESUID: i64 = 117;
    pub(crate) const RECVMMSG: i64 = 299;
    pub(crate) const SENDMMSG: i64 = 307;
    pub(crate) const SETNS: i64 = 308;
}

#[cfg(target_arch = "aarch64")]
mod number {
    pub(crate) const READ: i64 = 63;
    pub(crate) const WRITE: i64 = 64;
    pub(crate) const CLOSE: i64 = 57;
    pub(crate) const READV: i64 = 65;
    pub(crate) const WRITEV: i64 = 66;
    pub(crate) const SOCKET: i64 = 198;
    pub(crate) const SENDTO: i64 = 206;
    pub(crate) const RECVFROM: i64 = 207;
    pub(crate) const SENDMSG: i64 = 211;
    pub(crate) const RECVMSG: i64 = 212;
    pub(crate) const BIND: i64 = 200;
    pub(crate) const SETSOCKOPT: i64 = 208;
    pub(crate) const GETSOCKOPT: i64 = 209;
    pub(crate) const SETRESUID: i64 = 147;
    pub(crate) const RECVMMSG: i64 = 243;
    pub(crate) const SENDMMSG: i64 = 269;
    pub(crate) const SETNS: i64 = 268;
}
pub(crate) use number::*;

/// A system call: its result or its errno.
pub(crate) fn call(number: i64, arguments: [u64; 6]) -> Result<i64, i32> {
    let [a, b, c, d, e, f] = arguments;
    match unsafe { syscall(number, a, b, c, d, e, f) } {
        -1 => Err(std::io::Error::last_os_error().raw_os_error().unwrap()),
        result => Ok(result),
    }
}

pub(crate) fn at<T: ?Sized>(value: &T) -> u64 {
    (&raw const *value).cast::<u8>().expose_provenance() as u64
}

pub(crate) fn at_mut<T: ?Sized>(value: &mut T) -> u64 {
    (&raw mut *value).cast::<u8>().expose_provenance() as u64
}
