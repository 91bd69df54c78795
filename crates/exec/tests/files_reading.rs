//! Reading, by the programs that people use. The kernel's answers are those of `conformance/experiments/files.py`.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod inside;

use std::fs;
use std::io::{Read, Seek};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;
use std::thread;

use inside::{Fake, ROWS, SETTINGS, inside, output, sh};
use ipvs_core::Sysctl;

#[test]
fn names_and_attributes_are_the_kernels() {
    inside(Arc::default(), || {
        let mut names: Vec<&str> = Sysctl::ALL.iter().map(|sysctl| sysctl.name()).collect();
        names.sort_unstable();
        assert_eq!(output(&format!("ls -U {SETTINGS}")), names.join("\n") + "\n");
        assert_eq!(
            output(&format!(
                "stat -c '%A %u %g %s %h %b %o' {SETTINGS} {SETTINGS}/drop_entry /proc/net/ip_vs"
            )),
            "dr-xr-xr-x 0 0 0 1 0 1024\n-rw-r--r-- 0 0 0 1 0 1024\n-r--r--r-- 0 0 0 1 0 1024\n"
        );
        let tables = "ip_vs\nip_vs_app\nip_vs_conn\nip_vs_conn_sync\nip_vs_stats\nip_vs_stats_percpu\n";
        assert_eq!(output("ls /proc/net | grep ip_vs"), tables);
        assert_eq!(
            output(&format!(
                "getfattr -d {SETTINGS}/drop_entry 2>&1 || true; ls -ld {SETTINGS} | cut -c1-11"
            ))
            .lines()
            .last(),
            Some("dr-xr-xr-x ")
        );
        assert_eq!(sh(&format!("cat {SETTINGS}/nothing")).0, 1);
        assert_eq!(sh("cat /proc/net/nothing").0, 1);
    });
}

#[test]
fn what_else_is_there_stays() {
    let names = |path: &str| {
        let mut names: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.retain(|name| !name.to_str().unwrap().starts_with("ip_vs") && name != "vs");
        names.sort_unstable();
        names
    };
    let before = (names("/proc/net/"), names("/proc/sys/net/ipv4"), names("/proc/tty"));
    let values = output("sysctl -a -r '^net.ipv4.(ip_|conf.lo|tcp_r|neigh.lo)' 2>&1");
    // Of other mounts, some may come and go meanwhile.
    let mounts = |process: &str| {
        let text = fs::read_to_string(format!("/proc/{process}/mounts")).unwrap();
        text.lines().filter(|line| line.contains("/proc")).map(str::to_owned).collect::<Vec<_>>()
    };
    let host = mounts("self");
    inside(Arc::default(), || {
        assert_eq!((names("/proc/net/"), names("/proc/sys/net/ipv4"), names("/proc/tty")), before);
        assert_eq!(output("sysctl -a -r '^net.ipv4.(ip_|conf.lo|tcp_r|neigh.lo)' 2>&1"), values);
        assert_eq!(
            output(
                "head -c 10 /proc/net/dev; head -n1 /proc/net/stat/rt_cache | cut -c1-7; cd /proc/net/stat && ls rt_cache"
            ),
            "Inter-|   entries\nrt_cache\n"
        );
        output("cat /proc/self/net/dev /proc/net/tcp > /dev/null");
        assert_eq!(
            output(
                "unshare -n sh -c 'ls /proc/sys/net/ipv4/ip_forward; tail -n +3 /proc/net/dev | cut -d: -f1; ls /proc/net/ip_vs'"
            ),
            "/proc/sys/net/ipv4/ip_forward\n    lo\n/proc/net/ip_vs\n"
        );
        assert_eq!(sh("touch /proc/sys/net/ipv4/new").0, 1);
        assert_eq!(
            output("cat /proc/mounts; true").lines().filter(|line| line.starts_with("ipvsd ")).count(),
            4
        );
        assert_eq!(mounts("1"), host, "nothing is mounted outside");
    });
    assert_eq!(mounts("self"), host);
}

#[test]
fn a_table_is_made_anew_by_a_read_from_its_beginning() {
    inside(Arc::default(), || {
        let mut file = fs::File::open("/proc/net/ip_vs").unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "read 0\n");
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "read 0\nread 1\n");
        let mut end = [0; 4];
        assert_eq!(file.read_at(&mut end, 5).unwrap(), 2);
        assert_eq!(&end[..2], b"1\n", "read on unchanged");
        assert_eq!(output("cat /proc/net/ip_vs"), "read 2\n");
        assert_eq!(output("dd if=/proc/net/ip_vs bs=1 2>/dev/null"), "read 3\n");
        assert_eq!(fs::metadata("/proc/net/ip_vs").unwrap().size(), 0);
    });
}

#[test]
fn large_tables_come_whole_to_many_readers_at_once() {
    inside(Arc::default(), || {
        assert_eq!(output("cat /proc/net/ip_vs_conn | wc -l").trim(), ROWS.to_string());
        let counts = output("for i in 1 2 3 4 5 6 7 8; do cat /proc/net/ip_vs_conn | cksum & done; wait");
        let mut counts: Vec<&str> = counts.lines().collect();
        assert_eq!(counts.len(), 8);
        counts.dedup();
        assert_eq!(counts.len(), 1);
    });
}

#[test]
fn settings_are_read_by_sysctl_and_grep() {
    inside(Arc::default(), || {
        assert_eq!(output("sysctl net.ipv4.vs.drop_entry"), "net.ipv4.vs.drop_entry = 0\n");
        assert_eq!(
            output("sysctl -a 2>/dev/null | grep -c '^net.ipv4.vs.'").trim(),
            Sysctl::ALL.len().to_string()
        );
        let lines = output(&format!("grep . {SETTINGS}/*"));
        assert_eq!(lines.lines().count(), Sysctl::ALL.len());
        assert!(lines.contains("/vs/sync_threshold:0\n"));
        fs::write(format!("{SETTINGS}/sync_threshold"), "3 50").unwrap();
        // Only a read at the beginning gives anything, and no more than is asked for.
        assert_eq!(output(&format!("dd if={SETTINGS}/sync_threshold bs=2 2>/dev/null")), "3\t");
        assert_eq!(output(&format!("dd if={SETTINGS}/sync_threshold bs=1 skip=2 2>/dev/null")), "");
        assert_eq!(output(&format!("cat {SETTINGS}/sync_threshold")), "3\t50\n");
    });
}

#[test]
fn what_the_provider_refuses_reaches_the_reader() {
    inside(Arc::default(), || {
        assert_eq!(sh("cat /proc/net/ip_vs_stats").2, "cat: /proc/net/ip_vs_stats: Input/output error\n");
        assert_eq!(
            sh("cat /proc/net/ip_vs_stats_percpu").2,
            "cat: /proc/net/ip_vs_stats_percpu: Input/output error\n"
        );
        assert_eq!(output("cat /proc/net/ip_vs_conn_sync"), "");
    });
}

#[test]
fn a_hanging_provider_holds_up_nobody_else_and_its_reader_can_be_killed() {
    let fake = Arc::new(Fake::default());
    inside(fake.clone(), || {
        let mut readers: Vec<_> = (0..4)
            .map(|_| std::process::Command::new("cat").arg("/proc/net/ip_vs_app").spawn().unwrap())
            .collect();
        fake.wait_for_hanging(readers.len());
        output("ls /proc/net/ > /dev/null; cat /proc/net/dev /proc/net/ip_vs > /dev/null");
        for reader in &mut readers {
            assert!(reader.try_wait().unwrap().is_none());
            reader.kill().unwrap();
            assert!(!reader.wait().unwrap().success());
        }
        let waiter = thread::scope(|scope| {
            // The thread has this thread's namespace.
            let waiter = scope.spawn(|| fs::read_to_string("/proc/net/ip_vs_app").unwrap());
            assert_eq!(output(&format!("cat {SETTINGS}/drop_entry")), "0\n");
            fake.let_go();
            waiter.join().unwrap()
        });
        assert_eq!(waiter, "at last\n");
    });
}
