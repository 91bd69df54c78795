//! The daemon of a network namespace, as the supervisor's calls reach it: over a connection of their own each, through
//! its restarts, and never twice.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ipvs_abi::errno::Errno;
use ipvs_client::{ClientError, ControlClient};

/// How long calls wait for an absent daemon, counted from the first that found it so.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often it is looked for.
const INTERVAL: Duration = Duration::from_millis(20);

/// Connections kept for later calls.
const KEPT: usize = 8;

/// Attempts at a call that may be repeated.
const ATTEMPTS: usize = 3;

/// Why a call has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallError {
    /// No daemon: nothing was done.
    Absent,
    /// The one who called has been killed: nothing was done.
    Unwanted,
    /// The connection broke after the request had been sent: nobody knows what was done.
    Unknown,
    /// The daemon refused.
    Refused(Errno),
}

/// A daemon by its control socket.
#[derive(Debug)]
pub(crate) struct Daemon {
    path: PathBuf,
    idle: Mutex<Vec<ControlClient>>,
    /// Since when it has been found absent.
    absent: Mutex<Option<Instant>>,
    patience: Duration,
}

impl Daemon {
    pub(crate) fn new(path: &Path) -> Self {
        Self::with_patience(path, PATIENCE)
    }

    /// One that may be absent for `patience`.
    pub(crate) fn with_patience(path: &Path, patience: Duration) -> Self {
        Self { path: path.to_owned(), idle: Mutex::default(), absent: Mutex::default(), patience }
    }

    /// Does `work` with a connection that no other call uses meanwhile.
    ///
    /// `repeatable`: whether it only reads, so that it may be done again if the connection breaks under it.
    /// `is_wanted` is asked before anything is sent.
    pub(crate) fn call<T>(
        &self,
        repeatable: bool,
        is_wanted: &dyn Fn() -> bool,
        mut work: impl FnMut(&mut ControlClient) -> Result<T, ClientError>,
    ) -> Result<T, CallError> {
        let mut attempts = if repeatable { ATTEMPTS } else { 1 };
        loop {
            let mut client = self.connection(is_wanted)?;
            let outcome = work(&mut client);
            match outcome {
                Ok(result) => {
                    self.keep(client);
                    return Ok(result);
                }
                Err(ClientError::Refused(errno)) => {
                    self.keep(client);
                    return Err(CallError::Refused(errno));
                }
                // Only sending fails like that: the daemon went away between the look at the connection and that.
                Err(ClientError::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
                Err(_) => {
                    attempts -= 1;
                    if attempts == 0 {
                        return Err(CallError::Unknown);
                    }
                }
            }
        }
    }

    fn connection(&self, is_wanted: &dyn Fn() -> bool) -> Result<ControlClient, CallError> {
        while let Some(client) = held(&self.idle).pop() {
            if client.is_quiet() {
                return Ok(client);
            }
        }
        let mut waited = false;
        loop {
            match ControlClient::connect(&self.path) {
                Ok(client) => {
                    *held(&self.absent) = None;
                    return if waited && !is_wanted() { Err(CallError::Unwanted) } else { Ok(client) };
                }
                Err(_) if self.outage() < self.patience => {
                    sleep(INTERVAL);
                    waited = true;
                }
                Err(_) => return Err(CallError::Absent),
            }
        }
    }

    /// How long it has been absent, now that it is.
    fn outage(&self) -> Duration {
        held(&self.absent).get_or_insert_with(Instant::now).elapsed()
    }

    fn keep(&self, client: ControlClient) {
        let mut idle = held(&self.idle);
        if idle.len() < KEPT {
            idle.push(client);
        }
    }
}

/// Locks. What the locks of this crate guard is whole at any time, so one that a panic left behind is as good.
pub(crate) fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::os::fd::OwnedFd;

    use ipvs_core::Command;
    use rustix::net::{
        AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketType, accept, bind, listen, recv, send,
        socket,
    };

    /// A socket where a daemon would listen.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            Self(std::env::temp_dir().join(format!("ipvs-exec-{}-{name}.sock", std::process::id())))
        }

        fn listen(&self) -> OwnedFd {
            let _ = std::fs::remove_file(&self.0);
            let listener = socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
            bind(&listener, &SocketAddrUnix::new(&self.0).unwrap()).unwrap();
            listen(&listener, 8).unwrap();
            listener
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    /// Serves connections in turn: as many requests as told, the last of which is not answered but ends it.
    fn serve(listener: OwnedFd, requests: &[usize]) -> usize {
        let mut seen = 0;
        for most in requests {
            let client = accept(&listener).unwrap();
            for number in 1..=*most {
                let mut buffer = [0; 512];
                let (length, _) = recv(&client, &mut buffer, RecvFlags::empty()).unwrap();
                if length == 0 {
                    break;
                }
                seen += 1;
                if number < *most {
                    // The acknowledgement of whatever it was.
                    let mut answer = vec![36, 0, 0, 0, 2, 0, 0, 1];
                    answer.extend_from_slice(&buffer[8..16]);
                    answer.extend_from_slice(&[0; 4]);
                    answer.extend_from_slice(&buffer[..16]);
                    send(&client, &answer, SendFlags::empty()).unwrap();
                }
            }
        }
        seen
    }

    fn flush(daemon: &Daemon, repeatable: bool) -> Result<(), CallError> {
        daemon.call(repeatable, &|| true, |client| client.request(Command::Flush).map(drop))
    }

    #[test]
    fn a_request_that_was_sent_is_not_sent_again_unless_it_only_reads() {
        let place = Place::new("once");
        let listener = place.listen();
        // One is answered, the second ends the connection; so does the third on the next one; then one is answered.
        let server = std::thread::spawn(move || serve(listener, &[2, 1, 2]));
        let daemon = Daemon::new(&place.0);
        assert_eq!(flush(&daemon, false), Ok(()));
        assert_eq!(flush(&daemon, false), Err(CallError::Unknown));
        assert_eq!(flush(&daemon, true), Ok(()), "repeated once");
        drop(daemon);
        assert_eq!(server.join().unwrap(), 4);
    }

    #[test]
    fn a_connection_that_the_daemon_left_is_replaced_without_harm() {
        let place = Place::new("replaced");
        let daemon = Daemon::new(&place.0);
        for _ in 0..3 {
            let listener = place.listen();
            let server = std::thread::spawn(move || {
                let client = accept(&listener).unwrap();
                let mut buffer = [0; 512];
                recv(&client, &mut buffer, RecvFlags::empty()).unwrap();
                let mut answer = vec![36, 0, 0, 0, 2, 0, 0, 1];
                answer.extend_from_slice(&buffer[8..16]);
                answer.extend_from_slice(&[0; 4]);
                answer.extend_from_slice(&buffer[..16]);
                send(&client, &answer, SendFlags::empty()).unwrap();
            });
            assert_eq!(flush(&daemon, false), Ok(()));
            server.join().unwrap();
        }
    }

    #[test]
    fn an_absent_daemon_is_waited_for_once() {
        let place = Place::new("absent");
        let daemon = Daemon::with_patience(&place.0, Duration::from_millis(100));
        let begun = Instant::now();
        assert_eq!(flush(&daemon, true), Err(CallError::Absent));
        assert!(begun.elapsed() >= Duration::from_millis(100));
        let again = Instant::now();
        assert_eq!(flush(&daemon, true), Err(CallError::Absent));
        assert!(again.elapsed() < begun.elapsed(), "not again");
    }

    #[test]
    fn nothing_is_sent_for_a_caller_who_died_while_waiting() {
        let place = Place::new("died");
        let daemon = Daemon::with_patience(&place.0, Duration::from_secs(60));
        let (asked, listener) = (Cell::new(false), Cell::new(None));
        std::thread::scope(|scope| {
            let opened = scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(50));
                place.listen()
            });
            let outcome = daemon.call(
                false,
                &|| {
                    asked.set(true);
                    false
                },
                |_| -> Result<(), ClientError> { panic!("sent") },
            );
            assert_eq!(outcome, Err(CallError::Unwanted));
            listener.set(Some(opened.join().unwrap()));
        });
        assert!(asked.get());
    }
}
