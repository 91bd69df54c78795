//! The header (PROXY protocol version 2, section 2.2 of its specification).

use std::net::IpAddr;

/// What every header begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, command PROXY: the connection is somebody else's.
const PROXY: u8 = 0x21;
/// Families, with stream as the protocol.
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

/// Its length in bytes.
pub(super) const fn length(ipv6: bool) -> u32 {
    if ipv6 { 16 + 36 } else { 16 + 12 }
}

/// The header of a TCP connection from `client` to `virtual_end`, addresses of one family. No checksum, no other values: those are
/// optional.
pub(super) fn header(client: (IpAddr, u16), virtual_end: (IpAddr, u16)) -> Vec<u8> {
    let ipv6 = client.0.is_ipv6();
    let length = length(ipv6);
    let mut bytes = Vec::with_capacity(length as usize);
    bytes.extend(SIGNATURE);
    bytes.extend([PROXY, if ipv6 { TCP6 } else { TCP4 }]);
    bytes.extend((length as u16 - 16).to_be_bytes());
    for (address, _) in [client, virtual_end] {
        match address {
            IpAddr::V4(address) => bytes.extend(address.octets()),
            IpAddr::V6(address) => bytes.extend(address.octets()),
        }
    }
    for (_, port) in [client, virtual_end] {
        bytes.extend(port.to_be_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_both_families() {
        let signature = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];
        let v4 = header(([192, 0, 2, 7].into(), 0x1234), ([203, 0, 113, 1].into(), 80));
        let fields = [0x21, 0x11, 0, 12, 192, 0, 2, 7, 203, 0, 113, 1, 0x12, 0x34, 0, 80];
        assert_eq!(v4, [&signature[..], &fields].concat());
        let client: [u8; 16] = std::array::from_fn(|at| at as u8);
        let vip: [u8; 16] = std::array::from_fn(|at| 0x20 + at as u8);
        let v6 = header((client.into(), 0x1234), (vip.into(), 443));
        let expected = [&signature[..], &[0x21, 0x21, 0, 36], &client, &vip, &[0x12, 0x34, 1, 0xbb]].concat();
        assert_eq!(v6, expected);
        assert_eq!([v4.len() as u32, v6.len() as u32], [length(false), length(true)]);
    }
}
