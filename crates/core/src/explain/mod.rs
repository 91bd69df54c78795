//! What would become of a packet, and why, without one: a packet is made, tried on the director by the very way of every
//! packet, and everything that it changed is taken back ([`trial`]). What decides notes what it decided
//! ([`Director::note`]).

mod copies;
pub(crate) mod describe;
mod journal;
mod outcome;
mod question;
#[cfg(test)]
mod sayings;
mod step;
#[cfg(test)]
mod tests;
mod trial;

pub use question::Question;
pub use step::{Fact, Step};

pub(crate) use copies::Copies;
pub(crate) use journal::Journal;
pub(crate) use trial::Trial;

use crate::command::Reply;
use crate::director::Director;
use crate::error::Error;
use crate::host::Host;
use crate::packet::Packet;
use crate::time::Instant;
use crate::verdict::Verdict;
use outcome::Ends;

/// Room before and behind a packet, as the datapath gives it: for outer headers, for an ICMP error in its place.
const ROOM: usize = 256;
const LONGEST_ERROR: usize = 1280;

impl Director {
    pub(crate) fn explain(
        &mut self,
        now: Instant,
        host: &dyn Host,
        question: &Question,
    ) -> Result<Reply, Error> {
        let bytes = question.packet()?;
        let mut buffer = vec![0; ROOM + bytes.len().max(LONGEST_ERROR)];
        if let Some(place) = buffer.get_mut(ROOM..ROOM + bytes.len()) {
            place.copy_from_slice(&bytes);
        }
        let mut packet = Packet::new(&mut buffer, ROOM, bytes.len());
        Ok(Reply::Explanation(self.try_packet(now, host, &mut packet, question.mark).1))
    }

    /// What [`Director::receive`] would say to a packet and make of it, and what was decided on its way; the director stays
    /// as it is, its counters, timers and schedulers included. `mark` is the packet's firewall mark instead of what the
    /// rules say.
    ///
    /// It costs what the packet costs, copies of the few lines of the connection table that it meets and of its service's
    /// scheduler, and an account of at most 64 of the service's destinations.
    pub fn try_packet(
        &mut self,
        now: Instant,
        host: &dyn Host,
        packet: &mut Packet<'_>,
        mark: Option<u32>,
    ) -> (Verdict, Vec<Step>) {
        let before = Ends::read(packet.as_slice());
        let mut steps = vec![outcome::packet(packet.as_slice(), mark)];
        let fast_path =
            before.map(|ends| self.describe_fast_path(packet.as_slice(), &ends, self.match_of(&ends)));
        let begins = before.is_some_and(|ends| self.may_be_begun_by(packet.as_slice(), &ends));
        let aside = self.begin_trial(now, mark);
        let verdict = self.receive(now, host, packet);
        let begun = before.filter(|_| begins).and_then(|ends| self.describe_birth(&ends));
        let after = before.and_then(|ends| self.describe_after(now, &ends));
        steps.extend(self.end_trial(aside));
        steps.extend(after);
        steps.extend(begun.or(fast_path));
        steps.extend(self.describe_verdict(host, verdict, before.as_ref(), packet.as_slice()));
        (verdict, steps)
    }
}
