//! A TAP device between a classifier at an interface and the daemon: what the daemon reads came by the interface, and what it
//! writes leaves by it, with what the host's stack knows of segments and checksums (`struct virtio_net_hdr`).

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use crate::OpenError;
use crate::host_port::setting;
use crate::netlink::{Requests, bring_up};
use crate::tun::{self, Kind};

/// The largest that the kernel takes: what passes has the interface's, or is yet to be cut.
const MTU: u32 = 65_521;

/// Packets that wait for the daemon.
const QUEUE: u32 = 4096;

/// Longest frame: 64 KiB of IP behind an Ethernet header and two tags.
pub(crate) const LONGEST_FRAME: usize = (1 << 16) + 22;

/// `struct virtio_net_hdr` (Virtual I/O Device 1.2, section 5.1.6), in native byte order.
const HEADER: usize = 10;
/// Flag in its first byte: the checksum is to be made, from one place on, and put to another from there.
const NEEDS_CHECKSUM: u8 = 1;
/// Kinds of segments in its second byte: none, TCP over IPv4 and over IPv6; the highest bit says that there is CWR.
const NONE: u8 = 0;
const TCP_IPV4: u8 = 1;
const TCP_IPV6: u8 = 4;
const CWR: u8 = 0x80;

/// What the host's stack knows of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload([u8; HEADER]);

impl Offload {
    /// Of a frame with a TCP packet that is to be cut into segments with so many bytes of payload; it needs [`Offload::placed`], too.
    pub fn to_cut(ipv6: bool, segment: u16) -> Self {
        let mut offload = Self::default();
        offload.0[1] = if ipv6 { TCP_IPV6 } else { TCP_IPV4 };
        offload.0[4..6].copy_from_slice(&segment.to_ne_bytes());
        offload
    }

    /// TCP payload of the segments that the frame is to be cut into; `None`: it is not.
    pub fn segment(&self) -> Option<usize> {
        let [_, kind, _, _, low, high, ..] = self.0;
        matches!(kind & !CWR, TCP_IPV4 | TCP_IPV6).then_some(usize::from(u16::from_ne_bytes([low, high])))
    }

    /// The same of a frame whose headers have this length in all, whose TCP header starts there, and has its checksum there.
    pub fn placed(&self, headers: usize, transport: usize, checksum: usize) -> Self {
        let mut placed = *self;
        placed.0[0] = NEEDS_CHECKSUM;
        for (at, value) in [(2, headers), (6, transport), (8, checksum)] {
            placed.0[at..at + 2].copy_from_slice(&(value as u16).to_ne_bytes());
        }
        placed
    }

    /// Whether it is a kind of packet that the daemon did not ask for.
    fn is_foreign(&self) -> bool {
        self.segment().is_none() && self.0[1] != NONE
    }
}

/// The device. It lives as long as this. (Public for tests, which give a director such ones for links.)
#[derive(Debug)]
pub struct Tap {
    file: File,
    /// Its name.
    pub(crate) name: String,
    /// Its index.
    pub(crate) interface: u32,
}

impl Tap {
    /// Makes the device in the network namespace of the calling thread, up, without any address.
    ///
    /// # Errors
    /// [`OpenError`], if there may or can be none.
    pub fn open(name: &str) -> Result<Self, OpenError> {
        let file = tun::create(name, Kind::Tap).map_err(|source| tun::refused(name, source))?;
        let failed = |source| OpenError::Netlink { what: "set up a TAP device", source };
        // It is no link of the host's.
        setting(&format!("ipv6/conf/{name}/disable_ipv6"), "1");
        let interface = Requests::open()
            .and_then(|mut requests| bring_up(&mut requests, name, MTU, Some(QUEUE)))
            .map_err(failed)?;
        Ok(Self { file, name: name.into(), interface })
    }

    /// Reads a frame. Its length; `None` if there is none.
    pub fn receive(&mut self, buffer: &mut [u8]) -> Option<(usize, Offload)> {
        loop {
            let mut offload = Offload::default();
            let mut slices = [IoSliceMut::new(&mut offload.0), IoSliceMut::new(buffer)];
            let len = self.file.read_vectored(&mut slices).ok()?.checked_sub(HEADER)?;
            if !offload.is_foreign() {
                return Some((len, offload));
            }
        }
    }

    /// Sends a whole frame, given in parts.
    ///
    /// # Errors
    /// The kernel's, which lacks memory or finds what `offload` says wrong.
    pub fn send(&mut self, head: &[u8], tail: &[u8], offload: &Offload) -> io::Result<()> {
        let slices = [IoSlice::new(&offload.0), IoSlice::new(head), IoSlice::new(tail)];
        self.file.write_vectored(&slices).map(drop)
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
