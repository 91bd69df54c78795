//! The line of a service in a listing.

use core::fmt::Write;
use std::net::Ipv4Addr;

use ipvs_core::{ServiceFlags, ServiceId, ServiceInfo};

use super::number::column;
use crate::ipvsadm::command_line::{Columns, Listing};
use crate::ipvsadm::names::{Names, protocol_name};
use crate::ipvsadm::scheduler_flags::scheduler_flag_names;

/// The line, with its newline.
pub(in crate::ipvsadm) fn service_row(
    service: &ServiceInfo,
    listing: &Listing,
    names: &mut Names<'_>,
) -> String {
    let name = service_name(&service.id, names);
    let (counters, rates) = (&service.stats.counters, &service.stats.rates);
    let numbers = match listing.columns {
        Columns::Stats => [
            counters.connections,
            counters.packets_in,
            counters.packets_out,
            counters.bytes_in,
            counters.bytes_out,
        ],
        Columns::Rate => {
            [rates.connections, rates.packets_in, rates.packets_out, rates.bytes_in, rates.bytes_out]
        }
        _ => return format!("{name} {}\n", description(service)),
    };
    let numbers: String = numbers.into_iter().map(|value| column(value, listing.exact)).collect();
    format!("{name:<33}{numbers}\n")
}

fn service_name(id: &ServiceId, names: &mut Names<'_>) -> String {
    match *id {
        // As a signed number, as the original shows it.
        ServiceId::Mark { ipv6, mark } => {
            format!("FWM  {}{}", mark as i32, if ipv6 { " IPv6" } else { "" })
        }
        ServiceId::Address { protocol, address, port } => {
            let protocol = match protocol {
                17 => "UDP",
                132 => "SCTP",
                _ => "TCP",
            };
            format!("{protocol:<4} {}", names.column(address, port, protocol_name(id)))
        }
    }
}

fn description(service: &ServiceInfo) -> String {
    let mut text = service.scheduler.clone();
    // Writing to a string cannot fail.
    if let Some(flags) = scheduler_flag_names(service.flags, &service.scheduler) {
        let _ = write!(text, " ({flags})");
    }
    if service.flags.contains(ServiceFlags::PERSISTENT) {
        let _ = write!(text, " persistent {}", service.timeout);
        if let Some(mask) = mask(service) {
            let _ = write!(text, " mask {mask}");
        }
        if let Some(engine) = &service.persistence_engine {
            let _ = write!(text, " pe {engine}");
        }
    }
    if service.flags.contains(ServiceFlags::ONE_PACKET) {
        text.push_str(" ops");
    }
    if let Some(helper) = &service.helper {
        let _ = write!(text, " helper {helper}");
    }
    text
}

/// The persistence granularity, unless it is each client for itself.
pub(super) fn mask(service: &ServiceInfo) -> Option<String> {
    if service.id.is_ipv6() {
        (service.netmask != 128).then(|| service.netmask.to_string())
    } else {
        (service.netmask != u32::MAX).then(|| Ipv4Addr::from(service.netmask).to_string())
    }
}
