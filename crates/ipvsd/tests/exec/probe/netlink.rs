//! What is particular about netlink.

use crate::call::*;
use crate::message::{
    FAMILY, NONBLOCKING, code, get_family, message, netlink_socket, receive, resolve, send, service_message,
    word,
};

/// Several messages, refusals, many sockets: less than what ipvsadm shows.
pub(crate) fn netlink() {
    let socket = netlink_socket(0);
    assert_eq!(resolve(socket, "IPVS"), Ok(FAMILY));
    assert_eq!(resolve(socket, "nlctrl"), Ok(16), "of the kernel");
    assert_eq!(resolve(socket, "nosuch"), Err(2));
    // Several messages in a datagram, one of them the kernel's; the kernel's answer is among ours.
    let both = [service_message(1, 90, 2), get_family("nlctrl", 3), service_message(1, 90, 4)].concat();
    send(socket, &both);
    let answers: Vec<Vec<u8>> = (0..4).map(|_| receive(socket, 0).unwrap()).collect();
    let seen: Vec<(u32, u16)> =
        answers.iter().map(|answer| (word(answer, 8), u16::from_ne_bytes([answer[4], answer[5]]))).collect();
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
pub(crate) fn dump() {
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

/// An explicit port id stays.
pub(crate) fn bound() {
    let socket = netlink_socket(0);
    let address: [u32; 3] = [16, 0x1234_5678, 0];
    assert_eq!(call(BIND, [socket, at(&address), 12, 0, 0, 0]), Ok(0));
    send(socket, &get_family("IPVS", 1));
    assert_eq!(word(&receive(socket, 0).unwrap(), 12), 0x1234_5678);
}
