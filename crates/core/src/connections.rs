//! The connections: the shared table, the wheel that ends them, which template controls which of them, and what templates
//! of persistence engines stand for.

pub(crate) use ipvs_flow::flag;
use ipvs_flow::tcp::Direction;
use ipvs_flow::{
    Connection, EntryIndex, EntryRef, InsertError, Moved, NewConnection, Tick, Wheel, nanos, ticks,
};

use std::cell::Cell;
use std::time::Duration;

use crate::destination::{Bound, DestinationIndex, Destinations};
use crate::explain::Copies;
use crate::half_open::HalfOpen;
use crate::helper::Sessions;
use crate::local_pool::Pools;
use crate::memory::{ConnectionTable, Lines, TableMemory};
use crate::persistence::is_assured;
use crate::protocol::Next;
use crate::proxy::Beginnings;
use crate::template_data::TemplateData;
use crate::time::Instant;
use crate::translated::{is_reply, release_reply, reply_of};

/// The connection table with its expiry.
#[derive(Debug)]
pub(crate) struct Connections {
    pub(crate) table: ConnectionTable,
    pub(crate) half_open: HalfOpen,
    wheel: Wheel,
    control: Control,
    pub(crate) template_data: TemplateData,
    pub(crate) sessions: Sessions,
    pub(crate) pools: Pools,
    pub(crate) beginnings: Beginnings,
    /// There was a connection whose payload is read or changed: by a helper, or for a PROXY header.
    pub(crate) reads_payload: bool,
    /// When [`Connections::expire`] was last called.
    visited: Instant,
}

/// What a packet has done to its connection.
pub(crate) struct Advanced {
    pub(crate) moved: Moved,
    /// As in [`Next`].
    pub(crate) assures: bool,
    /// The connection's destination.
    pub(crate) destination: DestinationIndex,
}

/// At most this many timers are looked at in one call of [`Connections::expire`], so that packets never wait long.
const EXPIRY_BUDGET: u32 = 4096;

/// A template whose time has come while it controls connections lives on for so many seconds.
const POSTPONEMENT: u32 = 60;

impl Connections {
    pub(crate) fn new(table: ConnectionTable, half_open_quota: u32, seed: u64, now: Instant) -> Self {
        let wheel = Wheel::new(table.capacity(), tick(now));
        let half_open = HalfOpen::new(half_open_quota, table.capacity());
        let (control, template_data) = (Control::default(), TemplateData::default());
        let (sessions, beginnings, pools) = (Sessions::default(), Beginnings::default(), Pools::new(seed));
        Self {
            table,
            half_open,
            wheel,
            control,
            template_data,
            sessions,
            pools,
            beginnings,
            reads_payload: false,
            visited: now,
        }
    }

    /// Enters a connection and starts its timer.
    pub(crate) fn insert(&mut self, now: Tick, new: &NewConnection) -> Result<EntryIndex, InsertError> {
        let index = self.table.insert(new, now)?;
        self.sessions.waiting += u32::from(new.flags & flag::WAITS != 0);
        self.reads_payload |= new.flags & (flag::HELPED | flag::PROXY) != 0;
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
        self.sessions.waiting += u32::from(new.flags & flag::WAITS != 0);
        self.reads_payload |= new.flags & (flag::HELPED | flag::PROXY) != 0;
        if let Some(entry) = self.table.entry(index) {
            entry.set_packets_in(old.packets_in);
        }
        self.wheel.schedule(index, old.last_seen.after(old.timeout));
        Ok(index)
    }

    /// A packet has come: counts it if it is from the client, moves the connection to the state that `next` says follows its
    /// own, and restarts its timer with what `timeout_of` (ticks) says of that. The wheel is told only when the end comes nearer;
    /// else it finds out from the entry when it gets there. What follows for others is the caller's.
    #[inline]
    pub(crate) fn advance(
        &mut self,
        index: EntryIndex,
        now: Tick,
        direction: Direction,
        next: impl Fn(u8) -> Next,
        timeout_of: impl Fn(u8) -> u32,
    ) -> Option<Advanced> {
        let entry = self.table.change(index)?;
        if direction != Direction::Output {
            entry.count_packet_in();
        }
        let assures = Cell::new(false);
        let moved = entry.advance(|state| {
            let next = next(state);
            assures.set(next.assures);
            (next.state, next.active)
        });
        let shorter = entry.follow_state(moved.to, timeout_of);
        entry.touch(now);
        if shorter {
            self.wheel.schedule(index, entry.deadline());
        }
        Some(Advanced { moved, assures: assures.get(), destination: DestinationIndex(entry.destination()) })
    }

    /// Restarts the timer with `timeout` ticks.
    pub(crate) fn restart(&mut self, index: EntryIndex, now: Tick, timeout: u32) {
        let Some(entry) = self.table.change(index) else { return };
        let shorter = entry.follow_state(entry.state(), |_| timeout);
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
        self.split().1.release(destinations, index);
    }

    /// The timers, and all the rest.
    fn split(&mut self) -> (&mut Wheel, Held<'_>) {
        let Self { table, half_open, wheel, control, template_data, sessions, pools, beginnings, .. } = self;
        (wheel, Held { table, control, template_data, half_open, sessions, pools, beginnings })
    }

    /// Takes out a connection that was entered but not counted yet.
    pub(crate) fn withdraw(&mut self, index: EntryIndex) {
        self.met(index);
        self.wheel.cancel(index);
        self.table.remove(index);
    }

    /// From now on all changes are to copies, and no timer runs; returns the timers.
    pub(crate) fn begin_trial(&mut self, now: Tick) -> Wheel {
        let layout = self.table.layout();
        self.change_memory(|lines| match lines {
            Lines::Real(memory) => Lines::Trial(Box::new(Copies::of(memory, layout))),
            trial => trial,
        });
        self.half_open.begin_trial();
        self.template_data.begin_trial();
        self.sessions.begin_trial();
        self.pools.begin_trial();
        self.beginnings.begin_trial();
        std::mem::replace(&mut self.wheel, Wheel::new(0, now))
    }

    /// Everything is as it was before the trial.
    pub(crate) fn end_trial(&mut self, wheel: Wheel) {
        self.change_memory(|lines| match lines {
            Lines::Trial(copies) => Lines::Real(copies.into_original()),
            real => real,
        });
        self.half_open.end_trial();
        self.template_data.end_trial();
        self.sessions.end_trial();
        self.pools.end_trial();
        self.beginnings.end_trial();
        self.wheel = wheel;
    }

    fn change_memory(&mut self, change: impl FnOnce(Lines) -> Lines) {
        let (layout, hash) = (self.table.layout(), self.table.table_hash());
        let table = |lines| ConnectionTable::known(lines, layout, hash);
        let none = table(Lines::Real(TableMemory::Heap(Box::default())));
        let lines = std::mem::replace(&mut self.table, none).into_memory();
        self.table = table(change(lines));
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
        let (wheel, mut held) = self.split();
        let now = tick(now);
        wheel.advance(now, EXPIRY_BUDGET, |index| {
            let entry = held.table.entry(index)?;
            // A fast path's clock may be ahead of `now`.
            if !now.reached(entry.deadline()) {
                return Some(entry.deadline());
            }
            // Its packets may be noted elsewhere.
            let deadline = held.table.deadline(index, &entry);
            if !now.reached(deadline) {
                return Some(deadline);
            }
            if controlled(held.table, held.control, held.sessions, &entry, index) > 0 {
                if let Some(entry) = held.table.change(index) {
                    entry.set_timeout(ticks(POSTPONEMENT));
                }
                entry.touch(now);
                return Some(entry.deadline());
            }
            held.release(destinations, index);
            None
        });
    }

    /// When [`Connections::expire`] has something to do.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        let visited = tick(self.visited);
        let wait = visited.until(self.wheel.next_due(visited)?);
        Some(self.visited + Duration::from_nanos(nanos(wait)))
    }

    /// Is told before the first service that needs to know who controls whom gets a packet: a persistent one, or one with a helper.
    pub(crate) fn expect_control(&mut self) {
        self.control.used = true;
    }

    /// Whether there may be templates, or data connections.
    pub(crate) fn has_control(&self) -> bool {
        self.control.used
    }

    /// Puts a connection under the control of the template that it was made by.
    pub(crate) fn put_under(&mut self, connection: EntryIndex, template: EntryIndex) {
        self.control.set(&self.table, connection, template);
    }

    /// Puts a data connection under its control connection, which has a session.
    pub(crate) fn put_under_connection(&mut self, data: EntryIndex, control: EntryIndex) {
        self.expect_control();
        self.control.set_controller(&self.table, data, control);
        self.sessions.enter(control, data);
    }

    /// The template or control connection that controls a connection.
    pub(crate) fn controller_of(&self, connection: EntryIndex) -> Option<EntryIndex> {
        let entry = self.table.entry(connection)?;
        if entry.is_template() || is_reply(&entry) {
            None
        } else {
            self.control.controller(&self.table, connection)
        }
    }

    /// The template that controls a connection.
    pub(crate) fn template_of(&self, connection: EntryIndex) -> Option<EntryIndex> {
        let controller = self.controller_of(connection)?;
        self.table.entry(controller)?.is_template().then_some(controller)
    }

    /// How many connections the template or control connection `index` controls.
    pub(crate) fn controlled(&self, index: EntryIndex) -> u32 {
        let Self { table, control, sessions, .. } = self;
        table.entry(index).map_or(0, |entry| controlled(table, control, sessions, &entry, index))
    }

    /// The first packet of an expected connection has come.
    pub(crate) fn met(&mut self, index: EntryIndex) {
        if let Some(entry) = self.table.change(index)
            && entry.flags() & flag::WAITS != 0
        {
            entry.set_flags(entry.flags() & !flag::WAITS);
            self.sessions.waiting = self.sessions.waiting.saturating_sub(1);
        }
    }
}

/// The table, and what is kept of its connections beside it.
struct Held<'c> {
    table: &'c ConnectionTable,
    control: &'c Control,
    template_data: &'c mut TemplateData,
    half_open: &'c mut HalfOpen,
    sessions: &'c mut Sessions,
    pools: &'c mut Pools,
    beginnings: &'c mut Beginnings,
}

impl Held<'_> {
    /// Takes a connection or template out, with what is counted of it.
    fn release(&mut self, destinations: &mut Destinations, index: EntryIndex) {
        let Self { table, control, template_data, half_open, sessions, pools, beginnings } = self;
        // A reply entry goes with its connection.
        let Some(entry) = table.change(index).filter(|entry| !is_reply(entry)) else { return };
        let (reply, controller) = (reply_of(table, index), control.controller(table, index));
        let destination = DestinationIndex(entry.destination());
        // The last change of state by a fast path came before this.
        let flags = entry.close();
        let bound = match flags & flag::INACTIVE {
            _ if entry.is_template() => Bound::Template,
            0 => Bound::Active,
            _ => Bound::Inactive,
        };
        if !table.remove(index) {
            return;
        }
        half_open.leave(index);
        if bound == Bound::Template {
            control.forget(table, index);
            template_data.forget(index);
        } else if let Some(controller) = controller {
            control.forget(table, reply.unwrap_or(index));
            match table.entry(controller) {
                Some(entry) if entry.is_template() => control.leave(table, controller),
                _ => sessions.leave(controller, index),
            }
        }
        if flags & flag::HELPED != 0 {
            sessions.close(index).into_iter().for_each(|data| control.forget(table, place(table, data)));
        }
        if flags & flag::PROXY != 0 {
            beginnings.forget(index);
        }
        if flags & flag::WAITS != 0 {
            sessions.waiting = sessions.waiting.saturating_sub(1);
        }
        if let Some(reply) = reply {
            release_reply(table, pools, index, reply);
        }
        destinations.unbind(destination, bound);
    }
}

/// How many connections an entry controls.
fn controlled(
    table: &ConnectionTable,
    control: &Control,
    sessions: &Sessions,
    entry: &EntryRef<'_>,
    index: EntryIndex,
) -> u32 {
    if entry.is_template() {
        control.count(table, index)
    } else if entry.flags() & flag::HELPED != 0 {
        sessions.data_connections(index)
    } else {
        0
    }
}

/// Who controls whom, in the words beside the table: of a connection the index of its template or control connection plus one (with
/// full NAT beside its reply entry), of a template the number of its connections. All 0 while no service was ever persistent or had a helper.
#[derive(Debug, Default)]
struct Control {
    used: bool,
}

impl Control {
    /// Puts a connection that nobody controls under a template.
    fn set(&self, table: &ConnectionTable, connection: EntryIndex, template: EntryIndex) {
        self.set_controller(table, connection, template);
        table.set_beside(template, self.count(table, template).saturating_add(1));
    }

    fn set_controller(&self, table: &ConnectionTable, connection: EntryIndex, controller: EntryIndex) {
        table.set_beside(place(table, connection), controller.0 + 1);
    }

    /// Nobody controls a connection any more, or a template no connection.
    fn forget(&self, table: &ConnectionTable, index: EntryIndex) {
        if self.used {
            table.set_beside(index, 0);
        }
    }

    /// One connection of a template less.
    fn leave(&self, table: &ConnectionTable, template: EntryIndex) {
        table.set_beside(template, self.count(table, template).saturating_sub(1));
    }

    /// Who controls a connection.
    fn controller(&self, table: &ConnectionTable, connection: EntryIndex) -> Option<EntryIndex> {
        if !self.used {
            return None;
        }
        table.beside(place(table, connection))?.checked_sub(1).map(EntryIndex)
    }

    /// How many connections a template controls.
    fn count(&self, table: &ConnectionTable, template: EntryIndex) -> u32 {
        if self.used { table.beside(template).unwrap_or(0) } else { 0 }
    }
}

/// The entry beside which it stands who controls a connection.
fn place(table: &ConnectionTable, connection: EntryIndex) -> EntryIndex {
    reply_of(table, connection).unwrap_or(connection)
}

/// The entry of the template that controls the connection in an entry of a table, which may be another director's.
pub(crate) fn template_in(table: &ConnectionTable, connection: EntryIndex) -> Option<EntryIndex> {
    let is_template = table.entry(connection)?.is_template();
    let place = place(table, connection);
    let controller = table.beside(place).filter(|_| !is_template)?.checked_sub(1).map(EntryIndex)?;
    table.entry(controller)?.is_template().then_some(controller)
}

/// The tick of an instant.
pub(crate) fn tick(now: Instant) -> Tick {
    Tick::from_nanos(now.as_nanos())
}
