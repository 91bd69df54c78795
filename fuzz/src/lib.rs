//! What the targets share: a small director on a host of fixed facts, and the form of an input.
#![forbid(unsafe_code)]

use std::net::IpAddr;

use ipvs_abi::genetlink::Session;
use ipvs_core::{AddressKind, Command, Config, Director, Error, Host, Instant, Reply};

/// Steps that one request may take at most: a page has 64 items, and an input makes far fewer.
const STEPS: usize = 1000;
/// Longest answer: the longest request quoted in an error.
const ANSWER: usize = 64 * 1024 + 64;

struct FixedHost;

impl Host for FixedHost {
    fn address_kind(&self, address: IpAddr) -> AddressKind {
        if address.is_multicast() { AddressKind::Other } else { AddressKind::Unicast }
    }

    fn path_mtu(&self, _: IpAddr) -> Option<u32> {
        Some(1500)
    }

    fn interface_mtu(&self, name: &str) -> Option<u32> {
        (name.len() == 3).then_some(1500)
    }

    fn source_address(&self, _: IpAddr) -> Option<IpAddr> {
        None
    }
}

/// A host with routes to everywhere that take packets of any size.
#[derive(Clone, Copy, Debug)]
pub struct Router;

impl Host for Router {
    fn address_kind(&self, _: IpAddr) -> AddressKind {
        AddressKind::Unicast
    }

    fn path_mtu(&self, _: IpAddr) -> Option<u32> {
        Some(65_535)
    }

    fn source_address(&self, _: IpAddr) -> Option<IpAddr> {
        None
    }
}

/// A director with room for few connections.
pub fn director() -> Director {
    let config = Config { capacity: 64, ..Config::default() };
    Director::new(config, Instant::default()).expect("a small table")
}

/// A session in front of a director.
#[derive(Debug)]
pub struct Daemon {
    session: Session,
    director: Director,
}

impl Daemon {
    /// A fresh one.
    pub fn new() -> Self {
        Self { session: Session::new(), director: director() }
    }

    /// All answers to a datagram.
    pub fn answers(&mut self, privileged: bool, datagram: &[u8]) -> Vec<Vec<u8>> {
        let Self { session, director } = self;
        session.receive(datagram);
        let (mut out, mut steps) = (Vec::new(), 0);
        while !session.is_idle() {
            session.step(
                privileged,
                &mut |command: Command| -> Result<Reply, Error> {
                    director.execute(Instant::default(), &FixedHost, command)
                },
                &mut |answer| {
                    assert!(answer.len() <= ANSWER, "an answer of {} bytes", answer.len());
                    out.push(answer);
                },
            );
            steps += 1;
            assert!(steps <= STEPS + datagram.len() / 16, "a datagram that never ends");
        }
        out
    }
}

impl Default for Daemon {
    fn default() -> Self {
        Self::new()
    }
}

/// The pieces of an input: each a 16-bit little-endian length and that many bytes (fewer at the end).
pub fn pieces(mut input: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (head, rest) = input.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_le_bytes(*head)).min(rest.len());
        let (piece, rest) = rest.split_at(length);
        input = rest;
        Some(piece)
    })
}
