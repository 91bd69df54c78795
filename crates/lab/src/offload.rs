//! Offloads of the interfaces of the calling thread's network namespace, as `ethtool -K` sets them.

use std::ffi::c_void;

use rustix::ioctl::{Updater, ioctl};
use rustix::net::{AddressFamily, SocketType, socket};

use crate::Error;

/// SIOCETHTOOL.
const ETHTOOL: u32 = 0x8946;
/// ETHTOOL_STXCSUM and ETHTOOL_SGRO.
const SET_TRANSMIT_CHECKSUM: u32 = 0x17;
const SET_GRO: u32 = 0x2c;

/// struct ethtool_value.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// struct ifreq.
#[repr(C)]
struct Request {
    name: [u8; 16],
    value: *mut c_void,
    rest: [u8; 16],
}

/// Makes the end of a virtual cable, in the calling thread's network namespace, treat the other end as a card on a wire: it
/// takes what an XDP program sends (GRO), and what it sends has complete checksums.
///
/// # Errors
/// [`Error`], if there is no such interface or it refuses.
pub fn like_a_wire(interface: &str) -> Result<(), Error> {
    set(interface, SET_GRO, true)?;
    set(interface, SET_TRANSMIT_CHECKSUM, false)
}

/// Whether the end of a virtual cable merges what it receives, without which it takes nothing that an XDP program sends.
///
/// # Errors
/// As [`like_a_wire`].
pub fn receive_offload(interface: &str, on: bool) -> Result<(), Error> {
    set(interface, SET_GRO, on)
}

fn set(interface: &str, command: u32, on: bool) -> Result<(), Error> {
    let mut value = Value { command, data: u32::from(on) };
    let mut request = Request { name: [0; 16], value: (&raw mut value).cast(), rest: [0; 16] };
    for (place, byte) in request.name.iter_mut().take(15).zip(interface.bytes()) {
        *place = byte;
    }
    let done = socket(AddressFamily::INET, SocketType::DGRAM, None).and_then(|socket| {
        // SAFETY: SIOCETHTOOL takes an ifreq whose pointer leads to an ethtool_value for these commands; both live
        // until the call returns.
        unsafe { ioctl(socket, Updater::<ETHTOOL, Request>::new(&mut request)) }
    });
    done.map_err(|error| Error::setup(format!("set the offloads of {interface}"), error))
}
