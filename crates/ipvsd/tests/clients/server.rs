//! Real servers: HTTP in a thread, in the server's namespace.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::namespace::Namespace;

/// An HTTP server at one port: answers with its name, at `/health` with 200 or 503. Ended when dropped.
pub(crate) struct Server {
    name: String,
    port: u16,
    healthy: Arc<AtomicBool>,
    running: Option<Running>,
}

struct Running {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Server {
    /// Listens at `port` of every address of the namespace.
    pub(crate) fn start(namespace: &Namespace, name: &str, port: u16) -> Self {
        let mut server =
            Self { name: name.into(), port, healthy: Arc::new(AtomicBool::new(true)), running: None };
        server.listen(namespace);
        server
    }

    /// What `/health` says from now on; all else goes on.
    pub(crate) fn set_healthy(&self, healthy: bool) {
        self.healthy.store(healthy, Ordering::SeqCst);
    }

    /// Stops: connections are refused until it listens again.
    pub(crate) fn stop(&mut self) {
        if let Some(Running { stop, thread }) = self.running.take() {
            stop.store(true, Ordering::SeqCst);
            let _ = thread.join();
        }
    }

    /// Starts, if it is stopped.
    pub(crate) fn listen(&mut self, namespace: &Namespace) {
        if self.running.is_some() {
            return;
        }
        let port = self.port;
        let listener = namespace.run(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))).unwrap();
        // Looks whether it is to stop between connections.
        listener.set_nonblocking(true).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (name, healthy, told) = (self.name.clone(), Arc::clone(&self.healthy), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::SeqCst) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        let (name, healthy) = (name.clone(), healthy.load(Ordering::SeqCst));
                        std::thread::spawn(move || serve(stream, &name, healthy));
                    }
                    Err(_) => std::thread::sleep(Duration::from_millis(2)),
                }
            }
        });
        self.running = Some(Running { stop, thread });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Answers the requests of one connection until its end; one that goes wrong is the client's to notice.
fn serve(mut stream: TcpStream, name: &str, healthy: bool) {
    let _ = stream.set_nonblocking(false);
    let _ = stream.set_read_timeout(Some(Duration::from_secs(120)));
    let mut request = Vec::new();
    let mut buffer = [0; 2048];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        request.extend_from_slice(&buffer[..length]);
        if !request.ends_with(b"\r\n\r\n") {
            continue;
        }
        let health = request.starts_with(b"GET /health ");
        let status = if health && !healthy { "503 Service Unavailable" } else { "200 OK" };
        let close = request.windows(17).any(|window| window == b"Connection: close");
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{name}", name.len());
        if stream.write_all(answer.as_bytes()).is_err() || health || close {
            return;
        }
        request.clear();
    }
}
