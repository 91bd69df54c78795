//! Sends on a generic netlink socket: what is for IPVS is taken out and answered.

use std::os::fd::AsFd;

use ipvs_abi::errno::Errno;
use ipvs_abi::genetlink::{MAX_REQUEST, Message, Messages};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{SendFlags, getpeername, sendto, sockopt};

use super::Client;
use super::message_header::{MANY_LENGTH, MANY_RESULT, MessageHeader};
use super::request::{Asker, answer, is_for_ipvs};
use super::socket::privileged_user;
use crate::daemon::CallError;
use crate::notification::Outcome;
use crate::privilege::without_capabilities;
use crate::syscall;

/// What the kernel keeps of a socket's send buffer for itself.
const RESERVED: usize = 32;

/// Datagrams of one sendmmsg that are looked at.
const MOST_DATAGRAMS: u64 = 64;

/// Why a datagram was not taken.
enum NotTaken {
    /// It is none of ours, or one that the kernel will refuse better.
    Kernels,
    /// The client is gone.
    Gone,
    /// It fails.
    Error(Errno),
}

impl From<Errno> for NotTaken {
    fn from(errno: Errno) -> Self {
        Self::Error(errno)
    }
}

/// Answers a call that sends.
pub(super) fn serve(client: &Client<'_>) -> Outcome {
    let [_, first, second, flags, ..] = client.notification.arguments;
    let flags = match client.notification.number {
        libc::SYS_sendto | libc::SYS_sendmmsg => flags,
        libc::SYS_sendmsg => second,
        _ => 0,
    };
    // Refused by netlink.
    if flags as i32 & libc::MSG_OOB != 0 {
        return Outcome::Continue;
    }
    if client.notification.number == libc::SYS_sendmmsg {
        return send_many(client, first, (second & 0xffff_ffff).min(MOST_DATAGRAMS));
    }
    let outcome =
        source(client).map_err(|_| NotTaken::Kernels).and_then(|header| send(client, &header, false));
    match outcome {
        Ok(length) => Outcome::Value(length),
        Err(NotTaken::Kernels) => Outcome::Continue,
        Err(NotTaken::Gone) => Outcome::Answered,
        Err(NotTaken::Error(errno)) => Outcome::Error(errno),
    }
}

/// Where the data of the call is.
fn source(client: &Client<'_>) -> Result<MessageHeader, Errno> {
    let [_, base, length, _, name, name_length] = client.notification.arguments;
    match client.notification.number {
        libc::SYS_sendmsg => MessageHeader::read(client.memory, base),
        libc::SYS_writev => MessageHeader::vectors(client.memory, base, length),
        libc::SYS_sendto => {
            Ok(MessageHeader { name, name_length: name_length as i32, ..MessageHeader::plain(base, length)? })
        }
        _ => MessageHeader::plain(base, length),
    }
}

/// Sends datagrams in turn if there is one for IPVS among them, up to the first that cannot be.
fn send_many(client: &Client<'_>, vector: u64, count: u64) -> Outcome {
    let place = |position: u64| vector.wrapping_add(position * MANY_LENGTH);
    let header = |position| MessageHeader::read(client.memory, place(position)).ok();
    let ours = (0..count).filter_map(header).any(|header| {
        header.gather(client.memory).is_ok_and(|data| Messages::new(&data).any(|m| is_for_ipvs(&m)))
    });
    if !ours {
        return Outcome::Continue;
    }
    for position in 0..count {
        let sent = match header(position) {
            Some(header) => send(client, &header, true),
            None => Err(NotTaken::Error(Errno::EFAULT)),
        };
        let written = sent.and_then(|length| {
            let place = place(position).wrapping_add(MANY_RESULT);
            Ok(client.memory.write(place, &(length as u32).to_ne_bytes())?)
        });
        match written {
            Ok(()) => {}
            Err(NotTaken::Gone) => return Outcome::Answered,
            Err(_) if position > 0 => return Outcome::Value(position as usize),
            Err(NotTaken::Error(errno)) => return Outcome::Error(errno),
            Err(NotTaken::Kernels) => return Outcome::Continue,
        }
    }
    Outcome::Value(count as usize)
}

/// Sends one datagram; returns its length. `all`: also one that has nothing for IPVS.
fn send(client: &Client<'_>, header: &MessageHeader, all: bool) -> Result<usize, NotTaken> {
    // Whatever is wrong with the arguments, the kernel says it in its own way.
    let data = header.gather(client.memory).map_err(|_| NotTaken::Kernels)?;
    let messages: Vec<Message<'_>> = Messages::new(&data).collect();
    let any = messages.iter().any(is_for_ipvs);
    if !(any || all) || !goes_to_the_kernel(client, header) {
        return Err(NotTaken::Kernels);
    }
    let room = sockopt::socket_send_buffer_size(&client.socket).map_err(|_| NotTaken::Kernels)?;
    if data.len() > room.saturating_sub(RESERVED) {
        return Err(NotTaken::Kernels);
    }
    if messages.iter().any(|message| message.payload.len() + 16 > MAX_REQUEST) {
        return Err(NotTaken::Error(Errno::EMSGSIZE));
    }
    let capped = syscall::integer_option(&client.socket, libc::SOL_NETLINK, libc::NETLINK_CAP_ACK);
    let asker = Asker {
        port: client.port().map_err(|_| NotTaken::Kernels)?,
        privileged: client.is_privileged(),
        capped: capped.is_ok_and(|capped| capped != 0),
    };
    let Some(daemon) = client.supervisor.daemon_of(&client.socket) else { return Err(NotTaken::Kernels) };
    // What was looked up by the thread's id is the caller's if it still waits now.
    if !client.is_waiting() {
        return Err(NotTaken::Gone);
    }
    for message in &messages {
        if is_for_ipvs(message) {
            let answers =
                answer(message, asker, daemon, &|| client.is_waiting()).map_err(|error| match error {
                    CallError::Unwanted => NotTaken::Gone,
                    _ => NotTaken::Error(Errno::EIO),
                })?;
            client.netlink.injector.push(client.cookie, asker.port, answers)?;
        } else {
            pass_on(client, message);
        }
    }
    Ok(data.len())
}

/// Whether the datagram is for the kernel and not for another process.
fn goes_to_the_kernel(client: &Client<'_>, header: &MessageHeader) -> bool {
    if header.name == 0 || header.name_length == 0 {
        // Where connect(2) has led the socket, or to the kernel.
        return getpeername(&client.socket).is_ok_and(|peer| {
            peer.and_then(|peer| SocketAddrNetlink::try_from(peer).ok())
                .is_none_or(|peer| peer.pid() == 0 && peer.groups() == 0)
        });
    }
    // struct sockaddr_nl: family, padding, port id, groups.
    (12..=128).contains(&header.name_length)
        && client.memory.read_array::<12>(header.name).is_ok_and(|name| {
            u16::from_ne_bytes([name[0], name[1]]) == libc::AF_NETLINK as u16 && name[4..] == [0; 8]
        })
}

/// Gives the kernel a message that shares its datagram with one for IPVS. It is not known to the kernel who sent it, so
/// it gets no privilege.
fn pass_on(client: &Client<'_>, message: &Message<'_>) {
    let mut bytes = message.header_bytes.to_vec();
    bytes.extend_from_slice(message.payload);
    let kernel = SocketAddrNetlink::new(0, 0);
    // Failures show as a missing answer: the call itself has other messages to succeed for.
    let _ = without_capabilities(privileged_user(), || {
        sendto(client.socket.as_fd(), &bytes, SendFlags::DONTWAIT, &kernel)
    });
}
