//! Files beside the control socket that are only ours: where others may make files, one of theirs is not obeyed.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::process::geteuid;

/// The same path with an ending.
pub(super) fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

/// Opens a file that is there, to be read, and to be written if `write`.
///
/// # Errors
/// Those of open(2), among them ELOOP for a symbolic link; [`io::ErrorKind::PermissionDenied`] if the file is another user's
/// or others may write it.
pub(super) fn open(path: &Path, write: bool) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW.bits().cast_signed();
    let file = fs::OpenOptions::new().read(true).write(write).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if metadata.uid() != geteuid().as_raw() || metadata.mode() & 0o022 != 0 {
        let text = "the file is another user's, or others may write it";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    Ok(file)
}

/// Makes a new file, in the place of what a daemon that was killed left, and never through a link of somebody else.
pub(super) fn create(path: &Path) -> io::Result<File> {
    remove(path)?;
    fs::OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// Removes a file; one that is not there is no error.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
