//! Several frames of a queue at once: what they will ask memory for is read for all of them, then they are judged one after the
//! other.

use std::hint::black_box;

use crate::counter::Counter;
use crate::engine::Engine;
use crate::ethernet;
use crate::input::Input;
use crate::xsk::{Buffer, HEADROOM};

/// Most frames taken at a time: as many loads as a processor has under way, and few enough that what was read is still
/// in its cache when the last one is judged.
pub(crate) const AHEAD: usize = 32;

impl Input<'_> {
    /// Takes the next frames of a queue, at most [`AHEAD`] buffers, through `buffers`, which is empty before and after. Returns how
    /// many packets there were and whether there may be more; `large` is room for one in several buffers.
    pub(crate) fn take_from_queue(
        &mut self,
        engine: &mut (impl Engine + ?Sized),
        queue: usize,
        buffers: &mut Vec<Buffer>,
        large: &mut Vec<u8>,
    ) -> (usize, bool) {
        self.receive(queue, buffers, AHEAD);
        let full = buffers.len() == AHEAD;
        if buffers.len() > 1 {
            self.read_ahead(engine, buffers);
        }
        let (mut packets, mut gathering) = (0, false);
        for buffer in buffers.drain(..) {
            packets += usize::from(!gathering);
            gathering = self.take(engine, buffer, large, gathering);
        }
        // The rest of the last one. The kernel gives packets whole; of another the engine counts what is there.
        while gathering {
            self.receive(queue, buffers, 1);
            let Some(buffer) = buffers.pop() else {
                self.large(engine, large);
                break;
            };
            gathering = self.take(engine, buffer, large, gathering);
        }
        (packets, full)
    }

    fn receive(&mut self, queue: usize, buffers: &mut Vec<Buffer>, most: usize) {
        let port = self.output.ports.get_mut(self.port);
        if let Some(socket) = port.and_then(|port| port.sockets.get_mut(queue)) {
            socket.receive(&mut self.output.umem, buffers, most);
        }
    }

    /// Reads headers, which the kernel has just written, on another processor perhaps, and what the engine will look up by them.
    fn read_ahead(&mut self, engine: &mut (impl Engine + ?Sized), buffers: &mut [Buffer]) {
        let mut read = 0;
        for buffer in &mut *buffers {
            let start = buffer.start;
            read ^= self.output.umem.bytes_mut(&mut buffer.frame).get(start).copied().unwrap_or_default();
        }
        black_box(read);
        for buffer in buffers {
            let (start, end) = (buffer.start, buffer.start + buffer.len);
            let frame = self.output.umem.bytes_mut(&mut buffer.frame).get(start..end).unwrap_or_default();
            if let Some(header) = ethernet::read(frame) {
                engine.foresee(frame.get(header.len..).unwrap_or_default());
            }
        }
        engine.read_ahead();
    }

    /// Takes a buffer: a frame, or part of one that is gathered in `large` behind room for outer headers. Returns whether it goes on.
    fn take(
        &mut self,
        engine: &mut (impl Engine + ?Sized),
        mut buffer: Buffer,
        large: &mut Vec<u8>,
        gathering: bool,
    ) -> bool {
        if !gathering {
            self.output.counters.count(Counter::Received);
            if !buffer.more {
                self.frame(engine, buffer);
                return false;
            }
            large.clear();
            large.resize(HEADROOM, 0);
        }
        let (start, end, more) = (buffer.start, buffer.start + buffer.len, buffer.more);
        let bytes = self.output.umem.bytes_mut(&mut buffer.frame);
        large.extend_from_slice(bytes.get(start..end).unwrap_or_default());
        self.output.umem.put(buffer.frame);
        if !more {
            self.large(engine, large);
        }
        more
    }
}
