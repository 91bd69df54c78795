//! The UDP echo server: answers a datagram with its own name, a blank and the datagram.

use std::net::UdpSocket;

/// Answers datagrams until the process ends.
pub(super) fn serve(socket: &UdpSocket, name: &str) {
    let mut datagram = vec![0; 65536];
    loop {
        // An error here belongs to an earlier answer (ICMP port unreachable): the client counts its missing echo.
        if let Ok((size, from)) = socket.recv_from(&mut datagram) {
            let answer = [name.as_bytes(), b" ", &datagram[..size]].concat();
            let _ = socket.send_to(&answer, from);
        }
    }
}
