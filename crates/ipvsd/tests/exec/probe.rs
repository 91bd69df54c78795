//! A client of IPVS that makes its system calls itself. The tests compile it, linked statically, and run it under
//! `ipvsd exec`. It ends with 0 and what it saw on standard output, or panics.
#![allow(clippy::unwrap_used, clippy::undocumented_unsafe_blocks, dropping_copy_types, reason = "a test program")]

use std::ffi::{c_int, c_long, c_void};
use std::time::Instant;

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn signal(number: c_int, handler: usize) -> usize;
    fn setitimer(which: c_int, new: *const [i64; 4], old: *mut c_void) -> c_int;
}

#[cfg(target_arch = "x86_64")]
mod number {
    pub const READ: i64 = 0;
    pub const WRITE: i64 = 1;
    pub const READV: i64 = 19;
    pub const WRITEV: i64 = 20;
    pub const SOCKET: i64 = 41;
    pub const SENDTO: i64 = 44;
    pub const RECVFROM: i64 = 45;
    pub const SENDMSG: i64 = 46;
    pub const RECVMSG: i64 = 47;
    pub const BIND: i64 = 49;
    pub const SETSOCKOPT: i64 = 54;
    pub const GETSOCKOPT: i64 = 55;
    pub const RECVMMSG: i64 = 299;
    pub const SENDMMSG: i64 = 307;
    pub const SETNS: i64 = 308;
    pub const CLOSE: i64 = 3;
}
#[cfg(target_arch = "aarch64")]
mod number {
    pub const READ: i64 = 63;
    pub const WRITE: i64 = 64;
    pub const READV: i64 = 65;
    pub const WRITEV: i64 = 66;
    pub const SOCKET: i64 = 198;
    pub const SENDTO: i64 = 206;
    pub const RECVFROM: i64 = 207;
    pub const SENDMSG: i64 = 211;
    pub const RECVMSG: i64 = 212;
    pub const BIND: i64 = 200;
    pub const SETSOCKOPT: i64 = 208;
    pub const GETSOCKOPT: i64 = 209;
    pub const RECVMMSG: i64 = 243;
    pub const SENDMMSG: i64 = 269;
    pub const SETNS: i64 = 268;
    pub const CLOSE: i64 = 57;
}
use number::*;

const FAMILY: u16 = 0x4950;
const NONBLOCKING: u64 = 0x40;

/// A system call: its result or its errno.
fn call(number: i64, arguments: [u64; 6]) -> Result<i64, i32> {
    let [a, b, c, d, e, f] = arguments;
    match unsafe { syscall(number, a, b, c, d, e, f) } {
        -1 => Err(std::io::Error::last_os_error().raw_os_error().unwrap()),
        result => Ok(result),
    }
}

fn at<T: ?Sized>(value: &T) -> u64 {
    (&raw const *value).cast::<u8>().expose_provenance() as u64
}

fn at_mut<T: ?Sized>(value: &mut T) -> u64 {
    (&raw mut *value).cast::<u8>().expose_provenance() as u64
}

// ---- socket options

fn ipv4_socket() -> u64 {
    call(SOCKET, [2, 2, 0, 0, 0, 0]).unwrap() as u64
}

fn service(port: u16) -> [u8; 44] {
    let mut bytes = [0; 44];
    bytes[0] = 6;
    bytes[4..8].copy_from_slice(&[10, 1, 0, 1]);
    bytes[8..10].copy_from_slice(&port.to_be_bytes());
    bytes[16..18].copy_from_slice(b"rr");
    bytes[40..44].fill(0xff);
    bytes
}

fn set(socket: u64, option: u64, value: &[u8]) -> Result<i64, i32> {
    call(SETSOCKOPT, [socket, 0, option, at(value), value.len() as u64, 0])
}

fn info(socket: u64) -> Result<[u32; 3], i32> {
    let (mut value, mut length) = ([0u32; 3], 12u32);
    call(GETSOCKOPT, [socket, 0, 1153, at_mut(&mut value), at_mut(&mut length), 0])?;
    assert_eq!(length, 12);
    Ok(value)
}

// ---- generic netlink

fn netlink_socket(flags: u64) -> u64 {
    call(SOCKET, [16, 3 | flags, 16, 0, 0, 0]).unwrap() as u64
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = (4 + value.len() as u16).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn message(kind: u16, flags: u16, sequence: u32, command: u8, attributes: &[u8]) -> Vec<u8> {
    let mut bytes = (20 + attributes.len() as u32).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend([command, 1, 0, 0]);
    bytes.extend(attributes);
    bytes
}

fn get_family(name: &str, sequence: u32) -> Vec<u8> {
    message(16, 5, sequence, 3, &attribute(2, format!("{name}\0").as_bytes()))
}

/// NEW_SERVICE (1) or DEL_SERVICE (3).
fn service_message(command: u8, port: u16, sequence: u32) -> Vec<u8> {
    let nest = [
        attribute(1, &2u16.to_ne_bytes()),
        attribute(2, &17u16.to_ne_bytes()),
        attribute(3, &[10, 1, 0, 1]),
        attribute(4, &port.to_be_bytes()),
        attribute(6, b"wrr\0"),
        attribute(7, &[0, 0, 0, 0, 255, 255, 255, 255]),
        attribute(8, &[0; 4]),
        attribute(9, &[255; 4]),
    ];
    message(FAMILY, 5, sequence, command, &attribute(1, &nest.concat()))
}

fn send(socket: u64, bytes: &[u8]) {
    assert_eq!(call(SENDTO, [socket, at(bytes), bytes.len() as u64, 0, 0, 0]), Ok(bytes.len() as i64));
}

/// A datagram; asserts that the kernel sent it.
fn receive(socket: u64, flags: u64) -> Result<Vec<u8>, i32> {
    let (mut buffer, mut name, mut length) = (vec![0u8; 65536], [9u8; 12], 12u32);
    let size = buffer.len() as u64;
    let received = call(
        RECVFROM,
        [socket, at_mut(&mut buffer[..]), size, flags, at_mut(&mut name), at_mut(&mut length)],
    )?;
    assert_eq!((length, name), (12, [16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), "sent by the kernel");
    buffer.truncate(received as usize);
    Ok(buffer)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// The code of an error or acknowledgement.
fn code(datagram: &[u8]) -> i32 {
    assert_eq!(datagram[4..6], 2u16.to_ne_bytes(), "an error or acknowledgement");
    word(datagram, 16) as i32
}

/// Asks for a family: its id or the errno, by the two datagrams of the answer or the one of the refusal.
fn resolve(socket: u64, name: &str) -> Result<u16, i32> {
    send(socket, &get_family(name, 1));
    let answer = receive(socket, 0).unwrap();
    if answer[4..6] == 2u16.to_ne_bytes() {
        return Err(-code(&answer));
    }
    let acknowledgement = receive(socket, 0).unwrap();
    assert_eq!((acknowledgement.len(), code(&acknowledgement)), (36, 0));
    Ok(family_id(&answer))
}

/// The attribute "id" of a description.
fn family_id(answer: &[u8]) -> u16 {
    let mut rest = &answer[20..];
    loop {
        let (length, kind) = (rest[0] as usize, rest[2]);
        if kind == 1 {
            return u16::from_ne_bytes([rest[4], rest[5]]);
        }
        rest = &rest[length.next_multiple_of(4)..];
    }
}

// ---- what the tests ask for

fn sockopt() {
    let socket = ipv4_socket();
    assert_eq!(info(socket).unwrap()[..2], [0x10201, 4096]);
    assert_eq!(set(socket, 1154, &service(80)), Ok(0));
    assert_eq!(set(socket, 1154, &service(80)), Err(17));
    assert_eq!(set(socket, 1154, &service(80)[..43]), Err(22));
    assert_eq!(info(socket).unwrap()[2], 1);
    assert_eq!(call(SETSOCKOPT, [socket, 0, 1154, 8, 44, 0]), Err(14), "a bad address");
    assert_eq!(call(GETSOCKOPT, [socket, 0, 1153, 8, at(&12u32), 0]), Err(14));
    assert_eq!(call(GETSOCKOPT, [socket, 0, 1153, at(&[0u8; 12]), 8, 0]), Err(14));
    assert_eq!(call(SETSOCKOPT, [999, 0, 1154, 8, 44, 0]), Err(9));
    // Also on a datagram socket of IPv6, but on none of another family.
    let ipv6 = call(SOCKET, [10, 2, 0, 0, 0, 0]).unwrap() as u64;
    assert_eq!(set(ipv6, 1154, &service(80)), Err(17));
    let unix = call(SOCKET, [1, 2, 0, 0, 0, 0]).unwrap() as u64;
    assert_eq!(set(unix, 1154, &service(81)), Err(95));
    assert_eq!(set(socket, 1156, &service(80)), Ok(0));
    assert_eq!(set(socket, 1156, &service(80)), Err(3));
}

struct Message {
    bytes: Vec<u8>,
    vector: [u64; 2],
    header: [u64; 8],
}

impl Message {
    /// A struct mmsghdr over these bytes; it must not be moved afterwards.
    fn new(bytes: Vec<u8>) -> Box<Self> {
        let mut this = Box::new(Self { bytes, vector: [0; 2], header: [0; 8] });
        this.vector = [at(&this.bytes[..]), this.bytes.len() as u64];
        this.header[2] = at(&this.vector);
        this.header[3] = 1;
        this
    }
}

/// Each way to send with each way to receive.
fn ways() {
    let request = get_family("IPVS", 7);
    let length = request.len() as u64;
    for send in [SENDTO, SENDMSG, SENDMMSG, WRITE, WRITEV] {
        for receive in [RECVFROM, RECVMSG, RECVMMSG, READ, READV] {
            let socket = netlink_socket(0);
            let out = Message::new(request.clone());
            let sent = match send {
                SENDTO => call(send, [socket, at(&request[..]), length, 0, 0, 0]),
                WRITE => call(send, [socket, at(&request[..]), length, 0, 0, 0]),
                WRITEV => call(send, [socket, at(&out.vector), 1, 0, 0, 0]),
                SENDMSG => call(send, [socket, at(&out.header), 0, 0, 0, 0]),
                _ => call(send, [socket, at(&out.header), 1, 0, 0, 0]),
            };
            assert_eq!(sent, Ok(if send == SENDMMSG { 1 } else { length as i64 }));
            for expected in [16u16, 2] {
                let mut into = Message::new(vec![0; 4096]);
                let mut name = [7u8; 12];
                into.header[0] = at_mut(&mut name);
                into.header[1] = 12;
                let (base, header) = (at_mut(&mut into.bytes[..]), at_mut(&mut into.header));
                let received = match receive {
                    RECVFROM | READ => call(receive, [socket, base, 4096, 0, 0, 0]),
                    READV => call(receive, [socket, at(&into.vector), 1, 0, 0, 0]),
                    RECVMSG => call(receive, [socket, header, 0, 0, 0, 0]),
                    _ => call(receive, [socket, header, 1, 0, 0, 0]),
                }
                .unwrap();
                let length = if receive == RECVMMSG { into.header[7] as i64 } else { received };
                assert_eq!(u32::from_ne_bytes(into.bytes[..4].try_into().unwrap()) as i64, length);
                assert_eq!(into.bytes[4..6], expected.to_ne_bytes(), "{send} {receive}");
                if receive == RECVMSG || receive == RECVMMSG {
                    assert_eq!(name[4..], [0; 8], "sent by the kernel");
                }
            }
            assert_eq!(
                call(RECVFROM, [socket, at(&[0u8; 4]), 4, NONBLOCKING, 0, 0]),
                Err(11),
                "nothing more"
            );
            call(CLOSE, [socket, 0, 0, 0, 0, 0]).unwrap();
        }
    }
}

/// What is particular about netlink, less than what ipvsadm shows.
fn netlink() {
    let socket = netlink_socket(0);
    assert_eq!(resolve(socket, "IPVS"), Ok(FAMILY));
    assert_eq!(resolve(socket, "nlctrl"), Ok(16), "of the kernel");
    assert_eq!(resolve(socket, "nosuch"), Err(2));
    // Several messages in a datagram, one of them the kernel's; the kernel's answer is among ours.
    let both = [service_message(1, 90, 2), get_family("nlctrl", 3), service_message(1, 90, 4)].concat();
    send(socket, &both);
    let answers: Vec<Vec<u8>> = (0..4).map(|_| receive(socket, 0).unwrap()).collect();
    let seen: Vec<(u32, u16)> = answers
        .iter()
        .map(|answer| (word(answer, 8), u16::from_ne_bytes([answer[4], answer[5]])))
        .collect();
    assert_eq!(seen, [(2, 2), (3, 16), (3, 2), (4, 2)]);
    assert_eq!((code(&answers[0]), code(&answers[3])), (0, -17));
    assert_eq!(answers[3][20..], service_message(1, 90, 4), "the request as it was sent");
    // All answers name this socket.
    let port = word(&answers[1], 12);
    assert!(port != 0 && answers.iter().all(|answer| word(answer, 12) == port));
    assert_eq!(port, std::process::id());
    // No acknowledgement that was not asked for; a refusal comes all the same, without the request if that is wanted.
    let mut quiet = service_message(3, 90, 5);
    quiet[6..8].copy_from_slice(&1u16.to_ne_bytes());
    send(socket, &quiet);
    assert_eq!(receive(socket, NONBLOCKING), Err(11));
    assert_eq!(call(SETSOCKOPT, [socket, 270, 10, at(&1u32), 4, 0]), Ok(0));
    send(socket, &quiet);
    let refusal = receive(socket, NONBLOCKING).unwrap();
    assert_eq!((refusal.len(), code(&refusal)), (36, -3));
    // Two looks at the same datagram, the first at its length alone.
    send(socket, &get_family("IPVS", 6));
    let mut byte = [0u8; 1];
    let length = call(RECVFROM, [socket, at_mut(&mut byte), 1, 0x22, 0, 0]).unwrap();
    assert_eq!(receive(socket, 0).unwrap().len() as i64, length);
    receive(socket, 0).unwrap();
    // A socket of another netlink family at a number that nobody watches, one on its own, and many at a time.
    let sockets: Vec<u64> = (0..70).map(|_| netlink_socket(0x800)).collect();
    for socket in &sockets[..60] {
        assert_eq!(resolve(*socket, "IPVS"), Ok(FAMILY));
    }
    assert_eq!(resolve(sockets[69], "IPVS"), Err(2), "beyond the window");
    assert_eq!(resolve(sockets[69], "nlctrl"), Ok(16));
}

/// A dump of all services that is far larger than the socket's queue; prints how many there are.
fn dump() {
    let socket = netlink_socket(0);
    send(socket, &message(FAMILY, 0x301, 1, 4, &[]));
    let (mut count, mut largest) = (0, 0);
    'datagrams: loop {
        let datagram = receive(socket, 0).unwrap();
        largest = largest.max(datagram.len());
        let mut rest = &datagram[..];
        while !rest.is_empty() {
            let length = word(rest, 0) as usize;
            if rest[4..6] == 3u16.to_ne_bytes() {
                break 'datagrams;
            }
            count += 1;
            rest = &rest[length.next_multiple_of(4)..];
        }
    }
    assert!(largest <= 4096, "{largest}");
    println!("{count}");
}

/// Sockets made in another namespace and used from this one, and the reverse.
fn elsewhere(path: &str) {
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

extern "C" fn on_alarm(_: c_int) {}

/// Commands under a timer of 3 kHz: each has exactly the outcome that it must have.
fn storm(rounds: u32) {
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
fn hostile(rounds: u64) {
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
fn measure() {
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
    println!("  of which receiving the answer before: {:.1} us", received[received.len() / 2] as f64 / 1000.0);
    median("socket and close", &mut |_| drop(call(CLOSE, [netlink_socket(0), 0, 0, 0, 0, 0])));
}

/// One outcome of each interface, as text: "0 0" or errnos.
fn outcomes() {
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
fn deputy() {
    let root = (0u32, 65534u32);
    let be = |uid: u32| unsafe { syscall(SETRESUID, u64::from(u32::MAX), u64::from(uid), u64::from(u32::MAX)) };
    assert_eq!(be(root.1), 0);
    let socket = netlink_socket(0);
    assert_eq!(be(root.0), 0);
    handed(socket);
    // One that root opened is root's.
    let socket = netlink_socket(0);
    send(socket, &message(FAMILY, 5, 1, 17, &[]));
    assert_eq!(code(&receive(socket, 0).unwrap()), 0);
}

#[cfg(target_arch = "x86_64")]
const SETRESUID: i64 = 117;
#[cfg(target_arch = "aarch64")]
const SETRESUID: i64 = 147;

/// An explicit port id stays.
fn bound() {
    let socket = netlink_socket(0);
    let address: [u32; 3] = [16, 0x1234_5678, 0];
    assert_eq!(call(BIND, [socket, at(&address), 12, 0, 0, 0]), Ok(0));
    send(socket, &get_family("IPVS", 1));
    assert_eq!(word(&receive(socket, 0).unwrap(), 12), 0x1234_5678);
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = || words[1].parse().unwrap();
    match words[0].as_str() {
        "sockopt" => sockopt(),
        "netlink" => {
            netlink();
            bound();
        }
        "ways" => ways(),
        "dump" => dump(),
        "elsewhere" => elsewhere(&words[1]),
        "storm" => storm(number()),
        "hostile" => hostile(number().into()),
        "measure" => measure(),
        "outcomes" => outcomes(),
        "deputy" => deputy(),
        other => panic!("{other}?"),
    }
}
