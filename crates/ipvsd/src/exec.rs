//! `ipvsd exec`: unmodified programs on the daemon.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use ipvs_client::{DEFAULT_SOCKET, SOCKET_VARIABLE};
use ipvs_exec::{Launch, Mode};

/// Run a program unmodified, so that its IPVS calls reach ipvsd instead of the kernel.
///
/// Any program that manages IPVS: the distribution's ipvsadm, keepalived, kube-proxy, Docker; static ones too. Its
/// socket options and generic netlink messages for IPVS are answered by the daemon, everything else by the kernel. The
/// program replaces this command: process id, signals and exit code are the program's own; what it starts is served
/// like itself.
///
/// Served are sockets of the network namespace in which this is started. A small process, shown as "ipvsd-exec", does
/// that; it ends with the last program that it serves.
#[derive(Debug, Args)]
#[command(after_long_help = "\
EXAMPLES
  ipvsd exec ipvsadm -Ln                              the distribution's ipvsadm
  ipvsd exec keepalived --dont-fork --log-console     health checks that move real servers
  ipvsd exec --socket /run/blue.sock -- ipvsadm -Z    with another daemon
  ipvsd exec --mode sockopt -- ./program              through socket options only
  ipvsd exec --wait 30 -- keepalived -n               not before the daemon is there
  ExecStart=/usr/bin/ipvsd exec --wait 30 -- /usr/sbin/keepalived --dont-fork
                                                      in a systemd unit (Type=simple or notify)

WITHOUT A DAEMON
  the program is started all the same. Calls wait up to 5 seconds for the daemon; after that the program sees a kernel
  without IPVS, until the daemon is back. A command under way when the daemon ends fails with \"Input/output error\":
  it may have been executed.

WHO MAY GIVE COMMANDS
  as with the kernel: who has CAP_NET_ADMIN over the network namespace; others get \"Operation not permitted\".
  Started by an ordinary user the program runs with no_new_privs: setuid programs gain nothing in it.

FILES
  the program sees /proc/net/ip_vs*, and /proc/sys/net/ipv4/vs to read and write (`sysctl -w net.ipv4.vs.…`), in a mount
  namespace of its own. That takes /dev/fuse and CAP_SYS_ADMIN (or a user namespace); without, it is said and the
  program goes without. /proc/self/net has no such files. Run `ip netns add` outside.

NOT COVERED
  io_uring; 32-bit programs; sockets made before the program started or by processes outside; generic netlink sockets
  that the program moved to other descriptor numbers (dup). Programs that install a seccomp filter with a listener of
  their own (some container runtimes) cannot do that inside.

EXIT CODES
  the program's own, or
  125  it could not be started under ipvsd; the reason is on standard error
  126  it cannot be executed
  127  it was not found")]
pub(crate) struct Arguments {
    /// Interfaces that reach the daemon; the other one remains the kernel's
    #[arg(long, value_name = "MODE", value_enum, default_value_t = ModeArgument::Auto)]
    mode: ModeArgument,

    /// Control socket of the daemon
    #[arg(long, value_name = "PATH", env = SOCKET_VARIABLE, default_value = DEFAULT_SOCKET)]
    socket: PathBuf,

    /// Wait that long for the daemon before the program is started
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,

    /// Leave /proc as it is: no /proc/net/ip_vs* and /proc/sys/net/ipv4/vs, and no mount namespace of its own
    #[arg(long)]
    no_files: bool,

    /// The program and its arguments
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// Which interfaces reach the daemon.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ModeArgument {
    /// Both, whichever the program uses
    Auto,
    /// Generic netlink
    Netlink,
    /// Socket options
    Sockopt,
}

/// Executes the program; returns only if that fails.
pub(crate) fn exec(arguments: Arguments) -> ExitCode {
    let launch = Launch {
        mode: match arguments.mode {
            ModeArgument::Auto => Mode::Auto,
            ModeArgument::Netlink => Mode::Netlink,
            ModeArgument::Sockopt => Mode::Sockopt,
        },
        socket: arguments.socket,
        wait: Duration::from_secs(arguments.wait),
        files: !arguments.no_files,
        command: arguments.command,
    };
    let failure = ipvs_exec::exec(&launch, &mut |warning| eprintln!("ipvsd exec: warning: {warning}"));
    eprintln!("ipvsd exec: {failure}");
    ExitCode::from(failure.exit_code())
}
