//! Time on the model: connections and templates end, the trash is emptied.

use crate::state::{Model, ticks};

const SECOND: u64 = 1_000_000_000;
/// How long a template lives on that still controls connections, seconds.
const POSTPONEMENT: u32 = 60;

impl Model {
    /// Lets time pass until `target`, or until the tick in which a template and the last of its connections end
    /// together: nothing says which comes first. Then their templates are returned; whether such a one has ended, and
    /// not been given 60 seconds more, must be told with [`Model::ended`].
    pub fn advance(&mut self, target: u64) -> Vec<u64> {
        loop {
            let expiry = self.entries.iter().map(|it| it.deadline() << 22).min();
            let due = [expiry, self.trash_timer].into_iter().flatten().map(|at| at.max(self.now)).min();
            let Some(due) = due.filter(|due| *due <= target) else {
                self.now = target;
                return Vec::new();
            };
            self.now = due;
            let uncertain = self.expire();
            if !uncertain.is_empty() {
                self.note("tie");
                return uncertain;
            }
            self.empty_trash();
        }
    }

    /// A template that was returned by [`Model::advance`] has ended.
    pub fn ended(&mut self, template: u64) {
        self.remove(template);
    }

    fn expire(&mut self) -> Vec<u64> {
        let tick = self.tick();
        let due: Vec<_> = self.entries.iter().filter(|it| it.deadline() <= tick).cloned().collect();
        let mut uncertain = Vec::new();
        for template in due.iter().filter(|it| it.template) {
            let controlled = self.controlled(template.uid);
            if controlled == 0 {
                self.remove(template.uid);
                self.note("template expired");
                continue;
            }
            let ends = due.iter().filter(|it| it.control == Some(template.uid)).count();
            if ends == controlled {
                uncertain.push(template.uid);
            }
            self.note("template postponed");
            let template = self.entry(template.uid);
            template.timeout = ticks(POSTPONEMENT);
            template.seen = tick;
        }
        for connection in due.iter().filter(|it| !it.template) {
            self.remove(connection.uid);
            self.note("expired");
        }
        uncertain
    }

    fn empty_trash(&mut self) {
        if self.trash_timer.is_none_or(|timer| self.now < timer) {
            return;
        }
        let mut kept = Vec::new();
        for mut it in std::mem::take(&mut self.trash) {
            let is_used = self.entries.iter().any(|entry| entry.destination == it.destination);
            match it.idle_since {
                _ if is_used => {}
                None => it.idle_since = Some(self.now),
                Some(since) if self.now - since >= 120 * SECOND => {
                    self.destinations.remove(&it.destination);
                    self.note("freed");
                    continue;
                }
                Some(_) => {}
            }
            kept.push(it);
        }
        self.trash = kept;
        self.trash_timer = (!self.trash.is_empty()).then_some(self.now + 60 * SECOND);
    }
}
