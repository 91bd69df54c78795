//! Reading: version and sizes, services, destinations, page by page.

use crate::command::{Info, Reply, ServiceId};
use crate::director::Director;
use crate::error::Error;

/// Version 1.2.1, that of all kernels since 2.6.
const VERSION: u32 = 0x01_02_01;

impl Director {
    pub(super) fn info(&self) -> Reply {
        Reply::Info(Info {
            version: VERSION,
            table_size: self.config.shown_table_size,
            services: self.services.ipv4(),
        })
    }

    pub(super) fn service(&self, id: ServiceId) -> Result<Reply, Error> {
        let index = self.services.find_id(&id).ok_or(Error::NoSuchService)?;
        let service = self.services.get(index).ok_or(Error::NoSuchService)?;
        Ok(Reply::Service(Box::new(service.info())))
    }

    /// A page costs O(page). Whatever is added or deleted between two pages, a service that was there all the time is
    /// listed exactly once.
    pub(super) fn list_services(&self, cursor: u64, limit: usize) -> Reply {
        let mut rest = self.services.ordered_from(cursor);
        let items = rest.by_ref().take(limit.max(1)).map(|(_, service)| service.info()).collect();
        Reply::Services { items, next: rest.next().map(|(cursor, _)| cursor) }
    }

    /// The cursor is the complement of the next destination's serial, which rises along the list.
    pub(super) fn list_destinations(&self, id: ServiceId, cursor: u64, limit: usize) -> Result<Reply, Error> {
        let index = self.services.find_id(&id).ok_or(Error::NoSuchService)?;
        let service = self.services.get(index).ok_or(Error::NoSuchService)?;
        let start = service.first_at_or_below(&self.destinations, !cursor);
        let end = start.saturating_add(limit.max(1)).min(service.destinations.len());
        let items = service.destinations.range(start..end);
        let items = items.filter_map(|index| self.destinations.get(*index)).map(|it| it.info()).collect();
        let next = service.destinations.get(end).and_then(|index| self.destinations.get(*index));
        Ok(Reply::Destinations { items, next: next.map(|destination| !destination.serial) })
    }
}
