//! The far end of a tunnel: takes packets out of the packets that carry them and gives them to the server's own stack.
//!
//! The host's kernel may have no tunnels at all (ipip, gre, fou), so this is done on raw sockets: a packet that has been taken out
//! is sent to the virtual address, which is on loopback, just as it is. Its sender is the client, so the answer leaves for it.

use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::thread::Builder;

use ipvs_wire::{Headers, checksum};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::options::{Tunnel, TunnelChecksum};
use crate::{Error, sysctl};

/// UDP port of the tunnels by GUE.
pub(crate) const GUE_PORT: u16 = 6080;

const IPIP: i32 = 4;
const IPV6: i32 = 41;
const UDP: i32 = 17;
const GRE: i32 = 47;
const RAW: i32 = 255;

/// Starts the far end in the calling thread's namespace, at `address`, for packets to `target`. The sockets are open when this
/// returns.
pub(super) fn start(
    (tunnel, checksum): (Tunnel, TunnelChecksum),
    address: IpAddr,
    target: IpAddr,
) -> Result<(), Error> {
    let doing = || format!("take packets out of tunnels at {address}");
    let failed = |error| Error::setup(doing(), error);
    // The client's packets come in by loopback, where their sender is not to be found.
    for interface in ["all", "lo", "eth0"] {
        sysctl::set(&format!("ipv4/conf/{interface}/rp_filter"), "0")?;
    }
    let domain = if address.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let out = Socket::new(domain, Type::RAW, Some(Protocol::from(RAW))).map_err(failed)?;
    let inner: SockAddr = SocketAddr::new(target, 0).into();
    let give = move |packet: &[u8]| -> Option<()> {
        // A checksum that was left to the card is still to be made: to the sockets here nobody says so.
        let mut packet = packet.to_vec();
        let headers = Headers::parse(&packet).ok()?;
        checksum::complete_partial(&mut packet, &headers);
        // What the stack does not take is lost, as on a wire: the client sees that.
        out.send_to(&packet, &inner).ok().map(drop)
    };
    let thread = Builder::new().name("decapsulate".into());
    // UDP sockets refuse IPv6 datagrams without checksum (RFC 6936).
    let bare = tunnel == Tunnel::Gue && checksum == TunnelChecksum::None && address.is_ipv6();
    let started = if tunnel == Tunnel::Gue && !bare {
        let socket = UdpSocket::bind((address, GUE_PORT)).map_err(failed)?;
        thread.spawn(move || serve(|buffer| socket.recv(buffer), |packet| give(gue(packet)?)))
    } else {
        let protocol = match (tunnel, address.is_ipv4()) {
            (Tunnel::Gre, _) => GRE,
            (Tunnel::Gue, _) => UDP,
            (_, true) => IPIP,
            (_, false) => IPV6,
        };
        let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(protocol))).map_err(failed)?;
        let whole = address.is_ipv4();
        thread.spawn(move || {
            serve(
                |buffer| (&socket).read(buffer),
                |packet| {
                    // Raw sockets of IPv4 give the IP header as well.
                    let packet =
                        if whole { packet.get(usize::from(packet.first()? & 15) * 4..)? } else { packet };
                    give(match tunnel {
                        Tunnel::Ipip => packet,
                        Tunnel::Gre => gre(packet)?,
                        Tunnel::Gue => gue(unchecked(packet)?)?,
                    })
                },
            );
        })
    };
    started.map(drop).map_err(failed)
}

/// Takes packets until the process ends.
fn serve(receive: impl Fn(&mut [u8]) -> io::Result<usize>, give: impl Fn(&[u8]) -> Option<()>) {
    let mut buffer = vec![0; 65536];
    loop {
        if let Ok(length) = receive(&mut buffer) {
            let _ = give(buffer.get(..length).unwrap_or_default());
        }
    }
}

/// What a datagram to the port of GUE carries, if it has no checksum.
fn unchecked(datagram: &[u8]) -> Option<&[u8]> {
    let ([_, _, high, low, _, _, 0, 0], payload) = datagram.split_first_chunk()? else { return None };
    (u16::from_be_bytes([*high, *low]) == GUE_PORT).then_some(payload)
}

/// What a GUE datagram of version 0 without options carries.
fn gue(datagram: &[u8]) -> Option<&[u8]> {
    match datagram.split_first_chunk()? {
        ([0, 4 | 41, 0, 0], packet) => Some(packet),
        _ => None,
    }
}

/// What a GRE packet carries, if its checksum, where it has one, is right.
fn gre(packet: &[u8]) -> Option<&[u8]> {
    match packet.split_first_chunk()? {
        ([0, 0, 8, 0] | [0, 0, 0x86, 0xdd], inner) => Some(inner),
        ([0x80, 0, 8, 0] | [0x80, 0, 0x86, 0xdd], inner) if sum(packet) == 0xffff => inner.get(4..),
        _ => None,
    }
}

/// Ones' complement sum of 16-bit words (RFC 1071).
fn sum(data: &[u8]) -> u32 {
    let mut sum =
        data.chunks(2).map(|word| u32::from_be_bytes([0, 0, word[0], *word.get(1).unwrap_or(&0)])).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_right_is_taken_out() {
        assert_eq!(gue(&[0, 4, 0, 0, 7, 8]), Some(&[7, 8][..]));
        assert_eq!(gue(&[1, 4, 0, 0, 7, 8]), None);
        assert_eq!(unchecked(&[1, 2, 0x17, 0xc0, 0, 9, 0, 0, 7]), Some(&[7][..]));
        assert_eq!(unchecked(&[1, 2, 0x17, 0xc0, 0, 9, 0, 1, 7]), None);
        assert_eq!(unchecked(&[1, 2, 0x17, 0xc1, 0, 9, 0, 0, 7]), None);
        assert_eq!(gre(&[0, 0, 8, 0, 7]), Some(&[7][..]));
        let checked = [0x80, 0, 8, 0, 0x70, 0xf7, 0, 0, 7, 8];
        assert_eq!(gre(&checked), Some(&[7, 8][..]));
        let mut broken = checked;
        broken[9] ^= 1;
        assert_eq!(gre(&broken), None);
    }
}
