//! The line of a destination in a listing.

use ipvs_core::{DestinationInfo, ForwardingMethod, ServiceId, TunnelType};

use super::number::column;
use crate::ipvsadm::command_line::{Columns, Listing};
use crate::ipvsadm::names::{Names, protocol_name};

/// The line, with its newline.
pub(in crate::ipvsadm) fn destination_row(
    service: &ServiceId,
    destination: &DestinationInfo,
    listing: &Listing,
    names: &mut Names<'_>,
) -> String {
    let DestinationInfo { id, config, active, inactive, persistent, stats } = destination;
    let name = names.column(id.address, id.port, protocol_name(service));
    let forward = forwarding_name(config.forwarding);
    let weight = config.weight;
    let rest = match listing.columns {
        Columns::Plain | Columns::Local => format!(" {forward:<7} {weight:<6} {active:<10} {inactive:<10}"),
        Columns::TunInfo => {
            let tunnel = tunnel_info(destination);
            format!(" {forward:<7} {tunnel:<13} {weight:<6} {active:<10} {inactive:<10}")
        }
        Columns::Thresholds => {
            let (upper, lower) = (config.upper_threshold, config.lower_threshold);
            format!(" {upper:<10} {lower:<10} {active:<10} {inactive:<10}")
        }
        Columns::PersistentConn => format!(" {weight:<9} {persistent:<11} {active:<10} {inactive:<10}"),
        Columns::Stats => {
            let it = &stats.counters;
            let numbers = [it.connections, it.packets_in, it.packets_out, it.bytes_in, it.bytes_out];
            numbers.into_iter().map(|value| column(value, listing.exact)).collect()
        }
        Columns::Rate => {
            let it = &stats.rates;
            let (input, output) = (column(it.bytes_in, listing.exact), column(it.bytes_out, listing.exact));
            format!(" {:>8} {:>8} {:>8}{input}{output}", it.connections, it.packets_in, it.packets_out)
        }
    };
    format!("  -> {name:<28}{rest}\n")
}

/// The forwarding method's name in listings.
const fn forwarding_name(method: ForwardingMethod) -> &'static str {
    match method {
        ForwardingMethod::MASQUERADE => "Masq",
        ForwardingMethod::LOCAL => "Local",
        ForwardingMethod::TUNNEL => "Tunnel",
        ForwardingMethod::FULL_NAT => "FullNat",
        _ => "Route",
    }
}

fn tunnel_info(destination: &DestinationInfo) -> String {
    let tunnel = &destination.config.tunnel;
    let checksum = match tunnel.flags {
        0 => "-c",
        flags if flags & 2 != 0 => "r+c",
        _ => "+c",
    };
    match tunnel.kind {
        _ if destination.config.forwarding != ForwardingMethod::TUNNEL => "n/a".to_owned(),
        TunnelType::GUE => format!("gue:{}:{checksum}", tunnel.port),
        TunnelType::GRE => format!("gre:{checksum}"),
        _ => "ipip".to_owned(),
    }
}
