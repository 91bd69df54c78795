//! `ipvsd sysctl`: the settings that kernel IPVS has in /proc/sys/net/ipv4/vs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use ipvs_abi::errno::Errno;
use ipvs_abi::sysctl::{format, write};
use ipvs_client::{ClientError, ControlClient, DEFAULT_SOCKET, SOCKET_VARIABLE};
use ipvs_core::{Command, Reply, Sysctl};

use crate::show::print;

/// What names begin with, for sysctl(8).
const PREFIX: &str = "net.ipv4.vs.";

/// Show and change the settings of /proc/sys/net/ipv4/vs.
///
/// Values are written and read exactly as the kernel does. A change takes effect at once and survives a restart of the
/// daemon, but not of the host.
#[derive(Debug, Args)]
#[command(after_long_help = "\
EXAMPLES
  ipvsd sysctl                                  all settings
  ipvsd sysctl -n amemthresh                    the value of one
  ipvsd sysctl drop_entry=1 'sync_threshold=3 50'
  ipvsd sysctl net.ipv4.vs.conn_reuse_mode      names as in sysctl.conf, also with slashes

EXIT CODES
  0  all shown and set
  1  a name is unknown or a value was refused; the others are done
  2  wrong usage, or no daemon")]
pub(crate) struct Arguments {
    /// NAME to show, NAME=VALUE to set; all are shown without
    #[arg(value_name = "NAME[=VALUE]")]
    settings: Vec<String>,

    /// Values without names
    #[arg(short = 'n', long)]
    values: bool,

    /// As one JSON object, values as text
    #[arg(long, conflicts_with = "values")]
    json: bool,

    /// Control socket of the daemon
    #[arg(long, value_name = "PATH", env = SOCKET_VARIABLE, default_value = DEFAULT_SOCKET)]
    socket: PathBuf,
}

/// Why one setting could not be shown or set.
#[derive(Debug)]
enum Failure {
    /// For the user; the others go on.
    Of(String),
    /// The daemon cannot be asked.
    Unreachable(ClientError),
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self::Unreachable(ClientError::Refused(errno))
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::Unreachable(error)
    }
}

/// Does it.
pub(crate) fn sysctl(arguments: &Arguments) -> ExitCode {
    let (mut shown, mut code) = (Vec::new(), ExitCode::SUCCESS);
    match ControlClient::connect(&arguments.socket) {
        Ok(mut client) if arguments.settings.is_empty() => match list(&mut client, Command::ListSysctls) {
            Ok(all) => shown = all,
            Err(failure) => code = report(failure),
        },
        Ok(mut client) => {
            for setting in &arguments.settings {
                match one(&mut client, setting) {
                    Ok(found) => shown.extend(found),
                    Err(failure) => code = report(failure),
                }
            }
        }
        Err(error) => code = report(error.into()),
    }
    if code != ExitCode::SUCCESS && shown.is_empty() {
        return code;
    }
    match print(text(&shown, arguments).as_bytes()) {
        ExitCode::SUCCESS => code,
        failed => failed,
    }
}

/// Says what failed; the exit code.
fn report(failure: Failure) -> ExitCode {
    match failure {
        Failure::Of(message) => {
            eprintln!("ipvsd: {message}");
            ExitCode::from(1)
        }
        Failure::Unreachable(error) => {
            eprintln!("ipvsd: {error}");
            ExitCode::from(if error.errno().is_some() { 1 } else { 2 })
        }
    }
}

fn text(shown: &[(Sysctl, String)], arguments: &Arguments) -> String {
    if arguments.json {
        let all: BTreeMap<_, _> = shown.iter().map(|(sysctl, value)| (sysctl.name(), value)).collect();
        return serde_json::to_string_pretty(&all).unwrap_or_default() + "\n";
    }
    let prefix = |sysctl: &Sysctl| {
        if arguments.values { String::new() } else { format!("{PREFIX}{} = ", sysctl.name()) }
    };
    shown.iter().map(|(sysctl, value)| format!("{}{value}\n", prefix(sysctl))).collect()
}

/// Sets one setting, if there is a value, and reads it.
fn one(client: &mut ControlClient, setting: &str) -> Result<Vec<(Sysctl, String)>, Failure> {
    let (name, value) = match setting.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (setting, None),
    };
    let sysctl = named(name.trim()).map_err(Failure::Of)?;
    if let Some(value) = value {
        let set =
            |values| client.request(Command::SetSysctl(sysctl, values)).map(drop).map_err(Failure::from);
        write(sysctl, value.as_bytes(), set).map_err(|failure| match failure {
            Failure::Unreachable(ClientError::Refused(Errno::EINVAL)) => Failure::Of(format!(
                "cannot set {} to {value:?}: {}; it takes {}",
                sysctl.name(),
                Errno::EINVAL,
                sysctl.accepted()
            )),
            other => other,
        })?;
    }
    list(client, Command::GetSysctl(sysctl))
}

fn list(client: &mut ControlClient, command: Command) -> Result<Vec<(Sysctl, String)>, Failure> {
    let Reply::Sysctls(all) = client.request(command)? else {
        return Err(Failure::Of("ipvsd gave an unexpected answer".to_owned()));
    };
    Ok(all
        .into_iter()
        .map(|(sysctl, values)| (sysctl, format(sysctl, &values).trim_end().to_owned()))
        .collect())
}

/// The setting of a name as sysctl(8), /proc or the documents write it.
fn named(name: &str) -> Result<Sysctl, String> {
    let bare = [PREFIX, "net/ipv4/vs/", "/proc/sys/net/ipv4/vs/"]
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
        .unwrap_or(name);
    Sysctl::from_name(bare).ok_or_else(|| {
        let likeness = |sysctl: &Sysctl| (strsim::jaro_winkler(sysctl.name(), bare) * 1000.0) as u32;
        let nearest = Sysctl::ALL.into_iter().max_by_key(likeness).filter(|sysctl| likeness(sysctl) > 750);
        let hint = nearest.map_or_else(
            || "`ipvsd sysctl` lists all".to_owned(),
            |sysctl| format!("did you mean {}?", sysctl.name()),
        );
        format!("no setting {bare:?}: {}; {hint}", Errno::ENOENT)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_all_kinds() {
        for name in [
            "drop_entry",
            "net.ipv4.vs.drop_entry",
            "net/ipv4/vs/drop_entry",
            "/proc/sys/net/ipv4/vs/drop_entry",
        ] {
            assert_eq!(named(name), Ok(Sysctl::DropEntry), "{name}");
        }
        let near = named("drop_enrty").unwrap_err();
        assert!(near.contains("did you mean drop_entry?"), "{near}");
        let far = named("zzz").unwrap_err();
        assert!(far.contains("No such file or directory") && !far.contains("did you mean"), "{far}");
    }
}
