//! Socket options from the caller's checks to the director and back: no panic, and answers that lie within the
//! caller's buffer.
//! Input: pieces (see the library), each: a byte (bit 0: get, bit 1: length as given, else that of the data; bit 2:
//! decoded without the checks), a byte added to the first option number, a 32-bit little-endian length, and data.
#![no_main]

use ipvs_abi::genetlink::OptionExchange;
use ipvs_abi::sockopt::{Operation, check, decode_set, number};
use ipvs_fuzz::{Daemon, pieces};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut daemon = Daemon::new();
    for (sequence, piece) in (1..).zip(pieces(input)) {
        let Some((&[mode, option, a, b, c, d], data)) = piece.split_first_chunk::<6>() else { continue };
        let operation = if mode & 1 == 0 { Operation::Set } else { Operation::Get };
        let number = number::BASE + u32::from(option % 24);
        let own = i32::try_from(data.len()).unwrap_or(i32::MAX);
        let length = if mode & 2 == 0 { own } else { i32::from_le_bytes([a, b, c, d]) };
        if mode & 4 != 0 {
            let _ = decode_set(number, data);
        }
        let Ok(copied) = check(operation, number, length, true) else { continue };
        let Some(data) = data.get(..copied) else { continue };
        let room = u32::try_from(length).expect("a length that passed");
        let mut exchange = OptionExchange::new(sequence, room);
        let mut outcome = None;
        for answer in daemon.answers(true, &exchange.request(operation, number, data)) {
            assert!(outcome.is_none(), "an answer after the end");
            outcome = exchange.receive(&answer).expect("an answer that makes sense");
        }
        let Ok(answer) = outcome.expect("an end") else { continue };
        assert!(answer.length <= room);
        let mut end = 0;
        for (offset, bytes) in answer.chunks {
            assert!(u64::from(offset) >= end, "chunks overlap");
            end = u64::from(offset) + bytes.len() as u64;
            assert!(end <= u64::from(room), "a chunk beyond the buffer");
        }
    }
});
