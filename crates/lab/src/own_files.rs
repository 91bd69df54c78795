//! More open files than a process may have: threads with tables of their own.
//!
//! The limit (RLIMIT_NOFILE) is one on the numbers of descriptors, so on each table, and every thread may have its own, with or
//! without privileges. Raising it beyond the hard limit takes CAP_SYS_RESOURCE, which root of a container often lacks.

use std::io;

use nix::sched::{CloneFlags, unshare};
use rustix::process::{Resource, getrlimit};

/// Room in each table for what is not counted: namespaces, netlink, listeners, event loops.
const OTHERS: usize = 1000;

/// Over how many tables so many files must be spread.
pub(crate) fn tables_for(files: usize) -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    files.div_ceil(in_a_table(limit))
}

/// How many files may be counted on in a table of `limit`.
fn in_a_table(limit: usize) -> usize {
    limit.saturating_sub(OTHERS).max(limit / 2).max(1)
}

/// Runs `work` with a table of its own, which threads that it starts have with it. It is a copy, so what was open stays so there. To
/// be called on a thread that is for this alone: what `work` opens must end in it, and it must use no descriptor that is opened
/// elsewhere from now on, for here that is another file's number or none's.
///
/// # Errors
/// The system's, if there is no memory for a table.
pub(crate) fn apart<T>(work: impl FnOnce() -> T) -> io::Result<T> {
    unshare(CloneFlags::CLONE_FILES)?;
    Ok(work())
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use rustix::process::{Rlimit, setrlimit};

    use super::*;

    #[test]
    fn files_are_spread_over_as_many_tables_as_they_need() {
        assert_eq!([1024, 20_000, 1_048_576, 1, 0].map(in_a_table), [512, 19_000, 1_047_576, 1, 1]);
        assert_eq!(60_000_usize.div_ceil(in_a_table(20_000)), 4);
    }

    /// As many as two tables hold, at the same time.
    #[test]
    fn threads_have_more_files_together_than_one_may() {
        let (limit, before) = (512, getrlimit(Resource::Nofile));
        let maximum = before.maximum;
        setrlimit(Resource::Nofile, Rlimit { current: Some(limit as u64), maximum }).expect("fewer files");
        let barrier = std::sync::Barrier::new(2);
        let fill = || {
            apart(|| {
                let files: Vec<_> = (0..limit * 2 / 3).map_while(|_| File::open("/dev/null").ok()).collect();
                barrier.wait();
                files.len()
            })
        };
        let counts = std::thread::scope(|scope| {
            let threads = [scope.spawn(fill), scope.spawn(fill)];
            threads.map(|thread| thread.join().expect("no panic").expect("a table"))
        });
        setrlimit(Resource::Nofile, before).expect("as many files as before");
        assert_eq!(counts, [limit * 2 / 3; 2]);
    }
}
