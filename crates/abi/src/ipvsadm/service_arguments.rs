//! The options that describe a virtual service.

use std::net::Ipv4Addr;

use ipvs_core::{MarkTarget, ServiceConfig, ServiceFlags, ServiceId, helpers};

use super::address::parse_address;
use super::error::UsageError;
use super::inet_aton::inet_aton;
use super::number::{leading_number, number};
use super::option::ServiceKind;
use super::resolver::Resolver;
use super::scheduler_flags::parse_scheduler_flags;

/// The scheduler of a service for which none is named.
const DEFAULT_SCHEDULER: &str = "wlc";

/// Longest name of a scheduler, in bytes; the rest is cut off.
const SCHEDULER_NAME_MAX: usize = 15;

/// Longest name of a persistence engine, in bytes; the rest is cut off.
const PERSISTENCE_ENGINE_NAME_MAX: usize = 16;

/// The name that stands for no helper.
const NO_HELPER: &str = "none";

/// Persistence timeout if `-p` has no number, seconds.
const PERSISTENT_DEFAULT: u32 = 360;

/// Largest timeout, seconds: 31 days.
pub(super) const TIMEOUT_MAX: i64 = 31 * 24 * 3600;

/// Prefix length of an IPv6 service for which no mask is given.
const IPV6_PREFIX: u32 = 128;

/// What the options so far say about the service.
#[derive(Clone, Debug)]
pub(super) struct ServiceArguments {
    id: Option<ServiceId>,
    scheduler: String,
    persistence_engine: String,
    helper: Option<String>,
    timeout: Option<u32>,
    netmask: u32,
    ops: bool,
    scheduler_flags: String,
}

impl Default for ServiceArguments {
    fn default() -> Self {
        Self {
            id: None,
            scheduler: String::new(),
            persistence_engine: String::new(),
            helper: None,
            timeout: None,
            netmask: u32::MAX,
            ops: false,
            scheduler_flags: String::new(),
        }
    }
}

impl ServiceArguments {
    /// The service, once named.
    pub(super) const fn id(&self) -> Option<ServiceId> {
        self.id
    }

    /// `-t`, `-u`, `--sctp-service`, `-f`.
    pub(super) fn set_service(
        &mut self,
        kind: ServiceKind,
        text: &str,
        resolver: &dyn Resolver,
    ) -> Result<(), UsageError> {
        let (protocol, name) = match kind {
            ServiceKind::Tcp => (6, "tcp"),
            ServiceKind::Udp => (17, "udp"),
            ServiceKind::Sctp => (132, "sctp"),
            ServiceKind::Fwmark => {
                let mark = number(text, 1..=i64::from(u32::MAX)).and_then(|mark| u32::try_from(mark).ok());
                let mark = mark.ok_or_else(|| format!("invalid fwmark value `{text}' specified"))?;
                self.id = Some(ServiceId::Mark { ipv6: false, mark });
                return Ok(());
            }
        };
        let (address, port) = parse_address(text, Some(name), resolver)
            .ok_or("illegal virtual server address[:port] specified")?;
        if address.is_ipv6() {
            self.netmask = IPV6_PREFIX;
        }
        self.id = Some(ServiceId::Address { protocol, address, port: port.unwrap_or(0) });
        Ok(())
    }

    /// `-6`: makes a mark's service one of IPv6.
    pub(super) fn set_ipv6(&mut self) -> Result<(), UsageError> {
        match &mut self.id {
            Some(ServiceId::Mark { ipv6, .. }) => *ipv6 = true,
            // The original's message ends in two newlines.
            _ => return Err("-6 used before -f\n".into()),
        }
        self.netmask = IPV6_PREFIX;
        Ok(())
    }

    /// `-s`.
    pub(super) fn set_scheduler(&mut self, name: &str) {
        self.scheduler = truncated(name, SCHEDULER_NAME_MAX);
    }

    /// `--pe`.
    pub(super) fn set_persistence_engine(&mut self, name: &str) {
        self.persistence_engine = truncated(name, PERSISTENCE_ENGINE_NAME_MAX);
    }

    /// `--helper`.
    pub(super) fn set_helper(&mut self, name: &str) -> Result<(), UsageError> {
        if name != NO_HELPER && !helpers().any(|helper| helper.name == name) {
            let names: Vec<&str> = helpers().map(|helper| helper.name).chain([NO_HELPER]).collect();
            return Err(format!("there is no helper `{name}', but {}", names.join(", ")).into());
        }
        self.helper = Some(name.to_owned());
        Ok(())
    }

    /// Whether a helper was named.
    pub(super) const fn has_helper(&self) -> bool {
        self.helper.is_some()
    }

    /// `-p`.
    pub(super) fn set_persistent(&mut self, seconds: Option<&str>) -> Result<(), UsageError> {
        self.timeout = Some(match seconds {
            None => PERSISTENT_DEFAULT,
            Some(text) => number(text, 1..=TIMEOUT_MAX)
                .and_then(|seconds| u32::try_from(seconds).ok())
                .ok_or_else(|| format!("invalid timeout value `{text}' specified"))?,
        });
        Ok(())
    }

    /// `-M`: a prefix length if an IPv6 service was named before, else an IPv4 mask.
    pub(super) fn set_netmask(&mut self, text: &str) -> Result<(), UsageError> {
        self.netmask = if self.id.is_some_and(|id| id.is_ipv6()) {
            // As atoi reads: what follows the digits is ignored.
            let length = leading_number(text).map_or(0, |(length, _)| length);
            u32::try_from(length)
                .ok()
                .filter(|length| (1..=128).contains(length))
                .ok_or("illegal ipv6 netmask specified")?
        } else {
            let mask: Ipv4Addr = inet_aton(text).ok_or("illegal virtual server persistent mask specified")?;
            mask.into()
        };
        Ok(())
    }

    /// `-o`.
    pub(super) const fn set_ops(&mut self) {
        self.ops = true;
    }

    /// `-b`: understood once the scheduler is known.
    pub(super) fn set_scheduler_flags(&mut self, text: &str) {
        text.clone_into(&mut self.scheduler_flags);
    }

    /// A service of all ports must be persistent; one-packet scheduling is refused for protocols with connections.
    pub(super) fn check(&self) -> Result<(), UsageError> {
        match self.id {
            Some(ServiceId::Address { port: 0, .. }) if self.timeout.is_none() => {
                Err("Zero port specified for non-persistent service".into())
            }
            Some(ServiceId::Address { protocol, .. }) if self.ops && protocol != 17 => {
                Err("One-Packet Scheduling is only for UDP virtual services".into())
            }
            Some(ServiceId::Address { protocol, .. }) => {
                let helper = helpers().find(|helper| self.helper.as_deref() == Some(helper.name));
                match helper.filter(|helper| helper.protocol != protocol) {
                    Some(helper) => Err(format!(
                        "the helper `{}' is for {} services",
                        helper.name,
                        if helper.protocol == 17 { "UDP" } else { "TCP" }
                    )
                    .into()),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// What the service is to be.
    pub(super) fn config(&self) -> Result<ServiceConfig, UsageError> {
        let scheduler =
            if self.scheduler.is_empty() { DEFAULT_SCHEDULER.to_owned() } else { self.scheduler.clone() };
        let mut flags = parse_scheduler_flags(&self.scheduler_flags, &scheduler)?;
        if self.timeout.is_some() {
            flags |= ServiceFlags::PERSISTENT;
        }
        if self.ops {
            flags |= ServiceFlags::ONE_PACKET;
        }
        Ok(ServiceConfig {
            scheduler,
            persistence_engine: Some(self.persistence_engine.clone()).filter(|name| !name.is_empty()),
            helper: self.helper.clone(),
            flags,
            flags_mask: u32::MAX,
            timeout: self.timeout.unwrap_or(0),
            netmask: self.netmask,
            target: MarkTarget::default(),
        })
    }
}

/// The protocol by which a service's ports are looked up: TCP for marks.
pub(super) const fn port_protocol(service: &ServiceId) -> &'static str {
    match service {
        ServiceId::Address { protocol: 17, .. } => "udp",
        ServiceId::Address { protocol: 132, .. } => "sctp",
        _ => "tcp",
    }
}

/// The first `length` bytes of `name`, less what would be half a character.
fn truncated(name: &str, length: usize) -> String {
    let end = (0..=length.min(name.len())).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0);
    name.get(..end).unwrap_or_default().to_owned()
}
