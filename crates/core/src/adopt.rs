//! Taking over the connections of a director that is gone, from the table that it left.
//!
//! The table may have been left at any instruction. What was being written then is passed over: an entry whose version is odd is
//! a connection that was just beginning or ending. Everything else is entered into the table of this director, so
//! hash chains, free lists, timers and counts are made anew, whatever state the old ones are in.

use core::cmp::Reverse;
use std::collections::BTreeSet;

use ipvs_flow::tcp::State;
use ipvs_flow::{Connection, EntryIndex, Key, MemoryError};

use crate::bypass;
use crate::command::ForwardingMethod;
use crate::connections::{flag, template_in, tick};
use crate::destination::{Bound, DestinationIndex};
use crate::director::Director;
use crate::fast_path::WITHHELD;
use crate::interest::Interest;
use crate::local_pool::{End, Way};
use crate::memory::{ConnectionTable, Lines, TableMemory};
use crate::time::Instant;
use crate::translated::local_in;

/// What came of [`Director::adopt`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Adopted {
    /// Connections taken over.
    pub connections: u32,
    /// Persistence templates taken over.
    pub templates: u32,
    /// Connections and templates for which there was no room.
    pub no_room: u32,
    /// Those of destinations that are not there, templates of persistence engines, whose data were elsewhere, and connections
    /// whose server has not acknowledged its PROXY header: nobody knows where that begins.
    pub unknown: u32,
}

impl Director {
    /// Takes over the connections in the table that lies in `old`. A fast path of the former run may still forward by it. Call it
    /// behind [`Director::restore`], which makes their destinations.
    ///
    /// # Errors
    /// If `old` holds no table of this version, or one with another [`crate::Config::label`]; then nothing was taken over.
    pub fn adopt(&mut self, now: Instant, old: TableMemory) -> Result<Adopted, MemoryError> {
        self.adopt_those(now, old, |_, _| true)
    }

    /// Takes over what a fast path of the former run began behind [`Director::adopt`], until another took its place.
    ///
    /// # Errors
    /// As of [`Director::adopt`].
    pub fn adopt_latest(&mut self, now: Instant, old: TableMemory) -> Result<Adopted, MemoryError> {
        self.adopt_those(now, old, |director, key| {
            !key.template && director.connections.table.find_in(key).is_none()
        })
    }

    fn adopt_those(
        &mut self,
        now: Instant,
        old: TableMemory,
        wanted: impl Fn(&Self, &Key) -> bool,
    ) -> Result<Adopted, MemoryError> {
        let old = ConnectionTable::attach(Lines::Real(old))?;
        if old.label() != self.config.label {
            return Err(MemoryError::Foreign);
        }
        self.connections.table.make_room_for(self.connections.table.len().saturating_add(old.len()));
        let mut adopted = Adopted::default();
        // By old entry the new one plus one, for templates alone.
        let mut templates = vec![0; old.extent().min(old.capacity()) as usize];
        let mut controlled = Vec::new();
        let mut half_open = Vec::new();
        let mut former = BTreeSet::new();
        for index in old.entries_from(0) {
            let unsettled = old.entry(index).map_or(0, |entry| entry.status().unsettled());
            let Some(connection) = old.snapshot(index) else { continue };
            if !wanted(self, &connection.key) {
                continue;
            }
            if connection.flags & flag::REPLY != 0 {
                continue;
            }
            let destination = DestinationIndex(connection.destination);
            let method = ForwardingMethod((connection.flags & flag::METHOD) as u8);
            match self.destinations.get(destination) {
                Some(it) if it.config.forwarding != method && !connection.key.template => {
                    former.insert((destination, method.0));
                }
                Some(_) => {}
                None if destination == bypass::NONE => {}
                None => {
                    adopted.unknown += 1;
                    continue;
                }
            }
            if connection.flags & flag::OF_ENGINE != 0 || is_lost_introduction(&connection) {
                adopted.unknown += 1;
                continue;
            }
            let translated = connection.flags & flag::TRANSLATED != 0;
            let local = local_in(&old, index).filter(|_| translated && !connection.key.template);
            let way = local.and_then(|local| self.retake_local(&connection, local));
            if translated && way.is_none() {
                adopted.unknown += 1;
                continue;
            }
            let hooked = !looks_unhooked(&connection) || old.find_in(&connection.key) == Some(index);
            let Ok(new) = self.connections.take_over(&connection, hooked) else {
                adopted.no_room += 1;
                if let Some((way, port)) = way {
                    self.connections.pools.give_back(way, port);
                }
                continue;
            };
            if let Some((way, port)) = way
                && self.connections.take_over_reply(new, (way.local, port), way.server).is_err()
            {
                adopted.no_room += 1;
                self.connections.pools.give_back(way, port);
                self.connections.withdraw(new);
                continue;
            }
            self.destinations.bind(destination, bound(&connection));
            let Key { template, protocol, .. } = connection.key;
            if template {
                adopted.templates += 1;
                self.connections.expect_control();
                if let Some(place) = templates.get_mut(index.0 as usize) {
                    *place = new.0 + 1;
                }
                continue;
            }
            adopted.connections += 1;
            if unsettled == WITHHELD
                && let Some(entry) = self.connections.table.change(new)
            {
                entry.set_unsettled(WITHHELD);
            }
            let template = template_in(&old, index);
            self.guard(new, protocol, template.is_some());
            controlled.extend(template.map(|template| (new, template)));
            half_open.push((
                Reverse(tick(now).0.wrapping_sub(connection.last_seen.0)),
                new,
                protocol,
                connection.state,
            ));
        }
        for (connection, template) in controlled {
            let new = templates.get(template.0 as usize).and_then(|new: &u32| new.checked_sub(1));
            if let Some(new) = new {
                self.connections.put_under(connection, EntryIndex(new));
            }
        }
        half_open.sort_unstable();
        for (_, entry, protocol, state) in half_open {
            self.reenter_handshake(entry, protocol, state);
        }
        for (destination, method) in former {
            self.hold_former_method(destination, ForwardingMethod(method));
        }
        Ok(adopted)
    }

    /// Takes the local port of a full-NAT connection that another table holds; `None` if its destination is not there, or another
    /// connection has it.
    fn retake_local(&mut self, connection: &Connection, local: End) -> Option<(Way, u16)> {
        let server = self.destinations.get(DestinationIndex(connection.destination))?.id.address;
        let way = Way {
            protocol: connection.key.protocol,
            local: local.0,
            server: (server, connection.destination_port),
        };
        if local.0.is_ipv6() != server.is_ipv6() {
            return None;
        }
        if self.connections.pools.retake(way, local.1)? {
            self.hold_local(local.0);
        }
        Some((way, local.1))
    }

    /// Connections keep the method that they were made with: their servers' answers are needed until they have ended.
    fn hold_former_method(&mut self, index: DestinationIndex, method: ForwardingMethod) {
        let Some(destination) = self.destinations.get_mut(index) else { return };
        if method != ForwardingMethod::MASQUERADE {
            return;
        }
        let id = destination.id;
        for interest in
            Interest::of_server(&destination.service_id, destination.all_ports, id.address, id.port)
        {
            if !destination.interests.contains(&interest) {
                destination.interests.push(interest);
                self.interests.hold(interest);
            }
        }
        self.lingering.push(index);
    }
}

/// A connection with a PROXY header on its way. One in its handshake learns from the server's repeated SYN where it begins.
fn is_lost_introduction(connection: &Connection) -> bool {
    let handshake = [State::SynSent, State::SynRecv, State::SynAck].map(|state| state as u8);
    !connection.key.template
        && connection.flags & (flag::PROXY | flag::PROXY_ARRIVED) == flag::PROXY
        && !handshake.contains(&connection.state)
}

/// As [`ipvs_flow::Table::unhook`] leaves a template; one for port 65535 at a server's port 65535 looks the same.
fn looks_unhooked(connection: &Connection) -> bool {
    let Key { template, virtual_port, .. } = connection.key;
    template && virtual_port == u16::MAX && connection.destination_port == u16::MAX
}

fn bound(connection: &Connection) -> Bound {
    match connection.flags & flag::INACTIVE {
        _ if connection.key.template => Bound::Template,
        0 => Bound::Active,
        _ => Bound::Inactive,
    }
}
