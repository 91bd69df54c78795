//! Which segments come for the second time. Who means to connect repeats a segment that nobody answers; a flood from random
//! sources does not. So while there are too many, the first may be dropped.
//!
//! Memory is lines of sixteen cells; a flow's hash says in which line, and what to keep: 22 bits of it and 10 bits of time, in units
//! of 67 ms, which wrap after 69 s. A new flow takes the place of the oldest in its line: with 2^18 lines a flow is
//! remembered for 24 s at 170 000 new ones a second, for 4 s at a million. Of those that come for the first time one in a
//! quarter of a million is taken for a repetition.

use crate::line::{Line, WORDS};
use crate::siphash;
use crate::sync::Ordering;
use crate::tick::{Tick, ticks};

/// log2 of the ticks in a unit of time.
const SHIFT: u32 = 4;
/// Bits of a cell that hold its time.
const TIME: u32 = 0x3ff;

/// Units that must lie between a segment and its repetition: more than 0.2 s. A tool that sends everything twice does not
/// wait; clients wait a second (RFC 6298 section 2.1).
const LEAST: u32 = (ticks(1) / 5).div_ceil(1 << SHIFT);
/// Most units between the two: 10 s. The usual waits are 1, 2, 4 and 8 s.
const MOST: u32 = ticks(10) >> SHIFT;

/// The hash of a TCP flow under `key`: addresses and ports as in the packet, the source's before the destination's.
#[inline(always)]
pub fn hash(key: [u64; 2], source: [u32; 4], destination: [u32; 4], ports: u32) -> u64 {
    let [a, b, c, d] = source;
    let first = siphash::hash(key, [a, b, c, d, ports]);
    let [a, b, c, d] = destination;
    siphash::hash([first, key[1]], [a, b, c, d, 0])
}

/// Which of a power of two of lines a flow belongs to.
#[inline(always)]
pub fn line_of(hash: u64, lines: u32) -> u32 {
    hash as u32 & (lines - 1)
}

/// Whether a segment of the flow came 0.2 to 10 s ago, or since then such a repetition; notes that this one came now.
///
/// Two processors at one line may lose what one of them notes.
#[inline(always)]
pub fn is_repeat(line: &Line, hash: u64, now: Tick) -> bool {
    let time = now.0 >> SHIFT & TIME;
    // Never 0, so that no cell in use is all zeroes.
    let tag = ((hash >> 32) as u32 & !TIME).max(TIME + 1);
    let cells = line.first::<WORDS>();
    // Age and place of the oldest, in one word: so the kernel's verifier has no need to follow every choice.
    let mut oldest = 0;
    let mut place = 0;
    while place < WORDS {
        let cell = cells[place].load(Ordering::Relaxed);
        // A cell of zeroes is nobody's.
        let age = if cell == 0 { TIME } else { time.wrapping_sub(cell) & TIME };
        if cell & !TIME == tag {
            // Of repetitions that come too early the first one counts, or they would be early for ever.
            if age >= LEAST {
                cells[place].store(tag | time, Ordering::Relaxed);
            }
            return (LEAST..=MOST).contains(&age);
        }
        oldest = oldest.max(age << 4 | place as u32);
        place += 1;
    }
    const { assert!(WORDS == 1 << 4) };
    cells[oldest as usize & (WORDS - 1)].store(tag | time, Ordering::Relaxed);
    false
}

#[cfg(all(test, not(loom)))]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    /// Milliseconds after some moment.
    fn at(milliseconds: u64) -> Tick {
        Tick::from_nanos(1_000_000_000_000 + milliseconds * 1_000_000)
    }

    fn flow(number: u32) -> u64 {
        hash([1, 2], [0, 0, 0xffff, number], [0, 0, 0xffff, 9], 80)
    }

    #[test]
    fn a_client_that_waits_longer_and_longer() {
        let line = Line::zeroed();
        assert!(!is_repeat(&line, flow(1), at(0)));
        for milliseconds in [1000, 3000, 7000, 15_000] {
            assert!(is_repeat(&line, flow(1), at(milliseconds)), "{milliseconds}");
        }
        assert!(!is_repeat(&line, flow(1), at(26_000)), "given up meanwhile: a new connection");
        assert!(is_repeat(&line, flow(1), at(27_000)));
        assert!(!is_repeat(&line, flow(2), at(27_000)), "another flow");
    }

    #[test]
    fn a_repetition_must_not_come_at_once() {
        let line = Line::zeroed();
        for milliseconds in [0, 0, 1, 50, 100, 130, 190] {
            assert!(!is_repeat(&line, flow(1), at(milliseconds)), "{milliseconds}");
        }
        assert!(is_repeat(&line, flow(1), at(300)));
        assert!(!is_repeat(&line, flow(1), at(310)), "a repetition is a segment like the first");
        assert!(is_repeat(&line, flow(1), at(600)));
    }

    #[test]
    fn time_may_wrap() {
        let unit = 1 << SHIFT;
        for start in [0, 1, TIME - 1, TIME, u32::MAX / unit] {
            let line = Line::zeroed();
            let start = Tick(start * unit);
            for number in 0..16 {
                assert!(!is_repeat(&line, flow(number), start.after(number * unit)));
            }
            for number in 0..16 {
                assert!(is_repeat(&line, flow(number), start.after(ticks(2))), "{number} at {start:?}");
            }
        }
    }

    #[test]
    fn the_oldest_makes_room() {
        let line = Line::zeroed();
        for number in 0..=16 {
            assert!(!is_repeat(&line, flow(number), at(u64::from(number) * 100)));
        }
        // All but the first of 17 are still there.
        for number in 1..=16 {
            assert!(is_repeat(&line, flow(number), at(2000)), "{number}");
        }
        assert!(!is_repeat(&line, flow(0), at(2000)));
    }

    #[test]
    fn addresses_and_ports_all_count() {
        let one = hash([1, 2], [1, 2, 3, 4], [5, 6, 7, 8], 9);
        for word in 0..4 {
            let mut other = [1, 2, 3, 4];
            other[word] ^= 1;
            assert_ne!(one, hash([1, 2], other, [5, 6, 7, 8], 9));
            let mut other = [5, 6, 7, 8];
            other[word] ^= 1;
            assert_ne!(one, hash([1, 2], [1, 2, 3, 4], other, 9));
        }
        assert_ne!(one, hash([1, 2], [1, 2, 3, 4], [5, 6, 7, 8], 10));
        assert_ne!(one, hash([1, 3], [1, 2, 3, 4], [5, 6, 7, 8], 9));
    }

    /// A flood of a million segments at 170 000 a second: hardly one is taken for a repetition, and a client in its midst is
    /// remembered.
    #[test]
    fn a_flood_does_not_wash_a_client_away() {
        const LINES: u32 = 1 << 18;
        let lines: Vec<Line> = (0..LINES).map(|_| Line::zeroed()).collect();
        let ask = |hash, now| is_repeat(&lines[line_of(hash, LINES) as usize], hash, now);
        let mut through = 0;
        let mut client = Vec::new();
        for number in 0..1_000_000 {
            let now = at(u64::from(number) / 170);
            through += u32::from(ask(flow(number), now));
            if number % 170_000 == 0 {
                client.push(ask(flow(u32::MAX), now));
            }
        }
        assert_eq!(client, [false, true, true, true, true, true]);
        assert!(through < 100, "{through} of a million");
    }
}
