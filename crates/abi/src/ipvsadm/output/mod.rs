//! What listings look like.

mod connections;
mod drops;
mod json;
mod number;
mod rows;
mod save;
mod service_line;
mod sync_daemons;
mod titles;

pub(super) use connections::{connection_row, connection_title};
pub(super) use drops::{drops, drops_json};
pub(super) use json::{ServiceJson, ServicesJson, TimeoutsJson, connections_json, to_json};
pub(super) use rows::destination_row;
pub(super) use save::{destination_command, service_command};
pub(super) use service_line::service_row;
pub(super) use sync_daemons::{sync_daemon_row, sync_daemons_json};
pub(super) use titles::{titles, version_line};
