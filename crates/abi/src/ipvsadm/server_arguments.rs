//! The options that describe a real server.

use ipvs_core::{
    ConnectionFlags, DestinationConfig, DestinationId, ForwardingMethod, PoolName, ServiceId, Tunnel,
    TunnelType,
};

use super::address::parse_address;
use super::error::UsageError;
use super::number::number;
use super::option::{OptionName, OptionSet};
use super::resolver::Resolver;
use super::service_arguments::port_protocol;

/// IP protocol number of TCP.
const TCP: u16 = 6;

/// Flags of a tunnel: outer checksum, remote checksum offload (IP_VS_TUNNEL_ENCAP_FLAG_*).
const TUNNEL_CSUM: u16 = 1;
const TUNNEL_REMCSUM: u16 = 2;

/// What full NAT without a pool is told.
const NO_POOL: &str = "Full NAT takes the addresses that servers see from a pool: add --local-pool NAME, a pool that `ipvsd pool add NAME \
                       ADDRESS...` made";

/// The options of encapsulations, in the order in which they are checked.
const TUNNEL_OPTIONS: [OptionName; 4] =
    [OptionName::TunPort, OptionName::TunNocsum, OptionName::TunCsum, OptionName::TunRemcsum];

/// What the options so far say about the real server.
#[derive(Clone, Debug)]
pub(super) struct ServerArguments {
    id: Option<DestinationId>,
    forwarding: ForwardingMethod,
    weight: i32,
    upper_threshold: u32,
    lower_threshold: u32,
    tunnel: Tunnel,
    local_pool: Option<PoolName>,
    proxy: Option<bool>,
}

impl Default for ServerArguments {
    fn default() -> Self {
        Self {
            id: None,
            forwarding: ForwardingMethod::DIRECT,
            weight: 1,
            upper_threshold: 0,
            lower_threshold: 0,
            tunnel: Tunnel::default(),
            local_pool: None,
            proxy: None,
        }
    }
}

impl ServerArguments {
    /// `-r`. Without a port it has that of the service, if the service was named before; names of ports are known only
    /// then.
    pub(super) fn set_server(
        &mut self,
        text: &str,
        service: Option<ServiceId>,
        resolver: &dyn Resolver,
    ) -> Result<(), UsageError> {
        let protocol = service.map(|service| port_protocol(&service));
        let (address, port) =
            parse_address(text, protocol, resolver).ok_or("illegal real server address[:port] specified")?;
        let port = port.or(service.and_then(service_port)).unwrap_or(0);
        self.id = Some(DestinationId { address, port });
        Ok(())
    }

    /// `-m`, `-i`, `-g`, `--full-nat`.
    pub(super) const fn set_forwarding(&mut self, method: ForwardingMethod) {
        self.forwarding = method;
    }

    /// `-w`.
    pub(super) fn set_weight(&mut self, text: &str) -> Result<(), UsageError> {
        let weight = number(text, 0..=i64::from(i32::MAX)).and_then(|weight| i32::try_from(weight).ok());
        self.weight = weight.ok_or("illegal weight specified")?;
        Ok(())
    }

    /// `-x`.
    pub(super) fn set_upper_threshold(&mut self, text: &str) -> Result<(), UsageError> {
        self.upper_threshold = threshold(text).ok_or("illegal u_threshold specified")?;
        Ok(())
    }

    /// `-y`.
    pub(super) fn set_lower_threshold(&mut self, text: &str) -> Result<(), UsageError> {
        self.lower_threshold = threshold(text).ok_or("illegal l_threshold specified")?;
        Ok(())
    }

    /// `--local-pool`.
    pub(super) fn set_local_pool(&mut self, text: &str) -> Result<(), UsageError> {
        if self.local_pool.is_some() {
            return Err("multiple 'local-pool' options specified".into());
        }
        let name = PoolName::new(text).map_err(|error| format!("illegal pool name '{text}': {error}"))?;
        self.local_pool = Some(name);
        Ok(())
    }

    /// Whether there is a pool.
    pub(super) const fn has_local_pool(&self) -> bool {
        self.local_pool.is_some()
    }

    /// `--tun-type`.
    pub(super) fn set_tunnel_type(&mut self, text: &str) -> Result<(), UsageError> {
        self.tunnel.kind = match text {
            "ipip" => TunnelType::IPIP,
            "gue" => TunnelType::GUE,
            "gre" => TunnelType::GRE,
            _ => return Err("illegal tunnel type specified".into()),
        };
        Ok(())
    }

    /// `--tun-port`.
    pub(super) fn set_tunnel_port(&mut self, text: &str) -> Result<(), UsageError> {
        let port = number(text, 1..=65535).and_then(|port| u16::try_from(port).ok());
        self.tunnel.port = port.ok_or("illegal tunnel port specified")?;
        Ok(())
    }

    /// `--tun-csum`.
    pub(super) const fn set_tunnel_csum(&mut self) {
        self.tunnel.flags |= TUNNEL_CSUM;
    }

    /// `--tun-remcsum`.
    pub(super) const fn set_tunnel_remcsum(&mut self) {
        self.tunnel.flags |= TUNNEL_REMCSUM;
    }

    /// `--proxy-protocol`, `--no-proxy-protocol`.
    pub(super) fn set_proxy(&mut self, told: bool) -> Result<(), UsageError> {
        match self.proxy.replace(told) {
            None => Ok(()),
            Some(_) => Err("give one of 'proxy-protocol' and 'no-proxy-protocol', once".into()),
        }
    }

    /// Whether one of these was given.
    pub(super) const fn names_proxy(&self) -> bool {
        self.proxy.is_some()
    }

    /// A server is told clients' addresses where all passes here, and over TCP.
    fn check_proxy(&self, service: ServiceId) -> Result<(), UsageError> {
        if self.proxy != Some(true) {
            return Ok(());
        }
        if !self.forwarding.answers_pass() {
            return Err(
                "the option 'proxy-protocol' needs masquerading or full NAT: add -m or --full-nat".into()
            );
        }
        match service {
            ServiceId::Address { protocol, .. } if protocol != TCP => {
                Err("the option 'proxy-protocol' is for TCP services (-t), or by mark (-f)".into())
            }
            _ => Ok(()),
        }
    }

    /// Only tunneling and full NAT reach servers of the other family, and only tunneling takes tunnel options, not all with every
    /// encapsulation.
    pub(super) fn check(&self, service: ServiceId, given: OptionSet) -> Result<(), UsageError> {
        match (self.forwarding, self.local_pool) {
            (ForwardingMethod::FULL_NAT, None) => return Err(NO_POOL.into()),
            (ForwardingMethod::FULL_NAT, Some(_)) | (_, None) => {}
            _ => {
                return Err("The 'local-pool' option is for full NAT: add --full-nat, or leave it out".into());
            }
        }
        let tunneled = self.forwarding == ForwardingMethod::TUNNEL;
        let any_family = tunneled || self.forwarding == ForwardingMethod::FULL_NAT;
        if !any_family && self.id.is_some_and(|id| id.address.is_ipv6() != service.is_ipv6()) {
            return Err("Different address family is allowed only for tunneling servers".into());
        }
        self.check_proxy(service)?;
        if tunneled {
            check_tunnel(self.tunnel.kind, given)
        } else if given.contains(OptionName::TunType) || TUNNEL_OPTIONS.iter().any(|it| given.contains(*it)) {
            Err("Tunnel options conflict with forward method".into())
        } else {
            Ok(())
        }
    }

    /// The destination as named.
    pub(super) const fn named(&self) -> Option<DestinationId> {
        self.id
    }

    /// Direct routing and tunneling cannot change the port: the destination has the service's, unless that is a mark.
    pub(super) fn with_port_of(&self, service: ServiceId, named: DestinationId) -> DestinationId {
        let changes_port =
            matches!(self.forwarding, ForwardingMethod::MASQUERADE | ForwardingMethod::FULL_NAT);
        match service_port(service) {
            Some(port) if !changes_port => DestinationId { port, ..named },
            _ => named,
        }
    }

    /// What it is to be.
    pub(super) const fn config(&self) -> DestinationConfig {
        DestinationConfig {
            forwarding: self.forwarding,
            flags: ConnectionFlags(0),
            weight: self.weight,
            upper_threshold: self.upper_threshold,
            lower_threshold: self.lower_threshold,
            tunnel: self.tunnel,
            local_pool: self.local_pool,
            proxy: self.proxy,
        }
    }
}

const fn service_port(service: ServiceId) -> Option<u16> {
    match service {
        ServiceId::Address { port, .. } => Some(port),
        ServiceId::Mark { .. } => None,
    }
}

fn check_tunnel(kind: u8, given: OptionSet) -> Result<(), UsageError> {
    use OptionName as O;
    let (name, must, may): (_, &[O], &[O]) = match kind {
        TunnelType::GUE => ("gue", &[O::TunPort], &[O::TunNocsum, O::TunCsum, O::TunRemcsum]),
        TunnelType::GRE => ("gre", &[], &[O::TunNocsum, O::TunCsum]),
        _ => ("ipip", &[], &[]),
    };
    for option in TUNNEL_OPTIONS {
        if !given.contains(option) && must.contains(&option) {
            let option = option.name();
            return Err(
                format!("You need to supply the '{option}' option for the '{name}' tunnel type").into()
            );
        }
        if given.contains(option) && !must.contains(&option) && !may.contains(&option) {
            return Err(format!("Illegal '{}' option with the '{name}' tunnel type", option.name()).into());
        }
    }
    let mut checksums = may.iter().filter(|option| given.contains(**option));
    if let (Some(first), Some(second)) = (checksums.next(), checksums.next()) {
        let (first, second) = (first.name(), second.name());
        return Err(format!(
            "The option '{second}' conflicts with the '{first}' option in the '{name}' tunnel type"
        )
        .into());
    }
    Ok(())
}

fn threshold(text: &str) -> Option<u32> {
    number(text, 0..=i64::from(i32::MAX)).and_then(|connections| u32::try_from(connections).ok())
}
