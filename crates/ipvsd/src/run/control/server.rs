//! All clients of the control socket, served in turn within a budget.

use std::collections::{HashMap, HashSet, VecDeque};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use ipvs_abi::genetlink::MAX_REQUEST;
use ipvs_core::{Command, Error, Instant, Reply};
use ipvs_exec::Authority;
use rustix::io::Errno;
use tracing::{debug, warn};

use super::client::{Client, Step};
use super::credentials::is_privileged;
use super::listener::Listener;
use crate::run::Failure;
use crate::run::poller::{Poller, Readiness};

/// How much the clients may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Clients that may give commands, at a time. One more replaces the one that has been quiet longest.
    pub privileged: usize,
    /// Other clients at a time; likewise.
    pub others: usize,
    /// Connections accepted per turn of the loop.
    pub accepts: usize,
    /// Steps (a request or a page of a listing) per turn of the loop.
    pub steps: usize,
    /// How long a client may leave its answers lying.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { privileged: 4096, others: 256, accepts: 16, steps: 32, patience: Duration::from_secs(30) }
    }
}

/// How often it is looked for clients that leave their answers lying.
const SWEEP: Duration = Duration::from_secs(1);

/// The control socket and its clients.
#[derive(Debug)]
pub struct Control {
    listener: Listener,
    limits: Limits,
    /// Over the network namespace whose director is commanded.
    authority: Authority,
    /// Connections may wait to be accepted.
    accepting: bool,
    /// No connection is accepted before: files ran out.
    pause_until: Option<Instant>,
    clients: HashMap<u64, Client>,
    /// How many of them may give commands.
    privileged: usize,
    /// Clients with something to do, each once (see [`Client::queued`]).
    ready: VecDeque<u64>,
    /// Clients that leave answers lying.
    blocked: HashSet<u64>,
    next_token: u64,
    next_sweep: Instant,
    buffer: Vec<u8>,
}

impl Control {
    /// Token of the listening socket; the clients' tokens are greater.
    pub(in crate::run) const LISTENER: u64 = 1 << 32;

    /// Opens the socket at `path`, in the thread that is in the director's network namespace.
    ///
    /// # Errors
    /// [`Failure`], see there.
    pub fn open(path: &Path, limits: Limits) -> Result<Self, Failure> {
        Ok(Self {
            listener: Listener::open(path)?,
            limits: within_file_limit(limits),
            authority: Authority::over_own_network()
                .map_err(|error| Failure::new("look at the network namespace", error))?,
            accepting: false,
            pause_until: None,
            clients: HashMap::new(),
            privileged: 0,
            ready: VecDeque::new(),
            blocked: HashSet::new(),
            next_token: Self::LISTENER + 1,
            next_sweep: Instant::default(),
            buffer: vec![0; MAX_REQUEST],
        })
    }

    /// Has `poller` watch the listening socket.
    pub(in crate::run) fn register(&self, poller: &Poller) -> rustix::io::Result<()> {
        poller.add(&self.listener, Self::LISTENER, Readiness::Readable)
    }

    /// Notes that the socket of `token` is ready.
    pub(in crate::run) fn note(&mut self, token: u64) {
        if token == Self::LISTENER {
            self.accepting = true;
        } else if let Some(client) = self.clients.get_mut(&token)
            && !core::mem::replace(&mut client.queued, true)
        {
            self.ready.push_back(token);
        }
    }

    /// When [`turn`](Self::turn) is due although nothing is ready.
    pub(in crate::run) fn timeout(&self) -> Option<Instant> {
        let sweep = (!self.blocked.is_empty()).then_some(self.next_sweep);
        [sweep, self.pause_until].into_iter().flatten().min()
    }

    /// Does a bounded piece of what there is to do; returns whether there is more.
    pub(in crate::run) fn turn(
        &mut self,
        now: Instant,
        poller: &Poller,
        execute: &mut dyn FnMut(Command) -> Result<Reply, Error>,
    ) -> bool {
        self.accept(now, poller);
        for _ in 0..self.limits.steps {
            let Some(token) = self.ready.pop_front() else { break };
            let Some(client) = self.clients.get_mut(&token) else { continue };
            let step = client.step(now, &mut self.buffer, execute);
            client.queued = step == Step::Again;
            match step {
                Step::Again => self.ready.push_back(token),
                Step::WaitForRequest | Step::WaitForRoom => {}
                Step::Close => self.close(token),
            }
            self.watch(token, poller);
        }
        self.sweep(now);
        self.accepting || !self.ready.is_empty()
    }

    /// Has `poller` watch a client for what it waits for, if that changed.
    fn watch(&mut self, token: u64, poller: &Poller) {
        let Some(client) = self.clients.get(&token) else { return };
        let readiness = match (client.is_blocked(), self.blocked.contains(&token)) {
            (true, false) => Readiness::Writable,
            (false, true) => Readiness::Readable,
            _ => return,
        };
        if let Err(errno) = poller.modify(client, token, readiness) {
            debug!(%errno, "cannot watch a client; closing its connection");
            self.close(token);
        } else if readiness == Readiness::Writable {
            self.blocked.insert(token);
        } else {
            self.blocked.remove(&token);
        }
    }

    fn accept(&mut self, now: Instant, poller: &Poller) {
        if let Some(until) = self.pause_until {
            if now < until {
                return;
            }
            self.pause_until = None;
            let _ = self.register(poller);
            self.accepting = true;
        }
        if !self.accepting {
            return;
        }
        for _ in 0..self.limits.accepts {
            match self.listener.accept() {
                Ok(Some(socket)) => self.admit(socket, now, poller),
                Ok(None) => {
                    self.accepting = false;
                    return;
                }
                Err(errno @ (Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)) => {
                    warn!(%errno, "no room for another client");
                    self.drop_quietest(|_| true);
                    self.pause(now, poller);
                    return;
                }
                Err(errno) => {
                    warn!(%errno, "cannot accept a client");
                    self.pause(now, poller);
                    return;
                }
            }
        }
    }

    /// Accepts nothing for a while, so that an error that stays does not keep the loop busy.
    fn pause(&mut self, now: Instant, poller: &Poller) {
        self.accepting = false;
        self.pause_until = Some(now + SWEEP);
        let _ = poller.remove(&self.listener);
    }

    fn admit(&mut self, socket: OwnedFd, now: Instant, poller: &Poller) {
        let privileged = is_privileged(&socket, &self.authority);
        let (most, present) = if privileged {
            (self.limits.privileged, self.privileged)
        } else {
            (self.limits.others, self.clients.len() - self.privileged)
        };
        if present >= most {
            debug!(privileged, most, "too many clients; dropping the one that has been quiet longest");
            self.drop_quietest(|client| client.privileged == privileged);
        }
        let token = self.next_token;
        self.next_token += 1;
        if let Err(errno) = poller.add(&socket, token, Readiness::Readable) {
            warn!(%errno, "cannot watch a client");
            return;
        }
        self.clients.insert(token, Client::new(socket, privileged, now));
        self.privileged += usize::from(privileged);
        self.note(token);
    }

    fn drop_quietest(&mut self, among: impl Fn(&Client) -> bool) {
        let quietest =
            self.clients.iter().filter(|(_, client)| among(client)).min_by_key(|(_, client)| client.active);
        if let Some(token) = quietest.map(|(token, _)| *token) {
            self.close(token);
        }
    }

    fn close(&mut self, token: u64) {
        // Closing the socket takes it out of the poller.
        if let Some(client) = self.clients.remove(&token) {
            self.privileged -= usize::from(client.privileged);
            self.blocked.remove(&token);
        }
    }

    /// Closes the connections of clients that leave their answers lying.
    fn sweep(&mut self, now: Instant) {
        if self.blocked.is_empty() || now < self.next_sweep {
            return;
        }
        self.next_sweep = now + SWEEP;
        let hung = |token: &&u64| {
            let active = self.clients.get(token).map(|client| client.active);
            active.is_some_and(|active| now.saturating_since(active) >= self.limits.patience)
        };
        for token in self.blocked.iter().filter(hung).copied().collect::<Vec<_>>() {
            let seconds = self.limits.patience.as_secs();
            warn!(seconds, "a client does not take its answers; closing its connection");
            self.close(token);
        }
    }
}

/// Files kept free for everything else when the limit of open files is low.
const RESERVE: u64 = 256;

/// Raises the process's limit of open files as far as it may, and lowers the number of clients to what fits.
fn within_file_limit(limits: Limits) -> Limits {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let room = usize::try_from(files.saturating_sub(RESERVE)).unwrap_or(usize::MAX).max(16);
    let others = limits.others.min(room / 4);
    Limits { others, privileged: limits.privileged.min(room - others), ..limits }
}
