//! What connections change of destinations: load, templates and overload, tentatively too.

use super::{Bound, Destination, DestinationIndex, Destinations};
use crate::load::{LoadPlace, SharedLines};

/// A destination's load, templates and overload.
pub(super) type Load = (LoadPlace, u32, bool);

impl Destinations {
    /// Changes of loads are to be taken back from now on.
    pub(crate) fn begin_trial(&mut self) {
        self.before.begin();
    }

    /// Takes back the changes of the trial.
    pub(crate) fn end_trial(&mut self) {
        for (index, (load, persistent, overloaded)) in self.before.end() {
            if let Some(destination) = self.slab.get_mut(index as usize) {
                destination.load = load;
                destination.persistent = persistent;
                destination.overloaded = overloaded;
            }
        }
    }

    /// The destination at `index`, whose load is about to change: in a trial a copy of it, since others may see the load itself.
    #[inline]
    fn load_mut(&mut self, index: DestinationIndex) -> Option<&mut Destination> {
        if self.before.is_open() {
            self.set_load_aside(index);
        }
        self.slab.get_mut(index.0 as usize)
    }

    #[cold]
    fn set_load_aside(&mut self, index: DestinationIndex) {
        if let Some(destination) = self.slab.get_mut(index.0 as usize) {
            self.before.keep(index.0, || {
                let load = destination.load.set_aside();
                (load, destination.persistent, destination.overloaded)
            });
        }
    }

    /// Counts a connection or template at a destination. Reaching the upper threshold overloads it.
    pub(crate) fn bind(&mut self, index: DestinationIndex, bound: Bound) {
        let Some(destination) = self.load_mut(index) else { return };
        if bound == Bound::Template {
            destination.persistent += 1;
            return;
        }
        let total = destination.load.get().enter(bound == Bound::Active);
        let upper = destination.config.upper_threshold;
        if upper != 0 && total == upper {
            destination.overloaded = true;
            self.note_counted(index);
        }
    }

    /// A fast path has counted a connection: thresholds that were set meanwhile are judged.
    pub(crate) fn judge(&mut self, index: DestinationIndex) {
        if let Some(destination) = self.get_mut(index)
            && destination.config.upper_threshold != 0
        {
            destination.judge_overload();
            self.note_counted(index);
        }
    }

    /// Takes back [`Destinations::bind`]; `bound` says as what the connection counts now. Falling from the lower
    /// limit to one less ends the overload.
    pub(crate) fn unbind(&mut self, index: DestinationIndex, bound: Bound) {
        let Some(destination) = self.load_mut(index) else { return };
        if bound == Bound::Template {
            destination.persistent = destination.persistent.saturating_sub(1);
            return;
        }
        let total = destination.load.get().leave(bound == Bound::Active);
        if total.checked_add(1) == Some(destination.lower_limit()) {
            destination.overloaded = false;
            self.note_counted(index);
        }
    }

    /// A connection becomes active or inactive.
    pub(crate) fn set_active(&mut self, index: DestinationIndex, active: bool) {
        let Some(destination) = self.load_mut(index) else { return };
        let load = destination.load.get();
        if active { load.activate() } else { load.deactivate() }
    }

    /// The first identification of the next outer packets, so many, to a destination that may be fragmented.
    pub(crate) fn identify(&mut self, index: DestinationIndex, packets: u16) -> u16 {
        self.load_mut(index).map_or(0, |destination| destination.load.get().identify(index.0, packets))
    }

    /// Counts connections in `lines` from now on, by destination index, as far as those go. For a new director.
    pub(crate) fn share_loads(&mut self, lines: SharedLines) {
        for (index, destination) in &mut self.slab {
            destination.load.share(&lines, index as u32);
        }
        self.shared_loads = Some(lines);
    }
}
