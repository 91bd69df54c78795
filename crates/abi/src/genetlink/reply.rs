//! Answers, as the server sends them.

use ipvs_core::{Info, Reply, Timeouts};

use crate::errno::Errno;

use super::FAMILY_ID;
use super::connection::write_connection;
use super::destination::write_destination_info;
use super::dropped::write_drop;
use super::explain::write_step;
use super::mark::write_mark;
use super::message::{Header, Message};
use super::number::{attribute, command, flag, info, kind};
use super::pool::write_pool_info;
use super::service::write_service_info;
use super::setting::{write_setting, write_totals};
use super::sync_daemon::write_start;

/// Version of the generic netlink header in answers.
const VERSION: u8 = 1;

/// Appends one message per item of `reply`, with the sequence, port and flags of `header`; nothing for
/// [`Reply::Done`].
pub fn encode_reply(out: &mut Vec<u8>, header: Header, reply: &Reply) {
    let header = Header { kind: FAMILY_ID, ..header };
    match reply {
        Reply::Done => {}
        Reply::Timeouts(Timeouts { tcp, tcp_fin, udp }) => {
            header.write_generic(out, command::SET_CONFIG, VERSION, |writer| {
                writer.u32(attribute::TIMEOUT_TCP, *tcp as u32);
                writer.u32(attribute::TIMEOUT_TCP_FIN, *tcp_fin as u32);
                writer.u32(attribute::TIMEOUT_UDP, *udp as u32);
            });
        }
        Reply::Info(Info { version, table_size, .. }) => {
            header.write_generic(out, command::SET_INFO, VERSION, |writer| {
                writer.u32(info::VERSION, *version);
                writer.u32(info::CONN_TAB_SIZE, *table_size);
            });
        }
        Reply::Stats(totals) => {
            header.write_generic(out, command::GET_STATS, VERSION, |writer| {
                writer.nest(attribute::STATS, |inner| write_totals(inner, totals));
            });
        }
        Reply::Drops(items) => {
            for drop in items {
                header.write_generic(out, command::GET_DROP, VERSION, |writer| {
                    writer.nest(attribute::DROP, |inner| write_drop(inner, drop));
                });
            }
        }
        Reply::Explanation(steps) => {
            for step in steps {
                header.write_generic(out, command::EXPLAIN, VERSION, |writer| {
                    writer.nest(attribute::STEP, |inner| write_step(inner, step));
                });
            }
        }
        Reply::Sysctls(items) => {
            for (sysctl, values) in items {
                header.write_generic(out, command::GET_SYSCTL, VERSION, |writer| {
                    writer.nest(attribute::SYSCTL, |inner| write_setting(inner, *sysctl, Some(values)));
                });
            }
        }
        Reply::SyncDaemons(items) => {
            for (role, config) in items {
                header.write_generic(out, command::NEW_DAEMON, VERSION, |writer| {
                    writer.nest(attribute::DAEMON, |inner| write_start(inner, role.number(), config));
                });
            }
        }
        Reply::Marks { items, .. } => {
            for rule in items {
                header.write_generic(out, command::GET_MARK, VERSION, |writer| {
                    writer.nest(attribute::MARK, |inner| write_mark(inner, rule));
                });
            }
        }
        Reply::Pools { items, .. } => {
            for pool in items {
                header.write_generic(out, command::GET_POOL, VERSION, |writer| {
                    writer.nest(attribute::POOL, |inner| write_pool_info(inner, pool));
                });
            }
        }
        Reply::Service(service) => encode_service(out, header, service),
        Reply::Services { items, .. } => {
            for service in items {
                encode_service(out, header, service);
            }
        }
        Reply::Destinations { items, .. } => {
            for destination in items {
                header.write_generic(out, command::NEW_DEST, VERSION, |writer| {
                    writer.nest(attribute::DEST, |inner| write_destination_info(inner, destination));
                });
            }
        }
        Reply::Connections { items, .. } => {
            for connection in items {
                header.write_generic(out, command::GET_CONNECTION, VERSION, |writer| {
                    writer.nest(attribute::CONNECTION, |inner| write_connection(inner, connection));
                });
            }
        }
    }
}

fn encode_service(out: &mut Vec<u8>, header: Header, service: &ipvs_core::ServiceInfo) {
    header.write_generic(out, command::NEW_SERVICE, VERSION, |writer| {
        writer.nest(attribute::SERVICE, |inner| write_service_info(inner, service));
    });
}

/// Appends the acknowledgement of success: error 0 and the request's header, without its payload.
pub fn encode_acknowledgement(out: &mut Vec<u8>, request: &Message<'_>) {
    answer(request, kind::ERROR, flag::CAPPED).write(out, |out| {
        out.extend_from_slice(&0i32.to_ne_bytes());
        out.extend_from_slice(&request.header_bytes);
    });
}

/// Appends a refusal: the negated errno and the whole request.
pub fn encode_error(out: &mut Vec<u8>, request: &Message<'_>, errno: Errno) {
    answer(request, kind::ERROR, 0).write(out, |out| {
        out.extend_from_slice(&errno.0.saturating_neg().to_ne_bytes());
        out.extend_from_slice(&request.header_bytes);
        out.extend_from_slice(request.payload);
    });
}

/// Appends the end of a dump.
pub fn encode_done(out: &mut Vec<u8>, header: Header) {
    Header { kind: kind::DONE, flags: flag::MULTI, ..header }
        .write(out, |out| out.extend_from_slice(&0i32.to_ne_bytes()));
}

fn answer(request: &Message<'_>, kind: u16, flags: u16) -> Header {
    Header { kind, flags, ..request.header }
}
