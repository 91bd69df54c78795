//! Datagrams to a session: no panic, answers of bounded size, and an end to every request that asks for one.
//! Input: pieces (see the library), each a byte (bit 0: unprivileged) and a datagram.
#![no_main]

use ipvs_abi::genetlink::{Message, Messages, number};
use ipvs_fuzz::{Daemon, pieces};
use libfuzzer_sys::fuzz_target;

fn is_end(message: &Message<'_>) -> bool {
    matches!(message.header.kind, number::kind::ERROR | number::kind::DONE)
}

fuzz_target!(|input: &[u8]| {
    let mut daemon = Daemon::new();
    for piece in pieces(input) {
        let Some((&mode, datagram)) = piece.split_first() else { continue };
        let requests: Vec<Message<'_>> = Messages::new(datagram).collect();
        let acknowledged = requests.iter().filter(|request| request.header.has(number::flag::ACK)).count();
        let answers = daemon.answers(mode & 1 == 0, datagram);
        let messages = answers.iter().flat_map(|answer| Messages::new(answer));
        let ends = messages.filter(is_end).count();
        assert!(
            (acknowledged..=requests.len()).contains(&ends),
            "{ends} ends of {} requests, {acknowledged} of which asked for one",
            requests.len()
        );
    }
});
