//! `ipvsd show`: what the daemon knows, as text.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use ipvs_abi::proc::{self, File};
use ipvs_client::{ControlClient, DEFAULT_SOCKET, SOCKET_VARIABLE};

/// Show what the daemon knows.
#[derive(Debug, Args)]
#[command(after_long_help = "\
EXAMPLES
  ipvsd show proc           the names
  ipvsd show proc ip_vs     services and destinations, as the kernel's /proc/net/ip_vs

EXIT CODES
  0  shown
  1  the daemon refused (\"Operation not permitted\": root or CAP_NET_ADMIN is needed)
  2  wrong usage, or no daemon")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A file that kernel IPVS has in /proc/net, byte for byte; without a name, the names of all
    Proc {
        /// Name of the file
        #[arg(value_parser = file)]
        name: Option<File>,
        /// Control socket of the daemon
        #[arg(long, value_name = "PATH", env = SOCKET_VARIABLE, default_value = DEFAULT_SOCKET)]
        socket: PathBuf,
    },
}

fn file(name: &str) -> Result<File, String> {
    let names = File::ALL.map(File::name).join(", ");
    File::from_name(name).ok_or_else(|| format!("there are {names}"))
}

/// Does it.
pub(crate) fn show(arguments: &Arguments) -> ExitCode {
    let What::Proc { name, socket } = &arguments.what;
    let Some(file) = name else {
        let names = File::ALL.map(|file| file.name().to_owned() + "\n").concat();
        return print(names.as_bytes());
    };
    let client = ControlClient::connect(socket);
    let text = client.and_then(|mut client| {
        proc::read(*file, ipvs_exec::files::possible_processors(), &mut |command| client.request(command))
    });
    match text {
        Ok(text) => print(&text),
        Err(error) => {
            eprintln!("ipvsd: {error}");
            ExitCode::from(if error.errno().is_some() { 1 } else { 2 })
        }
    }
}

/// Prints to standard output; one that was closed early is no failure of ours.
pub(crate) fn print(text: &[u8]) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            eprintln!("ipvsd: cannot write the output: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}
