//! Thousands of connections open at once: a request on each as it is opened, all held open together, then a second request
//! on each, after which it ends. One thread for all.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Answer, LIMIT, MAX_FAILURES, Sample, explain, http, source, target};
use crate::Error;
use crate::interrupt::Interrupt;
use crate::message::{Ahead, Kind};
use crate::options::Options;
use crate::topology::Topology;

/// The connections between the two requests.
pub(crate) struct Crowd {
    runtime: Runtime,
    /// Requests under way at once.
    concurrency: usize,
    members: Vec<Member>,
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

impl Crowd {
    /// Opens `count` connections, with a request on each.
    pub(crate) fn open(
        topology: &Topology,
        options: &Options,
        count: usize,
        interrupt: &Interrupt,
    ) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::setup("make an event loop", error))?;
        // A socket stays in the namespace in which it was made.
        let sockets = topology.client.namespace.run(|| {
            let bind = |index| bound(source(index, topology.client.address));
            (0..count).map(bind).collect::<io::Result<Vec<_>>>()
        })?;
        let sockets = sockets.map_err(|error| Error::setup(format!("make {count} sockets"), error))?;
        let work = sockets.into_iter().enumerate().map(|(index, socket)| {
            let to = target(index, topology, options.direct);
            (Duration::ZERO, Ok(async move { Connection::open(socket, to).await }))
        });
        let members = runtime.block_on(each(work, options.concurrency, interrupt));
        interrupt.check()?;
        Ok(Self { runtime, concurrency: options.concurrency, members })
    }

    /// Connections that are open.
    pub(crate) fn len(&self) -> usize {
        self.members.iter().filter(|member| member.state.is_ok()).count()
    }

    /// Sends the second request on each connection, which is the last. One sample per connection.
    pub(crate) fn close(self, interrupt: &Interrupt) -> Result<Vec<Sample>, Error> {
        let work = self.members.into_iter().map(|Member { state, elapsed }| {
            (elapsed, state.map(|connection| async move { connection.close().await }))
        });
        let closed = self.runtime.block_on(each(work, self.concurrency, interrupt));
        interrupt.check()?;
        let answer = |it: Connection| it.answer.ok_or_else(|| "no answer".to_owned());
        let sample = |Member { state, elapsed }| Sample { outcome: state.and_then(answer), elapsed };
        Ok(closed.into_iter().map(sample).collect())
    }
}

/// Does a piece of work for each member that has any, `concurrency` at once, until the lab is to stop or too many have
/// failed. `work` has the time that was spent before.
async fn each<F>(
    work: impl Iterator<Item = (Duration, Result<F, String>)>,
    concurrency: usize,
    interrupt: &Interrupt,
) -> Vec<Member>
where
    F: Future<Output = io::Result<Connection>> + Send + 'static,
{
    let turns = Arc::new(Semaphore::new(concurrency));
    let failures = Arc::new(AtomicUsize::new(0));
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
        let (turns, failures, interrupt) = (Arc::clone(&turns), Arc::clone(&failures), interrupt.clone());
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
