//! Command lines that make what there is (`-S`).

use core::fmt::Write;

use ipvs_core::{DestinationInfo, ForwardingMethod, ServiceFlags, ServiceId, ServiceInfo, TunnelType};

use super::service_line::mask;
use crate::ipvsadm::names::{Names, protocol_name};
use crate::ipvsadm::scheduler_flags::scheduler_flag_names;

/// The line that adds the service, with its newline.
pub(in crate::ipvsadm) fn service_command(service: &ServiceInfo, names: &mut Names<'_>) -> String {
    let mut line = format!("-A {} -s {}", service_option(&service.id, names), service.scheduler);
    // Writing to a string cannot fail.
    if service.flags.contains(ServiceFlags::PERSISTENT) {
        let _ = write!(line, " -p {}", service.timeout);
        if let Some(mask) = mask(service) {
            let _ = write!(line, " -M {mask}");
        }
    }
    if let Some(engine) = &service.persistence_engine {
        let _ = write!(line, " --pe {engine}");
    }
    if service.flags.contains(ServiceFlags::ONE_PACKET) {
        line.push_str(" -o");
    }
    if let Some(flags) = scheduler_flag_names(service.flags, &service.scheduler) {
        let _ = write!(line, " -b {flags}");
    }
    if let Some(helper) = &service.helper {
        let _ = write!(line, " --helper {helper}");
    }
    line.push('\n');
    line
}

/// The line that adds the destination, with its newline. Thresholds are not saved, as in the original.
pub(in crate::ipvsadm) fn destination_command(
    service: &ServiceId,
    destination: &DestinationInfo,
    names: &mut Names<'_>,
) -> String {
    let config = &destination.config;
    let method = match config.forwarding {
        ForwardingMethod::MASQUERADE => "-m",
        ForwardingMethod::TUNNEL => "-i",
        ForwardingMethod::FULL_NAT => "--full-nat",
        _ => "-g",
    };
    let service_option = service_option(service, names);
    let server = names.endpoint(destination.id.address, destination.id.port, protocol_name(service));
    let mut line = format!("-a {service_option} -r {server} {method} -w {}", config.weight);
    if config.forwarding == ForwardingMethod::TUNNEL {
        let checksum = match config.tunnel.flags {
            0 => "--tun-nocsum",
            flags if flags & 2 != 0 => "--tun-remcsum",
            _ => "--tun-csum",
        };
        let _ = match config.tunnel.kind {
            TunnelType::GUE => {
                write!(line, " --tun-type gue --tun-port {} {checksum}", config.tunnel.port)
            }
            TunnelType::GRE => write!(line, " --tun-type gre {checksum}"),
            _ => write!(line, " --tun-type ipip"),
        };
    }
    if let Some(pool) = &config.local_pool {
        let _ = write!(line, " --local-pool {pool}");
    }
    if config.proxy == Some(true) {
        line.push_str(" --proxy-protocol");
    }
    line.push('\n');
    line
}

fn service_option(id: &ServiceId, names: &mut Names<'_>) -> String {
    match *id {
        // As a signed number, as the original shows it (and then refuses to restore).
        ServiceId::Mark { ipv6, mark } => format!("-f {}{}", mark as i32, if ipv6 { " -6" } else { "" }),
        ServiceId::Address { protocol, address, port } => {
            let option = match protocol {
                17 => "-u",
                132 => "--sctp-service",
                _ => "-t",
            };
            format!("{option} {}", names.endpoint(address, port, protocol_name(id)))
        }
    }
}
