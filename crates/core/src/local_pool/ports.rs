//! Which ports of one local address are in use towards one server.

/// The first port that is given away: lower ones belong to servers, and may need privilege to answer to.
pub(crate) const FIRST: u16 = 1024;
/// How many ports there are to give away.
pub(crate) const COUNT: u32 = u16::MAX as u32 - FIRST as u32 + 1;

/// Ports of a chunk.
const CHUNK: u16 = 1024;
const WORDS: usize = CHUNK as usize / 64;

/// A bit per port, in use or not, in chunks that are there while one of their ports is in use.
///
/// A free port is found in a few dozen steps however many are in use, and the search goes on where the last one ended: a port
/// is given away again after all others. So neighbours end about together, and memory is a bit per port rather than a chunk.
#[derive(Clone, Debug)]
pub(crate) struct Ports {
    chunks: [Option<Box<[u64; WORDS]>>; 64],
    /// By chunk: no port of it is free. The chunk below [`FIRST`] is, from the beginning.
    full: u64,
    used: u32,
    /// Where the search begins.
    next: u16,
}

impl Ports {
    /// All free; the search begins at the port of this number, counted from [`FIRST`], round and round.
    pub(crate) fn starting_at(number: u32) -> Self {
        let next = (u32::from(FIRST) + number % COUNT) as u16;
        Self { chunks: [const { None }; 64], full: 1, used: 0, next }
    }

    /// How many are in use.
    pub(crate) fn used(&self) -> u32 {
        self.used
    }

    /// Takes a free port; `None` if all are in use.
    pub(crate) fn take(&mut self) -> Option<u16> {
        let port = self.first_free()?;
        self.next = port.checked_add(1).unwrap_or(FIRST);
        self.occupy(port).then_some(port)
    }

    fn first_free(&self) -> Option<u16> {
        let begin = self.next / CHUNK;
        if let Some(port) = self.free_in(begin, self.next % CHUNK) {
            return Some(port);
        }
        // The chunks after this one, in order; it is itself the last, for what is before the beginning.
        let open = (!self.full).rotate_right(u32::from(begin) + 1);
        if open == 0 {
            return None;
        }
        self.free_in((begin + 1 + open.trailing_zeros() as u16) % 64, 0)
    }

    /// The first free port of a chunk at `offset` or behind.
    fn free_in(&self, chunk: u16, offset: u16) -> Option<u16> {
        if self.full >> chunk & 1 != 0 {
            return None;
        }
        let Some(words) = self.chunks.get(usize::from(chunk))? else { return Some(chunk * CHUNK + offset) };
        let first = usize::from(offset / 64);
        let mut ignored = (1 << (offset % 64)) - 1;
        for (place, word) in words.iter().enumerate().skip(first) {
            let free = !(word | ignored);
            if free != 0 {
                return Some(chunk * CHUNK + place as u16 * 64 + free.trailing_zeros() as u16);
            }
            ignored = 0;
        }
        None
    }

    /// Notes that a port is in use; `false` if it was, or is none that is given away.
    pub(crate) fn occupy(&mut self, port: u16) -> bool {
        let (chunk, place, bit) = split(port);
        let Some(room) = self.chunks.get_mut(chunk).filter(|_| port >= FIRST) else { return false };
        let words = room.get_or_insert_default();
        let Some(word) = words.get_mut(place).filter(|word| **word & bit == 0) else { return false };
        *word |= bit;
        self.used += 1;
        if words.iter().all(|word| *word == u64::MAX) {
            self.full |= 1 << chunk;
        }
        true
    }

    /// Notes that a port is free; `false` if it was.
    pub(crate) fn free(&mut self, port: u16) -> bool {
        let (chunk, place, bit) = split(port);
        let Some(room) = self.chunks.get_mut(chunk) else { return false };
        let Some(words) = room else { return false };
        let Some(word) = words.get_mut(place).filter(|word| **word & bit != 0) else { return false };
        *word &= !bit;
        self.used -= 1;
        self.full &= !(1 << chunk);
        if words.iter().all(|word| *word == 0) {
            *room = None;
        }
        true
    }
}

/// Chunk, word in it and bit in that of a port.
fn split(port: u16) -> (usize, usize, u64) {
    (usize::from(port / CHUNK), usize::from(port % CHUNK / 64), 1 << (port % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::random::Random;

    #[test]
    fn each_port_is_given_away_once_and_again_after_all_others() {
        let mut ports = Ports::starting_at(60_000);
        let taken: Vec<u16> = std::iter::from_fn(|| ports.take()).collect();
        assert_eq!((taken.len(), taken[0]), (COUNT as usize, 61_024));
        let expected: BTreeSet<u16> = (FIRST..=u16::MAX).collect();
        assert_eq!(taken.iter().copied().collect::<BTreeSet<_>>(), expected);
        assert_eq!(ports.take(), None);
        // Of two that fall free it is the next behind the one given away last.
        assert!(ports.free(61_023) && ports.free(2000) && !ports.free(2000));
        ports.next = 1999;
        assert_eq!((ports.take(), ports.take(), ports.take()), (Some(2000), Some(61_023), None));
    }

    #[test]
    fn a_port_that_falls_free_waits_for_its_turn() {
        let mut ports = Ports::starting_at(COUNT - 1);
        for expected in [u16::MAX, FIRST, FIRST + 1] {
            assert_eq!(ports.take(), Some(expected));
            assert!(ports.free(expected));
        }
        assert_eq!(ports.used(), 0);
        assert!(ports.chunks.iter().all(Option::is_none));
    }

    #[test]
    fn ports_below_the_first_are_never_in_use() {
        let mut ports = Ports::starting_at(0);
        assert!(!ports.occupy(0) && !ports.occupy(FIRST - 1) && ports.occupy(FIRST) && !ports.occupy(FIRST));
        assert!(!ports.free(80) && !ports.free(FIRST + 1));
        assert_eq!(ports.used(), 1);
    }

    #[test]
    fn any_order_agrees_with_a_set() {
        let mut random = Random::new(7);
        let (mut ports, mut model) = (Ports::starting_at(random.below(1 << 16) as u32), BTreeSet::new());
        for round in 0..300_000 {
            // Nearly full at times, nearly empty at others.
            if random.below(100) < if round / 70_000 % 2 == 0 { 98 } else { 2 } {
                match ports.take() {
                    Some(port) => assert!(port >= FIRST && model.insert(port), "{port} is in use"),
                    None => assert_eq!(model.len(), COUNT as usize),
                }
            } else {
                let port = FIRST + random.below(u64::from(COUNT)) as u16;
                assert_eq!(ports.free(port), model.remove(&port));
            }
            assert_eq!(ports.used() as usize, model.len());
        }
    }
}
