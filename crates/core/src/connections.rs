//! The connections: the shared table, the wheel that ends them, which template controls which of them, and what templates
//! of persistence engines stand for.

use ipvs_flow::{Connection, EntryIndex, EntryRef, InsertError, NewConnection, Tick, Wheel, nanos, ticks};

use std::time::Duration;

use crate::destination::{Bound, DestinationIndex, Destinations};
use crate::half_open::HalfOpen;
use crate::memory::ConnectionTable;
use crate::persistence::is_assured;
use crate::template_data::TemplateData;
use crate::time::Instant;

/// Connection flags: the kernel's bits (spec section 2.6), as far as they are kept in the table's 16.
pub(crate) mod flag {
    /// Forwarding method.
    pub(crate) const METHOD: u16 = 0x0007;
    /// The server's packets do not pass here.
    pub(crate) const NO_OUTPUT: u16 = 0x0080;
    /// Counted as inactive.
    pub(crate) const INACTIVE: u16 = 0x0100;
    /// Ours: of a template, that a persistence engine has part in it.
    pub(crate) const OF_ENGINE: u16 = 0x8000;
}

/// The connection table with its expiry.
#[derive(Debug)]
pub(crate) struct Connections {
    pub(crate) table: ConnectionTable,
    pub(crate) half_open: HalfOpen,
    wheel: Wheel,
    control: Control,
    pub(crate) template_data: TemplateData,
    /// When [`Connections::expire`] was last called.
    visited: Instant,
}

/// At most this many timers are looked at in one call of [`Connections::expire`], so that packets never wait long.
const EXPIRY_BUDGET: u32 = 4096;

/// A template whose time has come while it controls connections lives on for so many seconds.
const POSTPONEMENT: u32 = 60;

impl Connections {
    pub(crate) fn new(table: ConnectionTable, half_open_quota: u32, now: Instant) -> Self {
        let wheel = Wheel::new(table.capacity(), tick(now));
        let half_open = HalfOpen::new(half_open_quota, table.capacity());
        let (control, template_data) = (Control::default(), TemplateData::default());
        Self { table, half_open, wheel, control, template_data, visited: now }
    }

    /// Enters a connection and starts its timer.
    pub(crate) fn insert(&mut self, now: Tick, new: &NewConnection) -> Result<EntryIndex, InsertError> {
        let index = self.table.insert(new, now)?;
        self.wheel.schedule(index, now.after(new.timeout));
        Ok(index)
    }

    /// Enters what another table held, as it was there, and starts its timer. `hooked`: lookups shall find it.
    pub(crate) fn take_over(&mut self, old: &Connection, hooked: bool) -> Result<EntryIndex, InsertError> {
        let new = NewConnection {
            key: old.key,
            destination: old.destination,
            destination_port: old.destination_port,
            flags: old.flags,
            state: old.state,
            timeout: old.timeout,
        };
        let index = match hooked {
            true => self.table.insert(&new, old.last_seen)?,
            false => self.table.insert_unhooked(&new, old.last_seen)?,
        };
        if let Some(entry) = self.table.entry(index) {
            entry.set_packets_in(old.packets_in);
        }
        self.wheel.schedule(index, old.last_seen.after(old.timeout));
        Ok(index)
    }

    /// Restarts the timer with `timeout` ticks. The wheel is told only when the end comes nearer; else it finds out
    /// from the entry when it gets there.
    pub(crate) fn restart(&mut self, index: EntryIndex, now: Tick, timeout: u32) {
        let Some(entry) = self.table.entry(index) else { return };
        let shorter = timeout < entry.timeout();
        entry.set_timeout(timeout);
        entry.touch(now);
        if shorter {
            self.wheel.schedule(index, now.after(timeout));
        }
    }

    /// Ends one connection now.
    pub(crate) fn remove(&mut self, destinations: &mut Destinations, index: EntryIndex) {
        self.wheel.cancel(index);
        let Self { table, half_open, control, template_data, .. } = self;
        release(table, control, template_data, half_open, destinations, index);
    }

    /// The destination of a connection or template.
    pub(crate) fn destination_of(&self, index: EntryIndex) -> Option<DestinationIndex> {
        Some(DestinationIndex(self.table.entry(index)?.destination()))
    }

    /// Ends one that the defence picked. Its template goes with it if that controls no other connection and none was
    /// ever established.
    pub(crate) fn end(&mut self, destinations: &mut Destinations, index: EntryIndex) {
        let template = self.template_of(index);
        self.remove(destinations, index);
        if let Some(template) = template
            && self.controlled(template) == 0
            && self.table.entry(template).is_some_and(|entry| !is_assured(entry.state()))
        {
            self.remove(destinations, template);
        }
    }

    /// Ends those whose time has come, at most [`EXPIRY_BUDGET`] of them.
    pub(crate) fn expire(&mut self, destinations: &mut Destinations, now: Instant) {
        self.visited = now;
        let Self { table, half_open, wheel, control, template_data, .. } = self;
        let now = tick(now);
        wheel.advance(now, EXPIRY_BUDGET, |index| {
            let entry = table.entry(index)?;
            // A fast path's clock may be ahead of `now`.
            if !now.reached(entry.deadline()) {
                return Some(entry.deadline());
            }
            if control.count(table, &entry, index) > 0 {
                entry.set_timeout(ticks(POSTPONEMENT));
                entry.touch(now);
                return Some(entry.deadline());
            }
            release(table, control, template_data, half_open, destinations, index);
            None
        });
    }

    /// When [`Connections::expire`] has something to do.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        let visited = tick(self.visited);
        let wait = visited.until(self.wheel.next_due(visited)?);
        Some(self.visited + Duration::from_nanos(nanos(wait)))
    }

    /// Is told before the first persistent service gets a packet.
    pub(crate) fn expect_templates(&mut self) {
        self.control.used = true;
    }

    /// Whether there may be templates.
    pub(crate) fn has_templates(&self) -> bool {
        self.control.used
    }

    /// Puts a connection under the control of the template that it was made by.
    pub(crate) fn put_under(&mut self, connection: EntryIndex, template: EntryIndex) {
        self.control.set(&self.table, connection, template);
    }

    /// The template that controls a connection.
    pub(crate) fn template_of(&self, connection: EntryIndex) -> Option<EntryIndex> {
        if self.control.used { template_in(&self.table, connection) } else { None }
    }

    /// How many connections the template or connection `entry` controls.
    pub(crate) fn controlled(&self, index: EntryIndex) -> u32 {
        self.table.entry(index).map_or(0, |entry| self.control.count(&self.table, &entry, index))
    }
}

/// Takes a connection or template out, with what is counted of it.
fn release(
    table: &ConnectionTable,
    control: &Control,
    template_data: &mut TemplateData,
    half_open: &mut HalfOpen,
    destinations: &mut Destinations,
    index: EntryIndex,
) {
    let Some(entry) = table.entry(index) else { return };
    let destination = DestinationIndex(entry.destination());
    let bound = match entry.flags() & flag::INACTIVE {
        _ if entry.is_template() => Bound::Template,
        0 => Bound::Active,
        _ => Bound::Inactive,
    };
    if table.remove(index) {
        half_open.leave(index);
        control.clear(table, index, bound == Bound::Template);
        if bound == Bound::Template {
            template_data.forget(index);
        }
        destinations.unbind(destination, bound);
    }
}

/// Who controls whom, in the words beside the table: of a connection the index of its template plus one, of a template the
/// number of its connections. All 0 while no service was ever persistent.
#[derive(Debug, Default)]
struct Control {
    used: bool,
}

impl Control {
    fn set(&self, table: &ConnectionTable, connection: EntryIndex, template: EntryIndex) {
        self.clear(table, connection, false);
        table.set_beside(connection, template.0 + 1);
        table.set_beside(template, table.beside(template).unwrap_or(0).saturating_add(1));
    }

    fn clear(&self, table: &ConnectionTable, index: EntryIndex, is_template: bool) {
        if !self.used {
            return;
        }
        let word = table.beside(index).unwrap_or(0);
        table.set_beside(index, 0);
        if !is_template && let Some(template) = word.checked_sub(1).map(EntryIndex) {
            table.set_beside(template, table.beside(template).unwrap_or(0).saturating_sub(1));
        }
    }

    fn count(&self, table: &ConnectionTable, entry: &EntryRef<'_>, index: EntryIndex) -> u32 {
        if self.used && entry.is_template() { table.beside(index).unwrap_or(0) } else { 0 }
    }
}

/// The entry of the template that controls the connection in an entry of a table, which may be another director's.
pub(crate) fn template_in(table: &ConnectionTable, connection: EntryIndex) -> Option<EntryIndex> {
    let is_template = table.entry(connection)?.is_template();
    table.beside(connection).filter(|_| !is_template)?.checked_sub(1).map(EntryIndex)
}

/// The tick of an instant.
pub(crate) fn tick(now: Instant) -> Tick {
    Tick::from_nanos(now.as_nanos())
}
