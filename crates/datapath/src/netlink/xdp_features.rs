//! What the driver of an interface can do with XDP: the generic-netlink family "netdev" (Linux 6.3).

use std::io;

use netlink_sys::{Socket, protocols::NETLINK_GENERIC};

use super::request::{connected, receive};

/// Netlink's header, then generic netlink's.
const HEADERS: usize = 16 + 4;
const NLM_F_REQUEST: u16 = 1;
const NLMSG_ERROR: u16 = 2;

/// The controller family, its command to find a family, the name and number of one.
const CONTROLLER: u16 = 0x10;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;

/// The command of "netdev" to ask for a device, and the attributes for its index and its features.
const GET_DEVICE: u8 = 1;
const INTERFACE: u16 = 1;
const FEATURES: u16 = 3;
/// NETDEV_XDP_ACT_NDO_XMIT.
const TAKES_FRAMES: u64 = 4;

/// Asks the kernel.
#[derive(Debug)]
pub(crate) struct XdpFeatures {
    socket: Socket,
    family: u16,
    sequence: u32,
}

impl XdpFeatures {
    /// Opens the socket, in the network namespace of the calling thread.
    ///
    /// # Errors
    /// NotFound before Linux 6.3.
    pub(crate) fn open() -> io::Result<Self> {
        let mut features = Self { socket: connected(NETLINK_GENERIC)?, family: 0, sequence: 0 };
        let answer = features.ask(CONTROLLER, GET_FAMILY, FAMILY_NAME, b"netdev\0")?;
        let id = attribute(&answer, FAMILY_ID).and_then(|value| value.get(..2)?.try_into().ok());
        features.family = u16::from_ne_bytes(id.ok_or(io::ErrorKind::InvalidData)?);
        Ok(features)
    }

    /// Whether the driver sends frames that another interface's program redirects to it. A veth says so only while the
    /// other end takes them.
    pub(crate) fn takes_frames(&mut self, interface: u32) -> io::Result<bool> {
        let answer = self.ask(self.family, GET_DEVICE, INTERFACE, &interface.to_ne_bytes())?;
        let features = attribute(&answer, FEATURES).and_then(|value| value.get(..8)?.try_into().ok());
        Ok(features.is_some_and(|features| u64::from_ne_bytes(features) & TAKES_FRAMES != 0))
    }

    /// Sends a command with one attribute; the attributes of the answer.
    fn ask(&mut self, family: u16, command: u8, attribute: u16, value: &[u8]) -> io::Result<Vec<u8>> {
        self.sequence = self.sequence.wrapping_add(1);
        let length = HEADERS + 4 + value.len();
        let mut message = Vec::with_capacity(length.next_multiple_of(4));
        message.extend((length.next_multiple_of(4) as u32).to_ne_bytes());
        message.extend(family.to_ne_bytes());
        message.extend(NLM_F_REQUEST.to_ne_bytes());
        message.extend(self.sequence.to_ne_bytes());
        message.extend([0; 4]);
        message.extend([command, 1, 0, 0]);
        message.extend((4 + value.len() as u16).to_ne_bytes());
        message.extend(attribute.to_ne_bytes());
        message.extend(value);
        message.resize(length.next_multiple_of(4), 0);
        self.socket.send(&message, 0)?;
        loop {
            let answer = receive(&self.socket)?;
            if answer.get(8..12) != Some(&self.sequence.to_ne_bytes()[..]) {
                continue;
            }
            if answer.get(4..6) == Some(&NLMSG_ERROR.to_ne_bytes()[..]) {
                let code =
                    answer.get(16..20).and_then(|code| code.try_into().ok()).map_or(0, i32::from_ne_bytes);
                return Err(io::Error::from_raw_os_error(code.saturating_neg()));
            }
            return Ok(answer.get(HEADERS..).unwrap_or_default().to_vec());
        }
    }
}

/// The value of the attribute of that number.
fn attribute(mut bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?) & 0x3fff;
        if kind == wanted {
            return bytes.get(4..length);
        }
        bytes = bytes.get(length.max(4).next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_found_and_broken_ones_are_none() {
        let bytes = [6, 0, 1, 0, 7, 0, 0, 0, 8, 0, 3, 0, 1, 2, 3, 4];
        assert_eq!(attribute(&bytes, 1), Some(&[7, 0][..]));
        assert_eq!(attribute(&bytes, 3), Some(&[1, 2, 3, 4][..]));
        assert_eq!(attribute(&bytes, 2), None);
        for end in 0..bytes.len() {
            assert_eq!(attribute(&bytes[..end], 3), None);
        }
        assert_eq!(attribute(&[0; 8], 3), None);
    }
}
