//! `ipvsd stop`: ends the daemon, and with `--detach` what outlives it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use ipvs_client::{DEFAULT_SOCKET, SOCKET_VARIABLE};
use ipvsd::run::{self, Failure, Stopped};

/// End the daemon; the next one goes on where it ended.
///
/// Services, statistics, settings and connections are kept, and with `ipvsd run --fast-path on` the XDP program goes on with
/// established connections: so a new version of ipvsd takes over without losing one. With --detach nothing is kept, whether a
/// daemon runs or was killed: no program on the interfaces, no routing rule, no file.
#[derive(Debug, Args)]
#[command(after_long_help = "\
EXAMPLES
  ipvsd stop && ipvsd run --fast-path on     another version, or other options
  ipvsd stop --detach                        leave the host as it was before

EXIT CODES
  0  done
  1  failed; the reason is on standard error
  2  wrong usage; or no daemon runs, and without --detach nothing was to be done
  4  privileges are missing")]
pub(crate) struct Arguments {
    /// Also end what outlives the daemon, and forget services, statistics, connections and settings
    #[arg(long)]
    detach: bool,

    /// Network namespace of the daemon: a name of `ip netns`, or a path if it has a slash; for --detach when no daemon runs
    #[arg(long, value_name = "NAME")]
    netns: Option<String>,

    /// Control socket of the daemon
    #[arg(long, value_name = "PATH", env = SOCKET_VARIABLE, default_value = DEFAULT_SOCKET)]
    socket: PathBuf,
}

/// Does it.
pub(crate) fn stop(arguments: &Arguments) -> ExitCode {
    match try_stop(arguments) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("ipvsd: {failure}");
            failure.exit_code()
        }
    }
}

fn try_stop(Arguments { detach, netns, socket }: &Arguments) -> Result<ExitCode, Failure> {
    let namespace = match run::stop_daemon(socket)? {
        Stopped::Process(namespace) => Some(namespace),
        Stopped::Nobody if *detach => None,
        Stopped::Nobody => {
            eprintln!("ipvsd: no daemon has the control socket {}: see --socket", socket.display());
            return Ok(ExitCode::from(2));
        }
    };
    if *detach {
        run::enter(netns.as_deref(), namespace)?;
        finish(socket)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Removes what is left.
fn finish(socket: &Path) -> Result<(), Failure> {
    let detached = run::detach(socket)?;
    if detached.elsewhere {
        eprintln!(
            "ipvsd: the daemon was of another network namespace: if it was killed, repeat this with --netns for its routing rules"
        );
        return Ok(());
    }
    ipvs_datapath::remove_leftovers()
        .map_err(|error: io::Error| Failure::Other(format!("cannot remove routing rules: {error}")))
}
