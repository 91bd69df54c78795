//! New connections: first segments of random clients, and complete connections of real sockets.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use socket2::{SockRef, Socket};

use crate::Error;
use crate::address::SERVER_PORT;
use crate::build::Site;
use crate::path::Path;
use crate::peer::Peer;
use crate::traffic::{Kind, Load, Offered};

/// Connections that a run begins in the program, at most: they stay until they time out.
pub(crate) const MOST_SYNS: u64 = 200_000;
/// How long the daemon is offered some, at most.
const LONGEST: Duration = Duration::from_millis(500);
/// Clients and servers at once.
const AT_ONCE: usize = 4;
/// How long a step of a connection may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// A server that waits looks this often whether all is over.
const LOOK: Duration = Duration::from_millis(50);

/// Sends first segments, each of another client.
pub(crate) fn syns(peer: &mut Peer, time: Duration, site: &Site<'_>) -> Result<Offered, Error> {
    // Where the daemon begins them, it drops what it cannot take, so that the number says nothing.
    let most = if peer.path == Path::Xdp { MOST_SYNS } else { u64::MAX };
    peer.offer(Load { kind: Kind::Syns, time: time.min(LONGEST), most, rate: None }, site)
}

/// Complete connections a second, and how many failed, with one reason.
pub(crate) struct Completed {
    pub(crate) per_second: f64,
    pub(crate) failed: u64,
    pub(crate) reason: Option<String>,
}

/// Real connections, one after the other on each of some threads: open, a byte there, a byte back, close.
pub(crate) fn complete(peer: &mut Peer, time: Duration, site: &Site<'_>) -> Result<Completed, Error> {
    peer.use_for_sockets(site.processors)?;
    let listener = listen(peer)?;
    let (stop, done, failed) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let reason = std::sync::Mutex::new(None);
    let (to, road) = (peer.target(), &peer.road);
    let interrupt = site.interrupt;
    let elapsed = std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| serve(&listener, &stop));
        }
        let start = Instant::now();
        let asked = road.client.run(|| {
            std::thread::scope(|scope| {
                for _ in 0..AT_ONCE {
                    scope.spawn(|| {
                        while start.elapsed() < time && !interrupt.is_set() {
                            match ask(to) {
                                Ok(()) => _ = done.fetch_add(1, Ordering::Relaxed),
                                Err(error) => {
                                    failed.fetch_add(1, Ordering::Relaxed);
                                    if let Ok(mut reason) = reason.lock() {
                                        *reason = Some(error.to_string());
                                    }
                                }
                            }
                        }
                    });
                }
            });
        });
        let elapsed = start.elapsed();
        stop.store(true, Ordering::Relaxed);
        asked.map(|()| elapsed)
    })?;
    interrupt.check()?;
    peer.check()?;
    Ok(Completed {
        per_second: done.into_inner() as f64 / elapsed.as_secs_f64(),
        failed: failed.into_inner(),
        reason: reason.into_inner().ok().flatten(),
    })
}

/// A listener of the server's, whose waiting ends now and then.
pub(crate) fn listen(peer: &Peer) -> Result<TcpListener, Error> {
    let open = || {
        let listener = TcpListener::bind(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, SERVER_PORT))?;
        SockRef::from(&listener).set_read_timeout(Some(LOOK))?;
        Ok(listener)
    };
    let failed = |error: io::Error| Error::setup("listen at the server", error);
    peer.road.server.run(open)?.map_err(failed)
}

fn serve(listener: &TcpListener, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        if let Ok((mut stream, _)) = listener.accept() {
            let _ = answer(&mut stream);
        }
    }
}

/// The server closes first: so it is its ports that are kept for a minute, not the clients'.
fn answer(stream: &mut TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut byte = [0];
    stream.read_exact(&mut byte)?;
    stream.write_all(&byte)
}

fn ask(to: SocketAddrV4) -> io::Result<()> {
    let mut stream = connect(to)?;
    stream.write_all(b"?")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    if answer == b"?" { Ok(()) } else { Err(io::Error::other("the answer is not what was asked")) }
}

/// Connects, with a limit for this and each further step.
pub(crate) fn connect(to: SocketAddrV4) -> io::Result<TcpStream> {
    let socket = Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.connect_timeout(&to.into(), PATIENCE)?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}
