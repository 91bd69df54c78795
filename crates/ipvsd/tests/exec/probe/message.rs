//! Messages of generic netlink, and its sockets.

use crate::call::*;

/// Id of the family IPVS.
pub(crate) const FAMILY: u16 = 0x4950;
/// MSG_DONTWAIT.
pub(crate) const NONBLOCKING: u64 = 0x40;

pub(crate) fn netlink_socket(flags: u64) -> u64 {
    call(SOCKET, [16, 3 | flags, 16, 0, 0, 0]).unwrap() as u64
}

pub(crate) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = (4 + value.len() as u16).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

pub(crate) fn message(kind: u16, flags: u16, sequence: u32, command: u8, attributes: &[u8]) -> Vec<u8> {
    let mut bytes = (20 + attributes.len() as u32).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend([command, 1, 0, 0]);
    bytes.extend(attributes);
    bytes
}

pub(crate) fn get_family(name: &str, sequence: u32) -> Vec<u8> {
    message(16, 5, sequence, 3, &attribute(2, format!("{name}\0").as_bytes()))
}

/// NEW_SERVICE (1) or DEL_SERVICE (3).
pub(crate) fn service_message(command: u8, port: u16, sequence: u32) -> Vec<u8> {
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

pub(crate) fn send(socket: u64, bytes: &[u8]) {
    assert_eq!(call(SENDTO, [socket, at(bytes), bytes.len() as u64, 0, 0, 0]), Ok(bytes.len() as i64));
}

/// A datagram; asserts that the kernel sent it.
pub(crate) fn receive(socket: u64, flags: u64) -> Result<Vec<u8>, i32> {
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

pub(crate) fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// The code of an error or acknowledgement.
pub(crate) fn code(datagram: &[u8]) -> i32 {
    assert_eq!(datagram[4..6], 2u16.to_ne_bytes(), "an error or acknowledgement");
    word(datagram, 16) as i32
}

/// Asks for a family: its id or the errno, by the two datagrams of the answer or the one of the refusal.
pub(crate) fn resolve(socket: u64, name: &str) -> Result<u16, i32> {
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
pub(crate) fn family_id(answer: &[u8]) -> u16 {
    let mut rest = &answer[20..];
    loop {
        let (length, kind) = (rest[0] as usize, rest[2]);
        if kind == 1 {
            return u16::from_ne_bytes([rest[4], rest[5]]);
        }
        rest = &rest[length.next_multiple_of(4)..];
    }
}
