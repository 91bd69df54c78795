//! What was set (settings, timeouts and rules for firewall marks), kept over a restart of the daemon in a file beside the control socket. That lies
//! in /run, so it is gone when the host restarts, as the kernel's settings are.
//!
//! One `name = value` per line, as `ipvsd sysctl` takes them, and the timeouts as `timeout_tcp`, `timeout_tcp_fin` and
//! `timeout_udp`, and each rule that marks packets as `mark`, in their order; empty lines and lines that begin with `#` are skipped. Only what was ever set is in it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use ipvs_abi::mark;
use ipvs_abi::sysctl::{format, parse};
use ipvs_core::{Command, Director, Host, Instant, Reply, Sysctl, Timeouts};
use tracing::{info, warn};

use super::private_file::{create, open, remove, with_ending};

/// Names of the timeouts.
const TIMEOUTS: [&str; 3] = ["timeout_tcp", "timeout_tcp_fin", "timeout_udp"];

/// What the lines of rules that mark packets begin with.
const MARK: &str = "mark";

/// First line of the file.
const TITLE: &str =
    "# What was set with `ipvsd sysctl`, `ipvsd mark` and `ipvsadm --set`; read when ipvsd starts.\n";

/// The file.
#[derive(Debug)]
pub struct SettingsFile {
    path: PathBuf,
    /// Its lines: texts by name.
    lines: BTreeMap<&'static str, String>,
    /// The rules that mark packets, as texts.
    marks: Vec<String>,
}

/// What of a command is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    Sysctl(Sysctl),
    Timeouts,
    Marks,
}

/// What `command` changes that is kept.
pub(super) const fn kept(command: &Command) -> Option<Kept> {
    match command {
        Command::SetSysctl(sysctl, _) => Some(Kept::Sysctl(*sysctl)),
        Command::SetTimeouts(_) => Some(Kept::Timeouts),
        Command::AddMark(_) | Command::DeleteMark(_) => Some(Kept::Marks),
        _ => None,
    }
}

impl SettingsFile {
    /// That of the daemon with its control socket at `socket`: the same name and `.settings`.
    pub fn beside(socket: &Path) -> Self {
        Self { path: with_ending(socket, ".settings"), lines: BTreeMap::new(), marks: Vec::new() }
    }

    /// Removes what a former run set.
    pub fn forget(&mut self) {
        if let Err(error) = remove(&self.path) {
            let path = self.path.display();
            warn!(%path, %error, "cannot remove the settings of the last run");
        }
    }

    /// Sets in `director` what the file says. A file that makes no sense is logged and moved aside, and nothing of it is
    /// set.
    pub fn load(&mut self, now: Instant, host: &dyn Host, director: &mut Director) {
        let path = self.path.display().to_string();
        let text = match read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return warn!(%path, %error, "cannot read the settings; going on with the defaults"),
        };
        match commands(&text) {
            Ok(commands) => {
                let count = commands.len();
                for command in commands {
                    let what = kept(&command);
                    match director.execute(now, host, command) {
                        Ok(_) => {
                            if let Some(what) = what {
                                self.note(what, now, host, director);
                            }
                        }
                        Err(error) => warn!(%path, %error, ?what, "a setting was refused"),
                    }
                }
                info!(%path, count, "settings of the last run are in force again");
            }
            Err((line, reason)) => {
                let aside = with_ending(&self.path, ".broken");
                let moved = fs::rename(&self.path, &aside);
                let aside = aside.display();
                warn!(%path, line, reason, "the settings make no sense; going on with the defaults");
                match moved {
                    Ok(()) => warn!(%aside, "the file was moved aside"),
                    Err(error) => warn!(%aside, %error, "cannot move the file aside"),
                }
            }
        }
    }

    /// Writes the file anew, after `what` was changed. What cannot be written is logged, and holds until the daemon ends.
    pub(super) fn save(&mut self, what: Kept, now: Instant, host: &dyn Host, director: &mut Director) {
        self.note(what, now, host, director);
        if let Err(error) = self.write() {
            let path = self.path.display();
            warn!(%path, %error, "cannot save the settings; they will be lost when ipvsd ends");
        }
    }

    /// Takes the present value over into the lines.
    fn note(&mut self, what: Kept, now: Instant, host: &dyn Host, director: &mut Director) {
        let command = match what {
            Kept::Sysctl(sysctl) => Command::GetSysctl(sysctl),
            Kept::Timeouts => Command::GetTimeouts,
            Kept::Marks => Command::ListMarks { cursor: 0, limit: usize::MAX },
        };
        match director.execute(now, host, command) {
            Ok(Reply::Sysctls(all)) => {
                for (sysctl, values) in all {
                    self.lines.insert(sysctl.name(), format(sysctl, &values).trim_end().replace('\t', " "));
                }
            }
            Ok(Reply::Marks { items, .. }) => {
                self.marks = items.iter().map(|rule| mark::words(rule).join(" ")).collect();
            }
            Ok(Reply::Timeouts(Timeouts { tcp, tcp_fin, udp })) => {
                self.lines
                    .extend(TIMEOUTS.into_iter().zip([tcp, tcp_fin, udp].map(|value| value.to_string())));
            }
            _ => {}
        }
    }

    /// Replaces the file as a whole, so that nobody ever reads half of it.
    fn write(&self) -> io::Result<()> {
        let new = with_ending(&self.path, ".new");
        let mut file = create(&new)?;
        let lines = self.lines.iter().map(|(name, value)| format!("{name} = {value}\n"));
        let marks = self.marks.iter().map(|rule| format!("{MARK} = {rule}\n"));
        file.write_all((TITLE.to_owned() + &lines.chain(marks).collect::<String>()).as_bytes())?;
        fs::rename(&new, &self.path)
    }
}

/// Most bytes of a file: more than all settings and the longest rules take.
const MOST: u64 = 1024 * 1024;

/// Reads a file that only we can have written: where others may make files, one of theirs is not obeyed.
fn read(path: &Path) -> io::Result<String> {
    let file = open(path, false)?;
    let mut text = Vec::new();
    file.take(MOST).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The commands that a file's text stands for, or the number of the first line that makes no sense, and why.
fn commands(text: &str) -> Result<Vec<Command>, (usize, &'static str)> {
    let mut commands = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        commands.push(command(line).map_err(|reason| (number, reason))?);
    }
    Ok(commands)
}

fn command(line: &str) -> Result<Command, &'static str> {
    let (name, value) = line.split_once('=').ok_or("it is not `name = value`")?;
    let (name, value) = (name.trim_end(), value.trim_start());
    if let Some(position) = TIMEOUTS.iter().position(|timeout| *timeout == name) {
        let seconds =
            value.parse().ok().filter(|seconds| *seconds > 0).ok_or("it is not a number of seconds")?;
        let mut timeouts = Timeouts { tcp: 0, tcp_fin: 0, udp: 0 };
        match position {
            0 => timeouts.tcp = seconds,
            1 => timeouts.tcp_fin = seconds,
            _ => timeouts.udp = seconds,
        }
        return Ok(Command::SetTimeouts(timeouts));
    }
    if name == MARK {
        let rule = mark::parse(value).map_err(|_| "it is no rule of `ipvsd mark`")?;
        return Ok(Command::AddMark(rule));
    }
    let sysctl = Sysctl::from_name(name).ok_or("there is no such setting")?;
    let values = parse(sysctl, value.as_bytes()).ok().filter(|values| values.len() == sysctl.width());
    let values = values.filter(|values| sysctl.check(values).is_ok());
    Ok(Command::SetSysctl(sysctl, values.ok_or("the setting does not accept this value")?))
}

#[cfg(test)]
pub(super) mod testing {
    /// No host in particular.
    pub(in crate::run) struct Nowhere;

    impl ipvs_core::Host for Nowhere {
        fn address_kind(&self, _address: std::net::IpAddr) -> ipvs_core::AddressKind {
            ipvs_core::AddressKind::Unicast
        }

        fn path_mtu(&self, _address: std::net::IpAddr) -> Option<u32> {
            None
        }

        fn source_address(&self, _towards: std::net::IpAddr) -> Option<std::net::IpAddr> {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::Nowhere;
    use super::*;

    #[test]
    fn lines_are_commands() {
        let text = "# title\n\n drop_entry = 3 \nsync_threshold=5 0\ntimeout_udp = 42\n";
        let timeouts = Timeouts { tcp: 0, tcp_fin: 0, udp: 42 };
        let want = vec![
            Command::SetSysctl(Sysctl::DropEntry, vec![3]),
            Command::SetSysctl(Sysctl::SyncThreshold, vec![5, 0]),
            Command::SetTimeouts(timeouts),
        ];
        assert_eq!(commands(text), Ok(want));
        for (line, bad) in [
            (1, "drop_entry"),
            (1, "drop_entry = 4"),
            (1, "drop_entry = x"),
            (2, "drop_entry = 1\nno_such = 1"),
            (3, "# a\n#b\nsync_threshold = 5"),
            (1, "timeout_tcp = 0"),
            (1, "timeout_tcp = -1"),
            (2, "mark = tcp 10.0.0.1/32 80 1\nmark = tcp 10.0.0.1/32 80"),
            (1, "\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(commands(bad).map_err(|(line, _)| line), Err(line), "{bad:?}");
        }
    }

    /// A director that was started with the control socket `socket`, and its file.
    fn start(socket: &Path) -> (SettingsFile, Director) {
        let config = ipvs_core::Config { capacity: 64, ..Default::default() };
        let mut director = Director::new(config, Instant::default()).unwrap();
        let mut file = SettingsFile::beside(socket);
        file.load(Instant::default(), &Nowhere, &mut director);
        (file, director)
    }

    fn set(file: &mut SettingsFile, director: &mut Director, command: Command) {
        let what = kept(&command).unwrap();
        director.execute(Instant::default(), &Nowhere, command).unwrap();
        file.save(what, Instant::default(), &Nowhere, director);
    }

    fn value(director: &mut Director, sysctl: Sysctl) -> Vec<i64> {
        match director.execute(Instant::default(), &Nowhere, Command::GetSysctl(sysctl)) {
            Ok(Reply::Sysctls(all)) => all[0].1.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_next_daemon_of_the_socket_has_them() {
        let folder = std::env::temp_dir().join(format!("ipvsd-settings-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let socket = folder.join("ipvsd.sock");
        let (mut file, mut director) = start(&socket);
        set(&mut file, &mut director, Command::SetSysctl(Sysctl::SyncThreshold, vec![7]));
        let timeouts = Timeouts { tcp: 0, tcp_fin: 0, udp: 42 };
        set(&mut file, &mut director, Command::SetTimeouts(timeouts));
        // Started again, and changed once more: nothing gets lost.
        let (mut file, mut director) = start(&socket);
        assert_eq!(value(&mut director, Sysctl::SyncThreshold), [7, 50]);
        set(&mut file, &mut director, Command::SetSysctl(Sysctl::DropEntry, vec![3]));
        let (_, mut director) = start(&socket);
        assert_eq!(value(&mut director, Sysctl::SyncThreshold), [7, 50]);
        assert_eq!(value(&mut director, Sysctl::DropEntry), [3]);
        let reply = director.execute(Instant::default(), &Nowhere, Command::GetTimeouts);
        assert_eq!(reply, Ok(Reply::Timeouts(Timeouts { udp: 42, ..Timeouts::default() })));
        // Rules that mark packets come back in their order.
        let rules = ["udp 10.0.0.9/32 * 2", "tcp 10.0.0.9/32 80,443 1", "tcp 10.0.0.9/32 22 0"];
        let (mut file, mut director) = start(&socket);
        for rule in rules {
            set(&mut file, &mut director, Command::AddMark(mark::parse(rule).unwrap()));
        }
        set(&mut file, &mut director, Command::DeleteMark(mark::parse(rules[2]).unwrap()));
        let (_, mut director) = start(&socket);
        let listed = Command::ListMarks { cursor: 0, limit: 10 };
        let expected = rules[..2].iter().map(|rule| mark::parse(rule).unwrap()).collect();
        assert_eq!(
            director.execute(Instant::default(), &Nowhere, listed),
            Ok(Reply::Marks { items: expected, next: None })
        );
        // Another socket's daemon does not.
        let (_, mut other) = start(&folder.join("other.sock"));
        assert_eq!(value(&mut other, Sysctl::DropEntry), [0]);
        // Of a broken file nothing is set, and it is kept.
        let path = with_ending(&socket, ".settings");
        fs::write(&path, "drop_entry = 2\nsync_ports = 3\n").unwrap();
        let (_, mut director) = start(&socket);
        assert_eq!(value(&mut director, Sysctl::DropEntry), [0]);
        assert!(!path.exists() && with_ending(&path, ".broken").exists());
        // One that others may have written is left alone.
        fs::write(&path, "drop_entry = 2\n").unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
        let (_, mut director) = start(&socket);
        assert_eq!(value(&mut director, Sysctl::DropEntry), [0]);
        assert!(path.exists());
        fs::remove_dir_all(&folder).unwrap();
    }
}
