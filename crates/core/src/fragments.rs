//! Fragments, until they are forwarded: those of our connections are dropped, others pass.

use std::net::IpAddr;

use ipvs_wire::Headers;

use crate::verdict::{Reason, Verdict};

/// Which datagrams passed lately: later fragments carry no ports, so they follow their first one.
#[derive(Debug)]
pub(crate) struct Fragments {
    passed: [Option<Datagram>; REMEMBERED],
    next: usize,
}

impl Default for Fragments {
    fn default() -> Self {
        Self { passed: [None; REMEMBERED], next: 0 }
    }
}

/// Enough for the datagrams that are on their way at once through a slow path; more are dropped, never mis-forwarded.
const REMEMBERED: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Datagram {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    identification: u32,
}

impl Datagram {
    fn of(headers: &Headers) -> Self {
        Self {
            source: headers.source,
            destination: headers.destination,
            protocol: headers.protocol,
            identification: headers.identification,
        }
    }
}

impl Fragments {
    /// Remembers that the first fragment of a datagram passed.
    pub(crate) fn passed(&mut self, headers: &Headers) {
        self.passed[self.next % REMEMBERED] = Some(Datagram::of(headers));
        self.next = (self.next + 1) % REMEMBERED;
    }

    /// What becomes of a later fragment.
    pub(crate) fn later(&self, headers: &Headers) -> Verdict {
        if self.passed.contains(&Some(Datagram::of(headers))) {
            Verdict::Pass
        } else {
            Verdict::Drop(Reason::Fragment)
        }
    }
}
