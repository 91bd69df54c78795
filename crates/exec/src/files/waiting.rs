//! Requests whose answer takes its time.
//!
//! Each is worked on in a thread of its own, so that none waits for another. The kernel does not let a process die while
//! a request of it is with the server, so whose process has been killed is answered at once: fuser has no word of the
//! kernel's FUSE_INTERRUPT, hence a look at /proc now and then.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use fuser::{ReplyData, ReplyWrite};
use ipvs_abi::errno::Errno;

use super::caller::Caller;

/// How many requests are worked on at a time. A provider answers or gives up in its own time, so the others get EBUSY
/// only if it hangs.
const AT_ONCE: usize = 128;

/// How often to look whether the waiting processes have been killed.
const LOOK: Duration = Duration::from_millis(20);

const EINTR: Errno = Errno(4);

/// An answer that is still to be given.
pub(super) trait Answer: Send + 'static {
    /// What it tells if all went well.
    type Content;

    /// Gives it.
    fn give(self, outcome: Result<Self::Content, Errno>);
}

impl Answer for ReplyData {
    type Content = Vec<u8>;

    fn give(self, outcome: Result<Vec<u8>, Errno>) {
        match outcome {
            Ok(bytes) => self.data(&bytes),
            Err(errno) => self.error(fuser::Errno::from_i32(errno.0)),
        }
    }
}

impl Answer for ReplyWrite {
    type Content = usize;

    fn give(self, outcome: Result<usize, Errno>) {
        match outcome {
            Ok(length) => self.written(u32::try_from(length).unwrap_or(u32::MAX)),
            Err(errno) => self.error(fuser::Errno::from_i32(errno.0)),
        }
    }
}

/// The requests that are being worked on.
#[derive(Default)]
pub(super) struct Waiting {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    next: u64,
    workers: usize,
    closed: bool,
    /// Who waits, and how to let them go.
    callers: HashMap<u64, (Caller, Refusal)>,
}

/// Answers EINTR, if there is no answer yet.
type Refusal = Box<dyn FnOnce() + Send>;

impl Waiting {
    /// None yet, and a thread that looks after them until [`Self::close`].
    pub(super) fn start() -> std::io::Result<Arc<Self>> {
        let waiting = Arc::new(Self::default());
        let watched = waiting.clone();
        thread::Builder::new().name("files-watch".into()).spawn(move || watched.watch())?;
        Ok(waiting)
    }

    /// Has `work` done in a thread, and `answer` given what comes of it unless `caller` is killed before.
    pub(super) fn work<A: Answer>(
        self: &Arc<Self>,
        caller: Caller,
        answer: A,
        work: impl FnOnce() -> Result<A::Content, Errno> + Send + 'static,
    ) {
        let answer = Arc::new(Mutex::new(Some(answer)));
        let take = |answer: &Mutex<Option<A>>| answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let refused = answer.clone();
        let refuse = move |errno| {
            if let Some(answer) = take(&refused) {
                answer.give(Err(errno));
            }
        };
        let mut state = self.lock();
        if state.workers >= AT_ONCE {
            drop(state);
            return refuse(Errno::EBUSY);
        }
        let number = state.next;
        state.next += 1;
        state.workers += 1;
        state.callers.insert(number, (caller, Box::new(move || refuse(EINTR))));
        drop(state);
        self.changed.notify_one();
        // Dropped when the work is done, has panicked or could not begin; an answer not given by then is EIO.
        let worker = Worker { waiting: self.clone(), number };
        let job = move || {
            let outcome = work();
            if let Some(answer) = take(&answer) {
                answer.give(outcome);
            }
            drop(worker);
        };
        // Without a thread the closure is dropped, and with it the answer.
        let _ = thread::Builder::new().name("files-work".into()).spawn(job);
    }

    /// No more requests come.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    fn watch(&self) {
        let mut state = self.lock();
        while !state.closed {
            if state.callers.is_empty() {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            // Who has come by now is looked at after the pause; most will have their answer by then.
            let callers: Vec<(u64, Caller)> =
                state.callers.iter().map(|(number, (caller, _))| (*number, *caller)).collect();
            drop(state);
            thread::sleep(LOOK);
            let killed: Vec<u64> = callers
                .iter()
                .filter(|(number, caller)| self.waits(*number) && caller.is_killed())
                .map(|it| it.0)
                .collect();
            for number in killed {
                let caller = self.lock().callers.remove(&number);
                if let Some((_, refuse)) = caller {
                    refuse();
                }
            }
            state = self.lock();
        }
    }

    fn waits(&self, number: u64) -> bool {
        self.lock().callers.contains_key(&number)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a thread that works on a request.
struct Worker {
    waiting: Arc<Waiting>,
    number: u64,
}

impl Drop for Worker {
    fn drop(&mut self) {
        let mut state = self.waiting.lock();
        state.workers -= 1;
        let caller = state.callers.remove(&self.number);
        drop(state);
        // Its answer may be the last one left: it is given, as EIO, outside of the lock.
        drop(caller);
    }
}
