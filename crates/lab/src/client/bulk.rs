//! Bulk transfers: every connection downloads and then uploads, all at once, and both ends check what arrived.

use std::io;
use std::sync::{Barrier, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::{Answer, Sample, explain, http, source, target};
use crate::Error;
use crate::interrupt::Interrupt;
use crate::message::Exchange;
use crate::options::{Bulk, Options};
use crate::pattern;
use crate::topology::Topology;

/// How long a transfer may stand still: one of many on a busy path can lose several repetitions of a segment.
const STALL: Duration = Duration::from_secs(60);

/// What the transfers took, from the first connection's start to the last one's end.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Times {
    pub(crate) download: Duration,
    pub(crate) upload: Duration,
}

/// Opens all connections, downloads on all of them, then uploads on all of them. One sample per connection.
pub(crate) fn run(
    topology: &Topology,
    options: &Options,
    bulk: Bulk,
    interrupt: &Interrupt,
) -> Result<(Vec<Sample>, Times), Error> {
    let gate = Barrier::new(bulk.connections);
    let times = Mutex::new(Times::default());
    let samples = Mutex::new(Vec::new());
    let converse = |index: usize| {
        let start = Instant::now();
        let to = target(index, topology, options.direct);
        // Every connection passes every gate, failed or not, so that none waits for ever.
        let mut state = http::connect(source(index, topology.asking(options).address), to, STALL);
        gate.wait();
        let begin = Instant::now();
        let server = state
            .as_mut()
            .map_err(take)
            .and_then(|exchange| download(exchange, index as u64, bulk.bytes, interrupt));
        let downloaded = begin.elapsed();
        gate.wait();
        let begin = Instant::now();
        let outcome = server.and_then(|answer| {
            let exchange = state.as_mut().map_err(take)?;
            upload(exchange, !(index as u64), bulk.bytes, interrupt).map(|()| answer)
        });
        let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
        times.download = times.download.max(downloaded);
        times.upload = times.upload.max(begin.elapsed());
        drop(times);
        let sample =
            Sample { outcome: outcome.map_err(|error| explain(&error, STALL)), elapsed: start.elapsed() };
        samples.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
    };
    topology.asking(options).namespace.run(|| {
        std::thread::scope(|scope| {
            for index in 0..bulk.connections {
                let converse = &converse;
                scope.spawn(move || converse(index));
            }
        });
    })?;
    interrupt.check()?;
    let samples = samples.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok((samples, times.into_inner().unwrap_or_else(PoisonError::into_inner)))
}

/// Moves an error out of a failed state.
fn take(error: &mut io::Error) -> io::Error {
    std::mem::replace(error, io::ErrorKind::Other.into())
}

fn download(exchange: &mut Exchange, seed: u64, length: u64, interrupt: &Interrupt) -> io::Result<Answer> {
    exchange.write(format!("GET /bytes/{length}/{seed} HTTP/1.1\r\nHost: lab\r\n\r\n").as_bytes())?;
    let head = http::response(exchange)?;
    if head.length != length {
        return Err(io::Error::other(format!("download of {} instead of {length} bytes", head.length)));
    }
    let mut received = Sha256::new();
    let mut left = length;
    while left > 0 {
        stop_if(interrupt)?;
        let part = left.min(1 << 20);
        exchange.body(part, |block| received.update(block))?;
        left -= part;
    }
    let mut expected = Sha256::new();
    pattern::blocks(seed, length, |block| {
        expected.update(block);
        Ok::<_, io::Error>(())
    })?;
    if pattern::hex(received) != pattern::hex(expected) {
        return Err(io::Error::other("the SHA-256 of the download is wrong"));
    }
    http::sender(head)
}

fn upload(exchange: &mut Exchange, seed: u64, length: u64, interrupt: &Interrupt) -> io::Result<()> {
    let request =
        format!("PUT /upload HTTP/1.1\r\nHost: lab\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    exchange.write(request.as_bytes())?;
    let mut sent = Sha256::new();
    pattern::blocks(seed, length, |block| {
        stop_if(interrupt)?;
        sent.update(block);
        exchange.write(block)
    })?;
    let head = http::response(exchange)?;
    let mut answer = Vec::new();
    exchange.body(head.length, |block| answer.extend_from_slice(block))?;
    let expected = format!("{length} {}\n", pattern::hex(sent));
    if answer != expected.as_bytes() {
        return Err(io::Error::other("the length or SHA-256 of the upload is wrong"));
    }
    Ok(())
}

fn stop_if(interrupt: &Interrupt) -> io::Result<()> {
    if interrupt.is_set() { Err(io::Error::other("interrupted")) } else { Ok(()) }
}
