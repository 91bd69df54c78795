//! The connections: the shared table, the wheel that ends them, which template controls which of them, and what templates
//! of persistence engines stand for.

use ipvs_flow::{EntryIndex, EntryRef, InsertError, NewConnection, Tick, Wheel, nanos, ticks};

use std::time::Duration;

use crate::destination::{Bound, DestinationIndex, Destinations};
use crate::half_open::HalfOpen;
use crate::memory::ConnectionTable;
use crate::persistence::is_assured;
use crate::template_data::TemplateData;
use crate::time::Instant;

pub(crate) use ipvs_flow::flag;

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

    /// Restarts the timer with `timeout` ticks.
    pub(crate) fn restart(&mut self, index: EntryIndex, now: Tick, timeout: u32) {
        let state = self.table.entry(index).map_or(0, |entry| entry.state());
        self.restart_in(index, now, state, |_| timeout);
    }

    /// Restarts the timer of a connection that came to `state`, with what `timeout_of` (ticks) says of its state. The wheel is
    /// told only when the end comes nearer; else it finds out from the entry when it gets there.
    pub(crate) fn restart_in(
        &mut self,
        index: EntryIndex,
        now: Tick,
        state: u8,
        timeout_of: impl Fn(u8) -> u32,
    ) {
        let Some(entry) = self.table.entry(index) else { return };
        let shorter = entry.follow_state(state, timeout_of);
        entry.touch(now);
        if shorter {
            self.wheel.schedule(index, entry.deadline());
        }
    }

    /// The end of a connection may have come nearer without a call of [`Connections::restart`].
    pub(crate) fn reschedule(&mut self, index: EntryIndex) {
        if let Some(entry) = self.table.entry(index) {
            self.wheel.schedule(index, entry.deadline());
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
            if control.count(&entry, index) > 0 {
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

    /// Makes room for templates, before the first persistent service gets a packet.
    pub(crate) fn expect_templates(&mut self) {
        let capacity = self.table.capacity() as usize;
        if self.control.0.len() < capacity {
            self.control.0 = vec![0; capacity];
        }
    }

    /// Whether there may be templates.
    pub(crate) fn has_templates(&self) -> bool {
        !self.control.0.is_empty()
    }

    /// Puts a connection under the control of the template that it was made by.
    pub(crate) fn put_under(&mut self, connection: EntryIndex, template: EntryIndex) {
        self.control.set(connection, template);
    }

    /// The template that controls a connection.
    pub(crate) fn template_of(&self, connection: EntryIndex) -> Option<EntryIndex> {
        self.control.template_of(&self.table.entry(connection)?, connection)
    }

    /// How many connections the template or connection `entry` controls.
    pub(crate) fn controlled(&self, index: EntryIndex) -> u32 {
        self.table.entry(index).map_or(0, |entry| self.control.count(&entry, index))
    }
}

/// Takes a connection or template out, with what is counted of it.
fn release(
    table: &ConnectionTable,
    control: &mut Control,
    template_data: &mut TemplateData,
    half_open: &mut HalfOpen,
    destinations: &mut Destinations,
    index: EntryIndex,
) {
    let Some(entry) = table.entry(index) else { return };
    let destination = DestinationIndex(entry.destination());
    // The last change of state by a fast path came before this.
    let bound = match entry.close() & flag::INACTIVE {
        _ if entry.is_template() => Bound::Template,
        0 => Bound::Active,
        _ => Bound::Inactive,
    };
    if table.remove(index) {
        half_open.leave(index);
        control.clear(index, bound == Bound::Template);
        if bound == Bound::Template {
            template_data.forget(index);
        }
        destinations.unbind(destination, bound);
    }
}

/// Who controls whom, beside the table: by entry, of a connection the index of its template plus one, of a template the
/// number of its connections. Empty while no service was ever persistent.
#[derive(Debug, Default)]
struct Control(Vec<u32>);

impl Control {
    fn set(&mut self, connection: EntryIndex, template: EntryIndex) {
        self.clear(connection, false);
        if let Some(word) = self.0.get_mut(connection.0 as usize) {
            *word = template.0 + 1;
        }
        if let Some(count) = self.0.get_mut(template.0 as usize) {
            *count += 1;
        }
    }

    fn clear(&mut self, index: EntryIndex, is_template: bool) {
        let word = self.0.get_mut(index.0 as usize).map_or(0, std::mem::take);
        if !is_template
            && let Some(template) = word.checked_sub(1)
            && let Some(count) = self.0.get_mut(template as usize)
        {
            *count = count.saturating_sub(1);
        }
    }

    fn template_of(&self, entry: &EntryRef<'_>, connection: EntryIndex) -> Option<EntryIndex> {
        if entry.is_template() {
            return None;
        }
        self.0.get(connection.0 as usize)?.checked_sub(1).map(EntryIndex)
    }

    fn count(&self, entry: &EntryRef<'_>, index: EntryIndex) -> u32 {
        if entry.is_template() { self.0.get(index.0 as usize).copied().unwrap_or(0) } else { 0 }
    }
}

/// The tick of an instant.
pub(crate) fn tick(now: Instant) -> Tick {
    Tick::from_nanos(now.as_nanos())
}
