//! A thread in a mount namespace with the files in it, and what serves them here.
#![allow(dead_code, reason = "no test uses all of it")]

use std::collections::HashMap;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use ipvs_abi::errno::Errno;
use ipvs_core::Sysctl;
use ipvs_exec::files::{Channels, File, Name, Provider, Server, mount, serve};

pub(crate) const SETTINGS: &str = "/proc/sys/net/ipv4/vs";

/// Rows of the large table, ip_vs_conn.
pub(crate) const ROWS: usize = 50_000;

/// A daemon's place: settings are numbers, ip_vs counts its reads, ip_vs_conn is large, ip_vs_app hangs until
/// [`Fake::let_go`], ip_vs_stats_percpu panics.
#[derive(Default)]
pub(crate) struct Fake {
    settings: Mutex<HashMap<Sysctl, Vec<u8>>>,
    reads: AtomicUsize,
    gone: Mutex<bool>,
    hanging: AtomicUsize,
    changed: Condvar,
}

impl Fake {
    /// Waits until `count` reads hang in here.
    pub(crate) fn wait_for_hanging(&self, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.hanging.load(Ordering::SeqCst) < count {
            assert!(Instant::now() < deadline, "the reads do not come");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Lets those go that hang.
    pub(crate) fn let_go(&self) {
        *self.gone.lock().unwrap() = true;
        self.changed.notify_all();
    }
}

impl Provider for Fake {
    fn read(&self, name: Name) -> Result<Vec<u8>, Errno> {
        match name {
            Name::Table(File::IpVs) => {
                Ok(format!("read {}\n", self.reads.fetch_add(1, Ordering::Relaxed)).into_bytes())
            }
            Name::Table(File::IpVsConn) => {
                Ok((0..ROWS).flat_map(|row| format!("row {row:06}\n").into_bytes()).collect())
            }
            Name::Table(File::IpVsStats) => Err(Errno::EIO),
            Name::Table(File::IpVsApp) => {
                let mut gone = self.gone.lock().unwrap();
                self.hanging.fetch_add(1, Ordering::SeqCst);
                while !*gone {
                    gone = self.changed.wait(gone).unwrap();
                }
                Ok(b"at last\n".to_vec())
            }
            Name::Table(File::IpVsStatsPercpu) => panic!("a bug in the provider"),
            Name::Table(File::IpVsConnSync) => Ok(Vec::new()),
            Name::Setting(setting) => {
                let text = self.settings.lock().unwrap().get(&setting).cloned();
                Ok(text.unwrap_or_else(|| b"0\n".to_vec()))
            }
        }
    }

    fn write(&self, setting: Sysctl, text: &[u8]) -> Result<usize, Errno> {
        ipvs_abi::sysctl::write(setting, text, |values| {
            if values.first().is_some_and(|first| *first >= 1000) {
                return Err(Errno::EINVAL);
            }
            let text = ipvs_abi::sysctl::format(setting, &values).into_bytes();
            self.settings.lock().unwrap().insert(setting, text);
            Ok(())
        })
    }
}

/// Runs `test` in a thread that has the files, then waits until serving has ended, as it must once nobody is in the
/// namespace.
pub(crate) fn inside<R: Send>(provider: Arc<Fake>, test: impl FnOnce() -> R + Send) -> R {
    let (outcome, server) = inside_unended(provider, test);
    server.wait().unwrap();
    outcome
}

/// Runs `test` in a thread that has the files; what serves them still does while another process is in the namespace.
pub(crate) fn inside_unended<R: Send>(provider: Arc<Fake>, test: impl FnOnce() -> R + Send) -> (R, Server) {
    let (to_server, from_mounter) = std::sync::mpsc::channel();
    let (to_test, from_server) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        let test = scope.spawn(move || {
            let channels = Channels::open().expect("the tests need root and /dev/fuse");
            mount(&channels).expect("the tests need root");
            to_server.send(channels).unwrap();
            from_server.recv().expect("a server");
            test()
        });
        let server = serve(from_mounter.recv().expect("mounted"), provider).unwrap();
        to_test.send(()).unwrap();
        match test.join() {
            Ok(outcome) => (outcome, server),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// The outcome of a shell command.
pub(crate) fn sh(command: &str) -> (i32, String, String) {
    let Output { status, stdout, stderr } =
        Command::new("sh").args(["-c", command]).env("LC_ALL", "C").output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

/// What a shell command prints; it must succeed.
pub(crate) fn output(command: &str) -> String {
    let (code, stdout, stderr) = sh(command);
    assert_eq!((code, stderr.as_str()), (0, ""), "{command}: {stdout}");
    stdout
}
