//! What stat(2) shows.

use std::time::{Duration, SystemTime};

use fuser::{FileAttr, FileType, INodeNo};

/// How long the kernel may keep names and attributes. They never change; a symbolic link whose file is gone leads
/// nowhere, which is what looking it up would say.
pub(super) const KEEP: Duration = Duration::from_secs(3600);

/// The attributes that files of procfs have, the time being when they were first looked at.
pub(super) fn attributes(inode: INodeNo, kind: FileType, mode: u16, time: SystemTime) -> FileAttr {
    FileAttr {
        ino: inode,
        size: 0,
        blocks: 0,
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind,
        perm: mode,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 1024,
        flags: 0,
    }
}
