//! The UDP echo server: answers a datagram with its own name, the client's address as it sees it, and the datagram, with blanks
//! between them.

use std::net::UdpSocket;

/// Answers datagrams until the process ends.
pub(super) fn serve(socket: &UdpSocket, name: &str) {
    let mut datagram = vec![0; 65536];
    loop {
        // An error here belongs to an earlier answer (ICMP port unreachable): the client counts its missing echo.
        if let Ok((size, from)) = socket.recv_from(&mut datagram) {
            let answer = [format!("{name} {} ", from.ip()).as_bytes(), &datagram[..size]].concat();
            let _ = socket.send_to(&answer, from);
        }
    }
}
