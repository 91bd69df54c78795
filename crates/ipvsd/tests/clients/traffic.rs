//! A client that asks a virtual service all the time, one connection a request, and remembers every outcome.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType};

use crate::namespace::Namespace;
use crate::wait_for;

/// What came of a request: the name of the server that answered, or why none did.
type Outcome = Result<String, Failed>;

/// A request that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) kind: io::ErrorKind,
    /// The client's end of its connection, if it came to that.
    client: Option<SocketAddr>,
}

/// Asks until it is dropped.
pub(crate) struct Traffic {
    outcomes: Arc<Mutex<Vec<Outcome>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Traffic {
    /// Asks `service` from the namespace of the client, giving up on a request after `limit`.
    pub(crate) fn start(client: &Namespace, service: &str, limit: Duration) -> Self {
        let service: SocketAddr = service.parse().unwrap();
        let outcomes = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (log, told, name) = (Arc::clone(&outcomes), Arc::clone(&stop), client.name().to_owned());
        let thread = std::thread::spawn(move || {
            let file = std::fs::File::open(format!("/run/netns/{name}")).unwrap();
            let kind = rustix::thread::LinkNameSpaceType::Network;
            rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), Some(kind)).unwrap();
            while !told.load(Ordering::SeqCst) {
                let outcome = request(service, limit);
                log.lock().unwrap().push(outcome);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Self { outcomes, stop, thread: Some(thread) }
    }

    /// How many requests have ended: a mark for [`since`](Self::since).
    pub(crate) fn mark(&self) -> usize {
        self.outcomes.lock().unwrap().len()
    }

    /// The outcomes since a mark.
    pub(crate) fn since(&self, mark: usize) -> Vec<Outcome> {
        self.outcomes.lock().unwrap()[mark..].to_vec()
    }

    /// Waits for `number` more requests, and returns their outcomes. The first of them may have begun before.
    pub(crate) fn next(&self, number: usize) -> Vec<Outcome> {
        let mark = self.mark() + 1;
        wait_for("more requests", || self.mark() >= mark + number);
        self.since(mark)
    }

    /// Waits for `number` more requests, all of which must be answered, and by these servers, each at least once.
    pub(crate) fn only(&self, servers: &[&str], number: usize) {
        let outcomes = self.next(number);
        for outcome in &outcomes {
            let answered = outcome.as_ref().is_ok_and(|name| servers.contains(&name.as_str()));
            assert!(answered, "{outcome:?}, not by {servers:?}: {outcomes:?}");
        }
        for server in servers {
            assert!(outcomes.contains(&Ok((*server).to_owned())), "none by {server}: {outcomes:?}");
        }
    }

    /// Panics if a request since the mark has failed, but for the one that was under way on a connection to `removed`, a
    /// destination that was removed meanwhile: the kernel, too, drops its packets
    /// (`conformance/experiments/deleted.py`). `connections` is what `ipvsadm -Lnc` prints now.
    pub(crate) fn none_failed_but_to(&self, removed: &str, connections: &str, mark: usize) {
        let failed: Vec<Failed> = self.since(mark).into_iter().filter_map(Result::err).collect();
        assert!(failed.len() <= 1, "more than the one under way: {failed:?}");
        for request in failed {
            let client = request.client.map(|client| client.to_string());
            let is_lost = |row: &str| {
                let ends: Vec<&str> = row.split_ascii_whitespace().collect();
                ends.get(3).copied() == client.as_deref() && ends.get(5) == Some(&removed)
            };
            assert!(client.is_some() && connections.lines().any(is_lost), "{request:?} in\n{connections}");
        }
    }

    /// Panics if a request since the mark has failed.
    pub(crate) fn none_failed(&self, mark: usize) {
        let outcomes = self.since(mark);
        let failed: Vec<_> = outcomes.iter().enumerate().filter(|(_, outcome)| outcome.is_err()).collect();
        assert!(failed.is_empty(), "{} of {} failed: {failed:?}", failed.len(), outcomes.len());
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One request on a connection of its own.
fn request(service: SocketAddr, limit: Duration) -> Outcome {
    // The port is known even if nobody answers.
    let failed = |client| move |error: io::Error| Failed { kind: error.kind(), client };
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None);
    let socket = socket.map_err(|errno| failed(None)(errno.into()))?;
    let mut stream = TcpStream::from(socket);
    let limits = stream.set_write_timeout(Some(limit)).and_then(|()| stream.set_read_timeout(Some(limit)));
    limits.map_err(failed(None))?;
    // The time to write is that to connect, too (socket(7)).
    let connected = rustix::net::connect(&stream, &service);
    let client = stream.local_addr().ok();
    connected.map_err(|errno| failed(client)(errno.into()))?;
    ask(&mut stream, true).map_err(failed(client))
}

/// One request on this connection; the body of the answer.
pub(crate) fn ask(stream: &mut TcpStream, close: bool) -> io::Result<String> {
    let connection = if close { "close" } else { "keep-alive" };
    stream.write_all(format!("GET / HTTP/1.1\r\nConnection: {connection}\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    let mut buffer = [0; 512];
    loop {
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        answer.extend_from_slice(&buffer[..length]);
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && head.ends_with(&format!("Content-Length: {}", body.len()))
        {
            return Ok(body.to_owned());
        }
    }
}
