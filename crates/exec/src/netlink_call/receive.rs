//! Receptions on a generic netlink socket: what the supervisor sent comes as if from the kernel.

use std::os::fd::AsFd;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{RecvFlags, recvfrom};

use ipvs_abi::errno::Errno;

use super::Client;
use super::message_header::{MANY_LENGTH, MANY_RESULT, MessageHeader};
use crate::memory::MOST;
use crate::notification::Outcome;
use crate::syscall;

/// Most bytes of control messages, in words.
const MOST_CONTROL: u64 = 512;

/// Datagrams of one recvmmsg.
const MOST_DATAGRAMS: u64 = 64;

/// Sender of a datagram: no process, no groups.
const KERNEL: [u8; 8] = [0; 8];

/// Why nothing was received here.
enum NotReceived {
    /// The kernel is to do it: nothing of ours is there, or the arguments make no sense.
    Kernels,
    /// The call fails.
    Error(Errno),
}

impl From<Errno> for NotReceived {
    fn from(errno: Errno) -> Self {
        Self::Error(errno)
    }
}

/// Where the results of a reception go, beside the data.
#[derive(Clone, Copy)]
enum Results {
    /// Nowhere: read, readv.
    None,
    /// The length of the sender's address to this place: recvfrom.
    NameLength(u64),
    /// To the struct msghdr at this place.
    Header(u64),
}

/// Answers a call that receives.
pub(super) fn serve(client: &Client<'_>) -> Outcome {
    let [_, base, length, flags, name, name_length] = client.notification.arguments;
    let plain = || MessageHeader::plain(base, length);
    let (header, results, flags) = match client.notification.number {
        libc::SYS_recvmmsg => return receive_many(client, base, length & 0xffff_ffff, flags as i32),
        libc::SYS_recvmsg => (MessageHeader::read(client.memory, base), Results::Header(base), length as i32),
        libc::SYS_recvfrom => {
            let header = plain().map(|header| MessageHeader { name, ..header });
            (header, Results::NameLength(name_length), flags as i32)
        }
        libc::SYS_readv => (MessageHeader::vectors(client.memory, base, length), Results::None, 0),
        _ => (plain(), Results::None, 0),
    };
    let Ok(header) = header else { return Outcome::Continue };
    // Reading nothing is no reception.
    if matches!(results, Results::None) && header.length() == 0 {
        return Outcome::Continue;
    }
    match receive(client, &header, results, flags) {
        Ok(length) => Outcome::Value(length),
        Err(NotReceived::Kernels) => Outcome::Continue,
        Err(NotReceived::Error(errno)) => Outcome::Error(errno),
    }
}

/// Receives datagrams as long as there are some of ours. Fewer than asked for is a valid outcome.
fn receive_many(client: &Client<'_>, vector: u64, count: u64, flags: i32) -> Outcome {
    for position in 0..count.min(MOST_DATAGRAMS) {
        let place = vector.wrapping_add(position * MANY_LENGTH);
        let received = match MessageHeader::read(client.memory, place) {
            Ok(header) => receive(client, &header, Results::Header(place), flags & !libc::MSG_WAITFORONE),
            Err(_) => Err(NotReceived::Kernels),
        };
        let written = received.and_then(|length| {
            let place = place.wrapping_add(MANY_RESULT);
            Ok(client.memory.write(place, &(length as u32).to_ne_bytes())?)
        });
        match written {
            Ok(()) => {}
            Err(_) if position > 0 => return Outcome::Value(position as usize),
            Err(NotReceived::Kernels) => return Outcome::Continue,
            Err(NotReceived::Error(errno)) => return Outcome::Error(errno),
        }
    }
    if count == 0 { Outcome::Continue } else { Outcome::Value(count.min(MOST_DATAGRAMS) as usize) }
}

/// Receives one datagram if the next one is ours; returns what the call returns.
fn receive(
    client: &Client<'_>,
    header: &MessageHeader,
    results: Results,
    flags: i32,
) -> Result<usize, NotReceived> {
    if flags & (libc::MSG_OOB | libc::MSG_ERRQUEUE) != 0 {
        return Err(NotReceived::Kernels);
    }
    let name_room = name_room(client, header, results)?;
    let injector = &client.netlink.injector;
    let more_waits = injector.flush(client.cookie);
    if !is_next_ours(client)? && !more_waits {
        return Err(NotReceived::Kernels);
    }
    // While more waits even the kernel's messages are received here: only after a reception is there room for it.
    if !client.is_waiting() {
        return Err(NotReceived::Kernels);
    }
    let mut data = vec![0; header.length().min(MOST)];
    let mut name = [0; 12];
    let control_words = if header.control == 0 { 0 } else { (header.control_length / 8).min(MOST_CONTROL) };
    let mut control = vec![0u64; control_words as usize];
    let flags = flags | libc::MSG_DONTWAIT;
    let received = syscall::receive_message(client.socket.as_fd(), &mut data, &mut name, &mut control, flags)
        .map_err(|error| match error.raw_os_error() {
            // Another thread was faster: wait as the kernel does.
            Some(libc::EAGAIN) | None => NotReceived::Kernels,
            Some(errno) => NotReceived::Error(Errno(errno)),
        })?;
    let mut control: Vec<u8> = control.iter().flat_map(|word| word.to_ne_bytes()).collect();
    control.truncate(received.control_length);
    if name[4..8] == injector.port().to_ne_bytes() {
        name[4..].copy_from_slice(&KERNEL);
        disown(&mut control);
    }
    injector.flush(client.cookie);

    let memory = client.memory;
    header.scatter(memory, data.get(..received.length.min(data.len())).unwrap_or_default())?;
    if let Some(room) = name_room {
        memory.write(header.name, name.get(..room.min(received.name_length)).unwrap_or_default())?;
    }
    match results {
        Results::None => {}
        Results::NameLength(place) if name_room.is_some() => {
            memory.write(place, &(received.name_length as u32).to_ne_bytes())?;
        }
        Results::NameLength(_) => {}
        Results::Header(place) => {
            memory.write(header.control, &control)?;
            let length = control.len();
            header.write_results(memory, place, received.name_length, length, received.flags)?;
        }
    }
    Ok(received.length)
}

/// How many bytes of the sender's address the caller takes; `None` if it wants none.
fn name_room(
    client: &Client<'_>,
    header: &MessageHeader,
    results: Results,
) -> Result<Option<usize>, NotReceived> {
    if header.name == 0 {
        return Ok(None);
    }
    let room = match results {
        Results::NameLength(place) => {
            client.memory.read_array(place).map(i32::from_ne_bytes).map_err(|_| NotReceived::Kernels)?
        }
        _ => header.name_length,
    };
    usize::try_from(room).map(Some).map_err(|_| NotReceived::Kernels)
}

/// Whether the next datagram is one that the supervisor sent.
///
/// An error that waits on the socket (messages of the kernel's were lost) is taken by the look at it, so it is given to
/// the caller here.
fn is_next_ours(client: &Client<'_>) -> Result<bool, NotReceived> {
    let mut byte = [0u8; 1];
    match recvfrom(&client.socket, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((_, _, sender)) => {
            let sender = sender.and_then(|sender| SocketAddrNetlink::try_from(sender).ok());
            Ok(sender.is_some_and(|sender| sender.pid() == client.netlink.injector.port()))
        }
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(false),
        Err(errno) => Err(NotReceived::Error(Errno(errno.raw_os_error()))),
    }
}

/// Makes the credentials in control messages (SO_PASSCRED) the kernel's: all zero.
fn disown(control: &mut [u8]) {
    let mut rest = control;
    // struct cmsghdr: length (with header) as u64, level, type.
    while let Some((head, body)) = rest.split_first_chunk_mut::<16>() {
        let [l0, l1, l2, l3, l4, l5, l6, l7, v0, v1, v2, v3, t0, t1, t2, t3] = *head;
        let length = u64::from_ne_bytes([l0, l1, l2, l3, l4, l5, l6, l7]);
        let level = i32::from_ne_bytes([v0, v1, v2, v3]);
        let kind = i32::from_ne_bytes([t0, t1, t2, t3]);
        let Some(length) = usize::try_from(length).ok().and_then(|length| length.checked_sub(16)) else {
            return;
        };
        let Some(value) = body.get_mut(..length) else { return };
        if (level, kind) == (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) {
            value.fill(0);
        }
        let next = length.next_multiple_of(8).min(body.len());
        rest = &mut body[next..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn credentials_become_the_kernels_and_other_messages_stay() {
        let message = |kind: i32, value: &[u8]| {
            let mut bytes = (16 + value.len() as u64).to_ne_bytes().to_vec();
            bytes.extend(libc::SOL_SOCKET.to_ne_bytes());
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(value);
            bytes.resize(bytes.len().next_multiple_of(8), 0);
            bytes
        };
        let (other, value) = (message(77, &[5; 4]), [9; 12]);
        let mut control = [other.clone(), message(libc::SCM_CREDENTIALS, &value), other.clone()].concat();
        disown(&mut control);
        assert_eq!(control, [other.clone(), message(libc::SCM_CREDENTIALS, &[0; 12]), other].concat());
    }

    proptest! {
        #[test]
        fn takes_any_control_messages(mut control in prop::collection::vec(any::<u8>(), 0..100), first in 0..40u64) {
            disown(&mut control.clone());
            if control.len() >= 8 {
                control[..8].copy_from_slice(&first.to_ne_bytes());
            }
            disown(&mut control);
        }
    }
}
