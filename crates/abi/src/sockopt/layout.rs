//! The structures, field by field.

use core::net::Ipv4Addr;

use ipvs_core::{
    ConnectionFlags, DestinationConfig, DestinationId, DestinationInfo, ForwardingMethod, MarkTarget,
    ServiceConfig, ServiceId, ServiceInfo, Stats, SyncDaemonConfig, Timeouts, Tunnel,
};

/// Bytes of ip_vs_service_user.
pub(super) const SERVICE: usize = 44;
/// Bytes of ip_vs_dest_user.
pub(super) const DESTINATION: usize = 24;
/// Bytes of ip_vs_service_entry: the service, the number of destinations, statistics.
pub(super) const SERVICE_ENTRY: usize = 104;
/// Bytes of ip_vs_dest_entry.
pub(super) const DESTINATION_ENTRY: usize = 96;
/// Bytes of ip_vs_get_services before the entries.
pub(super) const SERVICES_HEAD: usize = 8;
/// Bytes of ip_vs_get_dests before the entries.
pub(super) const DESTINATIONS_HEAD: usize = 24;
/// Bytes of ip_vs_getinfo.
pub(super) const INFO: usize = 12;
/// Bytes of ip_vs_timeout_user.
pub(super) const TIMEOUTS: usize = 12;
/// Bytes of ip_vs_daemon_user.
pub(super) const DAEMON: usize = 24;
/// Bytes that the version text gets.
pub(super) const VERSION: usize = 64;
/// Where the scheduler's name lies in a service.
const SCHEDULER: usize = 16;
/// Bytes of a name with its NUL: schedulers and interfaces.
const NAME: usize = 16;

/// Reads fields at offsets; bytes beyond the end read as 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl Fields<'_> {
    fn array<const N: usize>(self, offset: usize) -> [u8; N] {
        let mut bytes = [0; N];
        for (to, from) in bytes.iter_mut().zip(self.0.get(offset..).unwrap_or_default()) {
            *to = *from;
        }
        bytes
    }

    pub(super) fn u16(self, offset: usize) -> u16 {
        u16::from_ne_bytes(self.array(offset))
    }

    pub(super) fn be16(self, offset: usize) -> u16 {
        u16::from_be_bytes(self.array(offset))
    }

    pub(super) fn u32(self, offset: usize) -> u32 {
        u32::from_ne_bytes(self.array(offset))
    }

    pub(super) fn i32(self, offset: usize) -> i32 {
        i32::from_ne_bytes(self.array(offset))
    }

    pub(super) fn address(self, offset: usize) -> Ipv4Addr {
        Ipv4Addr::from(self.array(offset))
    }

    /// A name; `None` if no NUL ends it. Bytes that are not UTF-8 are replaced: no name that exists has any.
    pub(super) fn name(self, offset: usize) -> Option<String> {
        let bytes: [u8; NAME] = self.array(offset);
        let end = bytes.iter().position(|&byte| byte == 0)?;
        Some(String::from_utf8_lossy(&bytes[..end]).into_owned())
    }
}

/// ip_vs_service_user.
#[derive(Clone, Debug)]
pub(super) struct ServiceUser {
    pub(super) target: MarkTarget,
    pub(super) mark: u32,
    /// `None` if no NUL ends it.
    pub(super) scheduler: Option<String>,
    flags: u32,
    timeout: u32,
    netmask: u32,
}

impl ServiceUser {
    pub(super) fn read(bytes: &[u8]) -> Self {
        let fields = Fields(bytes);
        Self {
            target: MarkTarget { protocol: fields.u16(0), address: fields.address(4), port: fields.be16(8) },
            mark: fields.u32(12),
            scheduler: fields.name(SCHEDULER),
            flags: fields.u32(32),
            timeout: fields.u32(36),
            netmask: fields.address(40).to_bits(),
        }
    }

    /// The identity: the mark unless it is 0.
    pub(super) const fn id(&self) -> ServiceId {
        service_id(self.target, self.mark)
    }

    /// The settings; `None` if no NUL ends the scheduler's name.
    pub(super) fn config(self) -> Option<ServiceConfig> {
        Some(ServiceConfig {
            scheduler: self.scheduler?,
            persistence_engine: None,
            helper: None,
            flags: self.flags,
            flags_mask: u32::MAX,
            timeout: self.timeout,
            netmask: self.netmask,
            target: self.target,
        })
    }
}

/// The service that a structure with these fields names.
pub(super) const fn service_id(target: MarkTarget, mark: u32) -> ServiceId {
    if mark == 0 {
        let MarkTarget { protocol, address, port } = target;
        ServiceId::Address { protocol, address: core::net::IpAddr::V4(address), port }
    } else {
        ServiceId::Mark { ipv6: false, mark }
    }
}

/// Reads ip_vs_dest_user.
pub(super) fn read_destination(bytes: &[u8]) -> (DestinationId, DestinationConfig) {
    let fields = Fields(bytes);
    let flags = fields.u32(8);
    let id = DestinationId { address: fields.address(0).into(), port: fields.be16(4) };
    let config = DestinationConfig {
        forwarding: ForwardingMethod((flags & 7) as u8),
        flags: ConnectionFlags(flags),
        weight: fields.i32(12),
        upper_threshold: fields.u32(16),
        lower_threshold: fields.u32(20),
        tunnel: Tunnel::default(),
        local_pool: None,
        proxy: None,
    };
    (id, config)
}

/// Reads ip_vs_timeout_user.
pub(super) fn read_timeouts(bytes: &[u8]) -> Timeouts {
    let fields = Fields(bytes);
    Timeouts { tcp: fields.i32(0), tcp_fin: fields.i32(4), udp: fields.i32(8) }
}

/// Reads the state of ip_vs_daemon_user.
pub(super) fn read_daemon_state(bytes: &[u8]) -> u32 {
    Fields(bytes).u32(0)
}

/// Reads what ip_vs_daemon_user says of a daemon; `None` if no NUL ends the interface's name or it is empty.
pub(super) fn read_daemon(bytes: &[u8]) -> Option<SyncDaemonConfig> {
    let fields = Fields(bytes);
    Some(SyncDaemonConfig {
        interface: fields.name(4).filter(|name| !name.is_empty())?,
        sync_id: fields.u32(20),
        max_length: 0,
        group: None,
        port: 0,
        ttl: 0,
        mixed: true,
    })
}

/// Appends a name with zeros up to its 16 bytes.
fn write_name(out: &mut Vec<u8>, name: &str) {
    let end = out.len() + NAME;
    out.extend(name.bytes().take(NAME - 1));
    out.resize(end, 0);
}

/// Appends ip_vs_stats_user; what does not fit wraps, as in the kernel.
fn write_stats(out: &mut Vec<u8>, Stats { counters, rates }: &Stats) {
    for value in [counters.connections, counters.packets_in, counters.packets_out, 0] {
        out.extend_from_slice(&(value as u32).to_ne_bytes());
    }
    for value in [counters.bytes_in, counters.bytes_out] {
        out.extend_from_slice(&value.to_ne_bytes());
    }
    let rates = [rates.connections, rates.packets_in, rates.packets_out, rates.bytes_in, rates.bytes_out, 0];
    for value in rates {
        out.extend_from_slice(&(value as u32).to_ne_bytes());
    }
}

/// Appends ip_vs_service_entry; nothing for an IPv6 service.
pub(super) fn write_service_entry(out: &mut Vec<u8>, info: &ServiceInfo) {
    let (target, mark) = match info.id {
        ServiceId::Address { protocol, address: core::net::IpAddr::V4(address), port } => {
            (MarkTarget { protocol, address, port }, 0)
        }
        ServiceId::Mark { ipv6: false, mark } => (info.target, mark),
        _ => return,
    };
    out.extend_from_slice(&target.protocol.to_ne_bytes());
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&target.address.octets());
    out.extend_from_slice(&target.port.to_be_bytes());
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&mark.to_ne_bytes());
    write_name(out, &info.scheduler);
    out.extend_from_slice(&info.flags.0.to_ne_bytes());
    out.extend_from_slice(&info.timeout.to_ne_bytes());
    out.extend_from_slice(&info.netmask.to_be_bytes());
    out.extend_from_slice(&info.destinations.to_ne_bytes());
    write_stats(out, &info.stats);
}

/// Puts back into the `entry` of a single service what the kernel leaves of the caller's bytes: padding, and the
/// scheduler's field after the name's NUL (seen).
pub(super) fn keep_unwritten(entry: &mut [u8], given: &[u8], scheduler: &str) {
    let name_end = SCHEDULER + scheduler.len() + 1;
    for range in [2..4, 10..12, name_end..SCHEDULER + NAME, 60..64, 100..104] {
        if let (Some(to), Some(from)) = (entry.get_mut(range.clone()), given.get(range)) {
            to.copy_from_slice(from);
        }
    }
}

/// Bits that every destination's flags have: a new connection is inactive (IP_VS_CONN_F_INACTIVE).
const INACTIVE: u32 = 0x100;
/// And unless it masquerades: no packets are looked for that leave (IP_VS_CONN_F_NOOUTPUT).
const NO_OUTPUT: u32 = 0x80;

/// Appends ip_vs_dest_entry; nothing for an IPv6 destination.
pub(super) fn write_destination_entry(out: &mut Vec<u8>, info: &DestinationInfo) {
    let core::net::IpAddr::V4(address) = info.id.address else { return };
    let config = &info.config;
    let forwarding = config.kernel_method();
    let no_output = if forwarding == ForwardingMethod::MASQUERADE { 0 } else { NO_OUTPUT };
    let flags = u32::from(forwarding.0) | config.flags.0 | INACTIVE | no_output;
    out.extend_from_slice(&address.octets());
    out.extend_from_slice(&info.id.port.to_be_bytes());
    out.extend_from_slice(&[0; 2]);
    let counts = [info.active, info.inactive, info.persistent, 0];
    let settings = [flags, config.weight as u32, config.upper_threshold, config.lower_threshold];
    for value in settings.into_iter().chain(counts) {
        out.extend_from_slice(&value.to_ne_bytes());
    }
    write_stats(out, &info.stats);
}

/// Appends ip_vs_timeout_user.
pub(super) fn write_timeouts(out: &mut Vec<u8>, timeouts: Timeouts) {
    for value in [timeouts.tcp, timeouts.tcp_fin, timeouts.udp] {
        out.extend_from_slice(&value.to_ne_bytes());
    }
}

/// Appends ip_vs_daemon_user: of a daemon that runs, or zeros.
pub(super) fn write_daemon(out: &mut Vec<u8>, daemon: Option<(u32, &SyncDaemonConfig)>) {
    let (state, interface, sync_id) =
        daemon.map_or((0, "", 0), |(state, config)| (state, config.interface.as_str(), config.sync_id));
    out.extend_from_slice(&state.to_ne_bytes());
    write_name(out, interface);
    out.extend_from_slice(&sync_id.to_ne_bytes());
}
