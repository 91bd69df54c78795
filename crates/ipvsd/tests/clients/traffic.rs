//! A client that asks a virtual service all the time, one connection a request, and remembers every outcome.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::namespace::Namespace;
use crate::wait_for;

/// What came of a request: the name of the server that answered.
type Outcome = Result<String, io::ErrorKind>;

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
                let outcome = request(service, limit).map_err(|error| error.kind());
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

    /// Panics if a request since the mark has failed.
    pub(crate) fn none_failed(&self, mark: usize) {
        self.at_most_failed(0, mark);
    }

    /// Panics if more than `most` requests since the mark have failed.
    pub(crate) fn at_most_failed(&self, most: usize, mark: usize) {
        let outcomes = self.since(mark);
        let failed: Vec<_> = outcomes.iter().enumerate().filter(|(_, outcome)| outcome.is_err()).collect();
        assert!(failed.len() <= most, "{} of {} failed: {failed:?}", failed.len(), outcomes.len());
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
fn request(service: SocketAddr, limit: Duration) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&service, limit)?;
    stream.set_read_timeout(Some(limit))?;
    ask(&mut stream, true)
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
