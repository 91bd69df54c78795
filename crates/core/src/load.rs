//! Where a destination's connections are counted: memory of its own, or what a fast path shares.

use core::fmt;
use std::sync::Arc;

use ipvs_flow::{Line, Load};

/// Lines by destination index, which another program counts in too.
pub type SharedLines = Arc<dyn AsRef<[Line]> + Send + Sync>;

/// The place of one destination's [`Load`].
pub(crate) enum LoadPlace {
    Own(Box<Line>),
    Shared(SharedLines, usize),
}

impl LoadPlace {
    /// The place of the destination with that index, all zero: in `shared` if that is long enough.
    pub(crate) fn new(shared: Option<&SharedLines>, index: u32) -> Self {
        let index = index as usize;
        let place = match shared.filter(|lines| index < (***lines).as_ref().len()) {
            Some(lines) => Self::Shared(lines.clone(), index),
            None => Self::Own(Box::default()),
        };
        place.get().set(0, 0);
        place
    }

    /// Goes on counting in `shared`, if that is long enough.
    pub(crate) fn share(&mut self, shared: &SharedLines, index: u32) {
        let (total, active) = (self.get().total(), self.get().active());
        let place = Self::new(Some(shared), index);
        place.get().set(total, active);
        place.get().identify_as(self.get());
        *self = place;
    }

    /// Goes on counting in a copy, which nobody else sees. Returns the place itself.
    pub(crate) fn set_aside(&mut self) -> Self {
        let copy = Self::Own(Box::default());
        copy.get().set(self.get().total(), self.get().active());
        copy.get().identify_as(self.get());
        std::mem::replace(self, copy)
    }

    /// What is counted there.
    #[inline]
    pub(crate) fn get(&self) -> Load<'_> {
        match self {
            Self::Own(line) => Load::of(line),
            Self::Shared(lines, index) => match (**lines).as_ref().get(*index) {
                Some(line) => Load::of(line),
                None => Load::of(&NOWHERE),
            },
        }
    }
}

/// For memory that became shorter, which none does.
static NOWHERE: Line = Line::zeroed();

impl fmt::Debug for LoadPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(formatter)
    }
}
