//! Starts a program under a filter, in place of this process.

use std::env;
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ipvs_client::{ClientError, ControlClient, SOCKET_VARIABLE};
use nix::sys::signal::Signal;
use rustix::process::{PTracer, set_ptracer};

use crate::detached::Supervision;
use crate::files::{self, Channels};
use crate::filter::Interfaces;
use crate::notification::Listener;
use crate::syscall;
use crate::window::Window;

/// Tells programs inside what serves them: mode and control socket.
const INSIDE_VARIABLE: &str = "IPVSD_EXEC";

/// Which of IPVS's interfaces reach the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Both.
    Auto,
    /// Generic netlink; socket options are the kernel's.
    Netlink,
    /// Socket options; the kernel says that it has no generic netlink family of this name.
    Sockopt,
}

impl Mode {
    const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Netlink => "netlink",
            Self::Sockopt => "sockopt",
        }
    }
}

/// What to start.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The interfaces.
    pub mode: Mode,
    /// The daemon's control socket.
    pub socket: PathBuf,
    /// How long to wait for the daemon before the program is started.
    pub wait: Duration,
    /// Whether the program sees the files of /proc that kernel IPVS has.
    pub files: bool,
    /// The program and its arguments; not empty.
    pub command: Vec<OsString>,
}

/// Why the program was not started: what offends, and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// There is no such program.
    #[error("{}: command not found", .0.display())]
    NotFound(PathBuf),
    /// It cannot be executed.
    #[error("{}: cannot be executed: {reason}", program.display())]
    NotExecutable {
        /// The program.
        program: PathBuf,
        /// Why not.
        reason: io::Error,
    },
    /// Another filter with a listener is in force.
    #[error("{0}")]
    Nested(String),
    /// The kernel lacks something.
    #[error("{0}")]
    Kernel(String),
    /// Anything else.
    #[error("cannot {0}: {1}")]
    Other(&'static str, io::Error),
}

impl Failure {
    /// The exit code: as env(1) and chroot(1) have them.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::NotFound(_) => 127,
            Self::NotExecutable { .. } => 126,
            _ => 125,
        }
    }
}

/// Executes the program in place of this process, which must have one thread; returns only if that fails.
///
/// `warn` gets what the user should know although the program is started.
pub fn exec(launch: &Launch, warn: &mut dyn FnMut(&str)) -> Failure {
    start(launch, warn).map_or_else(|failure| failure, |never| match never {})
}

/// Nothing is of this type.
enum Never {}

fn start(launch: &Launch, warn: &mut dyn FnMut(&str)) -> Result<Never, Failure> {
    let socket = std::path::absolute(&launch.socket)
        .map_err(|error| Failure::Other("make the control socket's path absolute", error))?;
    look_for_daemon(&socket, launch.wait, warn);
    let supervision =
        Supervision::start(&socket).map_err(|error| Failure::Other("start the supervisor", error))?;
    let wants_netlink = launch.mode != Mode::Sockopt;
    if launch.mode == Mode::Netlink && !supervision.netlink {
        return Err(Failure::Kernel(
            "--mode netlink takes CAP_NET_ADMIN in this network namespace: run as root, or inside \
             `unshare --user --map-root-user --net`"
                .into(),
        ));
    }
    let interfaces = Interfaces {
        sockopt: launch.mode != Mode::Netlink,
        netlink: Window::for_this_process().filter(|_| wants_netlink && supervision.netlink),
    };
    match install(interfaces) {
        Ok(listener) => {
            let channels = if launch.files { mount_files(warn) } else { None };
            supervision
                .hand_over(&listener, channels)
                .map_err(|error| Failure::Other("hand the filter to the supervisor", error))?;
            // Where Yama lets only ancestors look into processes. Elsewhere there is no such call.
            let _ = set_ptracer(PTracer::ProcessID(supervision.process));
        }
        Err(error) if error.raw_os_error() == Some(libc::EBUSY) => check_nesting(launch.mode, &socket)?,
        Err(error) => return Err(explain(error)),
    }
    drop(supervision);
    execute(&launch.command, launch.mode, &socket)
}

/// Puts the files in place, in a mount namespace that this process moves into. Where that cannot be, the program goes without.
fn mount_files(warn: &mut dyn FnMut(&str)) -> Option<Channels> {
    let mounted = Channels::open().and_then(|channels| files::mount(&channels).map(|()| channels));
    mounted
        .inspect_err(|error| {
            warn(&format!(
                "no /proc/net/ip_vs* and /proc/sys/net/ipv4/vs for this program: {error}. Everything else works; --no-files \
                 if it needs none"
            ));
        })
        .ok()
}

/// Installs the filter; without CAP_SYS_ADMIN that takes giving up what setuid programs would gain.
fn install(interfaces: Interfaces) -> io::Result<Listener> {
    match Listener::install(interfaces) {
        Err(error) if error.raw_os_error() == Some(libc::EACCES) => {
            rustix::thread::set_no_new_privs(true)?;
            Listener::install(interfaces)
        }
        outcome => outcome,
    }
}

/// Says so if no daemon answers within the time to wait. The program is started all the same: the daemon may come later.
fn look_for_daemon(socket: &Path, wait: Duration, warn: &mut dyn FnMut(&str)) {
    let begun = Instant::now();
    loop {
        let Err(error) = ControlClient::connect(socket) else { return };
        if begun.elapsed() >= wait {
            let reason = match error {
                ClientError::Connect { source, .. } => source.to_string(),
                other => other.to_string(),
            };
            warn(&format!(
                "no ipvsd at {}: {reason}. IPVS calls fail until there is one: start it (`ipvsd run`), or name \
                 its socket (--socket, {SOCKET_VARIABLE})",
                socket.display()
            ));
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What [`INSIDE_VARIABLE`] holds.
fn inside(mode: Mode, socket: &Path) -> OsString {
    let mut value = OsString::from(format!("{}:", mode.name()));
    value.push(socket);
    value
}

/// A process can have one listener: inside another `ipvsd exec` to the same end there is nothing to do.
fn check_nesting(mode: Mode, socket: &Path) -> Result<(), Failure> {
    match env::var_os(INSIDE_VARIABLE) {
        Some(outer) if outer == inside(mode, socket) => Ok(()),
        Some(outer) => Err(Failure::Nested(format!(
            "this runs inside another `ipvsd exec` ({}), and the kernel allows one only: run it outside, or with \
             the same --mode and --socket",
            outer.display()
        ))),
        None => Err(Failure::Nested(
            "this process already has a seccomp filter with a listener (another `ipvsd exec`, or a container \
             runtime's), and the kernel allows one only: run it outside"
                .into(),
        )),
    }
}

/// What an error at installing the filter says about the kernel.
fn explain(error: io::Error) -> Failure {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    if !syscall::has_user_notification() {
        return Failure::Kernel(format!(
            "Linux {release} has no seccomp user notification: `ipvsd exec` needs 5.19 or later, with \
             CONFIG_SECCOMP_FILTER"
        ));
    }
    if error.raw_os_error() == Some(libc::EINVAL) {
        return Failure::Kernel(format!(
            "Linux {release} has no SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: `ipvsd exec` needs 5.19 or later"
        ));
    }
    Failure::Other("install the seccomp filter", error)
}

fn execute(command: &[OsString], mode: Mode, socket: &Path) -> Result<Never, Failure> {
    let text = |text: &OsStr| CString::new(text.as_bytes());
    let broken = |_| Failure::Other("execute a command with a NUL in it", io::ErrorKind::InvalidInput.into());
    let words: Vec<CString> =
        command.iter().map(|word| text(word)).collect::<Result<_, _>>().map_err(broken)?;
    let [program, ..] = &words[..] else {
        return Err(Failure::Other("execute nothing", io::ErrorKind::InvalidInput.into()));
    };
    let ours = [(INSIDE_VARIABLE, inside(mode, socket)), (SOCKET_VARIABLE, socket.into())];
    let others = env::vars_os().filter(|(name, _)| ours.iter().all(|(own, _)| name != own));
    let environment: Vec<CString> = others
        .chain(ours.iter().map(|(name, value)| (OsString::from(name), value.clone())))
        .filter_map(|(name, value)| {
            let mut entry = name;
            entry.push("=");
            entry.push(value);
            text(&entry).ok()
        })
        .collect();
    // Rust ignores SIGPIPE at its start, and ignored signals stay ignored.
    syscall::default_signal(Signal::SIGPIPE).map_err(|error| Failure::Other("restore SIGPIPE", error))?;
    let Err(errno) = nix::unistd::execvpe(program, &words, &environment);
    let program = PathBuf::from(OsStr::from_bytes(program.as_bytes()));
    // A script's interpreter may be what is missing.
    let missing =
        errno == nix::errno::Errno::ENOENT && !(program.components().count() > 1 && program.exists());
    Err(if missing {
        Failure::NotFound(program)
    } else {
        Failure::NotExecutable { program, reason: errno.into() }
    })
}
