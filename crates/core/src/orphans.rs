//! Connections of removed destinations, which `expire_nodest_conn` ends (spec section 9).

use ipvs_flow::EntryIndex;

use crate::destination::DestinationIndex;
use crate::director::Director;
use crate::sysctl::Sysctl;
use crate::translated::is_reply;

/// At most so many entries of the table are looked at in one call, so that packets never wait long.
const WINDOW: u32 = 4096;

/// A walk over the table that ends the connections of removed destinations.
#[derive(Debug, Default)]
pub(crate) struct Orphans {
    /// The entry at which it goes on.
    position: Option<u32>,
}

impl Orphans {
    /// Whether the walk goes on.
    pub(crate) fn is_due(&self) -> bool {
        self.position.is_some()
    }
}

impl Director {
    /// Begins the walk, after a destination was removed, if the setting asks for it.
    pub(crate) fn seek_orphans(&mut self) {
        if self.sysctls.value(Sysctl::ExpireNodestConn) != 0 {
            self.orphans.position = Some(0);
        }
    }

    /// Goes on with the walk.
    pub(crate) fn end_orphans(&mut self) {
        let Some(start) = self.orphans.position else { return };
        let extent = self.connections.table.extent();
        let end = start.saturating_add(WINDOW).min(extent);
        for index in (start..end).map(EntryIndex) {
            self.end_orphan(index);
        }
        self.orphans.position = (end < extent).then_some(end);
    }

    /// Ends a connection of a removed destination, and its template with the last of them.
    fn end_orphan(&mut self, index: EntryIndex) {
        if self.is_orphan(index) {
            let template = self.connections.template_of(index);
            self.connections.remove(&mut self.destinations, index);
            if let Some(template) = template
                && self.is_orphan(template)
            {
                self.connections.remove(&mut self.destinations, template);
            }
        }
    }

    fn is_orphan(&self, index: EntryIndex) -> bool {
        let Some(entry) = self.connections.table.entry(index).filter(|entry| !is_reply(entry)) else {
            return false;
        };
        let destination = self.destinations.get(DestinationIndex(entry.destination()));
        self.connections.controlled(index) == 0
            && !self.is_bypass(index)
            && destination.is_none_or(|destination| !destination.available)
    }
}
