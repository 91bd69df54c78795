//! Listings as JSON (ours alone).

use std::net::{IpAddr, Ipv4Addr};

use ipvs_core::{
    ConnectionInfo, Counters, DestinationInfo, ForwardingMethod, Info, Rates, ServiceFlags, ServiceId,
    ServiceInfo, Timeouts, TunnelType,
};
use serde::Serialize;

use super::connections::protocol_names;
use crate::ipvsadm::scheduler_flags::scheduler_flag_names;

/// One line of JSON with its newline.
pub(in crate::ipvsadm) fn to_json(document: &impl Serialize) -> String {
    // These documents have string keys only, so serialisation cannot fail.
    let mut text = serde_json::to_string_pretty(document).unwrap_or_default();
    text.push('\n');
    text
}

/// `ipvsadm -L --json`.
#[derive(Debug, Serialize)]
pub(in crate::ipvsadm) struct ServicesJson {
    version: String,
    table_size: u32,
    services: Vec<ServiceJson>,
}

impl ServicesJson {
    pub(in crate::ipvsadm) fn new(info: &Info, services: Vec<ServiceJson>) -> Self {
        let [_, major, minor, patch] = info.version.to_be_bytes();
        Self { version: format!("{major}.{minor}.{patch}"), table_size: info.table_size, services }
    }
}

/// A service; either protocol, address and port are there, or the mark.
#[derive(Debug, Serialize)]
pub(in crate::ipvsadm) struct ServiceJson {
    family: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fwmark: Option<u32>,
    scheduler: String,
    scheduler_flags: Vec<String>,
    /// Seconds; null if not persistent.
    persistent: Option<u32>,
    netmask: String,
    persistence_engine: Option<String>,
    helper: Option<String>,
    ops: bool,
    stats: StatsJson,
    rate: RateJson,
    destinations: Vec<DestinationJson>,
}

impl ServiceJson {
    pub(in crate::ipvsadm) fn new(service: &ServiceInfo, destinations: Vec<DestinationJson>) -> Self {
        let (protocol, address, port, fwmark) = match service.id {
            ServiceId::Mark { mark, .. } => (None, None, None, Some(mark)),
            ServiceId::Address { protocol, address, port } => {
                (Some(protocol_text(protocol)), Some(address), Some(port), None)
            }
        };
        let ipv6 = service.id.is_ipv6();
        let flags = scheduler_flag_names(service.flags, &service.scheduler).unwrap_or_default();
        Self {
            family: if ipv6 { "ipv6" } else { "ipv4" },
            protocol,
            address,
            port,
            fwmark,
            scheduler: service.scheduler.clone(),
            scheduler_flags: flags.split(',').filter(|flag| !flag.is_empty()).map(str::to_owned).collect(),
            persistent: service.flags.contains(ServiceFlags::PERSISTENT).then_some(service.timeout),
            netmask: if ipv6 {
                service.netmask.to_string()
            } else {
                Ipv4Addr::from(service.netmask).to_string()
            },
            persistence_engine: service.persistence_engine.clone(),
            helper: service.helper.clone(),
            ops: service.flags.contains(ServiceFlags::ONE_PACKET),
            stats: (&service.stats.counters).into(),
            rate: (&service.stats.rates).into(),
            destinations,
        }
    }
}

fn protocol_text(protocol: u16) -> String {
    match u8::try_from(protocol).map(protocol_names) {
        Ok((_, Some(name))) => name.to_owned(),
        _ => protocol.to_string(),
    }
}

/// A destination.
#[derive(Debug, Serialize)]
pub(in crate::ipvsadm) struct DestinationJson {
    address: IpAddr,
    port: u16,
    forwarding: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    local_pool: Option<String>,
    weight: i32,
    upper_threshold: u32,
    lower_threshold: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    tunnel: Option<TunnelJson>,
    /// The version of the PROXY protocol by which it is told clients' addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy_protocol: Option<u8>,
    active_connections: u32,
    inactive_connections: u32,
    persistent_connections: u32,
    stats: StatsJson,
    rate: RateJson,
}

#[derive(Debug, Serialize)]
struct TunnelJson {
    r#type: &'static str,
    port: u16,
    checksum: &'static str,
}

impl From<&DestinationInfo> for DestinationJson {
    fn from(destination: &DestinationInfo) -> Self {
        let config = &destination.config;
        let tunneled = config.forwarding == ForwardingMethod::TUNNEL;
        Self {
            address: destination.id.address,
            port: destination.id.port,
            forwarding: match config.forwarding {
                ForwardingMethod::MASQUERADE => "masquerading",
                ForwardingMethod::LOCAL => "local",
                ForwardingMethod::TUNNEL => "tunneling",
                ForwardingMethod::BYPASS => "bypass",
                ForwardingMethod::FULL_NAT => "full-nat",
                _ => "direct-routing",
            },
            local_pool: config.local_pool.map(|pool| pool.to_string()),
            weight: config.weight,
            upper_threshold: config.upper_threshold,
            lower_threshold: config.lower_threshold,
            tunnel: tunneled.then_some(TunnelJson {
                r#type: match config.tunnel.kind {
                    TunnelType::GUE => "gue",
                    TunnelType::GRE => "gre",
                    _ => "ipip",
                },
                port: config.tunnel.port,
                checksum: match config.tunnel.flags {
                    0 => "none",
                    flags if flags & 2 != 0 => "remote",
                    _ => "outer",
                },
            }),
            proxy_protocol: (config.proxy == Some(true)).then_some(2),
            active_connections: destination.active,
            inactive_connections: destination.inactive,
            persistent_connections: destination.persistent,
            stats: (&destination.stats.counters).into(),
            rate: (&destination.stats.rates).into(),
        }
    }
}

/// Counters since the last zeroing.
#[derive(Debug, Serialize)]
struct StatsJson {
    connections: u64,
    packets_in: u64,
    packets_out: u64,
    bytes_in: u64,
    bytes_out: u64,
}

impl From<&Counters> for StatsJson {
    fn from(it: &Counters) -> Self {
        Self {
            connections: it.connections,
            packets_in: it.packets_in,
            packets_out: it.packets_out,
            bytes_in: it.bytes_in,
            bytes_out: it.bytes_out,
        }
    }
}

/// Rates per second.
#[derive(Debug, Serialize)]
struct RateJson {
    connections: u64,
    packets_in: u64,
    packets_out: u64,
    bytes_in: u64,
    bytes_out: u64,
}

impl From<&Rates> for RateJson {
    fn from(it: &Rates) -> Self {
        Self {
            connections: it.connections,
            packets_in: it.packets_in,
            packets_out: it.packets_out,
            bytes_in: it.bytes_in,
            bytes_out: it.bytes_out,
        }
    }
}

/// `ipvsadm -L --timeout --json`, seconds.
#[derive(Debug, Serialize)]
pub(in crate::ipvsadm) struct TimeoutsJson {
    tcp: i32,
    tcp_fin: i32,
    udp: i32,
}

impl From<Timeouts> for TimeoutsJson {
    fn from(it: Timeouts) -> Self {
        Self { tcp: it.tcp, tcp_fin: it.tcp_fin, udp: it.udp }
    }
}

/// A connection.
#[derive(Debug, Serialize)]
pub(in crate::ipvsadm) struct ConnectionJson {
    protocol: String,
    state: &'static str,
    expires_seconds: u32,
    client: Endpoint,
    r#virtual: Endpoint,
    /// With full NAT, what the server sees as its client.
    #[serde(skip_serializing_if = "Option::is_none")]
    local: Option<Endpoint>,
    destination: Endpoint,
    #[serde(skip_serializing_if = "Option::is_none")]
    persistence_engine: Option<EngineJson>,
}

/// What a persistence engine has in a template; bytes that are not UTF-8 are replaced.
#[derive(Debug, Serialize)]
struct EngineJson {
    name: String,
    data: String,
}

#[derive(Debug, Serialize)]
struct Endpoint {
    address: IpAddr,
    port: u16,
}

impl From<&ConnectionInfo> for ConnectionJson {
    fn from(it: &ConnectionInfo) -> Self {
        Self {
            protocol: if it.protocol == 0 { "ip".to_owned() } else { protocol_text(it.protocol.into()) },
            state: it.state,
            expires_seconds: it.expires,
            client: Endpoint { address: it.client, port: it.client_port },
            r#virtual: Endpoint { address: it.virtual_address, port: it.virtual_port },
            local: it.local.map(|(address, port)| Endpoint { address, port }),
            destination: Endpoint { address: it.destination, port: it.destination_port },
            persistence_engine: it.engine.as_ref().map(|engine| EngineJson {
                name: engine.name.clone(),
                data: String::from_utf8_lossy(&engine.data).into_owned(),
            }),
        }
    }
}

/// `ipvsadm -L -c --json`.
pub(in crate::ipvsadm) fn connections_json(connections: Vec<ConnectionJson>) -> impl Serialize {
    #[derive(Serialize)]
    struct Document {
        connections: Vec<ConnectionJson>,
    }
    Document { connections }
}
