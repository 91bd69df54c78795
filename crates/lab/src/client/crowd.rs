//! Thousands of connections open at once: a request on each as it is opened, all held open together, then a second request
//! on each, after which it ends. One thread for all that a table of open files has room for.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Answer, LIMIT, MAX_FAILURES, Sample, explain, http, source, target};
use crate::Error;
use crate::interrupt::Interrupt;
use crate::message::{Ahead, Kind};
use crate::options::Options;
use crate::own_files;
use crate::topology::Topology;

/// Opens `count` connections, with a request on each; when all are open does `between`, which is told how many there are; then
/// sends the second request on each, which is the last. One sample per connection, and what `between` returned.
pub(crate) fn run<T>(
    topology: &Topology,
    options: &Options,
    count: usize,
    interrupt: &Interrupt,
    between: impl FnOnce(u64) -> Result<T, Error>,
) -> Result<(Vec<Sample>, T), Error> {
    let tables = own_files::tables_for(count);
    let (size, concurrency) = (count.div_ceil(tables), options.concurrency.div_ceil(tables));
    let failures = Arc::new(AtomicUsize::new(0));
    let (opened, open) = mpsc::channel();
    thread::scope(|scope| {
        let mut parts = Vec::new();
        for first in (0..count).step_by(size) {
            let indices = first..count.min(first + size);
            let part =
                Part { topology, options, indices, concurrency, interrupt, failures: failures.clone() };
            let (go_on, wait) = mpsc::channel();
            let opened = opened.clone();
            let work = move || own_files::apart(|| part.run(opened, &wait));
            let thread = thread::Builder::new().spawn_scoped(scope, work);
            parts.push((go_on, thread.map_err(|error| Error::setup("start a thread", error))?));
        }
        drop(opened);
        // A part that fails says nothing here.
        let open = open.iter().sum();
        interrupt.check()?;
        let outcome = between(open)?;
        for (go_on, _) in &parts {
            let _ = go_on.send(());
        }
        let mut samples = Vec::with_capacity(count);
        for (_, thread) in parts {
            let part = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            samples.extend(part.map_err(|error| Error::setup("have a table of files", error))??);
        }
        interrupt.check()?;
        Ok((samples, outcome))
    })
}

/// Those of the connections that one table of open files has room for, on a thread of their own.
struct Part<'a> {
    topology: &'a Topology,
    options: &'a Options,
    indices: Range<usize>,
    /// Requests under way at once.
    concurrency: usize,
    interrupt: &'a Interrupt,
    /// Of all parts.
    failures: Arc<AtomicUsize>,
}

impl Part<'_> {
    /// Both requests on each connection. `opened` is told how many are open, and the second requests wait for `wait`: if nobody is there
    /// any more, the lab has failed.
    fn run(self, opened: mpsc::Sender<u64>, wait: &mpsc::Receiver<()>) -> Result<Vec<Sample>, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::setup("make an event loop", error))?;
        // A socket stays in the namespace in which it was made.
        let client = &self.topology.client;
        let sockets = client.namespace.run(|| {
            let bind = |index| bound(source(index, client.address));
            self.indices.clone().map(bind).collect::<io::Result<Vec<_>>>()
        })?;
        let failed = |error| Error::setup(format!("make {} sockets", self.indices.len()), error);
        let sockets = sockets.map_err(failed)?;
        let work = self.indices.clone().zip(sockets).map(|(index, socket)| {
            let to = target(index, self.topology, self.options.direct);
            (Duration::ZERO, Ok(async move { Connection::open(socket, to).await }))
        });
        let members = runtime.block_on(self.each(work));
        let open = members.iter().filter(|member| member.state.is_ok()).count();
        let _ = opened.send(open as u64);
        drop(opened);
        if wait.recv().is_err() {
            return Ok(Vec::new());
        }
        let work = members.into_iter().map(|Member { state, elapsed }| {
            (elapsed, state.map(|connection| async move { connection.close().await }))
        });
        let closed = runtime.block_on(self.each(work));
        let answer = |it: Connection| it.answer.ok_or_else(|| "no answer".to_owned());
        let sample = |Member { state, elapsed }| Sample { outcome: state.and_then(answer), elapsed };
        Ok(closed.into_iter().map(sample).collect())
    }

    /// Does a piece of work for each member that has any, until the lab is to stop or too many have failed. `work` has the time that was
    /// spent before.
    async fn each<F>(&self, work: impl Iterator<Item = (Duration, Result<F, String>)>) -> Vec<Member>
    where
        F: Future<Output = io::Result<Connection>> + Send + 'static,
    {
        let turns = Arc::new(Semaphore::new(self.concurrency));
        let mut tasks = JoinSet::new();
        let mut members = Vec::new();
        for (before, work) in work {
            let work = match work {
                Ok(work) => work,
                Err(reason) => {
                    members.push(Member { state: Err(reason), elapsed: before });
                    continue;
                }
            };
            let (turns, failures, interrupt) =
                (Arc::clone(&turns), Arc::clone(&self.failures), self.interrupt.clone());
            tasks.spawn(async move {
                // Nobody closes the semaphore.
                let _turn = turns.acquire().await;
                if interrupt.is_set() || failures.load(Ordering::Relaxed) >= MAX_FAILURES {
                    let reason = format!("not sent: given up after {MAX_FAILURES} failures");
                    return Member { state: Err(reason), elapsed: before };
                }
                let start = Instant::now();
                let outcome = tokio::time::timeout(LIMIT, work).await;
                let state = outcome.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
                if state.is_err() {
                    failures.fetch_add(1, Ordering::Relaxed);
                }
                let state = state.map_err(|error| explain(&error, LIMIT));
                Member { state, elapsed: before + start.elapsed() }
            });
        }
        members.extend(tasks.join_all().await);
        members
    }
}

/// One connection, or why there is none any more, and the time that was spent on it.
struct Member {
    state: Result<Connection, String>,
    elapsed: Duration,
}

struct Connection {
    stream: TcpStream,
    ahead: Ahead,
    to: SocketAddr,
    /// Who answered; none before the first answer.
    answer: Option<Answer>,
}

/// A socket of the calling thread's namespace.
fn bound(from: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(from), Type::STREAM, None)?;
    socket.bind(&from.into())?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

impl Connection {
    async fn open(socket: Socket, to: SocketAddr) -> io::Result<Self> {
        let stream = TcpSocket::from_std_stream(socket.into()).connect(to).await?;
        stream.set_nodelay(true)?;
        let mut connection = Self { stream, ahead: Ahead::default(), to, answer: None };
        connection.answer = Some(connection.ask(false).await?);
        Ok(connection)
    }

    async fn close(mut self) -> io::Result<Self> {
        let (first, second) = (self.answer.take(), self.ask(true).await?);
        if first.is_some_and(|first| first != second) {
            return Err(io::Error::other(
                "two answers on one connection by different servers, or to different clients",
            ));
        }
        self.answer = Some(second);
        // The server closes first; the connection is over when its end has been seen.
        if !self.ahead.is_empty() || self.more().await? {
            return Err(io::Error::other("more than one answer to one request"));
        }
        Ok(self)
    }

    /// One request.
    async fn ask(&mut self, last: bool) -> io::Result<Answer> {
        self.stream.write_all(http::request(self.to, last).as_bytes()).await?;
        let head = loop {
            match self.ahead.head(Kind::Response)? {
                Some(head) => break http::successful(head)?,
                None => self.must_have_more().await?,
            }
        };
        let body = loop {
            match self.ahead.body(head.length) {
                Some(body) => break body,
                None => self.must_have_more().await?,
            }
        };
        http::named(head, &body)
    }

    async fn must_have_more(&mut self) -> io::Result<()> {
        if self.more().await? { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Reads; false at the end.
    async fn more(&mut self) -> io::Result<bool> {
        let mut block = [0; 1024];
        let size = self.stream.read(&mut block).await?;
        self.ahead.extend(&block[..size]);
        Ok(size > 0)
    }
}
