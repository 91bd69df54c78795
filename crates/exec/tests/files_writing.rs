//! Writing, and what is refused. The kernel's answers are those of `conformance/experiments/files.py`.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod inside;

use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::Arc;

use inside::{SETTINGS, inside, output, sh};

const FILE: &str = "/proc/sys/net/ipv4/vs/am_droprate";

/// Opens the setting once and writes each text; the lengths written, the offset then, and what it holds.
fn put(texts: &[&[u8]], append: bool) -> (Vec<Option<usize>>, u64, String) {
    let mut file = OpenOptions::new().write(true).append(append).open(FILE).unwrap();
    let lengths = texts.iter().map(|text| file.write(text).ok()).collect();
    (lengths, file.stream_position().unwrap(), fs::read_to_string(FILE).unwrap())
}

#[test]
fn one_write_is_one_value() {
    inside(Arc::default(), || {
        let ok = |length, text: &str| (vec![Some(length)], length as u64, text.to_owned());
        assert_eq!(put(&[b"1\n"], false), ok(2, "1\n"));
        assert_eq!(put(&[b"2"], false), ok(1, "2\n"));
        assert_eq!(put(&[b"  3 \n"], false), ok(5, "3\n"));
        assert_eq!(put(&[b"4 5"], false), ok(2, "4\n"));
        assert_eq!(put(&[b"x"], false), (vec![None], 0, "4\n".into()));
        assert_eq!(put(&[b"1000"], false), (vec![None], 0, "4\n".into()));
        assert_eq!(put(&[&[b"5".as_slice(), &[b' '; 5000]].concat()], false), ok(5001, "5\n"));
        assert_eq!(put(&[&[&[b' '; 4094], b"6".as_slice()].concat()], false), ok(4095, "6\n"));
        assert_eq!(put(&[&[&[b' '; 4095], b"7".as_slice()].concat()], false), (vec![None], 0, "6\n".into()));
        assert_eq!(put(&[&b"8 ".repeat(3000)], false), ok(1907, "8\n"));
        assert_eq!(put(&[&[b' '; 2_000_000]], false), (vec![None], 0, "8\n".into()));
    });
}

#[test]
fn writes_elsewhere_than_at_the_beginning_do_nothing() {
    assert_eq!(output("cat /proc/sys/kernel/sysctl_writes_strict"), "1\n", "the kernel's default");
    inside(Arc::default(), || {
        assert_eq!(put(&[b"1", b"2"], false), (vec![Some(1), Some(1)], 2, "1\n".into()));
        assert_eq!(put(&[b"3", b"4"], true), (vec![Some(1), Some(1)], 2, "3\n".into()));
        assert_eq!(put(&[b"5"], true), (vec![Some(1)], 1, "5\n".into()), "appending begins anew");
        assert_eq!(put(&[b"x", b"6"], false), (vec![None, Some(1)], 1, "6\n".into()));
        let file = OpenOptions::new().write(true).open(FILE).unwrap();
        assert_eq!(file.write_at(b"x", 3).unwrap(), 1);
        assert_eq!(file.write_at(b"7", 0).unwrap(), 1);
        file.set_len(0).unwrap();
        file.sync_all().unwrap();
        assert_eq!(fs::read_to_string(FILE).unwrap(), "7\n");

        let mut file = OpenOptions::new().read(true).write(true).open(FILE).unwrap();
        let mut text = String::new();
        assert_eq!(file.write(b"8").unwrap(), 1);
        assert_eq!(file.read_to_string(&mut text).unwrap(), 0);
        assert_eq!(file.seek(SeekFrom::End(0)).unwrap(), 0);
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "8\n");
    });
}

#[test]
fn shells_and_sysctl_write() {
    inside(Arc::default(), || {
        assert_eq!(output(&format!("echo 1 > {FILE}; cat {FILE}")), "1\n");
        assert_eq!(
            output(&format!("printf 2 >> {FILE}; cat {FILE}; printf 3 >> {FILE}; cat {FILE}")),
            "2\n3\n"
        );
        assert_eq!(output(&format!("echo '4 5' > {FILE}; cat {FILE}")), "4\n");
        assert_eq!(
            output("sysctl -w net.ipv4.vs.am_droprate=5; sysctl -n net.ipv4.vs.am_droprate"),
            "net.ipv4.vs.am_droprate = 5\n5\n"
        );
        assert_eq!(sh(&format!("/bin/echo 1000 > {FILE}")).2, "/bin/echo: write error: Invalid argument\n");
        assert_eq!(
            sh("sysctl -w net.ipv4.vs.am_droprate=1000").2,
            "sysctl: setting key \"net.ipv4.vs.am_droprate\": Invalid argument\n"
        );
        assert_eq!(
            sh("sysctl -w net.ipv4.vs.nothing=9").2,
            "sysctl: cannot stat /proc/sys/net/ipv4/vs/nothing: No such file or directory\n"
        );
        // A setting next to them is the kernel's own still.
        let port = output("sysctl -n net.ipv4.ip_default_ttl");
        output(&format!("sysctl -w net.ipv4.ip_default_ttl={port}"));
    });
}

#[test]
fn nothing_can_be_made_removed_or_changed() {
    use rustix::fs::{CWD, Mode, OFlags, mkdirat, open, renameat, symlinkat};
    use rustix::io::Errno;
    inside(Arc::default(), || {
        let new = format!("{SETTINGS}/new");
        assert_eq!(open(&new, OFlags::WRONLY | OFlags::CREATE, Mode::RUSR).err(), Some(Errno::NOENT));
        assert_eq!(
            open(FILE, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, Mode::RUSR).err(),
            Some(Errno::EXIST)
        );
        assert!(open(FILE, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC, Mode::RUSR).is_ok());
        assert_eq!(open(FILE, OFlags::DIRECTORY, Mode::empty()).err(), Some(Errno::NOTDIR));
        assert_eq!(open(SETTINGS, OFlags::WRONLY, Mode::empty()).err(), Some(Errno::ISDIR));
        assert_eq!(mkdirat(CWD, &new, Mode::RUSR), Err(Errno::NOENT));
        assert_eq!(symlinkat("x", CWD, &new), Err(Errno::NOENT));
        assert_eq!(renameat(CWD, FILE, CWD, &new), Err(Errno::NOENT));
        assert_eq!(renameat(CWD, FILE, CWD, format!("{SETTINGS}/drop_entry")), Err(Errno::ACCESS));
        let errno = |outcome: std::io::Result<()>| outcome.unwrap_err().raw_os_error();
        assert_eq!(errno(fs::remove_file(FILE)), Some(13));
        assert_eq!(errno(fs::remove_file("/proc/net/ip_vs")), Some(1));
        assert_eq!(errno(std::os::unix::fs::chown(FILE, Some(1), Some(1))), Some(1));
        assert_eq!(sh(&format!("chmod 600 {FILE}")).0, 1);
        output(&format!("touch -c -d 2001-01-01 {FILE}"));
        for flags in [0, 0o1000] {
            let outcome = OpenOptions::new().write(true).custom_flags(flags).open("/proc/net/ip_vs");
            assert_eq!(outcome.unwrap_err().raw_os_error(), Some(13));
        }
    });
}

#[test]
fn others_read_and_only_administrators_of_networks_write() {
    let nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups";
    inside(Arc::default(), || {
        output(&format!("{nobody} cat {FILE} /proc/net/ip_vs /proc/net/dev"));
        output(&format!("{nobody} sh -c 'test -r {FILE} && test ! -w {FILE} && test ! -w /proc/net/ip_vs'"));
        output(&format!(
            "test -w {FILE} && test ! -x {FILE} && test -w /proc/net/ip_vs && test ! -w {SETTINGS}"
        ));
        let refused = format!("sh: 1: cannot create {FILE}: Permission denied\n");
        let write = format!("sh -c 'echo 1 > {FILE}'");
        assert_eq!(sh(&format!("{nobody} {write}")).2, refused);
        assert_eq!(
            sh(&format!("{nobody} sysctl -w net.ipv4.vs.am_droprate=1")).2,
            "sysctl: permission denied on key \"net.ipv4.vs.am_droprate\"\n"
        );
        let with = |capability: &str| {
            format!("{nobody} --inh-caps +{capability} --ambient-caps +{capability} {write}")
        };
        assert_eq!(sh(&with("dac_override")).2, refused);
        assert_eq!(output(&with("net_admin")), "");
        assert_eq!(
            output(&format!(
                "cat {FILE}; setpriv --bounding-set -all --inh-caps -all sh -c 'echo 2 > {FILE}; cat {FILE}'"
            )),
            "1\n2\n"
        );
        assert_eq!(output(&format!("unshare -Ur sh -c 'echo 3 > {FILE}; cat {FILE}'")), "3\n");
        assert_eq!(
            sh(&format!("{nobody} unshare -Ur {write}")).2,
            refused,
            "administrator of a user namespace that does not own the network"
        );
    });
}
