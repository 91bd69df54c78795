//! The state machines as the XDP program has them: derived from the tables, no cases of their own.

use crate::{
    Status,
    flag::{INACTIVE, METHOD, NO_OUTPUT, TRANSLATED},
    tcp::{self, Direction, Event, State},
    udp,
};

/// Timeouts by state, in ticks, as both paths share them: TCP's states by their numbers, then UDP, then [`SECURE_TCP`],
/// [`BIRTHS`], [`PMTU_DISC`] and [`TIMEOUTS_NUMBER`].
pub const TIMEOUTS: usize = 16;
/// Place of UDP's timeout.
pub const UDP_TIMEOUT: usize = 11;

/// Not a timeout: 1 while TCP goes by the tables of `secure_tcp`.
pub const SECURE_TCP: usize = 12;
/// Not a timeout: 1 while the XDP program may begin connections.
pub const BIRTHS: usize = 13;
/// Not a timeout: 1 while outer headers forbid fragmentation if the inner ones do (`pmtu_disc`).
pub const PMTU_DISC: usize = 14;
/// Not a timeout: a number that changes with the others, by which records of the flow cache know whether they are of these.
pub const TIMEOUTS_NUMBER: usize = 15;

/// The flag of TCP.
const SYN: u8 = 0x02;

const STATES: usize = 16;
const EVENTS: [Event; 5] = [Event::Syn, Event::Fin, Event::Ack, Event::Rst, Event::Nothing];
const DIRECTIONS: [Direction; 3] = [Direction::Input, Direction::Output, Direction::InputOnly];

/// The next states by table, direction, event and state, in one row whose length is a power of two: any index, masked, is
/// good to the verifier.
const NEXT: [u8; 512] = {
    let mut next = [0; 512];
    let mut place = 0;
    while place < 2 * DIRECTIONS.len() * EVENTS.len() * STATES {
        let (row, state) = (place / STATES, place % STATES);
        let (table, event) = (row / EVENTS.len(), row % EVENTS.len());
        let (secure, direction) = (table / DIRECTIONS.len() != 0, table % DIRECTIONS.len());
        if state < State::ALL.len() {
            let after = tcp::next_state(secure, DIRECTIONS[direction], EVENTS[event], State::ALL[state]);
            next[place] = after as u8;
        }
        place += 1;
    }
    next
};

/// The active TCP states, bits by number.
const ACTIVE: u16 = {
    let (mut bits, mut number) = (0, 0);
    while number < State::ALL.len() {
        if State::ALL[number].is_active() {
            bits |= 1 << number;
        }
        number += 1;
    }
    bits
};

/// The TCP state after `event` from `state`, as [`tcp::next_state`] has it; 0 for a state that there is not.
#[inline(always)]
pub const fn next_tcp(secure: bool, direction: Direction, event: Event, state: u8) -> u8 {
    let event = match event {
        Event::Syn => 0,
        Event::Fin => 1,
        Event::Ack => 2,
        Event::Rst => 3,
        Event::Nothing => 4,
    };
    let direction = match direction {
        Direction::Input => 0,
        Direction::Output => 1,
        Direction::InputOnly => 2,
    };
    let table = if secure { DIRECTIONS.len() } else { 0 } + direction;
    let place = (table * EVENTS.len() + event) * STATES + (state as usize & (STATES - 1));
    NEXT[place & (NEXT.len() - 1)]
}

/// Whether a connection in this TCP state counts as active.
#[inline(always)]
pub const fn is_active_tcp(state: u8) -> bool {
    ACTIVE >> (state & 15) & 1 != 0
}

/// Whether a datagram leaves a UDP connection in `state`.
#[inline(always)]
pub const fn leaves_udp(state: u8) -> bool {
    state == udp::STATE
}

/// What a packet does to its connection: the state that follows, and whether that is another one. The packet is a segment
/// with `segment`'s flags, or a datagram; `seen` is the connection's status. `setting` tells what stands at a place of
/// [`TIMEOUTS`], `has_timeout` whether the connection has the timeout of that place. `None`: only the daemon can tell, or do what
/// else is to be done.
#[inline(always)]
pub fn step(
    segment: Option<u8>,
    seen: Status,
    direction: Direction,
    setting: impl Fn(usize) -> Option<u32>,
    has_timeout: impl FnOnce(usize) -> bool,
) -> Option<(u8, bool)> {
    // What changed the connection goes out first.
    if seen.unsettled() != 0 || seen.flags() & !(METHOD | NO_OUTPUT | INACTIVE | TRANSLATED) != 0 {
        return None;
    }
    let from = seen.state();
    let mut to = from;
    let mut place = UDP_TIMEOUT;
    if let Some(flags) = segment {
        // May begin a connection in the place of this one, whatever flags it has beside.
        if flags & SYN != 0 && !matches!(direction, Direction::Output) {
            return None;
        }
        to = next_tcp(setting(SECURE_TCP)? != 0, direction, Event::from_flags(flags), from);
        place = to as usize;
    } else if !leaves_udp(from) {
        return None;
    }
    let changes = to != from;
    // A timeout that was set takes effect with the next packet: the daemon writes it.
    if if changes { seen.is_guarded() } else { !has_timeout(place) } {
        return None;
    }
    Some((to, changes))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_state_tables() {
        for secure in [false, true] {
            for direction in DIRECTIONS {
                for event in EVENTS {
                    for state in State::ALL {
                        let next = tcp::next_state(secure, direction, event, state);
                        assert_eq!(next_tcp(secure, direction, event, state as u8), next as u8);
                        assert_eq!(is_active_tcp(state as u8), state.is_active());
                    }
                }
            }
        }
    }
}
