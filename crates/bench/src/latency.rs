//! Round trips of a datagram beside a load.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::Error;
use crate::address::{CLIENT, SERVER_PORT, SERVERS};
use crate::build::Site;
use crate::choice::MANY;
use crate::flows;
use crate::peer::Peer;
use crate::traffic::{Kind, Load, Offered};

/// An answer that has not come by then is lost.
const LOST: Duration = Duration::from_millis(200);
/// Between two questions: so they are no load by themselves.
const PAUSE: Duration = Duration::from_micros(100);
/// Where the load ends before so many were answered (a short one, on a busy machine), it is asked on, for some time.
const LEAST: usize = 20;
const PATIENCE: Duration = Duration::from_secs(5);
/// A server that waits looks this often whether all is over.
const LOOK: Duration = Duration::from_millis(50);
/// Time in which half the load is found, if it is not known.
const TRIAL: Duration = Duration::from_millis(300);

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Round trips, in microseconds.
    pub(crate) round_trips: Vec<f64>,
    /// Questions without an answer.
    pub(crate) lost: u64,
    /// The load.
    pub(crate) load: Offered,
}

/// Asks again and again while half as many packets a second go through as can.
pub(crate) fn at_half_load(peer: &mut Peer, time: Duration, site: &Site<'_>) -> Result<Seen, Error> {
    flows::make_known(peer, MANY, site)?;
    let rate = match peer.rate {
        Some(rate) => rate,
        None => flows::packets(peer, MANY, TRIAL, site)?.rate(),
    };
    peer.rate = Some(rate);
    peer.use_for_frames(site.processors)?;
    let failed = |error: io::Error| Error::setup("send datagrams", error);
    let open = |address: Ipv4Addr, port| {
        let socket = UdpSocket::bind(SocketAddrV4::new(address, port))?;
        socket.set_read_timeout(Some(LOOK)).map(|()| socket)
    };
    let servers = peer
        .road
        .server
        .run(|| SERVERS.iter().map(|server| open(*server, SERVER_PORT)).collect::<io::Result<Vec<_>>>())?
        .map_err(failed)?;
    let client = peer.road.client.run(|| open(CLIENT, 0))?.map_err(failed)?;
    client.connect(peer.target()).and_then(|()| client.set_read_timeout(Some(LOST))).map_err(failed)?;
    let (stop, over) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for server in &servers {
            scope.spawn(|| echo(server, &over));
        }
        let asking = scope.spawn(|| {
            site.processors.leave_last();
            ask(&client, &stop)
        });
        let load = Load { kind: Kind::Flows(MANY), time, most: u64::MAX, rate: Some(rate / 2.0) };
        let offered = peer.offer(load, site);
        stop.store(true, Ordering::Relaxed);
        let seen = asking.join();
        over.store(true, Ordering::Relaxed);
        let mut seen = seen.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        seen.load = offered?;
        if seen.round_trips.is_empty() {
            return Err(Error::setup("measure round trips", "no datagram was answered"));
        }
        Ok(seen)
    })
}

fn echo(socket: &UdpSocket, over: &AtomicBool) {
    let mut bytes = [0; 64];
    while !over.load(Ordering::Relaxed) {
        if let Ok((size, from)) = socket.recv_from(&mut bytes) {
            let _ = socket.send_to(bytes.get(..size).unwrap_or_default(), from);
        }
    }
}

fn ask(socket: &UdpSocket, stop: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    let (begin, mut number) = (Instant::now(), 0_u64);
    while !stop.load(Ordering::Relaxed) || seen.round_trips.len() < LEAST && begin.elapsed() < PATIENCE {
        number += 1;
        let start = Instant::now();
        let answered = socket.send(&number.to_ne_bytes()).is_ok()
            && loop {
                let mut bytes = [0; 8];
                match socket.recv(&mut bytes) {
                    Ok(_) if bytes == number.to_ne_bytes() => break true,
                    // An answer that came too late.
                    Ok(_) if start.elapsed() < LOST => {}
                    _ => break false,
                }
            };
        // The first one may have had to wait for many things.
        match answered {
            true if number > 1 => seen.round_trips.push(start.elapsed().as_secs_f64() * 1e6),
            true => {}
            false => seen.lost += 1,
        }
        std::thread::sleep(PAUSE);
    }
    seen
}
