//! One AF_XDP socket: one receive queue of one interface.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::xdp::{
    SocketAddrXdp, SocketAddrXdpFlags, SocketAddrXdpWithSharedUmem, XDP_PGOFF_RX_RING, XDP_PGOFF_TX_RING,
    XDP_UMEM_PGOFF_COMPLETION_RING, XDP_UMEM_PGOFF_FILL_RING, XdpDesc, XdpDescOptions, XdpStatistics,
};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, bind, send, socket_with, sockopt};

use super::ring::{Consumer, Producer};
use super::umem::{FRAME_SIZE, Frame, Umem};

/// Entries of a socket's rings, powers of two.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Received packets and frames offered for them.
    pub(crate) receive: u32,
    /// Packets to send and frames sent.
    pub(crate) transmit: u32,
}

/// How a socket works.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flags {
    /// Frames may lie in several buffers (XDP_USE_SG, Linux 6.6).
    pub(crate) multi_buffer: bool,
}

/// A frame with the packet in it.
#[derive(Debug)]
pub(crate) struct Buffer {
    /// The frame.
    pub(crate) frame: Frame,
    /// Where the data starts in it.
    pub(crate) start: usize,
    /// Length of the data.
    pub(crate) len: usize,
    /// The packet goes on in the next buffer.
    pub(crate) more: bool,
}

/// A socket and its four rings.
#[derive(Debug)]
pub(crate) struct Socket {
    rx: Consumer<XdpDesc>,
    tx: Producer<XdpDesc>,
    fill: Producer<u64>,
    completion: Consumer<u64>,
    /// Frames in the kernel's hands for sending: given to tx and not yet seen in the completion ring.
    in_flight: u32,
    sizes: Sizes,
    fd: OwnedFd,
}

impl Socket {
    /// Opens a socket for `queue` of the interface. The first one registers the memory; the others name one that did.
    ///
    /// # Errors
    /// What the kernel says: EINVAL for a queue that does not exist, EBUSY for one that has a socket.
    pub(crate) fn open(
        umem: &Umem,
        first: Option<&Self>,
        interface: u32,
        queue: u32,
        sizes: Sizes,
        flags: Flags,
    ) -> io::Result<Self> {
        let fd = socket_with(AddressFamily::XDP, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
        if first.is_none() {
            sockopt::set_xdp_umem_reg(&fd, umem.registration())?;
        }
        sockopt::set_xdp_umem_fill_ring_size(&fd, sizes.receive)?;
        sockopt::set_xdp_umem_completion_ring_size(&fd, sizes.transmit)?;
        sockopt::set_xdp_rx_ring_size(&fd, sizes.receive)?;
        sockopt::set_xdp_tx_ring_size(&fd, sizes.transmit)?;
        // In copy mode each packet in flight is charged to the socket; the default allows about a hundred.
        let _ = sockopt::set_socket_send_buffer_size_force(&fd, sizes.transmit as usize * FRAME_SIZE);
        let offsets = sockopt::xdp_mmap_offsets(&fd)?;
        let borrowed = fd.as_fd();
        let rx = Consumer::map(borrowed, XDP_PGOFF_RX_RING, offsets.rx, sizes.receive)?;
        let tx = Producer::map(borrowed, XDP_PGOFF_TX_RING, offsets.tx, sizes.transmit)?;
        let fill = Producer::map(borrowed, XDP_UMEM_PGOFF_FILL_RING, offsets.fr, sizes.receive)?;
        let completion = Consumer::map(borrowed, XDP_UMEM_PGOFF_COMPLETION_RING, offsets.cr, sizes.transmit)?;
        match first {
            // The mode of the first socket holds for all: flags are not allowed here.
            Some(first) => bind(
                &fd,
                &SocketAddrXdpWithSharedUmem {
                    addr: SocketAddrXdp::new(SocketAddrXdpFlags::XDP_SHARED_UMEM, interface, queue),
                    shared_umem_fd: first.fd.as_fd(),
                },
            )?,
            None => {
                // Copy mode: with one memory for all interfaces the mode must be one that all of them have.
                let mut bind_flags = SocketAddrXdpFlags::XDP_COPY | SocketAddrXdpFlags::XDP_USE_NEED_WAKEUP;
                bind_flags.set(SocketAddrXdpFlags::XDP_USE_SG, flags.multi_buffer);
                bind(&fd, &SocketAddrXdp::new(bind_flags, interface, queue))?;
            }
        }
        Ok(Self { rx, tx, fill, completion, in_flight: 0, sizes, fd })
    }

    /// Offers free frames for reception, leaving `reserve` in the pool. Returns whether enough are offered.
    pub(crate) fn refill(&mut self, umem: &mut Umem, reserve: usize) -> bool {
        // Half of the ring: then it cannot overflow, and enough frames are left for sending.
        let wanted = (self.sizes.receive / 2).saturating_sub(self.fill.unconsumed());
        let mut pushed = 0;
        while pushed < wanted && umem.available() > reserve {
            let Some(frame) = umem.take() else { break };
            let address = umem.lend(frame);
            self.fill.push(address);
            pushed += 1;
        }
        if pushed != 0 {
            self.fill.publish();
        }
        // A few that are missing come back soon with the next turn.
        wanted - pushed < self.sizes.receive / 4
    }

    /// Takes received buffers until there are `most` in `buffers`, or no more.
    pub(crate) fn receive(&mut self, umem: &mut Umem, buffers: &mut Vec<Buffer>, most: usize) {
        let before = buffers.len();
        while buffers.len() < most {
            let Some(descriptor) = self.rx.pop() else { break };
            // A frame that the kernel does not have cannot come from it: skip such an entry.
            let Some((frame, start)) = umem.reclaim(descriptor.addr) else { continue };
            let len = (descriptor.len as usize).min(FRAME_SIZE - start);
            let more = descriptor.options.contains(XdpDescOptions::XDP_PKT_CONTD);
            buffers.push(Buffer { frame, start, len, more });
        }
        if buffers.len() != before {
            self.rx.release();
        }
    }

    /// Puts a packet into the tx ring; [`Socket::flush`] sends it. Gives it back if the ring has no room.
    pub(crate) fn transmit(&mut self, umem: &mut Umem, buffer: Buffer) -> Result<(), Buffer> {
        if self.in_flight >= self.sizes.transmit || self.tx.free() == 0 {
            return Err(buffer);
        }
        self.push(umem, buffer);
        Ok(())
    }

    /// As [`Socket::transmit`] for a packet in several buffers.
    pub(crate) fn transmit_many(&mut self, umem: &mut Umem, buffers: Vec<Buffer>) -> Result<(), Vec<Buffer>> {
        let needed = buffers.len() as u32;
        if self.in_flight + needed > self.sizes.transmit || self.tx.free() < needed {
            return Err(buffers);
        }
        for buffer in buffers {
            self.push(umem, buffer);
        }
        Ok(())
    }

    fn push(&mut self, umem: &mut Umem, buffer: Buffer) {
        let options = if buffer.more { XdpDescOptions::XDP_PKT_CONTD } else { XdpDescOptions::empty() };
        let addr = umem.lend(buffer.frame) + buffer.start as u64;
        if self.tx.push(XdpDesc { addr, len: buffer.len as u32, options }) {
            self.in_flight += 1;
        }
    }

    /// Has the kernel send what is in the tx ring. Returns whether something is left for later.
    pub(crate) fn flush(&mut self) -> bool {
        self.tx.publish();
        let mut left = self.tx.unconsumed();
        while left != 0 {
            // In copy mode one call sends a bounded number of packets.
            match send(&self.fd, &[], SendFlags::DONTWAIT) {
                Ok(_) | Err(Errno::BUSY) => {}
                // AGAIN: the socket's send buffer is full; NOBUFS: the device's queue is. Both pass.
                Err(_) => return true,
            }
            let now_left = self.tx.unconsumed();
            if now_left == left {
                return true;
            }
            left = now_left;
        }
        false
    }

    /// Takes back the frames that were sent.
    pub(crate) fn complete(&mut self, umem: &mut Umem) {
        if self.in_flight == 0 {
            return;
        }
        while let Some(address) = self.completion.pop() {
            self.in_flight = self.in_flight.saturating_sub(1);
            if let Some((frame, _)) = umem.reclaim(address) {
                umem.put(frame);
            }
        }
        self.completion.release();
    }

    /// The kernel's counters of what this socket lost.
    pub(crate) fn statistics(&self) -> io::Result<XdpStatistics> {
        Ok(sockopt::xdp_statistics(&self.fd)?)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
