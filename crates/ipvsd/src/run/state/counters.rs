//! Counters over a restart: memory of a file, written once per turn of the event loop.
//!
//! Each object has two places that are written in turn, each with the number of the turn that wrote it; the head of the file has
//! the number of the last turn that wrote all it had to write. So at any instruction the places of that turn and before are
//! a moment at which all counters went together.
//!
//! | line of eight words | content |
//! |---|---|
//! | 0 | format, number of the last whole turn |
//! | 1 + 6n to 3 + 6n | first place of object n: turn, what it is, its serial number, counters |
//! | 4 + 6n to 6 + 6n | second place |

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, fence};

use ipvs_core::{Counted, Counters, SavedCounters};
use ipvs_datapath::{Cells, SharedMemory};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::run::private_file::{create, open, with_ending};

/// "IPVSCNT1", the layout's version in it.
const FORMAT: u64 = u64::from_be_bytes(*b"IPVSCNT1");
const LINE: usize = 8;
/// Lines and words of a place.
const PLACE_LINES: usize = 3;
const PLACE: usize = PLACE_LINES * LINE;
/// Lines before the first object.
const HEAD: usize = 1;
/// Objects for which a new file has room.
const ROOM: usize = 64;

/// Numbers of kinds of objects, above their index.
const KIND_SHIFT: u32 = 32;
const TOTAL: u64 = 1;
const SERVICE: u64 = 2;
const DESTINATION: u64 = 3;
/// Bit of what an object is: over its threshold.
const OVERLOADED: u64 = 1 << 40;

/// The counters of a daemon that runs.
#[derive(Debug)]
pub(super) struct CountersFile {
    path: PathBuf,
    file: File,
    memory: SharedMemory<Cells>,
    /// Objects for which the file has room.
    room: usize,
    /// Number of the last whole turn.
    turn: u64,
    /// Where an object is, by what it is: a later one at the same index takes its place.
    objects: HashMap<u64, Object>,
    /// The file has not taken the place of that of the former run yet.
    new: bool,
}

#[derive(Clone, Copy, Debug)]
struct Object {
    number: usize,
    /// Which of its places was written last.
    second: bool,
}

impl CountersFile {
    /// A new file, which takes the place of the one at `path` when it has something in it.
    ///
    /// # Errors
    /// Those of making and mapping a file.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let file = create(&with_ending(path, ".new"))?;
        let memory = map(&file, ROOM)?;
        let path = path.to_owned();
        Ok(Self { path, file, memory, room: ROOM, turn: 0, objects: HashMap::new(), new: true })
    }

    /// Writes what has changed, as one turn.
    ///
    /// # Errors
    /// Those of making the file longer.
    pub(super) fn write(&mut self, changes: &[(Counted, SavedCounters)]) -> io::Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let turn = self.turn + 1;
        for (of, counters) in changes {
            let (what, serial) = identity(*of);
            let count = self.objects.len();
            let object = match self.objects.entry(what) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => {
                    if count == self.room {
                        // In memory that is not there yet nothing can be written.
                        let room = self.room * 2;
                        (self.memory, self.room) = (map(&self.file, room)?, room);
                    }
                    entry.insert(Object { number: count, second: true })
                }
            };
            object.second = !object.second;
            let object = *object;
            let mut words = [0; PLACE];
            words[1] = what | if counters.overloaded { OVERLOADED } else { 0 };
            words[2] = serial;
            let values =
                array(counters.running).into_iter().chain(array(counters.base)).chain(counters.taken);
            words.iter_mut().skip(3).zip(values).for_each(|(word, value)| *word = value);
            let place = place(self.memory.as_ref(), object.number, object.second);
            put(place, 0, 0);
            fence(Release);
            words.into_iter().enumerate().skip(1).for_each(|(number, value)| put(place, number, value));
            fence(Release);
            put(place, 0, turn);
        }
        if let Some(head) = self.memory.as_ref().first() {
            head.0[0].store(FORMAT, Relaxed);
            head.0[1].store(turn, Release);
        }
        self.turn = turn;
        if self.new {
            fs::rename(with_ending(&self.path, ".new"), &self.path)?;
            self.new = false;
        }
        Ok(())
    }
}

/// What the file of a former run holds; nothing if there is none.
///
/// # Errors
/// Those of opening and mapping it; [`io::ErrorKind::InvalidData`] for a file of another format.
pub(super) fn read(path: &Path) -> io::Result<HashMap<Counted, SavedCounters>> {
    let file = match open(path, true) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(error) => return Err(error),
    };
    let lines = file.metadata()?.len() / (LINE * 8) as u64;
    let lines = u32::try_from(lines).map_err(|_| io::ErrorKind::InvalidData)?;
    if lines == 0 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let memory = SharedMemory::<Cells>::of_file(&file, lines)?;
    let (head, rest) = memory.as_ref().split_at(HEAD);
    let Some(head) = head.first().filter(|head| head.0[0].load(Relaxed) == FORMAT) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let last = head.0[1].load(Acquire);
    let mut all = HashMap::new();
    for object in rest.chunks_exact(2 * PLACE_LINES) {
        let (first, second) = object.split_at(PLACE_LINES);
        let places = [first, second].map(|place| (get(place, 0), place));
        let latest = places.into_iter().filter(|(turn, _)| (1..=last).contains(turn)).max_by_key(|it| it.0);
        let Some((_, place)) = latest else { continue };
        if let Some((of, counters)) = decode(place) {
            all.insert(of, counters);
        }
    }
    Ok(all)
}

fn map(file: &File, room: usize) -> io::Result<SharedMemory<Cells>> {
    let lines = HEAD + room * 2 * PLACE_LINES;
    let bytes = (lines * LINE * 8) as u64;
    // Pages that come later might not be there, which would end the process.
    match fallocate(file, FallocateFlags::empty(), 0, bytes) {
        Err(Errno::OPNOTSUPP) => file.set_len(bytes)?,
        result => result?,
    }
    SharedMemory::of_file(file, u32::try_from(lines).map_err(|_| io::ErrorKind::OutOfMemory)?)
}

fn identity(of: Counted) -> (u64, u64) {
    match of {
        Counted::Total => (TOTAL << KIND_SHIFT, 0),
        Counted::Service(index, serial) => (SERVICE << KIND_SHIFT | u64::from(index), serial),
        Counted::Destination(index, created) => (DESTINATION << KIND_SHIFT | u64::from(index), created),
    }
}

fn decode(place: &[Cells]) -> Option<(Counted, SavedCounters)> {
    let (what, serial) = (get(place, 1), get(place, 2));
    let index = what as u32;
    let of = match (what & !OVERLOADED) >> KIND_SHIFT {
        TOTAL => Counted::Total,
        SERVICE => Counted::Service(index, serial),
        DESTINATION => Counted::Destination(index, serial),
        _ => return None,
    };
    let counters = |start: usize| {
        let [connections, packets_in, packets_out, bytes_in, bytes_out] =
            std::array::from_fn(|i| get(place, start + i));
        Counters { connections, packets_in, packets_out, bytes_in, bytes_out }
    };
    let taken = std::array::from_fn(|i| get(place, 13 + i));
    let overloaded = what & OVERLOADED != 0;
    Some((of, SavedCounters { running: counters(3), base: counters(8), taken, overloaded }))
}

fn array(counters: Counters) -> [u64; 5] {
    let Counters { connections, packets_in, packets_out, bytes_in, bytes_out } = counters;
    [connections, packets_in, packets_out, bytes_in, bytes_out]
}

fn place(memory: &[Cells], object: usize, second: bool) -> &[Cells] {
    let start = HEAD + (2 * object + usize::from(second)) * PLACE_LINES;
    memory.get(start..start + PLACE_LINES).unwrap_or_default()
}

fn word(place: &[Cells], number: usize) -> Option<&AtomicU64> {
    place.get(number / LINE)?.0.get(number % LINE)
}

fn put(place: &[Cells], number: usize, value: u64) {
    if let Some(word) = word(place, number) {
        word.store(value, Relaxed);
    }
}

fn get(place: &[Cells], number: usize) -> u64 {
    word(place, number).map_or(0, |word| word.load(Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(value: u64) -> SavedCounters {
        let running = Counters { connections: value, bytes_out: value * 2, ..Counters::default() };
        let base = Counters { packets_in: value / 2, ..Counters::default() };
        SavedCounters { running, base, taken: [1, 2, 3, value, 5], overloaded: value % 2 == 1 }
    }

    fn all(value: u64) -> Vec<(Counted, SavedCounters)> {
        let objects = (0..100).map(|index| match index % 3 {
            0 => Counted::Service(index, 1 << 40),
            _ => Counted::Destination(index, 9),
        });
        let objects = objects.chain([Counted::Total]);
        objects.map(|of| (of, counters(value))).collect()
    }

    #[test]
    fn written_whole_turns_are_read() {
        let path = std::env::temp_dir().join(format!("ipvsd-counters-{}", std::process::id()));
        assert!(read(&path).unwrap().is_empty());
        let mut file = CountersFile::create(&path).unwrap();
        assert!(read(&path).unwrap().is_empty(), "not there before it has something");
        for value in 1..6 {
            file.write(&all(value)).unwrap();
            assert_eq!(read(&path).unwrap(), all(value).into_iter().collect(), "{value}");
        }
        // Another destination at the same index.
        file.write(&[(Counted::Destination(1, 10), counters(50))]).unwrap();
        let now = read(&path).unwrap();
        assert_eq!(now.get(&Counted::Destination(1, 10)), Some(&counters(50)));
        assert_eq!((now.get(&Counted::Destination(1, 9)), now.len()), (None, 101));
        // Killed in the middle of the next turn: as many bytes as you like of it are there.
        let whole = fs::read(&path).unwrap();
        file.write(&all(60)).unwrap();
        let next = fs::read(&path).unwrap();
        let changed: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] != next[*at]).collect();
        for count in (0..changed.len() - 1).step_by(7) {
            let mut torn = whole.clone();
            // All but the head, whose number comes last.
            for at in changed.iter().filter(|at| **at >= HEAD * LINE * 8).take(count) {
                torn[*at] = next[*at];
            }
            fs::write(&path, &torn).unwrap();
            assert_eq!(read(&path).unwrap(), now, "{count}");
        }
        fs::write(&path, b"another file").unwrap();
        assert!(read(&path).is_err());
        fs::remove_file(&path).unwrap();
    }
}
