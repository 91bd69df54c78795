//! What the XDP program tells the daemon of entries, as numbers in a [`crate::Ring`].

/// Bit of a number: a connection began. Entries' numbers are below it.
const BORN: u32 = 1 << 31;

/// Something happened to the connection in an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It may end earlier than before.
    Shortened(u32),
    /// It began.
    Born(u32),
}

/// The number of a connection that began in this entry.
#[inline(always)]
pub const fn born(entry: u32) -> u32 {
    entry | BORN
}

/// The number of a connection in this entry that may end earlier than before.
#[inline(always)]
pub const fn shortened(entry: u32) -> u32 {
    entry
}

impl Event {
    /// The event of a number.
    pub const fn from_number(number: u32) -> Self {
        if number & BORN != 0 { Event::Born(number & !BORN) } else { Event::Shortened(number) }
    }
}
