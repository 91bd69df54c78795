//! What a trial changes beside the connection table, kept to be put back.

/// What things were before a trial changed them, by index. Between trials it keeps nothing.
#[derive(Debug)]
pub(crate) struct Journal<T>(Option<Vec<(u32, T)>>);

impl<T> Default for Journal<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Journal<T> {
    /// A trial begins.
    pub(crate) fn begin(&mut self) {
        self.0 = Some(Vec::new());
    }

    /// Whether there is a trial.
    pub(crate) fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// Something is about to change.
    #[inline]
    pub(crate) fn keep(&mut self, index: u32, old: impl FnOnce() -> T) {
        if let Some(kept) = &mut self.0 {
            kept.push((index, old()));
        }
    }

    /// The trial ends: what is to be put back, in this order (the latest change first).
    pub(crate) fn end(&mut self) -> impl Iterator<Item = (u32, T)> + use<T> {
        self.0.take().unwrap_or_default().into_iter().rev()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_two_changes_is_put_back_last() {
        let (mut values, mut journal) = ([1, 2], Journal::default());
        journal.keep(0, || 7);
        journal.begin();
        for (index, value) in [(0, 5), (1, 6), (0, 9)] {
            journal.keep(index, || values[index as usize]);
            values[index as usize] = value;
        }
        assert!(journal.is_open());
        for (index, value) in journal.end() {
            values[index as usize] = value;
        }
        assert_eq!(values, [1, 2]);
        assert!(!journal.is_open());
    }
}
