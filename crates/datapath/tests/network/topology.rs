//! A client, a director and a server, each on a link of its own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::namespace::{Namespace, join};

/// Client (10.1.0.2, fd01::2) – director (10.1.0.1 and 10.2.0.1, fd01::1 and fd02::1) – server (10.2.0.2, fd02::2).
pub(crate) struct Topology {
    pub(crate) client: Namespace,
    pub(crate) director: Namespace,
    pub(crate) server: Namespace,
}

pub(crate) const VIP: &str = "10.1.0.100";
pub(crate) const VIP6: &str = "fd01::100";
pub(crate) const SERVER: &str = "10.2.0.2";
pub(crate) const SERVER6: &str = "fd02::2";

impl Topology {
    pub(crate) fn new() -> Self {
        let (client, director, server) = (Namespace::new("c"), Namespace::new("d"), Namespace::new("s"));
        join((&client, "c0"), (&director, "d0"));
        join((&director, "d1"), (&server, "s0"));
        for (namespace, link, host) in [
            (&client, "c0", "1.0.2"),
            (&director, "d0", "1.0.1"),
            (&director, "d1", "2.0.1"),
            (&server, "s0", "2.0.2"),
        ] {
            let (net, _) = host.split_once('.').unwrap();
            let last = host.rsplit_once('.').unwrap().1;
            namespace.ip(&format!("addr add 10.{host}/24 dev {link}"));
            namespace.ip(&format!("addr add fd0{net}::{last}/64 dev {link} nodad"));
        }
        server.ip("route add default via 10.2.0.1");
        server.ip("route add default via fd02::1");
        Self { client, director, server }
    }
}

/// Longest wait of a server, so that a failing test ends.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves `connections` TCP connections one by one: sends back what comes.
pub(crate) fn echo_tcp(listener: &TcpListener, connections: usize) {
    let patience = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
    for _ in 0..connections {
        let mut ready = [PollFd::new(listener, PollFlags::IN)];
        assert_eq!(poll(&mut ready, Some(&patience)), Ok(1), "no connection came");
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut reader = stream.try_clone().unwrap();
        std::io::copy(&mut reader, &mut stream).unwrap();
    }
}

/// Sends `bytes` and returns what comes back until the end.
pub(crate) fn exchange_tcp(to: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(5)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let mut received = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            writer.write_all(bytes).unwrap();
            writer.shutdown(std::net::Shutdown::Write).unwrap();
        });
        stream.read_to_end(&mut received).unwrap();
    });
    received
}

/// Sends a datagram and returns the answer, `None` if there is none for a second.
pub(crate) fn exchange_udp(to: SocketAddr, bytes: &[u8]) -> Option<Vec<u8>> {
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    socket.connect(to).unwrap();
    socket.send(bytes).unwrap();
    let mut answer = vec![0; 65_536];
    let len = socket.recv(&mut answer).ok()?;
    answer.truncate(len);
    Some(answer)
}

/// Answers `number` datagrams with what they carry.
pub(crate) fn echo_udp(socket: &UdpSocket, number: usize) {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut buffer = vec![0; 65_536];
    for _ in 0..number {
        let (len, from) = socket.recv_from(&mut buffer).unwrap();
        socket.send_to(&buffer[..len], from).unwrap();
    }
}

/// So many bytes, none of which is like those near it.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index * 31 + index / 251) as u8).collect()
}
