//! Many calls: interrupted ones, ill-meant ones, and how long they take.

use std::ffi::{c_int, c_void};
use std::time::Instant;

use crate::call::*;
use crate::message::{
    FAMILY, NONBLOCKING, code, get_family, netlink_socket, receive, resolve, send, service_message, word,
};
use crate::option::{info, ipv4_socket, service, set};

unsafe extern "C" {
    fn signal(number: c_int, handler: usize) -> usize;
    fn setitimer(which: c_int, new: *const [i64; 4], old: *mut c_void) -> c_int;
}

extern "C" fn on_alarm(_: c_int) {}

/// Commands under a timer of 3 kHz: each has exactly the outcome that it must have.
pub(crate) fn storm(rounds: u32) {
    let (option, netlink) = (ipv4_socket(), netlink_socket(0));
    assert_eq!(resolve(netlink, "IPVS"), Ok(FAMILY));
    let handler: extern "C" fn(c_int) = on_alarm;
    unsafe { signal(14, handler as usize) };
    let interval = [0, 333, 0, 333];
    assert_eq!(unsafe { setitimer(0, &raw const interval, std::ptr::null_mut()) }, 0);
    for round in 0..rounds {
        let port = (round % 1000 + 1) as u16;
        assert_eq!(set(option, 1154, &service(port)), Ok(0), "round {round}");
        assert_eq!(set(option, 1156, &service(port)), Ok(0), "round {round}");
        for command in [1, 3] {
            let request = service_message(command, port, round);
            assert_eq!(
                call(SENDTO, [netlink, at(&request[..]), request.len() as u64, 0, 0, 0]),
                Ok(request.len() as i64),
                "round {round}"
            );
            let answer = receive(netlink, 0).unwrap();
            assert_eq!((word(&answer, 8), code(&answer)), (round, 0), "round {round}");
        }
    }
}

/// Calls with every kind of pointer and length, on sockets in and out of the window.
pub(crate) fn hostile(rounds: u64) {
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let (option, netlink) = (ipv4_socket(), netlink_socket(0x800));
    let mut place = vec![0u64; 1024];
    let request = get_family("IPVS", 1);
    for _ in 0..rounds {
        let inside = at_mut(&mut place[..]);
        for word in 0..24 {
            place[word] = match next() % 6 {
                0 => 0,
                1 => u64::MAX - next() % 64,
                2 => next() % 100,
                3 => at(&request[..]),
                _ => inside + 4096 + next() % 4000,
            };
        }
        // Only reads of memory that is ours, and writes into `place`, may succeed: elsewhere is nothing.
        let pointer = match next() % 4 {
            0 => 0,
            1 => u64::MAX - next() % 100,
            2 => next() % 4096,
            _ => inside + next() % 256,
        };
        let length = [0, 1, 4, 12, 44, 56, 64, 1 << 20, 1 << 31, u64::MAX][(next() % 10) as usize];
        match next() % 4 {
            0 => drop(call(SETSOCKOPT, [option, 0, 1152 + next() % 16, pointer, length, 0])),
            1 => drop(call(GETSOCKOPT, [option, 0, 1152 + next() % 8, inside + 4096, pointer, 0])),
            2 => {
                let number = [SENDTO, SENDMSG, SENDMMSG, WRITE, WRITEV][(next() % 5) as usize];
                drop(call(number, [netlink, pointer, length % 5000, NONBLOCKING, 0, 0]));
            }
            _ => {
                // The second half of `place` takes what comes.
                let (base, length) = (inside + 4096, length.min(2048));
                let number = [RECVFROM, READ][(next() % 2) as usize];
                let name = if number == RECVFROM { (inside + 7000, pointer) } else { (0, 0) };
                drop(call(number, [netlink, base, length, NONBLOCKING, name.0, name.1]));
            }
        }
    }
    // Whatever that did, a call that means well works.
    assert_eq!(info(option).unwrap()[0], 0x10201);
    assert_eq!(resolve(netlink_socket(0), "IPVS"), Ok(FAMILY));
}

/// Medians in microseconds: getsockopt and setsockopt, a request and its answer.
pub(crate) fn measure() {
    let (option, netlink) = (ipv4_socket(), netlink_socket(0));
    let median = |name: &str, work: &mut dyn FnMut(u16)| {
        let mut times: Vec<u128> = (0..4000u16)
            .map(|round| {
                let begun = Instant::now();
                work(round);
                begun.elapsed().as_nanos()
            })
            .collect();
        times.sort_unstable();
        println!("{name}: {:.1} us", times[times.len() / 2] as f64 / 1000.0);
    };
    median("getsockopt INFO", &mut |_| drop(info(option).unwrap()));
    median("setsockopt ADD or DEL", &mut |round| {
        drop(set(option, 1154 + u64::from(round % 2) * 2, &service(7)).unwrap());
    });
    let mut received = Vec::new();
    median("genl NEW or DEL, send", &mut |round| {
        if round > 0 {
            let begun = Instant::now();
            assert_eq!(code(&receive(netlink, 0).unwrap()), 0);
            received.push(begun.elapsed().as_nanos());
        }
        send(netlink, &service_message(if round % 2 == 0 { 1 } else { 3 }, 8, 1));
    });
    received.sort_unstable();
    println!(
        "  of which receiving the answer before: {:.1} us",
        received[received.len() / 2] as f64 / 1000.0
    );
    median("socket and close", &mut |_| drop(call(CLOSE, [netlink_socket(0), 0, 0, 0, 0, 0])));
}
