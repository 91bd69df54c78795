//! Making a TUN device.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;
use rustix::ioctl::{Setter, ioctl, opcode};

/// Longest interface name with its final zero (IFNAMSIZ).
const NAME_LEN: usize = 16;

/// Packets without Ethernet header, and without the four bytes of packet information.
const IFF_TUN: i16 = 0x0001;
const IFF_NO_PI: i16 = 0x1000;
/// Fail rather than take over a device of that name.
const IFF_TUN_EXCL: i16 = i16::MIN;

/// `struct ifreq` as TUNSETIFF reads it: a name and flags, in a union of 24 bytes.
#[repr(C)]
struct Request {
    name: [u8; NAME_LEN],
    flags: i16,
    rest: [u8; 22],
}

const TUNSETIFF: rustix::ioctl::Opcode = opcode::write::<i32>(b'T', 202);

/// Makes a TUN device; it lives as long as the file. Reads and writes are packets and do not block.
///
/// # Errors
/// NotFound without /dev/net/tun, PermissionDenied without CAP_NET_ADMIN, EBUSY if there is a device of that name.
pub(crate) fn create(name: &str) -> io::Result<File> {
    let mut request =
        Request { name: [0; NAME_LEN], flags: IFF_TUN | IFF_NO_PI | IFF_TUN_EXCL, rest: [0; 22] };
    let bytes = name.as_bytes();
    let room = request.name.get_mut(..bytes.len()).filter(|_| bytes.len() < NAME_LEN);
    room.ok_or(io::ErrorKind::InvalidInput)?.copy_from_slice(bytes);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(OFlags::NONBLOCK.bits() as i32)
        .open("/dev/net/tun")?;
    // SAFETY: TUNSETIFF reads a `struct ifreq` (40 bytes on 64-bit machines, fewer on others) at the address given, as
    // `Request` is laid out, and writes the name back at most: not through `Setter`, which passes a copy by address.
    unsafe { ioctl(&file, Setter::<TUNSETIFF, Request>::new(request)) }?;
    Ok(file)
}
