//! How the XDP program reaches a destination: one line of memory each, by destination index, that the daemon writes.
//!
//! | word | content |
//! |---|---|
//! | 0–3 | the destination's address, as in [`crate::Address`] |
//! | 4 | index of the interface to leave by |
//! | 5 | most bytes of an IP packet |
//! | 6–8 | hardware addresses: the next hop's, then our own, as they stand in a frame |
//! | 15 | version: 0 or odd while the way must not be used |
//!
//! The version works as that of an entry (see [`crate::EntryRef`]); the daemon's one thread writes.

use crate::{
    Address,
    line::Line,
    sync::{Ordering, fence},
};

/// The way to a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// The destination's address.
    pub address: Address,
    /// Index of the interface to leave by.
    pub interface: u32,
    /// Most bytes of an IP packet.
    pub mtu: u32,
    /// The first twelve bytes of the frame: the next hop's hardware address and our own.
    pub hardware: [u32; 3],
}

/// The way in a line, `None` if there is none or it just changes.
#[inline(always)]
pub fn read(line: &Line) -> Option<Way> {
    // Orderings as in `entry`.
    let version = line.word::<15>().load(Ordering::Acquire);
    let word = |number: usize| line.first::<9>().get(number).map_or(0, |word| word.load(Ordering::Relaxed));
    let way = Way {
        address: Address::from_words([word(0), word(1), word(2), word(3)]),
        interface: word(4),
        mtu: word(5),
        hardware: [word(6), word(7), word(8)],
    };
    fence(Ordering::Acquire);
    let unchanged = line.word::<15>().load(Ordering::Relaxed) == version;
    (version & 1 == 0 && version != 0 && unchanged).then_some(way)
}

/// Puts a way in a line.
pub fn write(line: &Line, way: &Way) {
    clear(line);
    let [a, b, c, d] = way.address.words();
    let [e, f, g] = way.hardware;
    for (word, value) in line.first::<9>().iter().zip([a, b, c, d, way.interface, way.mtu, e, f, g]) {
        word.store(value, Ordering::Relaxed);
    }
    crate::entry::publish(line);
}

/// Takes the way out of a line: nobody uses it who begins to read now.
pub fn clear(line: &Line) {
    crate::entry::retire(line);
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_way_is_there_until_it_is_cleared() {
        let line = Line::zeroed();
        assert_eq!(read(&line), None);
        let way = Way { address: [10, 0, 0, 1].into(), interface: 7, mtu: 1500, hardware: [1, 2, 3] };
        write(&line, &way);
        assert_eq!(read(&line), Some(way));
        clear(&line);
        assert_eq!(read(&line), None);
        let other = Way { interface: 8, ..way };
        write(&line, &other);
        write(&line, &way);
        assert_eq!(read(&line), Some(way));
    }
}
