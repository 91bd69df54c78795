//! Which packets leave a connection's state as it is: those that need no state machine, in the XDP program.
//!
//! Derived from the state tables; no cases of its own.

use crate::{
    EntryRef,
    flag::{INACTIVE, METHOD, NO_OUTPUT},
    tcp::{self, Direction, Event, State},
    udp,
};

/// Timeouts by state, in ticks, as both paths share them: TCP's states by their numbers, then UDP.
pub const TIMEOUTS: usize = 16;
/// Place of UDP's timeout.
pub const UDP_TIMEOUT: usize = 11;

/// Per direction, the TCP states (bits by number) that an ACK leaves as they are, in the normal and in the secure tables.
const STEADY: [u16; 3] = [steady(Direction::Input), steady(Direction::Output), steady(Direction::InputOnly)];

const fn steady(direction: Direction) -> u16 {
    let mut bits = 0;
    let mut number = 0;
    while number < State::ALL.len() {
        let state = State::ALL[number];
        let normal = tcp::next_state(false, direction, Event::Ack, state) as u8;
        let secure = tcp::next_state(true, direction, Event::Ack, state) as u8;
        if normal == state as u8 && secure == state as u8 {
            bits |= 1 << number;
        }
        number += 1;
    }
    bits
}

/// Whether a TCP segment with these flags leaves a connection in `state`, whichever tables are in use.
#[inline(always)]
pub const fn leaves_tcp(direction: Direction, flags: u8, state: u8) -> bool {
    let states = match direction {
        Direction::Input => STEADY[0],
        Direction::Output => STEADY[1],
        Direction::InputOnly => STEADY[2],
    };
    matches!(Event::from_flags(flags), Event::Ack) && state < 16 && states >> state & 1 != 0
}

/// Whether a datagram leaves a UDP connection in `state`.
#[inline(always)]
pub const fn leaves_udp(state: u8) -> bool {
    state == udp::STATE
}

/// Whether a packet changes neither state nor timeout of a connection that has no more than the usual flags: a segment with
/// `segment`'s flags, or a datagram. `timeout` tells the present timeout of a state by its place.
#[inline(always)]
pub fn is_steady(
    segment: Option<u8>,
    entry: &EntryRef<'_>,
    flags: u16,
    direction: Direction,
    timeout: impl FnOnce(usize) -> Option<u32>,
) -> bool {
    let state = entry.state();
    let (steady, place) = match segment {
        Some(segment) => (leaves_tcp(direction, segment, state), state as usize),
        None => (leaves_udp(state), UDP_TIMEOUT),
    };
    // What changed the connection goes out first. A new timeout takes effect with the next packet: the daemon writes it.
    steady
        && entry.unsettled() == 0
        && flags & !(METHOD | NO_OUTPUT | INACTIVE) == 0
        && timeout(place) == Some(entry.timeout())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn established_connections_are_steady_and_opening_ones_are_not() {
        const ACK: u8 = 0x10;
        for direction in [Direction::Input, Direction::Output, Direction::InputOnly] {
            let steady = |state: State| leaves_tcp(direction, ACK, state as u8);
            assert!(steady(State::Established) && steady(State::CloseWait) && steady(State::TimeWait));
            assert!(!steady(State::None) && !steady(State::SynRecv) && !steady(State::SynAck));
            // The server's SYN was not seen answered: an ACK changes nothing.
            assert!(steady(State::SynSent));
            assert!(!leaves_tcp(direction, ACK, 11) && !leaves_tcp(direction, ACK, 255));
            for other in [0, 0x11, 0x12, 0x14, 0x08] {
                assert!(!leaves_tcp(direction, other, State::Established as u8));
            }
            // ECN, urgent and push bits are no events.
            assert!(leaves_tcp(direction, 0xf8, State::Established as u8));
        }
        assert!(leaves_tcp(Direction::Output, ACK, State::LastAck as u8));
        assert!(!leaves_tcp(Direction::Input, ACK, State::LastAck as u8));
    }

    /// Every answer against the state machine itself.
    #[test]
    fn agrees_with_the_state_tables() {
        for direction in [Direction::Input, Direction::Output, Direction::InputOnly] {
            for flags in 0..=255u8 {
                for state in State::ALL {
                    let next = |secure| tcp::next_state(secure, direction, Event::from_flags(flags), state);
                    if leaves_tcp(direction, flags, state as u8) {
                        assert_eq!((next(false), next(true)), (state, state));
                    }
                }
            }
        }
    }
}
