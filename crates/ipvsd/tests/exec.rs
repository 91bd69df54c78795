//! `ipvsd exec` with Debian's ipvsadm and with programs that make their system calls themselves. The daemon's datapath is
//! a stand-in; what runs under `ipvsd exec` is real.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[allow(dead_code, reason = "shared with other tests")]
mod common;

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Output, Stdio};
use std::time::{Duration, Instant};

use common::{Daemon, fill, require_root};
use ipvs_lab::parts::Namespace;
use ipvsd::run::Limits;

const IPVSD: &str = env!("CARGO_BIN_EXE_ipvsd");
const IPVSADM: &str = "/usr/sbin/ipvsadm";

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// `ipvsd exec OPTIONS -- COMMAND` on a daemon.
fn exec(socket: &Path, options: &[&str], command: &[&str]) -> Process {
    let mut process = Process::new(IPVSD);
    process.arg("exec").arg("--socket").arg(socket).args(options).arg("--").args(command);
    process.env_remove("IPVSD_EXEC");
    process
}

fn run(socket: &Path, options: &[&str], command: &[&str]) -> Output {
    exec(socket, options, command).output().unwrap()
}

/// Standard output of a command that must succeed without a word on standard error.
fn succeed(socket: &Path, options: &[&str], command: &[&str]) -> String {
    let output = run(socket, options, command);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{command:?}: {} {errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

fn shell(socket: &Path, options: &[&str], script: &str) -> String {
    succeed(socket, options, &["sh", "-e", "-c", script])
}

/// The statically linked client, see there. Compiled once per version of its source; each test
/// process that finds none compiles in a folder of its own, for rustc names its object files
/// after the output without the extension and puts them beside it.
fn probe() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exec/probe");
    let sources = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
    let shared = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let target = shared.join("exec-probe");
    let modified = |path: &Path| path.metadata().and_then(|file| file.modified()).ok();
    if modified(&target) < sources.map(|source| modified(&source)).max().unwrap() {
        let own = shared.join(format!("exec-probe-{}", std::process::id()));
        std::fs::create_dir_all(&own).unwrap();
        let fresh = own.join("probe");
        let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let mut rustc = Process::new(compiler);
        rustc.args(["--edition", "2024", "-O", "-C", "target-feature=+crt-static", "-o"]);
        assert!(rustc.arg(&fresh).arg(folder.join("main.rs")).status().unwrap().success(), "rustc failed");
        std::fs::rename(&fresh, &target).unwrap();
        std::fs::remove_dir_all(&own).unwrap();
    }
    target
}

/// Runs a part of the probe under `ipvsd exec`; returns what it printed.
fn probe_under(socket: &Path, words: &[&str]) -> String {
    let probe = probe();
    let command: Vec<&str> = std::iter::once(probe.to_str().unwrap()).chain(words.iter().copied()).collect();
    succeed(socket, &[], &command)
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

const BOTH: [&str; 2] = ["netlink", "sockopt"];

#[test]
fn debians_ipvsadm_manages_services_in_both_modes() {
    require_root();
    assert!(Path::new(IPVSADM).exists(), "{IPVSADM} is not there: apt-get install ipvsadm");
    let daemon = Daemon::start("exec-ipvsadm", Limits::default());
    for mode in BOTH {
        let options = ["--mode", mode];
        let script = "
            ipvsadm -A -t 10.0.0.1:80 -s wlc -p 300
            ipvsadm -a -t 10.0.0.1:80 -r 10.0.0.9:8080 -m -w 3
            ipvsadm -a -t 10.0.0.1:80 -r 10.0.0.8:80 -g
            ipvsadm -A -f 7 -s rr
            ipvsadm -E -t 10.0.0.1:80 -s rr
            ipvsadm -e -t 10.0.0.1:80 -r 10.0.0.9:8080 -m -w 5 -x 9
            ipvsadm -d -t 10.0.0.1:80 -r 10.0.0.8:80
            ipvsadm --set 100 20 30
            ipvsadm -L --timeout
            ipvsadm -Sn > $TMP
            ipvsadm -C
            ipvsadm -Ln
            ipvsadm -R < $TMP
            ipvsadm -Sn
            ipvsadm -Z
            ipvsadm -D -f 7
            ipvsadm -D -t 10.0.0.1:80
            ipvsadm -A -t 10.0.0.1:80 2>&1 && ipvsadm -A -t 10.0.0.1:80 2>&1 || echo $?
            ipvsadm -D -u 10.0.0.1:80 2>&1 || echo $?
            ipvsadm -C";
        let saved = std::env::temp_dir().join(format!("ipvsd-exec-saved-{}", std::process::id()));
        let script = format!("TMP={}\nPATH=/usr/sbin:$PATH\n{script}", saved.display());
        let seen = shell(daemon.path(), &options, &script);
        std::fs::remove_file(saved).unwrap();
        assert_eq!(
            seen,
            "Timeout (tcp tcpfin udp): 100 20 30\n\
             IP Virtual Server version 1.2.1 (size=4096)\n\
             Prot LocalAddress:Port Scheduler Flags\n  \
               -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n\
             -A -t 10.0.0.1:80 -s rr\n\
             -a -t 10.0.0.1:80 -r 10.0.0.9:8080 -m -w 5\n\
             -A -f 7 -s rr\n\
             Service already exists\n255\n\
             No such service\n255\n",
            "mode {mode}"
        );
    }
}

#[test]
fn ipvsadm_lists_more_than_a_queue_holds() {
    require_root();
    let daemon = Daemon::start("exec-many", Limits::default());
    fill(&mut daemon.client(), 2000);
    for mode in BOTH {
        let listing = succeed(daemon.path(), &["--mode", mode], &[IPVSADM, "-Ln"]);
        assert_eq!(listing.lines().filter(|line| line.starts_with("TCP")).count(), 2000, "mode {mode}");
    }
    assert_eq!(probe_under(daemon.path(), &["dump"]), "2000\n");
}

#[test]
fn the_program_is_executed_in_place() {
    require_root();
    let daemon = Daemon::start("exec-place", Limits::default());
    let child = exec(daemon.path(), &[], &["sh", "-c", "echo $$; ps -o comm= -p $$; exit 42"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let id = child.id();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(42));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{id}\nsh\n"));
    // A signal that ends it.
    let mut child = exec(daemon.path(), &[], &["sleep", "1000"]).spawn().unwrap();
    wait_until("sleep runs", || {
        std::fs::read_to_string(format!("/proc/{}/comm", child.id())).is_ok_and(|comm| comm == "sleep\n")
    });
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(15));
    // Signals blocked and ignored are those of a program run directly.
    let command = ["grep", "Sig[BI]", "/proc/self/status"];
    let direct = Process::new(command[0]).args(&command[1..]).output().unwrap();
    assert_eq!(succeed(daemon.path(), &[], &command).into_bytes(), direct.stdout);
}

#[test]
fn the_exit_codes_of_what_cannot_be_executed() {
    let daemon = Daemon::start("exec-codes", Limits::default());
    let code = |command: &str| {
        let output = run(daemon.path(), &[], &[command]);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(
        code("no-such-program"),
        (Some(127), "ipvsd exec: no-such-program: command not found\n".into())
    );
    let (exit, error) = code("/etc/passwd");
    assert_eq!(exit, Some(126));
    assert!(error.starts_with("ipvsd exec: /etc/passwd: cannot be executed: Permission denied"), "{error}");
}

/// The supervisors that serve by this socket.
fn supervisors(socket: &Path) -> Vec<u32> {
    let title = format!("ipvsd-exec {}\0", socket.display());
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|id: &u32| {
            // A zombie has no command line.
            std::fs::read(format!("/proc/{id}/cmdline")).is_ok_and(|line| line.starts_with(title.as_bytes()))
        })
        .collect()
}

#[test]
fn the_supervisor_is_nobodys_child_holds_nothing_and_ends_with_the_last_program() {
    require_root();
    let daemon = Daemon::start("exec-supervisor", Limits::default());
    // The program leaves a child behind, which is served still.
    let output = run(daemon.path(), &[], &["sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!"]);
    let child: i32 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
    let [supervisor] = supervisors(daemon.path())[..] else { panic!("one supervisor") };
    for fd in std::fs::read_dir(format!("/proc/{supervisor}/fd")).unwrap() {
        let path = std::fs::read_link(fd.unwrap().path()).unwrap().to_string_lossy().into_owned();
        let served = ["/dev/null", "/dev/fuse", "anon_inode:seccomp notify"].contains(&&*path);
        let known = served || path.starts_with("socket:");
        assert!(known, "{path}");
    }
    let stat = |of: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{of}/stat")).unwrap();
        let (name, fields) = stat.rsplit_once(')').unwrap();
        let fields: Vec<String> = fields.split_ascii_whitespace().map(str::to_owned).collect();
        (name.to_owned(), fields)
    };
    let (name, fields) = stat(&supervisor.to_string());
    assert!(name.ends_with("(ipvsd-exec"), "{name}");
    // After the state: parent, process group, session, terminal. The test's own session may be 0: one from outside the
    // PID namespace, as in a container.
    assert_ne!(fields[1], std::process::id().to_string());
    assert_ne!(fields[3], stat("self").1[3]);
    assert_eq!(fields[4], "0");
    // What ends programs does not end it before they have ended.
    let pid = rustix::process::Pid::from_raw(supervisor.try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(supervisors(daemon.path()), [supervisor]);
    let child = rustix::process::Pid::from_raw(child).unwrap();
    rustix::process::kill_process(child, rustix::process::Signal::KILL).unwrap();
    wait_until("the supervisor ends", || supervisors(daemon.path()).is_empty());
}

#[test]
fn a_static_program_and_every_way_to_call() {
    require_root();
    for part in ["sockopt", "netlink", "ways"] {
        let daemon = Daemon::start(&format!("exec-{part}"), Limits::default());
        probe_under(daemon.path(), &[part]);
    }
}

#[test]
fn forty_thousand_commands_in_a_storm_of_signals() {
    require_root();
    let daemon = Daemon::start("exec-storm", Limits::default());
    probe_under(daemon.path(), &["storm", "10000"]);
}

#[test]
fn hostile_arguments_harm_nobody() {
    require_root();
    let daemon = Daemon::start("exec-hostile", Limits::default());
    probe_under(daemon.path(), &["hostile", "20000"]);
    assert!(daemon.client().request(ipvs_core::Command::GetInfo).is_ok());
}

#[test]
fn strangers_are_refused() {
    require_root();
    let daemon = Daemon::start("exec-strangers", Limits::default());
    let probe = probe();
    let outcomes = [probe.to_str().unwrap(), "outcomes"];
    let as_nobody = ["setpriv", "--reuid", "65534", "--clear-groups", "--"];
    let without = ["setpriv", "--bounding-set", "-net_admin", "--"];
    let in_own_namespace = ["unshare", "--user", "--map-root-user"];
    for prefix in [&as_nobody[..], &without, &in_own_namespace] {
        assert_eq!(succeed(daemon.path(), &[], &[prefix, &outcomes].concat()), "1 1\n", "{prefix:?}");
    }
    assert_eq!(succeed(daemon.path(), &[], &outcomes), "0 0\n");
    // Nor may they lead a privileged program to speak for them.
    probe_under(daemon.path(), &["deputy"]);
    // One who starts it without privilege: the kernel's answer on the one interface, no such family on the other.
    let mut process = exec(daemon.path(), &[], &outcomes);
    process.uid(65534).gid(65534);
    let output = process.output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "1 2\n");
}

#[test]
fn an_ordinary_user_in_a_namespace_of_its_own() {
    /// Set in the test's second process, which runs there.
    const INSIDE: &str = "IPVSD_TEST_INSIDE";
    if std::env::var_os(INSIDE).is_none() {
        require_root();
        // Compiled here, where it may be written.
        probe();
        let mut process = Process::new("unshare");
        process.args(["--user", "--map-root-user", "--net"]).arg(std::env::current_exe().unwrap());
        process.args(["--exact", "an_ordinary_user_in_a_namespace_of_its_own", "--nocapture"]);
        let output = process.env(INSIDE, "1").uid(65534).gid(65534).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        return;
    }
    let daemon = Daemon::start("exec-userns", Limits::default());
    // An ordinary user may use /dev/fuse on some hosts only.
    let options = &["--no-files"];
    let probe = probe();
    for part in ["sockopt", "netlink"] {
        succeed(daemon.path(), options, &[probe.to_str().unwrap(), part]);
    }
    let script = "PATH=/usr/sbin:$PATH; ipvsadm -C; ipvsadm -A -f 1; ipvsadm -Sn";
    assert_eq!(shell(daemon.path(), options, script), "-A -f 1 -s wlc\n");
    // In a namespace below, its root has no power here.
    let below = ["unshare", "--user", "--map-root-user", "--", probe.to_str().unwrap(), "outcomes"];
    assert_eq!(succeed(daemon.path(), options, &below), "1 1\n");
}

#[test]
fn the_namespace_of_the_socket_counts() {
    require_root();
    let daemon = Daemon::start("exec-netns", Limits::default());
    let other = Namespace::numbered("ipvsd-exec").unwrap();
    probe_under(daemon.path(), &["elsewhere", &format!("/run/netns/{}", other.name())]);
    // A program that goes to another namespace altogether sees that one's kernel.
    let probe = probe();
    let there = ["ip", "netns", "exec", other.name(), probe.to_str().unwrap(), "outcomes"];
    assert_eq!(succeed(daemon.path(), &[], &there), "92 2\n");
}

#[test]
fn other_families_are_the_kernels() {
    require_root();
    let daemon = Daemon::start("exec-others", Limits::default());
    let command = ["genl", "ctrl", "get", "name", "nlctrl"];
    let direct = Process::new(command[0]).args(&command[1..]).output().unwrap();
    assert!(direct.status.success() && !direct.stdout.is_empty());
    assert_eq!(succeed(daemon.path(), &[], &command).into_bytes(), direct.stdout);
    // What these show changes meanwhile.
    for command in [&["ip", "tcp_metrics", "show"][..], &["ip", "-br", "link"], &["ip", "rule"]] {
        succeed(daemon.path(), &[], command);
    }
    let family = succeed(daemon.path(), &[], &["genl", "ctrl", "get", "name", "IPVS"]);
    assert!(family.contains("ID: 0x4950"), "{family}");
    let all = succeed(daemon.path(), &[], &["genl", "ctrl", "list"]);
    assert!(all.contains("nlctrl") && !all.contains("IPVS"), "{all}");
}

#[test]
fn programs_outlast_the_daemon() {
    require_root();
    let name = "exec-restart";
    let daemon = Daemon::start(name, Limits::default());
    let path = daemon.path().to_owned();
    let script = "
        while read word; do
            ipvsadm -A -t 10.0.0.1:$word && ipvsadm -A -f $word && echo done $word || echo failed $word
        done";
    let script = format!("PATH=/usr/sbin:$PATH\n{script}");
    let mut child = exec(&path, &[], &["sh", "-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut ask = |word: &str| {
        use std::io::{BufRead, Write};
        writeln!(input, "{word}").unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        line
    };
    assert_eq!(ask("1"), "done 1\n");
    drop(daemon);
    // One that is away for a moment is waited for.
    let (answer, daemon) = std::thread::scope(|scope| {
        let restarted = scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(300));
            Daemon::start(name, Limits::default())
        });
        (ask("2"), restarted.join().unwrap())
    });
    assert_eq!(answer, "done 2\n");
    drop(daemon);
    assert_eq!(ask("3"), "failed 3\n", "as on a kernel without IPVS");
    let daemon = Daemon::start(name, Limits::default());
    assert_eq!(ask("4"), "done 4\n");
    let listing = succeed(daemon.path(), &[], &[IPVSADM, "-Sn"]);
    assert_eq!(listing, "-A -t 10.0.0.1:4 -s wlc\n-A -f 4 -s wlc\n");
    drop(input);
    child.wait().unwrap();
}

#[test]
fn while_calls_wait_for_the_daemon_others_go_on() {
    require_root();
    let path = common::socket_path("exec-waiting");
    let script = "PATH=/usr/sbin:$PATH
        for i in 1 2 3 4 5 6 7 8 9 10; do (ipvsadm -Ln >/dev/null 2>&1; echo waited) & done
        sleep 0.2
        genl ctrl get name nlctrl >/dev/null
        echo passed
        wait";
    let output = run(&path, &[], &["sh", "-c", script]);
    let expected = format!("passed\n{}", "waited\n".repeat(10));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}

#[test]
fn without_a_daemon_the_program_is_started_with_a_warning() {
    let path = common::socket_path("exec-none");
    let output = run(&path, &[], &["echo", "started"]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "started\n");
    let warning = String::from_utf8(output.stderr).unwrap();
    let expected = format!("ipvsd exec: warning: no ipvsd at {}: No such file", path.display());
    assert!(warning.starts_with(&expected) && warning.lines().count() == 1, "{warning}");
    // Told to wait, it waits.
    let daemon = std::thread::scope(|scope| {
        let later = scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(200));
            Daemon::start("exec-none", Limits::default())
        });
        assert_eq!(succeed(&path, &["--wait", "60"], &["echo", "started"]), "started\n");
        later.join().unwrap()
    });
    drop(daemon);
}

#[test]
fn one_inside_another() {
    require_root();
    let daemon = Daemon::start("exec-nested", Limits::default());
    let socket = daemon.path().to_str().unwrap();
    let inner = [IPVSD, "exec", "--", IPVSADM, "-Sn"];
    assert_eq!(succeed(daemon.path(), &[], &inner), "", "to the same end: nothing to do");
    for other in [["--socket", "/run/other.sock"], ["--mode", "sockopt"]] {
        let inner = [&[IPVSD, "exec"][..], &other, &["--", "true"]].concat();
        let output = run(daemon.path(), &[], &inner);
        assert_eq!(output.status.code(), Some(125));
        let error = String::from_utf8(output.stderr).unwrap();
        let expected = format!("ipvsd exec: this runs inside another `ipvsd exec` (auto:{socket})");
        assert!(error.contains(&expected), "{error}");
    }
}
