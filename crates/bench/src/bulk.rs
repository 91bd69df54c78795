//! One TCP connection that sends as much as it can.

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::Error;
use crate::build::Site;
use crate::connections::{connect, listen};
use crate::peer::Peer;

/// Bytes written and read at once.
const BLOCK: usize = 256 * 1024;
/// Time for TCP to find its window.
const WARM_UP: Duration = Duration::from_millis(100);
/// How long the server waits for the connection, and for bytes.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bits a second that arrive at the server.
pub(crate) fn bits_per_second(peer: &mut Peer, time: Duration, site: &Site<'_>) -> Result<f64, Error> {
    peer.use_for_sockets(site.processors)?;
    let listener = listen(peer)?;
    let (to, road) = (peer.target(), &peer.road);
    let failed = |error: io::Error| Error::setup("move data over a TCP connection", error);
    let rate = std::thread::scope(|scope| {
        let reading = scope.spawn(|| receive(&listener, time));
        let sending = || {
            let mut stream = connect(to)?;
            let (block, end) = (vec![0; BLOCK], Instant::now() + WARM_UP + time + WARM_UP);
            while Instant::now() < end && !site.interrupt.is_set() {
                // The server ends it when it has seen enough.
                if stream.write_all(&block).is_err() {
                    break;
                }
            }
            Ok::<_, io::Error>(())
        };
        let sent = road.client.run(sending)?;
        let rate = reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // Why nobody came is what the client knows.
        sent.map_err(failed)?;
        rate.map_err(failed)
    })?;
    site.interrupt.check()?;
    peer.check()?;
    Ok(rate)
}

fn receive(listener: &TcpListener, time: Duration) -> io::Result<f64> {
    let begin = Instant::now();
    let (mut stream, _) = loop {
        match listener.accept() {
            Err(_) if begin.elapsed() < PATIENCE => {}
            outcome => break outcome?,
        }
    };
    stream.set_read_timeout(Some(PATIENCE))?;
    let (mut block, mut bytes, connected) = (vec![0; BLOCK], 0_u64, Instant::now());
    let mut start = None;
    loop {
        let size = stream.read(&mut block)? as u64;
        match start {
            None if connected.elapsed() >= WARM_UP => start = Some(Instant::now()),
            None => {}
            Some(_) => bytes += size,
        }
        if let Some(start) = start
            && (start.elapsed() >= time || size == 0)
        {
            return Ok(bytes as f64 * 8.0 / start.elapsed().as_secs_f64());
        }
        if size == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
