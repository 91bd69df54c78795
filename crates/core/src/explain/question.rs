//! Which packet is asked about, and the packet.

use std::net::{IpAddr, SocketAddr};

use ipvs_wire::sctp::HEADER_LEN as SCTP_HEADER;
use ipvs_wire::{Headers, checksum};

use crate::error::Error;
use crate::protocol::{SCTP, TCP, UDP};

/// Hop limit of the packets, as most hosts send them.
const HOPS: u8 = 64;

/// A packet to be explained. It comes whole from the network, has a hop limit of 64 and may not be fragmented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// IP protocol number: 6, 17 or 132.
    pub protocol: u8,
    /// Where it comes from.
    pub source: SocketAddr,
    /// Where it goes to; of the same family.
    pub destination: SocketAddr,
    /// The flags of a TCP segment (their byte in the header); the type of an SCTP packet's only chunk.
    pub flags: u8,
    /// Bytes from the IP header on; 0: as few as can be.
    pub size: u16,
    /// Its firewall mark, in place of the one that the rules give.
    pub mark: Option<u32>,
}

impl Question {
    /// The packet.
    ///
    /// # Errors
    /// [`Error::InvalidQuestion`]: another protocol, two families, or too small for its headers.
    pub(super) fn packet(&self) -> Result<Vec<u8>, Error> {
        let (source, destination) = (self.source.ip(), self.destination.ip());
        let transport = match self.protocol {
            TCP => 20,
            UDP => 8,
            SCTP => SCTP_HEADER + 20,
            _ => return Err(Error::InvalidQuestion),
        };
        let start = if source.is_ipv6() { 40 } else { 20 };
        let size = if self.size == 0 { start + transport } else { usize::from(self.size) };
        if size < start + transport || source.is_ipv6() != destination.is_ipv6() {
            return Err(Error::InvalidQuestion);
        }
        let mut packet = self.ip_header(size as u16);
        packet.extend(self.source.port().to_be_bytes());
        packet.extend(self.destination.port().to_be_bytes());
        let len = (size - start) as u16;
        match self.protocol {
            TCP => {
                packet.extend([0, 0, 0, 1, 0, 0, 0, 1]);
                packet.extend([0x50, self.flags, 0xff, 0xff, 0, 0, 0, 0]);
            }
            UDP => {
                packet.extend(len.to_be_bytes());
                packet.extend([0, 0]);
            }
            _ => {
                packet.extend([0, 0, 0, 1, 0, 0, 0, 0, self.flags, 0]);
                packet.extend((len - SCTP_HEADER as u16).to_be_bytes());
            }
        }
        packet.resize(size, 0);
        checksum::fill_ipv4_header(&mut packet);
        let headers = Headers::parse(&packet).map_err(|_| Error::InvalidQuestion)?;
        checksum::fill_transport(&mut packet, &headers);
        Ok(packet)
    }

    fn ip_header(&self, size: u16) -> Vec<u8> {
        let mut header = Vec::with_capacity(usize::from(size));
        match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                header.extend([0x60, 0, 0, 0]);
                header.extend((size - 40).to_be_bytes());
                header.extend([self.protocol, HOPS]);
                header.extend(source.octets());
                header.extend(destination.octets());
            }
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                header.extend([0x45, 0]);
                header.extend(size.to_be_bytes());
                header.extend([0, 0, 0x40, 0, HOPS, self.protocol, 0, 0]);
                header.extend(source.octets());
                header.extend(destination.octets());
            }
            // Refused before.
            _ => {}
        }
        header
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Signal;

    fn question(protocol: u8, ipv6: bool, size: u16) -> Question {
        let end = |number: u16| {
            let text = if ipv6 {
                format!("[2001:db8::{number}]:{number}")
            } else {
                format!("10.0.0.{number}:{number}")
            };
            text.parse().unwrap()
        };
        Question { protocol, source: end(1), destination: end(2), flags: 1, size, mark: None }
    }

    #[test]
    fn packets_are_valid() {
        for protocol in [TCP, UDP, SCTP] {
            for ipv6 in [false, true] {
                for size in [0, 73, 1501, u16::MAX] {
                    let packet = question(protocol, ipv6, size).packet().unwrap();
                    let headers = Headers::parse(&packet).unwrap();
                    assert!(size == 0 || packet.len() == usize::from(size));
                    assert_eq!((headers.protocol, headers.dont_fragment), (protocol, true));
                    assert!(ipv6 || checksum::verify_ipv4_header(&packet));
                    assert!(checksum::verify_transport(&packet, &headers), "{protocol} {ipv6} {size}");
                    let signal = Signal::read(&packet, &headers).unwrap().unwrap();
                    assert_eq!(signal.protocol(), protocol);
                    if protocol == SCTP {
                        assert_eq!(signal, Signal::Sctp { first: 1, second: None });
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_no_packet_is_refused() {
        let mixed = Question { source: "[::1]:1".parse().unwrap(), ..question(TCP, false, 0) };
        for bad in [mixed, question(1, false, 0), question(TCP, false, 39), question(UDP, true, 47)] {
            assert_eq!(bad.packet(), Err(Error::InvalidQuestion), "{bad:?}");
        }
    }
}
