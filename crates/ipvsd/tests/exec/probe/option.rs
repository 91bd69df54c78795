//! Socket options.

use crate::call::*;

pub(crate) fn ipv4_socket() -> u64 {
    call(SOCKET, [2, 2, 0, 0, 0, 0]).unwrap() as u64
}

pub(crate) fn service(port: u16) -> [u8; 44] {
    let mut bytes = [0; 44];
    bytes[0] = 6;
    bytes[4..8].copy_from_slice(&[10, 1, 0, 1]);
    bytes[8..10].copy_from_slice(&port.to_be_bytes());
    bytes[16..18].copy_from_slice(b"rr");
    bytes[40..44].fill(0xff);
    bytes
}

pub(crate) fn set(socket: u64, option: u64, value: &[u8]) -> Result<i64, i32> {
    call(SETSOCKOPT, [socket, 0, option, at(value), value.len() as u64, 0])
}

pub(crate) fn info(socket: u64) -> Result<[u32; 3], i32> {
    let (mut value, mut length) = ([0u32; 3], 12u32);
    call(GETSOCKOPT, [socket, 0, 1153, at_mut(&mut value), at_mut(&mut length), 0])?;
    assert_eq!(length, 12);
    Ok(value)
}

pub(crate) fn sockopt() {
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
