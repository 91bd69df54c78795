//! Socket options through the control socket: client, session and director together.

use super::common::{Daemon, fill};
use ipvs_abi::errno::Errno;
use ipvs_abi::sockopt::number::{get, set};
use ipvs_client::{ControlClient, SockoptAnswer};
use ipvsd::run::Limits;

/// ip_vs_service_user: TCP 10.0.0.1, rr.
fn service(port: u16) -> Vec<u8> {
    let mut bytes = vec![0; 44];
    bytes[0] = 6;
    bytes[4..8].copy_from_slice(&[10, 0, 0, 1]);
    bytes[8..10].copy_from_slice(&port.to_be_bytes());
    bytes[16..18].copy_from_slice(b"rr");
    bytes[40..44].fill(0xff);
    bytes
}

/// The caller's buffer after a get into `length` bytes of 0xcc that begin with `head`.
fn read(client: &mut ControlClient, number: u32, length: u32, head: &[u8]) -> Result<Vec<u8>, Errno> {
    let SockoptAnswer { chunks, length: given_back } =
        client.get_sockopt(number, length, head).map_err(|error| error.errno().unwrap())?;
    assert!(given_back <= length);
    let mut buffer = vec![0xcc; length as usize];
    buffer[..head.len()].copy_from_slice(head);
    for (offset, bytes) in chunks {
        let offset = offset as usize;
        buffer[offset..offset + bytes.len()].copy_from_slice(&bytes);
    }
    Ok(buffer)
}

#[test]
fn sets_and_gets() {
    let daemon = Daemon::start("options", Limits::default());
    let mut client = daemon.client();
    client.set_sockopt(set::ADD, &service(80)).unwrap();
    let refused = client.set_sockopt(set::ADD, &service(80)).unwrap_err();
    assert_eq!(refused.errno(), Some(Errno::EEXIST));
    assert_eq!(client.set_sockopt(set::ADD, &[0; 43]).unwrap_err().errno(), Some(Errno::EINVAL));
    let mut head = service(80);
    head.resize(104, 0);
    let entry = read(&mut client, get::SERVICE, 104, &head).unwrap();
    assert_eq!((&entry[..32], entry[32]), (&head[..32], 2));
    assert_eq!(read(&mut client, get::SERVICE, 103, &head[..103]), Err(Errno::EINVAL));
    let version = client.get_sockopt(get::VERSION, 64, &[0; 64]).unwrap();
    assert_eq!(version.length, 44);
    assert_eq!(version.chunks, [(0, b"IP Virtual Server version 1.2.1 (size=4096)\0".to_vec())]);
}

/// More entries than a page has, into a buffer with room for one more: the head and the rest stay as they were.
#[test]
fn a_listing_of_many_pages_is_whole() {
    let daemon = Daemon::start("option_pages", Limits::default());
    let mut client = daemon.client();
    fill(&mut client, 1000);
    let mut head = 1001u32.to_ne_bytes().to_vec();
    head.extend([0xdd; 4]);
    let buffer = read(&mut client, get::SERVICES, 8 + 104 * 1001, &head).unwrap();
    assert_eq!(buffer[..8], head);
    assert_eq!(buffer[8 + 104 * 1000..], [0xcc; 104]);
    let entries = buffer[8..8 + 104 * 1000].chunks(104);
    let mut ports: Vec<u16> = entries.map(|entry| u16::from_be_bytes([entry[8], entry[9]])).collect();
    ports.sort_unstable();
    assert_eq!(ports, (1..=1000).collect::<Vec<u16>>());
    // Fewer than there are.
    head[..4].copy_from_slice(&100u32.to_ne_bytes());
    let buffer = read(&mut client, get::SERVICES, 8 + 104 * 100, &head).unwrap();
    assert!(buffer[8..].chunks(104).all(|entry| entry[0] == 6));
}
