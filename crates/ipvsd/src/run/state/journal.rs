//! The journal: services and destinations in a file that is only appended to, one line for each change, before the client of a
//! command gets its answer.
//!
//! Of lines about one object the last counts, so the file can be renewed in pieces while it is in use: everything is written to a
//! new file, new changes to both, and in the end the new file takes the place of the old one. Whenever the daemon is killed, what is
//! there is whole but perhaps for the last line, whose command nobody was told to be done.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ipvs_core::{Director, Saved};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::record;
use crate::run::private_file::{create, open, with_ending};

/// What the first line begins with: the format's version.
const FORMAT: &str = "ipvsd-state 1";

/// A file is renewed when it is longer than this and than [`GROWTH`] times its length when it was new.
const LEAST: u64 = 1 << 20;
const GROWTH: u64 = 4;

/// The journal of a daemon.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    /// The rest of the first line: whose state it is.
    owner: String,
    current: Option<Part>,
    /// Length of the file when it was new.
    new_length: u64,
    renewal: Option<Renewal>,
}

/// A file that is being written, and locked as long as it is open.
#[derive(Debug)]
struct Part {
    file: File,
    length: u64,
}

/// The file that will take the place of the current one.
#[derive(Debug)]
struct Renewal {
    part: Part,
    cursor: u64,
}

/// What a journal holds.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The words of its first line behind the format; none: there is no journal, or one of another format.
    pub(super) owner: Option<String>,
    /// Its records, in order.
    pub(super) saves: Vec<Saved>,
    /// What was passed over, as one sentence.
    pub(super) flaw: Option<String>,
}

/// A journal that nobody else has while this lives.
#[derive(Debug)]
pub(super) struct Claim(File);

impl Claim {
    /// Opens and locks the journal at `path`; `None` if there is none.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if another daemon has it.
    pub(super) fn of(path: &Path) -> io::Result<Option<Self>> {
        loop {
            let file = match open(path, true) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            };
            lock(&file)?;
            // Another one may have put a new file there in between.
            let own = file.metadata()?;
            match fs::symlink_metadata(path) {
                Ok(there) if (there.dev(), there.ino()) == (own.dev(), own.ino()) => {
                    return Ok(Some(Self(file)));
                }
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }

    /// Reads it.
    ///
    /// # Errors
    /// Those of reading.
    pub(super) fn read(&mut self) -> io::Result<Found> {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes)?;
        Ok(parse(&bytes))
    }
}

fn lock(file: &File) -> io::Result<()> {
    flock(file, FlockOperation::NonBlockingLockExclusive).map_err(|errno| match errno {
        Errno::WOULDBLOCK => io::ErrorKind::WouldBlock.into(),
        errno => errno.into(),
    })
}

fn parse(bytes: &[u8]) -> Found {
    let mut found = Found::default();
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Found { flaw: Some("it is not text".into()), ..found };
    };
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        let Some(words) = line.strip_suffix('\n').and_then(record::words) else {
            // The last one may have been written when the daemon was killed.
            if number < text.split_inclusive('\n').count() {
                found.flaw = Some(format!("line {number} is damaged: what stands behind it is lost"));
            }
            break;
        };
        if number == 1 {
            match words.strip_prefix(FORMAT).map(str::trim_start) {
                Some(owner) => found.owner = Some(owner.to_owned()),
                None => return Found { flaw: Some("it is of another version of ipvsd".into()), ..found },
            }
            continue;
        }
        match record::decode(words) {
            Some(saved) => found.saves.push(saved),
            None => {
                found.flaw = Some(format!("line {number} is of another version of ipvsd: it is left out"))
            }
        }
    }
    found
}

impl Journal {
    /// A journal of all that `director` has, in the place of what was there. `owner` says in words whose it is.
    ///
    /// # Errors
    /// Those of making and writing a file.
    pub(super) fn begin(path: &Path, owner: String, director: &mut Director) -> io::Result<Self> {
        // Told again below, with everything else.
        let _ = director.take_saves();
        let mut journal = Self { path: path.to_owned(), owner, current: None, new_length: 0, renewal: None };
        journal.renewal = Some(journal.renew()?);
        while !journal.go_on(director)? {}
        Ok(journal)
    }

    /// Writes down what has changed.
    ///
    /// # Errors
    /// Those of writing; then the file may lack something: begin anew.
    pub(super) fn save(&mut self, director: &mut Director) -> io::Result<()> {
        if !director.has_saves() {
            return Ok(());
        }
        let text: String = director.take_saves().iter().map(record::encode).collect();
        if let Some(part) = &mut self.current {
            part.append(&text)?;
            let much = part.length > LEAST.max(self.new_length.saturating_mul(GROWTH));
            if much && self.renewal.is_none() {
                self.renewal = Some(self.renew()?);
            }
        }
        if let Some(renewal) = &mut self.renewal {
            renewal.part.append(&text)?;
        }
        Ok(())
    }

    /// Whether [`Journal::go_on`] has something to do.
    pub(super) fn is_renewing(&self) -> bool {
        self.renewal.is_some()
    }

    /// Goes on with renewing, if that is under way, by a piece. Whether it is done.
    ///
    /// # Errors
    /// Those of writing.
    pub(super) fn go_on(&mut self, director: &Director) -> io::Result<bool> {
        let new = self.new_path();
        let Some(renewal) = &mut self.renewal else { return Ok(true) };
        let (saves, next) = director.saved_from(renewal.cursor);
        renewal.part.append(&saves.iter().map(record::encode).collect::<String>())?;
        if let Some(next) = next {
            renewal.cursor = next;
            return Ok(false);
        }
        fs::rename(new, &self.path)?;
        self.new_length = renewal.part.length;
        self.current = self.renewal.take().map(|renewal| renewal.part);
        Ok(true)
    }

    fn new_path(&self) -> PathBuf {
        with_ending(&self.path, ".new")
    }

    fn renew(&self) -> io::Result<Renewal> {
        let mut part = Part { file: create(&self.new_path())?, length: 0 };
        lock(&part.file)?;
        part.append(&record::line(&format!("{FORMAT} {}", self.owner)))?;
        Ok(Renewal { part, cursor: 0 })
    }
}

impl Part {
    fn append(&mut self, text: &str) -> io::Result<()> {
        self.file.write_all(text.as_bytes())?;
        self.length += text.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ipvs_core::{Command, Config, Instant, Reply, ServiceConfig, ServiceId, ServiceInfo};

    use super::*;
    use crate::run::settings_file::testing::Nowhere;

    fn director() -> Director {
        Director::new(Config { capacity: 64, ..Config::default() }, Instant::default()).unwrap()
    }

    fn add(director: &mut Director, port: u16) {
        let id = ServiceId::Address { protocol: 6, address: [10, 0, 0, 1].into(), port };
        let config = ServiceConfig::new("rr");
        director.execute(Instant::default(), &Nowhere, Command::AddService(id, config)).unwrap();
    }

    fn edit(director: &mut Director, port: u16, timeout: u32) {
        let id = ServiceId::Address { protocol: 6, address: [10, 0, 0, 1].into(), port };
        let reply = director.execute(Instant::default(), &Nowhere, Command::GetService(id));
        let Ok(Reply::Service(info)) = reply else { panic!() };
        let config = ServiceConfig {
            scheduler: info.scheduler,
            persistence_engine: None,
            helper: None,
            flags: 0,
            flags_mask: 0,
            timeout,
            netmask: info.netmask,
            target: info.target,
        };
        director.execute(Instant::default(), &Nowhere, Command::EditService(id, config)).unwrap();
    }

    fn services(director: &mut Director) -> Vec<ServiceInfo> {
        let all = Command::ListServices { cursor: 0, limit: usize::MAX };
        match director.execute(Instant::default(), &Nowhere, all) {
            Ok(Reply::Services { items, .. }) => items,
            other => panic!("{other:?}"),
        }
    }

    fn restored(bytes: &[u8]) -> Director {
        let mut other = director();
        other.restore(Instant::default(), parse(bytes).saves);
        other
    }

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("ipvsd-journal-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// Cut off at any byte, the journal is what was done up to some command: all whose line is whole.
    #[test]
    fn any_prefix_is_a_moment_of_the_past() {
        let folder = Folder::new("prefix");
        let path = folder.0.join("state");
        let mut director = director();
        let mut journal = Journal::begin(&path, "me".into(), &mut director).unwrap();
        let length = || fs::metadata(&path).unwrap().len() as usize;
        let mut moments = vec![(length(), services(&mut director))];
        for port in 1..6 {
            add(&mut director, port);
            edit(&mut director, port, 300);
            journal.save(&mut director).unwrap();
            moments.push((length(), services(&mut director)));
        }
        let bytes = fs::read(&path).unwrap();
        for end in 0..=bytes.len() {
            let expected = moments.iter().rev().find(|(length, _)| *length <= end).map(|(_, it)| it.clone());
            assert_eq!(services(&mut restored(&bytes[..end])), expected.unwrap_or_default(), "{end}");
        }
        assert_eq!(parse(&bytes).owner.as_deref(), Some("me"));
        assert!(parse(&bytes[..bytes.len() - 3]).flaw.is_none(), "a last line in part is nothing unusual");
        let mut damaged = bytes.clone();
        damaged[bytes.len() / 2] ^= 1;
        assert!(parse(&damaged).flaw.is_some());
        assert!(parse(record::line("ipvsd-state 2 me").as_bytes()).flaw.is_some());
    }

    /// A journal that grows is renewed in pieces while changes go on, and is whole at any time.
    #[test]
    fn renewed_in_use() {
        let folder = Folder::new("renew");
        let path = folder.0.join("state");
        let mut director = director();
        let mut journal = Journal::begin(&path, "me".into(), &mut director).unwrap();
        for port in 1..=600 {
            add(&mut director, port);
        }
        journal.save(&mut director).unwrap();
        let (mut renewals, mut steps) = (0, 0);
        for round in 1..=20_000u32 {
            let port = (round % 600 + 1) as u16;
            edit(&mut director, port, round);
            journal.save(&mut director).unwrap();
            if journal.is_renewing() {
                steps += 1;
                if round.is_multiple_of(2) && journal.go_on(&director).unwrap() {
                    renewals += 1;
                    let bytes = fs::read(&path).unwrap();
                    assert_eq!(services(&mut restored(&bytes)), services(&mut director));
                }
            }
        }
        assert!(renewals >= 1 && steps > 3 * renewals, "{renewals} renewals in {steps} steps");
        let bytes = fs::read(&path).unwrap();
        assert!(bytes.len() < 4 << 20, "{}", bytes.len());
        assert_eq!(services(&mut restored(&bytes)), services(&mut director));
    }

    #[test]
    fn one_daemon_has_it() {
        let folder = Folder::new("lock");
        let path = folder.0.join("state");
        assert!(Claim::of(&path).unwrap().is_none());
        let mut director = director();
        let journal = Journal::begin(&path, "me".into(), &mut director).unwrap();
        assert_eq!(Claim::of(&path).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(journal);
        let mut claim = Claim::of(&path).unwrap().unwrap();
        assert_eq!(claim.read().unwrap().owner.as_deref(), Some("me"));
        assert_eq!(Claim::of(&path).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
