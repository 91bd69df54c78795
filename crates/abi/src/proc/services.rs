//! `ip_vs`: services and destinations.

use ipvs_core::{Command, DestinationInfo, ForwardingMethod, Reply, ServiceFlags, ServiceId, ServiceInfo};

use super::{PAGE, bracketed, each_page, protocol_name};

/// Clock ticks per second of Debian's kernel, in which persistence timeouts are shown.
const TICKS_PER_SECOND: u32 = 250;

/// The file's text.
pub(super) fn read<E>(director: &mut dyn FnMut(Command) -> Result<Reply, E>) -> Result<String, E> {
    let (version, size) = match director(Command::GetInfo)? {
        Reply::Info(info) => (info.version, info.table_size),
        _ => (0, 0),
    };
    let [_, major, minor, patch] = version.to_be_bytes();
    let mut text = format!(
        "IP Virtual Server version {major}.{minor}.{patch} (size={size})\n\
         Prot LocalAddress:Port Scheduler Flags\n  \
         -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n"
    );
    let mut services = Vec::new();
    each_page(
        director,
        |cursor| Command::ListServices { cursor, limit: PAGE },
        |reply| match reply {
            Reply::Services { items, next } => {
                services.extend(items);
                next
            }
            _ => None,
        },
    )?;
    for service in services {
        text += &service_line(&service);
        each_page(
            director,
            |cursor| Command::ListDestinations { service: service.id, cursor, limit: PAGE },
            |reply| match reply {
                Reply::Destinations { items, next } => {
                    items.iter().for_each(|destination| text += &destination_line(destination));
                    next
                }
                _ => None,
            },
        )?;
    }
    Ok(text)
}

fn service_line(service: &ServiceInfo) -> String {
    let scheduler = &service.scheduler;
    let one_packet = if service.flags.contains(ServiceFlags::ONE_PACKET) { "ops " } else { "" };
    let mut line = match service.id {
        // The kernel prints no "ops" for IPv6.
        ServiceId::Address { protocol, address, port } if address.is_ipv6() => {
            format!("{}  {}:{port:04X} {scheduler} ", protocol_name(protocol), bracketed(address))
        }
        ServiceId::Address { protocol, address, port } => {
            let (protocol, address) = (protocol_name(protocol), bracketed(address));
            format!("{protocol}  {address}:{port:04X} {scheduler} {one_packet} ")
        }
        ServiceId::Mark { mark, .. } => format!("FWM  {mark:08X} {scheduler} {one_packet}"),
    };
    if service.flags.contains(ServiceFlags::PERSISTENT) {
        let ticks = service.timeout.wrapping_mul(TICKS_PER_SECOND).cast_signed();
        // The kernel takes an IPv6 prefix length for a mask in network byte order too: 64 reads 40000000 on x86.
        let mask = if service.id.is_ipv6() { u32::from_be(service.netmask) } else { service.netmask };
        line += &format!("persistent {ticks} {mask:08X}");
    }
    line + "\n"
}

fn destination_line(destination: &DestinationInfo) -> String {
    let DestinationInfo { id, config, active, inactive, .. } = destination;
    let forwarding = match config.kernel_method() {
        ForwardingMethod::MASQUERADE => "Masq",
        ForwardingMethod::LOCAL => "Local",
        ForwardingMethod::TUNNEL => "Tunnel",
        _ => "Route",
    };
    let (address, port, weight) = (bracketed(id.address), id.port, config.weight);
    format!("  -> {address}:{port:04X}      {forwarding:<7} {weight:<6} {active:<10} {inactive:<10}\n")
}
