//! Netlink messages of a client: which are for IPVS, and what becomes of those.

use std::ops::ControlFlow;

use ipvs_abi::errno::Errno;
use ipvs_abi::genetlink::number::{command, flag, kind};
use ipvs_abi::genetlink::{Action, FAMILY_ID, Message, Session, decode_request};
use ipvs_core::Error;

use super::answers::Answers;
use crate::daemon::{CallError, Daemon};

/// Whether a message is the daemon's to answer: for the family, or a request for its id. A dump of all families goes to
/// the kernel.
pub(super) fn is_for_ipvs(message: &Message<'_>) -> bool {
    match message.header.kind {
        FAMILY_ID => true,
        kind::NLCTRL => matches!(decode_request(message, false), Ok(Action::DescribeFamily)),
        _ => false,
    }
}

/// Whether a message changes nothing.
fn only_reads(message: &Message<'_>) -> bool {
    message.header.kind == kind::NLCTRL
        || message.header.has(flag::DUMP)
        || message.generic().is_some_and(|(number, _)| {
            matches!(
                number,
                command::GET_SERVICE
                    | command::GET_DEST
                    | command::GET_DAEMON
                    | command::GET_CONFIG
                    | command::GET_INFO
            )
        })
}

/// Bytes of a message with another port id and other flags.
fn encode(message: &Message<'_>, port: u32, flags: u16) -> Vec<u8> {
    let mut bytes = message.header_bytes.to_vec();
    bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..16].copy_from_slice(&port.to_ne_bytes());
    bytes.extend_from_slice(message.payload);
    bytes
}

/// How a client is to be answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    /// Its port id.
    pub(super) port: u32,
    /// Whether it may give commands.
    pub(super) privileged: bool,
    /// Whether its socket has NETLINK_CAP_ACK.
    pub(super) capped: bool,
}

/// The datagrams that answer a message for IPVS. `Err`: the client is gone, nothing was done.
///
/// The daemon is asked with NLM_F_ACK, so that there is an end to its answers. One who may not give commands gets the
/// kernel's refusals without the daemon.
pub(super) fn answer(
    message: &Message<'_>,
    asker: Asker,
    daemon: &Daemon,
    is_wanted: &dyn Fn() -> bool,
) -> Result<Vec<Vec<u8>>, CallError> {
    let request = encode(message, asker.port, message.header.flags | flag::ACK);
    let mut answers = Answers::new(message, asker.port, asker.capped);
    if is_private(message) {
        answers.refuse(Errno::EOPNOTSUPP);
    } else if !asker.privileged {
        let mut session = Session::new();
        session.receive(&request);
        while !session.is_idle() {
            // Nothing is executed for the unprivileged.
            session.step(false, &mut |_| Err(Error::NoSuchService), &mut |datagram| {
                let _ = answers.take(&datagram);
            });
        }
    } else {
        let outcome = daemon.call(only_reads(message), is_wanted, |client| {
            answers.clear();
            client.relay(&request, &mut |datagram| answers.take(datagram))
        });
        match outcome {
            Ok(()) => {}
            Err(CallError::Unwanted) => return Err(CallError::Unwanted),
            Err(CallError::Absent) => answers.refuse(Errno::ENOENT),
            Err(CallError::Refused(errno)) => answers.refuse(errno),
            Err(CallError::Unknown) => answers.refuse(Errno::EIO),
        }
    }
    Ok(answers.finish())
}

/// Whether it is a command that only the control socket knows.
fn is_private(message: &Message<'_>) -> bool {
    message.header.kind == FAMILY_ID
        && message.header.has(flag::REQUEST)
        && message.generic().is_some_and(|(number, _)| number > command::FLUSH)
}

/// What an answer being taken says of those that come after it.
pub(super) type Taken = ControlFlow<()>;

#[cfg(test)]
mod tests {
    use super::*;
    use ipvs_abi::genetlink::{Exchange, Messages, encode_get_family};
    use proptest::prelude::*;
    use std::path::Path;

    fn first(bytes: &[u8]) -> Message<'_> {
        Messages::new(bytes).next().unwrap()
    }

    /// A request for a family by name or id.
    fn get_family(flags: u16, attribute: u16, value: &[u8]) -> Vec<u8> {
        let length = 4 + value.len();
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&((20 + length.next_multiple_of(4)) as u32).to_ne_bytes());
        bytes.extend_from_slice(&0x10u16.to_ne_bytes());
        bytes.extend_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(&[3, 1, 0, 0]);
        bytes.extend_from_slice(&(length as u16).to_ne_bytes());
        bytes.extend_from_slice(&attribute.to_ne_bytes());
        bytes.extend_from_slice(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn takes_requests_for_ipvs_and_leaves_others() {
        assert!(is_for_ipvs(&first(&encode_get_family(1))));
        assert!(is_for_ipvs(&first(&get_family(1, 2, b"IPVS\0"))));
        assert!(is_for_ipvs(&first(&get_family(1, 1, &FAMILY_ID.to_ne_bytes()))));
        assert!(!is_for_ipvs(&first(&get_family(1, 2, b"nlctrl\0"))));
        assert!(!is_for_ipvs(&first(&get_family(1, 1, &16u16.to_ne_bytes()))));
        assert!(!is_for_ipvs(&first(&get_family(0x301, 2, b"IPVS\0"))), "a dump");
        assert!(!is_for_ipvs(&first(&get_family(1, 9, b"IPVS\0"))));
        assert!(is_for_ipvs(&first(&Exchange::new(ipvs_core::Command::Flush, 1).request())));
    }

    const STRANGER: Asker = Asker { port: 77, privileged: false, capped: false };

    fn refusal(request: &[u8], asker: Asker) -> Vec<Vec<u8>> {
        // No daemon is there, and none is asked.
        let daemon = Daemon::new(Path::new("/nonexistent"));
        answer(&first(request), asker, &daemon, &|| true).unwrap()
    }

    #[test]
    fn the_unprivileged_are_refused_here() {
        let mut request = Exchange::new(ipvs_core::Command::Flush, 5).request();
        request[12..16].copy_from_slice(&9u32.to_ne_bytes());
        let [answer] = &refusal(&request, STRANGER)[..] else { panic!("one answer") };
        let message = first(answer);
        assert_eq!((message.header.kind, message.header.flags), (kind::ERROR, 0));
        assert_eq!((message.header.sequence, message.header.port), (5, 77));
        assert_eq!(message.payload[..4], (-1i32).to_ne_bytes());
        assert_eq!(message.payload[4..], request, "the request as it was sent");
        let [answer] = &refusal(&request, Asker { capped: true, ..STRANGER })[..] else {
            panic!("one answer")
        };
        assert_eq!((answer.len(), first(answer).header.flags), (36, flag::CAPPED));
        // They may learn the family's id.
        assert_eq!(refusal(&encode_get_family(1), STRANGER).len(), 2);
    }

    #[test]
    fn private_commands_are_unknown() {
        let request = Exchange::new(ipvs_core::Command::GetStats, 5).request();
        let [answer] = &refusal(&request, Asker { privileged: true, ..STRANGER })[..] else { panic!("one") };
        assert_eq!(first(answer).payload[..4], (-95i32).to_ne_bytes());
    }

    proptest! {
        #[test]
        fn takes_any_datagram(
            mut bytes in prop::collection::vec(any::<u8>(), 0..200),
            family in any::<bool>(),
            whole in any::<bool>(),
        ) {
            if bytes.len() >= 16 {
                if whole {
                    let length = bytes.len() as u32;
                    bytes[..4].copy_from_slice(&length.to_ne_bytes());
                }
                bytes[4..6].copy_from_slice(&(if family { FAMILY_ID } else { 0x10 }).to_ne_bytes());
            }
            for message in Messages::new(&bytes) {
                if is_for_ipvs(&message) {
                    let daemon = Daemon::new(Path::new("/nonexistent"));
                    let answers = answer(&message, STRANGER, &daemon, &|| true).unwrap();
                    for answer in &answers {
                        prop_assert!(first(answer).header.port == 77);
                    }
                    // What is no request is acknowledged at most.
                    let dumps = message.header.has(flag::REQUEST | flag::DUMP);
                    let asks = message.header.has(flag::ACK) || dumps;
                    prop_assert!(!(asks && answers.is_empty()));
                }
            }
        }
    }
}
