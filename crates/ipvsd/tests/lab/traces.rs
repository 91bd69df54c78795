//! What a lab leaves behind, however it ends.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{IPVSADM, IPVSD};

/// What process `pid`'s lab has in the file system.
fn traces(pid: u32) -> Vec<PathBuf> {
    let name = format!("ipvsd-lab-{pid}");
    let entries = |directory: &str| std::fs::read_dir(directory).into_iter().flatten().flatten();
    let paths = entries("/run").chain(entries("/run/netns")).map(|entry| entry.path());
    paths.filter(|path| is_of(path, &name)).collect()
}

fn is_of(path: &Path, name: &str) -> bool {
    let file = path.file_name().and_then(|file| file.to_str()).unwrap_or_default();
    file.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// A lab that stays up, with the daemon's process number.
fn kept(arguments: &[&str]) -> std::process::Child {
    use std::io::BufRead;
    let mut child = Command::new(IPVSD)
        .args(["lab", "--keep", "--requests", "3", "--ipvsadm", IPVSADM])
        .args(arguments)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("ipvsd can be started");
    let stderr = child.stderr.take().expect("standard error is a pipe");
    let mut seen = String::new();
    for line in std::io::BufReader::new(stderr).lines().map_while(Result::ok) {
        seen += &format!("{line}\n");
        if line.starts_with("To stop it") {
            return child;
        }
    }
    panic!("the lab did not come up: {:?}\n{seen}", child.wait());
}

fn signal(child: &std::process::Child, name: &str) {
    let status =
        Command::new("kill").args(["-s", name, &child.id().to_string()]).status().expect("kill can be run");
    assert!(status.success());
}

fn processes_with(argument: &str) -> usize {
    let processes = std::fs::read_dir("/proc").expect("/proc is mounted").flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).split('\0').any(|word| word == argument)).count()
}

#[test]
fn a_stopped_lab_leaves_nothing() {
    for name in ["INT", "TERM"] {
        let mut child = kept(&[]);
        let pid = child.id();
        let director = format!("ipvsd-lab-{pid}-director");
        assert!(!traces(pid).is_empty());
        assert_eq!(processes_with(&director), 1);
        signal(&child, name);
        assert!(child.wait().expect("the lab ends").success(), "SIG{name}");
        assert_eq!(traces(pid), Vec::<PathBuf>::new());
        assert_eq!(processes_with(&director), 0);
    }
}

#[test]
fn a_killed_lab_leaves_names_that_clean_removes() {
    let mut child = kept(&[]);
    let pid = child.id();
    let director = format!("ipvsd-lab-{pid}-director");
    let mut living = kept(&["--mode", "dr"]);
    signal(&child, "KILL");
    child.wait().expect("the lab ends");
    // The kernel tells the daemon; it needs a moment to detach.
    let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while processes_with(&director) > 0 {
        assert!(std::time::Instant::now() < end, "the daemon outlived its lab");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let status = Command::new(IPVSD).args(["lab", "--clean"]).status().expect("ipvsd can be started");
    assert!(status.success());
    assert_eq!(traces(pid), Vec::<PathBuf>::new());
    assert!(!traces(living.id()).is_empty(), "a living lab was cleaned away");
    signal(&living, "INT");
    assert!(living.wait().expect("the lab ends").success());
}
