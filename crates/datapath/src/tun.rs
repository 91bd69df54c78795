//! Making TUN and TAP devices.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;
use rustix::ioctl::{IntegerSetter, Setter, ioctl, opcode};

use crate::OpenError;

/// Longest interface name with its final zero (IFNAMSIZ).
const NAME_LEN: usize = 16;

/// IP packets, or frames.
const IFF_TUN: i16 = 0x0001;
const IFF_TAP: i16 = 0x0002;
/// Without the four bytes of packet information.
const IFF_NO_PI: i16 = 0x1000;
/// A `struct virtio_net_hdr` before each.
const IFF_VNET_HDR: i16 = 0x4000;
/// Fail rather than take over a device of that name.
const IFF_TUN_EXCL: i16 = i16::MIN;

/// Checksums may be left to the reader, and TCP packets to be cut, with ECN too.
const TUN_F_CSUM: usize = 0x01;
const TUN_F_TSO4: usize = 0x02;
const TUN_F_TSO6: usize = 0x04;
const TUN_F_TSO_ECN: usize = 0x08;

/// What passes the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// IP packets.
    Tun,
    /// Ethernet frames behind a `struct virtio_net_hdr`, as the stack has them: checksums may not be complete, TCP packets yet to be
    /// cut.
    Tap,
}

/// `struct ifreq` as TUNSETIFF reads it: a name and flags, in a union of 24 bytes.
#[repr(C)]
struct Request {
    name: [u8; NAME_LEN],
    flags: i16,
    rest: [u8; 22],
}

const TUNSETIFF: rustix::ioctl::Opcode = opcode::write::<i32>(b'T', 202);
const TUNSETOFFLOAD: rustix::ioctl::Opcode = opcode::write::<u32>(b'T', 208);

/// Makes a device; it lives as long as the file. Reads and writes are packets and do not block.
///
/// # Errors
/// NotFound without /dev/net/tun, PermissionDenied without CAP_NET_ADMIN, EBUSY if there is a device of that name.
pub(crate) fn create(name: &str, kind: Kind) -> io::Result<File> {
    let flags = match kind {
        Kind::Tun => IFF_TUN,
        Kind::Tap => IFF_TAP | IFF_VNET_HDR,
    };
    let mut request = Request { name: [0; NAME_LEN], flags: flags | IFF_NO_PI | IFF_TUN_EXCL, rest: [0; 22] };
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
    if kind == Kind::Tap {
        let offloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
        // SAFETY: TUNSETOFFLOAD takes a number, and no address.
        unsafe { ioctl(&file, IntegerSetter::<TUNSETOFFLOAD>::new_usize(offloads)) }?;
    }
    Ok(file)
}

/// Why a device could not be made.
pub(crate) fn refused(name: &str, source: io::Error) -> OpenError {
    match source.kind() {
        io::ErrorKind::PermissionDenied => OpenError::NotPermitted { what: "make a TUN device" },
        kind => OpenError::HostPort {
            name: name.into(),
            remedy: match kind {
                io::ErrorKind::NotFound => "load the module: `modprobe tun`",
                io::ErrorKind::ResourceBusy => "another daemon has it, or remove it: `ip link del NAME`",
                _ => "see that /dev/net/tun works",
            },
            source,
        },
    }
}
