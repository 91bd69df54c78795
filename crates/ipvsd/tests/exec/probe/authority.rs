//! Whose word a socket takes, and for which namespace it speaks.

use crate::call::*;
use crate::message::{FAMILY, code, message, netlink_socket, receive, resolve, send};
use crate::option::{info, ipv4_socket, service, set};

/// Sockets made in another namespace and used from this one, and the reverse.
pub(crate) fn elsewhere(path: &str) {
    use std::os::fd::AsRawFd;
    let here = std::fs::File::open("/proc/self/ns/net").unwrap();
    let there = std::fs::File::open(path).unwrap();
    let enter = |file: &std::fs::File| call(SETNS, [file.as_raw_fd() as u64, 0, 0, 0, 0, 0]).unwrap();
    let ours = (ipv4_socket(), netlink_socket(0));
    enter(&there);
    let theirs = (ipv4_socket(), netlink_socket(0));
    assert!(info(ours.0).is_ok() && resolve(ours.1, "IPVS") == Ok(FAMILY), "made in ours, used in theirs");
    enter(&here);
    assert!(info(ours.0).is_ok() && resolve(ours.1, "IPVS") == Ok(FAMILY));
    assert_eq!(info(theirs.0), Err(92));
    assert_eq!(resolve(theirs.1, "IPVS"), Err(2));
    assert_eq!(resolve(theirs.1, "nlctrl"), Ok(16));
    assert_ne!(set(theirs.0, 1154, &service(80)), Ok(0));
}

/// One outcome of each interface, as text: "0 0" or errnos.
pub(crate) fn outcomes() {
    let option = match info(ipv4_socket()) {
        Ok(_) => 0,
        Err(errno) => errno,
    };
    let socket = netlink_socket(0);
    send(socket, &message(FAMILY, 5, 1, 15, &[]));
    let answer = receive(socket, 0).unwrap();
    let netlink = if answer[4..6] == 2u16.to_ne_bytes() { -code(&answer) } else { 0 };
    println!("{option} {netlink}");
}

/// A program that was handed a socket by one without privileges: its words there are that one's.
fn handed(socket: u64) {
    let flush = message(FAMILY, 5, 1, 17, &[]);
    assert_eq!(call(WRITE, [socket, at(&flush[..]), flush.len() as u64, 0, 0, 0]), Ok(flush.len() as i64));
    assert_eq!(code(&receive(socket, 0).unwrap()), -1);
}

/// Opens a socket as nobody, then writes to it as root.
pub(crate) fn deputy() {
    let root = (0u32, 65534u32);
    let same = u64::from(u32::MAX);
    let be = |uid: u32| call(SETRESUID, [same, u64::from(uid), same, 0, 0, 0]);
    assert_eq!(be(root.1), Ok(0));
    let socket = netlink_socket(0);
    assert_eq!(be(root.0), Ok(0));
    handed(socket);
    // One that root opened is root's.
    let socket = netlink_socket(0);
    send(socket, &message(FAMILY, 5, 1, 17, &[]));
    assert_eq!(code(&receive(socket, 0).unwrap()), 0);
}
