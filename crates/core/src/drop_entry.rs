//! The defence's hand in the connection table: each second it picks some connections at random and ends those that a
//! flood would have made (spec section 11).

use ipvs_flow::{EntryIndex, Tick, sctp, tcp, ticks};

use crate::command::ServiceFlags;
use crate::connections::tick;
use crate::destination::DestinationIndex;
use crate::director::Director;
use crate::protocol::{SCTP, TCP};
use crate::random::Random;
use crate::time::Instant;
use crate::translated::is_reply;

/// One of so many buckets is picked each second.
const SHARE: u32 = 32;
/// At most so many entries are looked at in one call, so that packets never wait long.
const BUDGET: u32 = 4096;
/// Connections that were idle for less, in seconds, are spared.
const BUSY: u32 = 60;
/// Connections with more packets than this are spared.
const MOST_PACKETS: usize = 8;

/// The picks that are left of this second, and the counters of the lottery.
///
/// The kernel picks hash buckets, with repeats. Here a bucket is a run of entries of the table, as many runs as the
/// kernel has buckets, over the part of the table that was ever used: a connection meets its fate with the same
/// probability, and of neighbours together.
#[derive(Debug)]
pub(crate) struct DropEntries {
    picks: u32,
    buckets: u32,
    random: Random,
    /// For connections of n packets, how many are still kept before one is dropped.
    kept: [u32; MOST_PACKETS + 1],
}

impl DropEntries {
    pub(crate) fn new(seed: u64) -> Self {
        Self { picks: 0, buckets: 1, random: Random::new(seed), kept: [0; MOST_PACKETS + 1] }
    }

    /// Begins a second's picking from `buckets`.
    pub(crate) fn start(&mut self, buckets: u32) {
        self.buckets = buckets.max(1);
        self.picks = buckets / SHARE;
    }

    /// Whether picks are left.
    pub(crate) fn is_due(&self) -> bool {
        self.picks > 0
    }

    /// The lottery: one of n connections that had n packets is to go, if n is small and it was idle.
    fn draws(&mut self, idle: u32, packets: u32) -> bool {
        if idle < ticks(BUSY) || packets == 0 {
            return false;
        }
        let Some(kept) = self.kept.get_mut(packets as usize) else { return false };
        *kept = kept.saturating_sub(1);
        if *kept > 0 {
            return false;
        }
        *kept = packets;
        true
    }
}

impl Director {
    /// Looks at some of the entries that are picked this second.
    pub(crate) fn drop_some_entries(&mut self, now: Instant) {
        let now = tick(now);
        let mut looked = 0;
        while self.drop_entries.picks > 0 && looked < BUDGET {
            self.drop_entries.picks -= 1;
            let DropEntries { buckets, random, .. } = &mut self.drop_entries;
            let length = self.connections.table.extent().div_ceil(*buckets);
            let start = random.below(u64::from(*buckets)) as u32 * length;
            looked += length.max(1);
            for index in start..start.saturating_add(length) {
                let index = EntryIndex(index);
                if self.is_expendable(now, index) {
                    self.connections.end(&mut self.destinations, index);
                }
            }
        }
    }

    /// Whether a flood would have made this connection.
    fn is_expendable(&mut self, now: Tick, index: EntryIndex) -> bool {
        let Some(entry) = self.connections.table.entry(index).filter(|entry| !is_reply(entry)) else {
            return false;
        };
        let (state, protocol) = (entry.state(), entry.key().protocol);
        let draw = if !entry.is_template() {
            if self.connections.controlled(index) > 0 {
                return false;
            }
            match protocol {
                TCP => match tcp::State::from_number(state) {
                    Some(tcp::State::SynRecv | tcp::State::SynAck) => return true,
                    Some(tcp::State::Established) => true,
                    _ => false,
                },
                SCTP => match sctp::State::from_number(state) {
                    Some(sctp::State::Init1 | sctp::State::Init) => return true,
                    Some(sctp::State::Established) => true,
                    _ => false,
                },
                _ => true,
            }
        } else if self.connections.controlled(index) > 0 {
            false
        } else if self.is_of_one_packet_service(DestinationIndex(entry.destination())) {
            true
        } else {
            return !crate::persistence::is_assured(state);
        };
        let table = &self.connections.table;
        let idle = now.since(table.last_seen(index, &entry));
        let packets = table.packets_in(index, &entry);
        draw && self.drop_entries.draws(idle, packets)
    }

    fn is_of_one_packet_service(&self, destination: DestinationIndex) -> bool {
        self.destinations
            .get(destination)
            .and_then(|destination| self.services.get(destination.service?))
            .is_some_and(|service| service.flags.contains(ServiceFlags::ONE_PACKET))
    }
}
