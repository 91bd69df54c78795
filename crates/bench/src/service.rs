//! ipvsd as the director: its daemon, its services, its counters.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path as File;
use std::time::Duration;

use ipvs_client::{ClientError, ControlClient};
use ipvs_core::{Command, DestinationId, ServiceConfig, ServiceId, Timeouts};
use ipvs_lab::parts::{Daemon, Interrupt};
use rustix::process::{Pid, Signal, kill_process};

use crate::Error;
use crate::address::{LOCALS, SERVER_PORT, SERVICE_PORT, VIRTUAL};
use crate::method;
use crate::path::Path;

/// Time for the daemon to write down its counters.
const LIMIT: Duration = Duration::from_secs(10);
/// Connections without packets stay for so many seconds: longer than a run.
const TIMEOUT: i32 = 3600;

/// The virtual service of a protocol.
pub(crate) fn id(protocol: u16) -> ServiceId {
    ServiceId::Address { protocol, address: IpAddr::from(VIRTUAL), port: SERVICE_PORT }
}

/// A server as destination, by masquerading.
pub(crate) fn destination(address: Ipv4Addr) -> DestinationId {
    DestinationId { address: address.into(), port: SERVER_PORT }
}

/// A connection to the daemon.
pub(crate) fn connect(socket: &File) -> Result<ControlClient, Error> {
    ControlClient::connect(socket).map_err(failed)
}

/// Sets up both services, UDP and TCP, by the scheduler, the servers and the method of the path.
pub(crate) fn set_up(socket: &File, path: Path) -> Result<(), Error> {
    let mut client = connect(socket)?;
    let mut commands = vec![Command::SetTimeouts(Timeouts { tcp: 0, tcp_fin: 0, udp: TIMEOUT })];
    if let Some(pool) = method::pool(path) {
        // The mask leaves the last two bits.
        let first = u32::from(LOCALS.0);
        let all = (first..first + 4).map(|address| Ipv4Addr::from(address).into()).collect();
        commands.push(Command::AddPool(pool, all));
    }
    let (config, port) = method::destination(path);
    for protocol in [17, 6] {
        commands.push(Command::AddService(id(protocol), ServiceConfig::new(method::scheduler(path))));
        commands.extend(method::servers(path).into_iter().map(|server| {
            Command::AddDestination(id(protocol), DestinationId { address: server.into(), port }, config)
        }));
    }
    for command in commands {
        client.request(command).map_err(failed)?;
    }
    Ok(())
}

pub(crate) fn failed(error: ClientError) -> Error {
    Error::setup("set up the service", error)
}

/// Packets that the program has forwarded so far, as the daemon logs it on SIGUSR1.
pub(crate) fn forwarded_in_program(daemon: &Daemon, interrupt: &Interrupt) -> Result<u64, Error> {
    let read = || std::fs::read_to_string(daemon.log()).unwrap_or_default();
    let before = reports(&read());
    let mut text = String::new();
    // Once the second report has begun, the first is complete.
    for number in 1..=2 {
        if let Some(pid) = i32::try_from(daemon.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::USR1);
        }
        let written = interrupt.wait(LIMIT, || {
            text = read();
            Ok((reports(&text) >= before + number).then_some(()))
        })?;
        if written.is_none() {
            return Err(Error::setup("read the daemon's counters", "it wrote none down within 10 seconds"));
        }
    }
    Ok(forwarded_in(&text).unwrap_or(0))
}

/// How many reports a log has.
fn reports(log: &str) -> usize {
    log.lines().filter(|line| line.contains(" balanced ")).count()
}

/// The last number of packets forwarded by the program in a log.
fn forwarded_in(log: &str) -> Option<u64> {
    let line = log.lines().rfind(|line| line.contains("what=\"forwarded-by-xdp\""))?;
    line.split("packets=").nth(1)?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_tells_what_the_program_forwarded() {
        let log = "2026-01-01T00:00:00Z  INFO ipvsd::run::report: balanced connections=4 packets_in=9\n\
            2026-01-01T00:00:00Z  INFO ipvsd::run::report: counted by the datapath what=\"forwarded-by-xdp\" packets=65536\n";
        assert_eq!((reports(log), forwarded_in(log)), (1, Some(65536)));
        assert_eq!((reports(""), forwarded_in("")), (0, None));
    }
}
