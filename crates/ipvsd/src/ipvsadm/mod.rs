//! The program `ipvsadm`: its names come from the system, its answers from the daemon's control socket.

mod services_file;
mod socket_client;
mod system_resolver;

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use ipvs_abi::ipvsadm::{Streams, run, understand};

use self::socket_client::SocketClient;
use self::system_resolver::SystemResolver;
use ipvs_client::{DEFAULT_SOCKET, SOCKET_VARIABLE};

/// Runs `ipvsadm` with `words` (the program's name not among them) on the process's streams; returns the exit code.
///
/// The control socket is that of `--socket`, of the environment variable IPVSD_SOCKET, or the default one. Words that
/// are not UTF-8 lose what cannot be read, which no valid command line has.
pub fn main(words: impl Iterator<Item = OsString>) -> u8 {
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    let resolver = SystemResolver::default();
    let line = match understand(&words, &resolver) {
        Ok(line) => line,
        Err(failure) => {
            // Where standard error is closed there is nobody to tell.
            let _ = writeln!(io::stderr(), "{}", failure.message);
            return failure.exit_code;
        }
    };
    let path = line.socket.or_else(|| std::env::var_os(SOCKET_VARIABLE).map(PathBuf::from));
    let mut client = SocketClient::new(path.unwrap_or_else(|| DEFAULT_SOCKET.into()));
    run(
        line.action,
        &mut client,
        &resolver,
        &mut Streams {
            input: &mut io::stdin().lock(),
            output: &mut BufWriter::new(io::stdout().lock()),
            errors: &mut io::stderr().lock(),
        },
    )
}
