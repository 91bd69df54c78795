//! A storm of changes: weights of destinations, by one client, thousands a second.

use std::path::Path as File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ipvs_core::{Command, DestinationConfig, ForwardingMethod};

use crate::Error;
use crate::address::SERVERS;
use crate::processors::Processors;
use crate::service;

/// Changes a second.
const RATE: f64 = 10_000.0;
/// So often some are sent.
const PACE: Duration = Duration::from_millis(1);

/// Runs `work` while weights are changed; what it gave, and how many changes a second there were.
pub(crate) fn during<T>(
    socket: &File,
    processors: &Processors,
    work: impl FnOnce() -> Result<T, Error>,
) -> Result<(T, f64), Error> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let changing = scope.spawn(|| {
            processors.leave_last();
            change(socket, &stop)
        });
        let outcome = work();
        stop.store(true, Ordering::Relaxed);
        let rate = changing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok((outcome?, rate?))
    })
}

fn change(socket: &File, stop: &AtomicBool) -> Result<f64, Error> {
    let mut client = service::connect(socket)?;
    let (start, mut changes) = (Instant::now(), 0_u64);
    while !stop.load(Ordering::Relaxed) {
        let due = (start.elapsed().as_secs_f64() * RATE) as u64;
        let commands: Vec<Command> = (changes..due)
            .map(|number| {
                let server = SERVERS[number as usize % SERVERS.len()];
                // One after the other, and each time another weight.
                let weight = 1 + (number / SERVERS.len() as u64 % 2) as i32;
                let config = DestinationConfig::new(ForwardingMethod::MASQUERADE, weight);
                Command::EditDestination(service::id(17), service::destination(server), config)
            })
            .collect();
        changes = due.max(changes);
        for outcome in client.request_each(commands) {
            outcome.map_err(service::failed)?;
        }
        std::thread::sleep(PACE);
    }
    Ok(changes as f64 / start.elapsed().as_secs_f64())
}
