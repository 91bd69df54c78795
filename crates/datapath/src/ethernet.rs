//! Ethernet framing.

use crate::netlink::HardwareAddress;

/// Length of the header without tags.
pub(crate) const HEADER: usize = 14;

/// Length of the longest header that is written.
pub(crate) const LONGEST: usize = HEADER + 4;

/// EtherType of IPv4.
pub(crate) const IPV4: u16 = 0x0800;
/// EtherType of ARP.
pub(crate) const ARP: u16 = 0x0806;
/// EtherType of IPv6.
pub(crate) const IPV6: u16 = 0x86dd;
const VLAN: u16 = 0x8100;
const QINQ: u16 = 0x88a8;

/// A VLAN tag as it stands in a frame: EtherType (802.1Q or 802.1ad), then control information.
pub(crate) type Tag = [u8; 4];

/// The tag of a VLAN, with priority 0: of a service provider's (802.1ad) or a customer's (802.1Q).
pub(crate) fn tag(service: bool, id: u16) -> Tag {
    let [a, b] = if service { QINQ } else { VLAN }.to_be_bytes();
    let [c, d] = id.to_be_bytes();
    [a, b, c, d]
}

/// What a frame's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// To whom.
    pub(crate) destination: HardwareAddress,
    /// From whom.
    pub(crate) source: HardwareAddress,
    /// What is inside, after VLAN tags.
    pub(crate) ethertype: u16,
    /// Length of the header with its tags.
    pub(crate) len: usize,
}

/// Reads the header, with up to two VLAN tags. `None` if the frame is too short.
pub(crate) fn read(frame: &[u8]) -> Option<Header> {
    let destination = frame.get(..6)?.try_into().ok()?;
    let source = frame.get(6..12)?.try_into().ok()?;
    let mut len = HEADER;
    for _ in 0..2 {
        if !matches!(ethertype(frame, len)?, VLAN | QINQ) {
            break;
        }
        len += 4;
    }
    Some(Header { destination, source, ethertype: ethertype(frame, len)?, len })
}

fn ethertype(frame: &[u8], header: usize) -> Option<u16> {
    Some(u16::from_be_bytes(frame.get(header - 2..header)?.try_into().ok()?))
}

/// Writes a header, with a VLAN tag if one is given, into the bytes just before `packet`; returns where the frame
/// starts. `None` if there is no room.
pub(crate) fn write(
    buffer: &mut [u8],
    packet: usize,
    destination: HardwareAddress,
    source: HardwareAddress,
    vlan: Option<Tag>,
    ethertype: u16,
) -> Option<usize> {
    let start = packet.checked_sub(HEADER + if vlan.is_some() { 4 } else { 0 })?;
    let header = buffer.get_mut(start..packet)?;
    let (addresses, types) = header.split_at_mut(12);
    addresses[..6].copy_from_slice(&destination);
    addresses[6..].copy_from_slice(&source);
    if let Some(tag) = vlan {
        types[..4].copy_from_slice(&tag);
    }
    let at = types.len() - 2;
    types[at..].copy_from_slice(&ethertype.to_be_bytes());
    Some(start)
}

/// Sends a frame back to where it came from: swaps the addresses, with `own` as the new source.
pub(crate) fn turn_round(frame: &mut [u8], own: HardwareAddress) {
    if let Some(addresses) = frame.get_mut(..12) {
        addresses.copy_within(6..12, 0);
        addresses[6..].copy_from_slice(&own);
    }
}

/// Whether it is a group address.
pub(crate) fn is_multicast(address: HardwareAddress) -> bool {
    address[0] & 1 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for vlan in [None, Some(tag(false, 100)), Some(tag(true, 4095))] {
            let mut buffer = [0; 64];
            let start = write(&mut buffer, 30, [1; 6], [2; 6], vlan, IPV6).unwrap();
            let header = read(&buffer[start..]).unwrap();
            assert_eq!((header.destination, header.source, header.ethertype), ([1; 6], [2; 6], IPV6));
            assert_eq!(start + header.len, 30);
            assert!(vlan.is_none_or(|tag| buffer[start + 12..][..4] == tag));
        }
        assert_eq!(write(&mut [0; 64], 13, [1; 6], [2; 6], None, IPV4), None);
    }

    #[test]
    fn short_frames_have_no_header() {
        let mut frame = [0u8; 22];
        frame[12..14].copy_from_slice(&QINQ.to_be_bytes());
        frame[16..18].copy_from_slice(&VLAN.to_be_bytes());
        frame[20..22].copy_from_slice(&ARP.to_be_bytes());
        assert_eq!(read(&frame).map(|header| (header.ethertype, header.len)), Some((ARP, 22)));
        for len in 0..22 {
            assert_eq!(read(&frame[..len]), None);
        }
    }
}
