//! What is kept of control connections, beside the connection table, by entry. A connection has a session from its first
//! data on, so a flood of SYNs makes none.

use std::collections::{HashMap, HashSet, VecDeque};

use ipvs_flow::EntryIndex;

use super::Helping;
use super::stream::Stream;
use crate::explain::Journal;

/// Data connections that may wait for their first packet at a time: the next one takes the place of the oldest.
pub(super) const MOST_EXPECTED: usize = 8;

/// What is kept of a control connection.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(super) helper: Helping,
    /// The helper's.
    pub(super) memory: u8,
    /// What the client and the server say, once they have said something.
    pub(super) streams: [Option<Stream>; 2],
    /// Data connections that may still wait for their first packet, the oldest first.
    pub(super) expected: VecDeque<EntryIndex>,
    /// All data connections that there are.
    data: HashSet<EntryIndex>,
}

impl Session {
    fn new(helper: Helping) -> Self {
        let (expected, data) = (VecDeque::new(), HashSet::new());
        Self { helper, memory: 0, streams: [None, None], expected, data }
    }
}

/// The sessions of all control connections.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    of: HashMap<EntryIndex, Box<Session>>,
    /// How many data connections wait for their first packet.
    pub(crate) waiting: u32,
    /// Sessions before a trial, `None` where there was none.
    before: Journal<Option<Box<Session>>>,
    waiting_before: u32,
}

impl Sessions {
    /// From now on changes are noted.
    pub(crate) fn begin_trial(&mut self) {
        self.before.begin();
        self.waiting_before = self.waiting;
    }

    /// Everything is as it was before the trial.
    pub(crate) fn end_trial(&mut self) {
        for (control, session) in self.before.end() {
            match session {
                Some(session) => self.of.insert(EntryIndex(control), session),
                None => self.of.remove(&EntryIndex(control)),
            };
        }
        self.waiting = self.waiting_before;
    }

    /// A session is about to change.
    fn keep(&mut self, control: EntryIndex) {
        self.before.keep(control.0, || self.of.get(&control).cloned());
    }

    pub(super) fn get_mut(&mut self, control: EntryIndex) -> Option<&mut Session> {
        self.keep(control);
        self.of.get_mut(&control).map(Box::as_mut)
    }

    /// The session of a control connection, a new one if need be.
    pub(super) fn open(&mut self, control: EntryIndex, helper: Helping) -> &mut Session {
        self.keep(control);
        self.of.entry(control).or_insert_with(|| Box::new(Session::new(helper)))
    }

    /// How many data connections a control connection has.
    pub(crate) fn data_connections(&self, control: EntryIndex) -> u32 {
        self.of.get(&control).map_or(0, |session| u32::try_from(session.data.len()).unwrap_or(u32::MAX))
    }

    /// `data` is a data connection of `control`, which has a session.
    pub(crate) fn enter(&mut self, control: EntryIndex, data: EntryIndex) {
        if let Some(session) = self.get_mut(control) {
            session.data.insert(data);
        }
    }

    /// The data connection has ended.
    pub(crate) fn leave(&mut self, control: EntryIndex, data: EntryIndex) {
        if let Some(session) = self.get_mut(control) {
            session.data.remove(&data);
            session.expected.retain(|expected| *expected != data);
        }
    }

    /// The control connection has ended: returns its data connections, which nobody controls now.
    pub(crate) fn close(&mut self, control: EntryIndex) -> HashSet<EntryIndex> {
        self.keep(control);
        self.of.remove(&control).map(|session| session.data).unwrap_or_default()
    }

    /// The control connections that have sessions, each with its data connections.
    #[cfg(test)]
    pub(crate) fn all(&self) -> impl Iterator<Item = (EntryIndex, &HashSet<EntryIndex>)> {
        self.of.iter().map(|(control, session)| (*control, &session.data))
    }
}
