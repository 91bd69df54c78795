//! A daemon that is killed again and again while connections are in use.

use std::time::{Duration, Instant};

use crate::Error;
use crate::client::steady::{self, NewPorts, Usage};
use crate::control::Control;
use crate::daemon::Daemon;
use crate::interrupt::Interrupt;
use crate::options::Kills;
use crate::report::{Failure, Killed};
use crate::topology::Topology;

/// A round's daemon lives for some time of up to so long after it was ready, then it is killed.
const LIFE: Duration = Duration::from_millis(400);
/// Without a daemon so many requests are waited for, at most so long.
const WITHOUT: u64 = 200;
const PATIENCE: Duration = Duration::from_secs(5);
/// Then so many new connections are tried, if the program begins them.
const NEW: usize = 10;

/// Does it: `start` starts a daemon with the executable of that number (0: the usual one, 1: the other one).
pub(crate) fn run(
    topology: &Topology,
    kills: &Kills,
    daemon: &mut Option<Daemon>,
    control: &Control,
    interrupt: &Interrupt,
    start: &mut dyn FnMut(usize) -> Result<Daemon, Error>,
) -> Result<Killed, Error> {
    let usage = Usage::default();
    let mut ports = NewPorts::beside(kills.connections);
    let mut report = Killed { rounds: 0, connections: kills.connections, ..Killed::default() };
    steady::with_connections(topology, kills.connections, &usage, || {
        let mut counters = control.counters()?;
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        for round in 0..kills.rounds {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let life = LIFE.mul_f64((random % 1000) as f64 / 1000.0);
            interrupt.wait::<()>(life, || Ok(None))?;
            let shown = control.counters()?;
            report.backwards += usize::from(is_less(&shown, &counters));
            if let Some(daemon) = daemon.take() {
                daemon.kill()?;
            }
            let (killed, before) = (Instant::now(), usage.answered());
            interrupt.wait(PATIENCE, || {
                Ok((usage.answered() - before >= WITHOUT || kills.at_once).then_some(()))
            })?;
            for _ in 0..if kills.begins { NEW } else { 0 } {
                match ports.connect(topology)? {
                    Ok(_) => report.begun_without_daemon += 1,
                    Err(reason) => {
                        report.refused.push(format!("while no daemon ran, round {round}: {reason}"))
                    }
                }
            }
            report.without_daemon += usage.answered() - before;
            *daemon = Some(start((round + 1) % 2)?);
            report.longest_outage_ms =
                report.longest_outage_ms.max(u64::try_from(killed.elapsed().as_millis()).unwrap_or(u64::MAX));
            counters = control.counters()?;
            report.backwards += usize::from(is_less(&counters, &shown));
            let held = control.connections()?;
            let lost = usage.lost().len();
            report.forgotten = report
                .forgotten
                .max((kills.connections - lost).saturating_sub((held.active + held.inactive) as usize));
            if let Err(reason) = ports.connect(topology)? {
                report.refused.push(reason);
            }
            report.rounds += 1;
        }
        Ok(())
    })?;
    let lost = usage.lost();
    (report.lost, report.reasons, report.requests) = (lost.len(), Failure::of(&lost), usage.answered());
    Ok(report)
}

fn is_less(now: &[u64], before: &[u64]) -> bool {
    now.len() < before.len() || now.iter().zip(before).any(|(now, before)| now < before)
}
