//! Adding, deleting and listing rules that give packets their firewall marks.

use crate::command::Reply;
use crate::director::Director;
use crate::error::Error;
use crate::marks::MarkRule;

impl Director {
    pub(super) fn add_mark(&mut self, rule: MarkRule) -> Result<Reply, Error> {
        let rule = rule.canonical()?;
        let interests = rule.interests();
        self.marks.add(rule)?;
        interests.into_iter().for_each(|interest| self.interests.hold(interest));
        Ok(Reply::Done)
    }

    pub(super) fn delete_mark(&mut self, rule: MarkRule) -> Result<Reply, Error> {
        let rule = rule.canonical()?;
        self.marks.delete(&rule)?;
        rule.interests().into_iter().for_each(|interest| self.interests.release(interest));
        Ok(Reply::Done)
    }

    pub(super) fn list_marks(&self, cursor: u64, limit: usize) -> Reply {
        let start = usize::try_from(cursor).unwrap_or(usize::MAX);
        let rest = self.marks.rules().get(start..).unwrap_or_default();
        let items: Vec<_> = rest.iter().take(limit).cloned().collect();
        let next = (items.len() < rest.len()).then(|| cursor.saturating_add(items.len() as u64));
        Reply::Marks { items, next }
    }
}
