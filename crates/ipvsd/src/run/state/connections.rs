//! The connection table in a file, so that connections outlive the daemon where no XDP program keeps them.
//!
//! Only in a filesystem that is memory, as /run is: elsewhere every packet would make its page be written to a disk.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use ipvs_core::TableMemory;
use ipvs_datapath::SharedMemory;
use ipvs_flow::{Layout, Line};
use rustix::fs::{FallocateFlags, fallocate, fstatfs};

use crate::run::private_file::{create, open, remove, with_ending};

/// Magic numbers of filesystems in memory (linux/magic.h): tmpfs, ramfs.
const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];

/// Bytes that are left free for everybody else.
const RESERVE: u64 = 16 << 20;

/// A file with the table of this run, under another name until [`ConnectionsFile::settle`].
#[derive(Debug)]
pub(super) struct ConnectionsFile {
    path: PathBuf,
}

/// Why the table is not in a file.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// The filesystem is on a disk.
    #[error("the control socket's directory is not in memory, as /run usually is")]
    OnDisk,
    /// There is no room.
    #[error(
        "it needs {needed} MiB and {free} MiB are free there: lower --capacity or make the filesystem larger"
    )]
    NoRoom { needed: u64, free: u64 },
    /// Anything else.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl ConnectionsFile {
    /// Memory for a table of `capacity` connections, all zero, in a new file beside the one at `path`.
    pub(super) fn create(path: &Path, capacity: u32) -> Result<(Self, TableMemory), Refusal> {
        let layout = Layout::for_capacity(capacity).map_err(io::Error::other)?;
        let lines = layout.lines_with_words_beside();
        let bytes = u64::from(lines) * size_of::<Line>() as u64;
        let new = with_ending(path, ".new");
        let file = create(&new)?;
        let made = allocate(&file, bytes).and_then(|()| Ok(SharedMemory::<Line>::of_file(&file, lines)?));
        match made {
            Ok(memory) => Ok((Self { path: path.to_owned() }, TableMemory::Mapped(memory.leak()))),
            Err(refusal) => {
                remove(&new)?;
                Err(refusal)
            }
        }
    }

    /// Takes the place of the file of the former run.
    pub(super) fn settle(&self) -> io::Result<()> {
        fs::rename(with_ending(&self.path, ".new"), &self.path)
    }
}

fn allocate(file: &File, bytes: u64) -> Result<(), Refusal> {
    let filesystem = fstatfs(file).map_err(io::Error::from)?;
    if !IN_MEMORY.contains(&(filesystem.f_type as u64)) {
        return Err(Refusal::OnDisk);
    }
    let free = filesystem.f_bavail.saturating_mul(u64::try_from(filesystem.f_bsize).unwrap_or(0));
    // A tmpfs without limit says that it has no blocks at all.
    if filesystem.f_blocks != 0 && free < bytes + RESERVE {
        return Err(Refusal::NoRoom { needed: bytes >> 20, free: free >> 20 });
    }
    // Pages that come later might not be there, which would end the process.
    fallocate(file, FallocateFlags::empty(), 0, bytes).map_err(io::Error::from)?;
    Ok(())
}

/// The table that a former run left at `path`; `None` if there is none.
///
/// # Errors
/// Those of opening and mapping it.
pub(super) fn left(path: &Path) -> io::Result<Option<TableMemory>> {
    let file = match open(path, true) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let lines = file.metadata()?.len() / size_of::<Line>() as u64;
    let lines = u32::try_from(lines).map_err(|_| io::ErrorKind::InvalidData)?;
    if lines == 0 {
        return Ok(None);
    }
    Ok(Some(TableMemory::Shared(Box::new(SharedMemory::<Line>::of_file(&file, lines)?))))
}
