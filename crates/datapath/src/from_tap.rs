//! Frames that come by a TAP device.

use crate::counter::Counter;
use crate::engine::Engine;
use crate::input::Input;
use crate::output::FRAME_ROOM;
use crate::tap::{LONGEST_FRAME, Offload};
use crate::xsk::{Buffer, HEADROOM};

impl Input<'_> {
    /// Takes a frame that comes by the port's TAP device, read into `large`; returns whether there was one.
    pub(crate) fn take_from_tap(&mut self, engine: &mut (impl Engine + ?Sized), large: &mut Vec<u8>) -> bool {
        large.resize(HEADROOM + LONGEST_FRAME, 0);
        let Some(tap) = self.output.ports.get_mut(self.port).and_then(|port| port.tap.as_mut()) else {
            return false;
        };
        // Large packets stay where they are read, and are written from there.
        let Some((len, offload)) = tap.receive(large.get_mut(HEADROOM..).unwrap_or_default()) else {
            return false;
        };
        self.output.counters.count(Counter::Received);
        self.tap_frame(engine, large.get_mut(..HEADROOM + len).unwrap_or_default(), offload);
        true
    }

    /// A frame that a TAP device gave; it begins after [`HEADROOM`] bytes.
    pub(crate) fn tap_frame(
        &mut self,
        engine: &mut (impl Engine + ?Sized),
        whole: &mut [u8],
        offload: Offload,
    ) {
        let len = whole.len().saturating_sub(HEADROOM);
        match offload.segment() {
            None if len <= FRAME_ROOM => {
                let Some(mut frame) = self.output.umem.take() else {
                    return self.output.counters.count(Counter::NoFrame);
                };
                let room = self.output.umem.bytes_mut(&mut frame).get_mut(HEADROOM..HEADROOM + len);
                if let (Some(room), Some(bytes)) = (room, whole.get(HEADROOM..)) {
                    room.copy_from_slice(bytes);
                }
                self.frame(engine, Buffer { frame, start: HEADROOM, len, more: false });
            }
            Some(segment) => self.unsegmented(engine, whole, (offload, segment)),
            None => self.large(engine, whole),
        }
    }
}
