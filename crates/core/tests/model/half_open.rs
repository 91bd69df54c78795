//! Half-open connections on the model: who goes when a service is at its quota, or the table is full.

use crate::state::{Entry, Model};

const PERSISTENT: u32 = 1;
const ONE_PACKET: u32 = 4;

impl Model {
    /// A connection is now in this state.
    pub fn follow_handshake(&mut self, uid: u64, state: &str) {
        let place = (self.uid(), self.service_of(uid));
        let entry = self.entry(uid);
        entry.half_open = match (state, entry.half_open) {
            ("SR" | "SA", None) => Some(place),
            ("SR" | "SA", before) => before,
            _ => None,
        };
    }

    fn service_of(&mut self, connection: u64) -> u64 {
        let destination = self.entry(connection).destination;
        self.destination(destination).service.unwrap_or(0)
    }

    fn half_open(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|it| it.half_open.is_some())
    }

    fn of_service(&self, service: u64) -> usize {
        self.half_open().filter(|it| it.half_open.is_some_and(|(_, of)| of == service)).count()
    }

    fn oldest(&self, service: u64) -> Option<u64> {
        let of = self.half_open().filter(|it| it.half_open.is_some_and(|(_, of)| of == service));
        of.min_by_key(|it| it.half_open).map(|it| it.uid)
    }

    /// Before a connection to a service begins.
    pub fn make_room(&mut self, service: usize, protocol: u16) {
        let (uid, flags) = (self.services[service].uid, self.services[service].flags);
        if protocol == 6 && self.quota > 0 && self.of_service(uid) >= self.quota {
            let oldest = self.oldest(uid);
            self.evict(oldest, 0);
        }
        let one_packet = flags & ONE_PACKET != 0 && protocol == 17;
        let needed = usize::from(!one_packet) + usize::from(flags & PERSISTENT != 0);
        for _ in 0..needed {
            if self.entries.len() + needed > self.capacity {
                // Any of them may go; which ones did is seen. Of two that did, who takes its template along was the last,
                // for that would have been enough.
                let gone = self.half_open().filter(|it| !self.still_there.contains(&it.key()));
                let gone = gone.min_by_key(|it| self.template_that_goes_with(it));
                let gone = gone.or_else(|| self.half_open().next()).map(|it| it.uid);
                self.evict(gone, 1);
            }
        }
    }

    fn evict(&mut self, connection: Option<u64>, reason: usize) {
        let Some(uid) = connection else { return };
        let entry = self.entry(uid).clone();
        let template = self.template_that_goes_with(&entry);
        self.remove(uid);
        self.evictions[reason] += 1;
        self.note(["evicted by quota", "evicted for room"][reason]);
        if let Some(template) = template {
            self.remove(template);
            self.note("evicted with its template");
        }
    }

    /// That of the last of its connections, if none was ever established.
    fn template_that_goes_with(&self, connection: &Entry) -> Option<u64> {
        let template = connection.control.filter(|uid| self.controlled(*uid) == 1)?;
        self.entries.iter().find(|it| it.uid == template && it.state == "NONE").map(|it| it.uid)
    }
}
