//! Debian's unmodified ipvsadm and keepalived under `ipvsd exec`: keepalived with real traffic through the director that
//! it keeps, scripts beside one another, and clients that come in hundreds or are killed; and its sipp, curl,
//! pyftpdlib, dnsmasq, dig, nginx and usrsctp through a virtual address. Needs root.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod associations;
mod calls;
mod crowd;
mod dns;
mod failover;
mod ftp;
mod full_nat;
mod health;
mod marks;
mod namespace;
mod network;
mod program;
mod proxy;
mod server;
mod side_by_side;
mod traffic;

use std::time::{Duration, Instant};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Polls until `condition` holds; `what` says what is waited for, when it never does.
fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "waited {} s for this: {what}", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(20));
    }
}
