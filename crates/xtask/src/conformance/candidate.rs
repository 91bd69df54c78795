//! A script on ipvsd, in a network namespace of its own.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use ipvs_lab::parts::Namespace;
use rustix::process::{Pid, Signal};

use super::client::Client;
use super::fast_path::{FastPath, forwarded_in};
use super::recording::Recording;
use super::script::Script;
use super::{Subject, packets};

/// How long the daemon may take to answer, and to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Makes the namespaces and the link, starts ipvsd, runs the script with `client` and returns what it printed, and how many packets the
/// program forwarded.
pub(super) fn run(script: &Script, client: Client, subject: &Subject<'_>) -> Result<(Recording, u64)> {
    let place = Place::new(&script.name, client, subject)?;
    let setup = format!("link{}", subject.fast_path.wire(&packets::folder()));
    let text = format!(". \"$LIBRARY\"/{}.sh", script.name);
    let (out, forwarded) = place.with_daemon(&setup, client, &text)?;
    Ok((Recording::new("ipvsd", &out), forwarded))
}

/// Runs bash text where ipvsd runs, with our ipvsadm and ipvsd in its PATH, after `setup` has made the interface ve0; returns what it
/// printed, and how many packets the program forwarded.
pub(crate) fn bash(name: &str, subject: &Subject<'_>, setup: &str, text: &str) -> Result<(String, u64)> {
    Place::new(name, Client::Ours, subject)?.with_daemon(setup, Client::Ours, text)
}

/// The namespaces and files of one run; dropping it removes them.
struct Place {
    director: Namespace,
    client: Namespace,
    folder: PathBuf,
    binaries: PathBuf,
    fast_path: FastPath,
}

impl Place {
    fn new(name: &str, client: Client, subject: &Subject<'_>) -> Result<Self> {
        let beginning = format!("ipvsd-cf-{}-{name}", client.name());
        let director = Namespace::numbered(&beginning)?;
        let client = Namespace::numbered(&format!("{beginning}-cl"))?;
        let folder = std::env::temp_dir().join(director.name());
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self {
            director,
            client,
            folder,
            binaries: subject.binaries.to_owned(),
            fast_path: subject.fast_path,
        })
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("ipvsd.sock")
    }

    /// Makes the network by `setup`, starts ipvsd, runs bash text with `client` and ends ipvsd; what the text printed,
    /// and how many packets the program forwarded.
    fn with_daemon(&self, setup: &str, client: Client, text: &str) -> Result<(String, u64)> {
        let (out, err) = self.bash(Client::Ours, setup)?;
        ensure!(err.is_empty() && out.is_empty(), "making the network: {out}{err}");
        let mut daemon = Daemon::start(self)?;
        let outcome = self.bash(client, text);
        daemon.stop()?;
        let (out, err) = outcome?;
        ensure!(err.is_empty(), "the script wrote to its standard error:\n{err}");
        Ok((out, forwarded_in(&daemon.log())))
    }

    /// Runs bash text in the director's namespace, the library loaded, its `ipvsadm` being `client`; its output and
    /// its errors.
    fn bash(&self, client: Client, text: &str) -> Result<(String, String)> {
        let output = Command::new("ip")
            .args(["netns", "exec", self.director.name()])
            .args(client.wrapper(&self.binaries))
            .args(["bash", "-c"])
            .arg(format!(". \"$LIBRARY\"/lib.sh; {text}"))
            .env("LIBRARY", Script::folder())
            .env("CLIENT", self.client.name())
            .env("IPVSD_SOCKET", self.socket())
            .env("PATH", client.path(&self.binaries))
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .output()
            .context("cannot run ip netns exec")?;
        let out = String::from_utf8(output.stdout).context("output is not UTF-8")?;
        Ok((out, String::from_utf8_lossy(&output.stderr).into_owned()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A running ipvsd; dropping it ends it.
struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts ipvsd and waits until it answers.
    fn start(place: &Place) -> Result<Self> {
        let log = place.folder.join("ipvsd.log");
        let file = std::fs::File::create(&log)?;
        let child = Command::new(place.binaries.join("ipvsd"))
            .args(["run", "--netns", place.director.name(), "--interface", "ve0", "--fresh", "--socket"])
            .arg(place.socket())
            .args(place.fast_path.options())
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .context("cannot start ipvsd")?;
        let mut daemon = Self { child, log };
        let start = Instant::now();
        loop {
            if let Some(status) = daemon.child.try_wait()? {
                bail!("ipvsd ended at once, {status}:\n{}", daemon.log());
            }
            let (_, errors) = place.bash(Client::Ours, "ipvsadm -Ln >/dev/null")?;
            if errors.is_empty() {
                return Ok(daemon);
            }
            if start.elapsed() > PATIENCE {
                bail!("ipvsd does not answer: {errors}\n{}", daemon.log());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Asks it to end; an error if it ended before, does not end or fails.
    fn stop(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("ipvsd ended during the script, {status}:\n{}", self.log());
        }
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            rustix::process::kill_process(pid, Signal::TERM)?;
        }
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "ipvsd ended with {status}:\n{}", self.log());
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("ipvsd does not end at SIGTERM:\n{}", self.log())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
