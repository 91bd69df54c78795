//! TFTP (RFC 1350): a server answers a request from a port of its own choosing.

use super::{Expectation, Helper, Reading, Saying, Side, Take};

/// Trivial file transfer.
#[derive(Debug)]
pub(super) struct Tftp;

/// Opcodes of requests to read and to write.
const REQUESTS: [[u8; 2]; 2] = [[0, 1], [0, 2]];

impl Helper for Tftp {
    fn name(&self) -> &'static str {
        "tftp"
    }

    fn usual(&self) -> (u16, u16) {
        (17, 69)
    }

    fn read(&self, saying: &Saying<'_>, _: &mut u8, _: &mut Take<'_>) -> Reading {
        let opcode = saying.text.first_chunk::<2>();
        if saying.side != Side::Client || !opcode.is_some_and(|opcode| REQUESTS.contains(opcode)) {
            return Reading::Nothing;
        }
        Reading::Expect {
            expectation: Expectation::Server { client: saying.client, port_below: false, local_port: None },
            edit: None,
        }
    }
}
