//! The HTTP server for thousands of connections at once: one thread for all that its table of open files has room for. It knows
//! `GET /` only.
//!
//! It is a process of its own, so that its work is not the clients'. Its listener, made by the lab in the server's namespace, is its
//! standard input.

use std::io;
use std::net::{IpAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::http;
use crate::child;
use crate::message::{Ahead, Kind};
use crate::options::MAX_AT_ONCE;
use crate::own_files;

/// A server's process, ended when dropped.
#[derive(Debug)]
pub(crate) struct Process(Child);

impl Process {
    /// Starts it. Must be called from a thread that outlives it.
    pub(super) fn start(listener: TcpListener, name: &str) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["lab", ARGUMENT, name]).stdin(OwnedFd::from(listener));
        child::spawn(command.stdout(Stdio::null())).map(Self)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What `ipvsd lab` is told to be the server of a crowd, before its name.
const ARGUMENT: &str = "--serve-standard-input";

/// Is the server `name` of a crowd, at the listener that is standard input, until the process ends.
///
/// # Errors
/// If standard input is no listener, or there can be no event loop.
pub fn serve_standard_input(name: &str) -> io::Result<()> {
    std::thread::scope(|scope| {
        let serve = || own_files::apart(|| serve_some(name)).and_then(|outcome| outcome);
        let start = |_| std::thread::Builder::new().spawn_scoped(scope, serve);
        let threads: Vec<_> =
            (0..own_files::tables_for(MAX_AT_ONCE)).map(start).collect::<io::Result<_>>()?;
        threads
            .into_iter()
            .try_for_each(|it| it.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// As many of its connections as there is room for: the others are another thread's.
fn serve_some(name: &str) -> io::Result<()> {
    let listener = TcpListener::from(io::stdin().as_fd().try_clone_to_owned()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(accept(listener, name))
}

async fn accept(listener: TcpListener, name: &str) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let name: Arc<str> = name.into();
    loop {
        match listener.accept().await {
            Ok((stream, from)) => drop(tokio::spawn(converse(stream, Arc::clone(&name), from.ip()))),
            // Too many open files: they become fewer again. Without a pause this would be a busy loop.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
        }
    }
}

/// One connection to its end; one that goes wrong is the client's to notice.
async fn converse(mut stream: TcpStream, name: Arc<str>, client: IpAddr) -> io::Result<()> {
    let ends = http::Ends { server: &name, client };
    stream.set_nodelay(true)?;
    let mut ahead = Ahead::default();
    let mut block = [0; 1024];
    loop {
        while let Some(head) = ahead.head(Kind::Request)? {
            stream.write_all(http::short(&head, ends).as_bytes()).await?;
            if head.close {
                return Ok(());
            }
        }
        match stream.read(&mut block).await? {
            0 => return Ok(()),
            size => ahead.extend(&block[..size]),
        }
    }
}
