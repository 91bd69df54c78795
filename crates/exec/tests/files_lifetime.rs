//! When the files come and go, and in whose namespaces.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod inside;

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::sync::Arc;

use inside::{SETTINGS, inside, inside_unended, output};
use ipvs_exec::files::{Channels, mount};
use rustix::pipe::{PipeFlags, pipe_with};

#[test]
fn the_files_stay_until_the_last_process_has_ended() {
    let (their_input, our_output) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let (our_input, their_output) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let ((), server) = inside_unended(Arc::default(), || {
        // The shell ends at once and leaves its child behind.
        let script = "exec 3<&0; { read line; cat /proc/net/ip_vs; } <&3 &";
        let status = Command::new("sh")
            .args(["-c", script])
            .stdin(Stdio::from(their_input))
            .stdout(Stdio::from(their_output))
            .status();
        assert!(status.unwrap().success());
    });
    let mut text = String::new();
    fs::File::from(our_output).write_all(b"go\n").unwrap();
    fs::File::from(our_input).read_to_string(&mut text).unwrap();
    assert_eq!(text, "read 0\n");
    server.wait().unwrap();
}

#[test]
fn without_its_server_a_file_gives_an_error_and_no_more() {
    let (to_mounter, from_server) = std::sync::mpsc::channel();
    let (to_server, from_mounter) = std::sync::mpsc::channel::<Channels>();
    let mounter = std::thread::spawn(move || {
        let channels = Channels::open().unwrap();
        mount(&channels).unwrap();
        to_server.send(channels).unwrap();
        from_server.recv().unwrap();
        let errno = |path: &str| fs::read(path).unwrap_err().raw_os_error();
        assert_eq!(errno("/proc/net/ip_vs"), Some(107), "ENOTCONN");
        assert_eq!(errno(&format!("{SETTINGS}/drop_entry")), Some(107));
        fs::read("/proc/self/net/dev").unwrap();
        fs::read("/proc/sys/net/ipv4/ip_forward").unwrap();
    });
    drop(from_mounter.recv().unwrap());
    to_mounter.send(()).unwrap();
    mounter.join().unwrap();
}

#[test]
fn the_command_does_not_inherit_the_channels() {
    let channels = Channels::open().unwrap();
    for channel in [&channels.tables, &channels.settings] {
        assert!(rustix::io::fcntl_getfd(channel.as_fd()).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
    }
}

/// Runs the next test in a process of its own, as `nobody`, in a user namespace where it is root.
#[test]
fn root_of_a_user_namespace_will_do() {
    let script = r#"
        mount -t tmpfs none /mnt
        cp "$0" /mnt/test
        mknod /mnt/fuse c 10 229
        chmod 666 /mnt/fuse
        mount --bind /mnt/fuse /dev/fuse
        cd /
        exec setpriv --reuid 65534 --regid 65534 --clear-groups unshare -Urnm \
            /mnt/test --exact --ignored --nocapture in_a_user_namespace"#;
    let test = std::env::current_exe().unwrap();
    let done = Command::new("unshare").args(["-m", "sh", "-ec", script]).arg(test).output().unwrap();
    let text = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "run by root_of_a_user_namespace_will_do"]
fn in_a_user_namespace() {
    inside(Arc::default(), || {
        let files = format!("{SETTINGS} {SETTINGS}/drop_entry /proc/net/ip_vs");
        assert_eq!(
            output(&format!("stat -c '%A %u %g' {files}; id -u")),
            "dr-xr-xr-x 0 0\n-rw-r--r-- 0 0\n-r--r--r-- 0 0\n0\n"
        );
        assert_eq!(output("sysctl -w net.ipv4.vs.drop_entry=2"), "net.ipv4.vs.drop_entry = 2\n");
        assert_eq!(output(&format!("cat {SETTINGS}/drop_entry /proc/net/ip_vs")), "2\nread 0\n");
        assert_eq!(output("sysctl -n net.ipv4.ip_default_ttl; grep -c : /proc/net/dev"), "64\n1\n");
    });
}
