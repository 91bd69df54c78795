//! Sequence numbers, acknowledgments and windows on both sides of a header that only the server sees.

/// Where the client's stream begins, as its handshake told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Beginning {
    /// Sequence number of its first byte, as the client counts.
    pub(super) first: u32,
    /// By how many bits the server's windows are to be shifted (RFC 7323).
    pub(super) scale: u8,
}

/// What is known of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    /// `None`: the handshake was not seen, or not yet.
    pub(super) beginning: Option<Beginning>,
    /// The header's length.
    pub(super) length: u32,
    /// The server has acknowledged all of the header.
    pub(super) arrived: bool,
}

/// A segment of the client's, without SYN.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) sequence: u32,
    /// Bytes of data.
    pub(super) length: u32,
    pub(super) rst: bool,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// It goes on as it is.
    Unchanged,
    /// With this sequence number.
    Moved(u32),
    /// With the header before its data.
    WithHeader,
    /// Nowhere: it cannot be told where the header goes, or it begins before the stream and goes on into it.
    Nowhere,
}

impl Numbers {
    /// What becomes of a segment of the client's. A reset ahead of the header's acknowledgment keeps the number that the
    /// server waits for if it has no header; if it has one, it will say so, and the client will answer that.
    pub(super) fn to_server(self, sent: Sent) -> Way {
        let moved = Way::Moved(sent.sequence.wrapping_add(self.length));
        if self.arrived {
            return moved;
        }
        let Some(Beginning { first, .. }) = self.beginning else {
            return if sent.rst { Way::Unchanged } else { Way::Nowhere };
        };
        match distance(first, sent.sequence) {
            0 if !sent.rst => Way::WithHeader,
            position if position > 0 => moved,
            position if i64::from(position) + i64::from(sent.length) > 0 && !sent.rst => Way::Nowhere,
            // A probe whether the connection is there.
            _ => Way::Unchanged,
        }
    }

    /// Whether an acknowledgment of the server's covers the header.
    pub(super) fn covers(&self, acknowledgment: u32) -> bool {
        let Some(Beginning { first, .. }) = self.beginning else { return false };
        distance(first, acknowledgment) >= self.length.cast_signed()
    }

    /// A number of the server's about what it received, for the client. What is part of the header is the stream's beginning.
    pub(super) fn to_client(self, number: u32) -> u32 {
        let down = number.wrapping_sub(self.length);
        match self.beginning {
            Some(Beginning { first, .. }) => match distance(first, number) {
                position if position <= 0 => number,
                position if position < self.length.cast_signed() => first,
                _ => down,
            },
            None if self.arrived => down,
            None => number,
        }
    }

    /// A block of a selective acknowledgment; none that is of the header alone.
    pub(super) fn block(&self, left: u32, right: u32) -> Option<(u32, u32)> {
        let block = (self.to_client(left), self.to_client(right));
        (block.0 != block.1).then_some(block)
    }

    /// The server's window as the client must see it, scaled by `scale` bits.
    pub(super) fn window(&self, window: u16, scale: u8) -> u16 {
        let taken = if self.arrived { 0 } else { self.length.div_ceil(1 << scale.min(14)) };
        window.saturating_sub(taken as u16)
    }
}

/// How far `number` is behind `first`.
fn distance(first: u32, number: u32) -> i32 {
    number.wrapping_sub(first).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    const L: u32 = 28;

    /// Around the wrap of sequence numbers.
    const FIRST: u32 = u32::MAX - 9;

    fn numbers(arrived: bool) -> Numbers {
        Numbers { beginning: Some(Beginning { first: FIRST, scale: 7 }), length: L, arrived }
    }

    fn at(position: i32) -> u32 {
        FIRST.wrapping_add_signed(position)
    }

    fn sent(position: i32, length: u32) -> Sent {
        Sent { sequence: at(position), length, rst: false }
    }

    #[test]
    fn segments_until_the_header_has_arrived() {
        let it = numbers(false);
        for length in [0, 1, 1000] {
            assert_eq!(it.to_server(sent(0, length)), Way::WithHeader);
            assert_eq!(it.to_server(sent(1, length)), Way::Moved(at(29)));
            assert_eq!(it.to_server(sent(1000, length)), Way::Moved(at(1028)));
        }
        // Keep-alive probes, with a byte of no meaning or none.
        assert_eq!([0, 1].map(|length| it.to_server(sent(-1, length))), [Way::Unchanged; 2]);
        assert_eq!(it.to_server(sent(-1, 2)), Way::Nowhere);
        let reset = |position| it.to_server(Sent { rst: true, ..sent(position, 0) });
        assert_eq!([reset(0), reset(5)], [Way::Unchanged, Way::Moved(at(33))]);
    }

    #[test]
    fn segments_afterwards() {
        for it in [numbers(true), Numbers { beginning: None, ..numbers(true) }] {
            for position in [-1, 0, 1, 1000] {
                for rst in [false, true] {
                    let sent = Sent { rst, ..sent(position, 3) };
                    assert_eq!(it.to_server(sent), Way::Moved(at(position + 28)));
                }
            }
        }
    }

    #[test]
    fn without_a_handshake_nothing_goes_but_a_reset() {
        let it = Numbers { beginning: None, ..numbers(false) };
        assert_eq!(it.to_server(sent(0, 0)), Way::Nowhere);
        assert_eq!(it.to_server(Sent { rst: true, ..sent(0, 0) }), Way::Unchanged);
        assert_eq!((it.to_client(77), it.covers(77)), (77, false));
    }

    #[test]
    fn acknowledgments_never_fall_below_the_beginning() {
        for it in [numbers(false), numbers(true)] {
            let positions = [-1, 0, 1, 27, 28, 29, 1028].map(|position| it.to_client(at(position)));
            assert_eq!(positions, [-1, 0, 0, 0, 0, 1, 1000].map(at));
            assert_eq!(
                [-1, 0, 27, 28, 29].map(|it_at| it.covers(at(it_at))),
                [false, false, false, true, true]
            );
        }
        assert_eq!(Numbers { beginning: None, ..numbers(true) }.to_client(at(128)), at(100));
    }

    #[test]
    fn blocks_without_the_header() {
        let block = |left, right| numbers(true).block(at(left), at(right));
        assert_eq!([block(0, 28), block(3, 20)], [None; 2]);
        assert_eq!(block(0, 128), Some((at(0), at(100))));
        assert_eq!(block(128, 228), Some((at(100), at(200))));
    }

    #[test]
    fn windows_leave_room_for_the_header() {
        let window = |window, scale, arrived| numbers(arrived).window(window, scale);
        assert_eq!([window(1000, 0, false), window(1000, 2, false), window(1000, 7, false)], [972, 993, 999]);
        assert_eq!([window(20, 0, false), window(20, 0, true), window(0, 255, false)], [0, 20, 0]);
    }
}
