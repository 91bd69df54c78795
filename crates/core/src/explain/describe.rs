//! What is decided about a packet on its way, in words.

use std::net::{IpAddr, SocketAddr};

use ipvs_flow::{EntryIndex, Tick, seconds};
use ipvs_wire::Ports;

use super::Step;
use crate::command::{ForwardingMethod, ServiceFlags, ServiceId};
use crate::connections::flag;
use crate::destination::{Destination, DestinationIndex};
use crate::director::Director;
use crate::persistence;
use crate::protocol::{self, SCTP, Signal, TCP, UDP};
use crate::receive::Match;
use crate::scheduler::Flow;
use crate::service::ServiceIndex;
use crate::verdict::Eviction;

/// Most destinations that are told of one by one.
const MOST_CANDIDATES: usize = 64;

/// Address and port as users write them.
pub(super) fn end(address: IpAddr, port: u16) -> String {
    SocketAddr::new(address, port).to_string()
}

/// A protocol's name.
pub(super) fn protocol_name(protocol: u16) -> String {
    match u8::try_from(protocol) {
        Ok(TCP) => "TCP".into(),
        Ok(UDP) => "UDP".into(),
        Ok(SCTP) => "SCTP".into(),
        _ => format!("protocol {protocol}"),
    }
}

/// A service's identity, as listings show it.
fn service_name(id: &ServiceId) -> String {
    match *id {
        ServiceId::Address { protocol, address, port } => {
            format!("{} {}", protocol_name(protocol), end(address, port))
        }
        ServiceId::Mark { ipv6, mark } => format!("FWM {mark}{}", if ipv6 { " IPv6" } else { "" }),
    }
}

/// A forwarding method's name.
pub(super) fn method_name(method: ForwardingMethod) -> &'static str {
    match method {
        ForwardingMethod::MASQUERADE => "masquerading",
        ForwardingMethod::LOCAL => "local",
        ForwardingMethod::TUNNEL => "tunneling",
        ForwardingMethod::DIRECT => "direct routing",
        ForwardingMethod::BYPASS => "bypass",
        ForwardingMethod::FULL_NAT => "full NAT",
        _ => "unknown",
    }
}

/// Why IPVS leaves a packet alone.
pub(crate) fn left_alone(why: &str, text: impl Into<String>) -> Step {
    Step::new("not-scheduled", text).with("why", why)
}

/// A connection that makes room for a packet of its own addresses and ports.
pub(crate) fn ends_for(why: &str, text: &str) -> Step {
    Step::new("connection-ends", text).with("why", why)
}

/// A packet that cannot start a connection.
pub(crate) fn starts_nothing(signal: Signal) -> Step {
    let text = match signal {
        Signal::Tcp(flags) if flags.rst() => "a reset starts no connection",
        Signal::Tcp(_) => "a segment without SYN starts no connection (it does with the setting sloppy_tcp)",
        _ => {
            "a packet that does not begin with INIT starts no connection (it does with the setting sloppy_sctp)"
        }
    };
    left_alone("starts-nothing", text)
}

/// A packet for no service.
pub(crate) fn no_service(signal: Signal, to: IpAddr, ports: Ports, mark: u32) -> Step {
    let protocol = protocol_name(signal.protocol().into());
    let marked = if mark == 0 { String::new() } else { format!(", nor for firewall mark {mark}") };
    let text = format!("none for {protocol} {}{marked}", end(to, ports.destination));
    Step::new("service", text).with("found", false).with("mark", mark)
}

/// No service takes packets from FTP's data port.
pub(crate) fn from_ftp_data() -> Step {
    left_alone("from-ftp-data", "packets from port 20 (FTP data) are never scheduled")
}

impl Director {
    /// Which connection a packet belongs to.
    pub(crate) fn describe_match(&self, now: Tick, found: Option<Match>) -> Step {
        let (index, direction) = match found {
            None => {
                return Step::new("connection", "none has these addresses and ports").with("found", false);
            }
            Some(Match::Inbound(index)) => (index, "from-client"),
            Some(Match::Outbound(index)) => (index, "from-server"),
        };
        let text = match direction {
            "from-client" => "known, the packet is from its client",
            _ => "known, the packet is from its server",
        };
        self.describe_connection(now, index, "connection", text)
            .with("found", true)
            .with("direction", direction)
    }

    /// A connection or template.
    pub(super) fn describe_connection(&self, now: Tick, index: EntryIndex, name: &str, text: &str) -> Step {
        let Some(connection) = self.connections.table.entry(index).and_then(|it| it.snapshot()) else {
            return Step::new(name, text);
        };
        let key = connection.key;
        let server = self.destinations.get(DestinationIndex(connection.destination));
        let server =
            server.map_or("no destination".into(), |it| end(it.id.address, connection.destination_port));
        let state = match key.template {
            true => persistence::state_name(connection.state),
            false => protocol::state_name(key.protocol, connection.state),
        };
        let client = end(key.client.to_ip(key.ipv6), key.client_port);
        let virtual_end = end(key.virtual_address.to_ip(key.ipv6), key.virtual_port);
        let table = &self.connections.table;
        let expires = table.entry(index).map_or(0, |it| seconds(now.until(table.deadline(index, &it))));
        let method = method_name(ForwardingMethod((connection.flags & flag::METHOD) as u8));
        let local = self.connections.local_of(index).map(|(address, port)| end(address, port));
        let from = local.as_ref().map(|local| format!(" from {local}")).unwrap_or_default();
        let text = format!(
            "{text}: {client} to {virtual_end} at {server}, {method}{from}, {state}, expires in {expires} s"
        );
        let step = match local {
            Some(local) => Step::new(name, text).with("local", local),
            None => Step::new(name, text),
        };
        step.with("client", client)
            .with("virtual", virtual_end)
            .with("destination", server)
            .with("method", method)
            .with("state", state)
            .with("expires", expires)
            .with("controlled_by_template", self.connections.template_of(index).is_some())
    }

    /// The service that a packet may start a connection of.
    pub(crate) fn describe_service(&self, index: ServiceIndex, ports: Ports, mark: u32) -> Step {
        let Some(service) = self.services.get(index) else { return Step::new("service", "gone") };
        let (by, why) = match service.id {
            ServiceId::Mark { .. } => ("mark", format!("the packet has firewall mark {mark}")),
            ServiceId::Address { port, .. } if port == ports.destination => {
                ("address", "it has this protocol, address and port".to_owned())
            }
            ServiceId::Address { port: 0, .. } => {
                ("any-port", "it serves all ports of this address".to_owned())
            }
            ServiceId::Address { .. } => {
                ("ftp", "the port may be one of FTP data, and this address serves FTP".to_owned())
            }
        };
        let info = service.info();
        let persistence = match service.is_persistent() {
            true => format!(", persistent {} s", service.timeout),
            false => String::new(),
        };
        let once = if service.flags.contains(ServiceFlags::ONE_PACKET) { ", one-packet" } else { "" };
        let name = service_name(&service.id);
        let text = format!("{name} ({}{persistence}{once}): {why}", info.scheduler);
        let step = Step::new("service", text)
            .with("found", true)
            .with("service", name)
            .with("by", by)
            .with("mark", mark)
            .with("scheduler", info.scheduler)
            .with("destinations", info.destinations);
        match service.is_persistent() {
            true => step.with("persistence_timeout", service.timeout),
            false => step,
        }
    }

    /// A service that does not take a packet to this port.
    pub(crate) fn describe_other_port(&self, flow: &Flow) -> Step {
        let text = format!(
            "the service does not serve port {}: only a persistent one takes other ports than its own (FTP data, all ports)",
            flow.destination_port
        );
        left_alone("other-port", text).with("port", u32::from(flow.destination_port))
    }

    /// What a service's scheduler chose, of which destinations. `chosen` may still be none.
    pub(crate) fn describe_choice(&self, index: ServiceIndex, chosen: Option<DestinationIndex>) -> Vec<Step> {
        let Some(service) = self.services.get(index) else { return Vec::new() };
        let name = service.scheduler.as_ref().map_or(crate::scheduler::NONE, |it| it.name());
        let server = chosen.and_then(|it| self.destinations.get(it)).map(|it| end(it.id.address, it.id.port));
        let text = match &server {
            Some(server) => format!("{name} chooses {server}"),
            None if service.scheduler.is_none() => "the service has none, so it starts no connection".into(),
            None if service.destinations.is_empty() => {
                format!("{name} finds none: the service has no destination")
            }
            None => format!("{name} finds none"),
        };
        let step = Step::new("scheduler", text).with("scheduler", name).with("found", server.is_some());
        let mut steps = vec![match server {
            Some(server) => step.with("destination", server),
            None => step,
        }];
        let all = service.destinations.iter().enumerate();
        // The chosen one is always told of.
        let told = all.filter(|(position, index)| *position < MOST_CANDIDATES || Some(**index) == chosen);
        steps.extend(told.filter_map(|(_, index)| {
            Some(describe_candidate(self.destinations.get(*index)?, chosen == Some(*index)))
        }));
        let rest = service.destinations.len().saturating_sub(steps.len() - 1);
        if rest > 0 {
            steps.push(Step::new("candidate", format!("and {rest} more")).with("more", rest));
        }
        steps
    }

    /// What the template of a client says.
    pub(crate) fn describe_template(&self, now: Tick, index: EntryIndex) -> Step {
        self.describe_connection(now, index, "template", "the client stays where it was").with("found", true)
    }

    /// A template that keeps its client no longer.
    pub(crate) fn describe_invalid_template(&self, index: EntryIndex) -> Step {
        let server = self.connections.destination_of(index).and_then(|index| self.destinations.get(index));
        let server = server.map_or("its destination".into(), |it| end(it.id.address, it.id.port));
        let text = format!(
            "no longer valid: {server} is gone, or has weight 0 with the setting expire_quiescent_template"
        );
        Step::new("template", text).with("found", false).with("destination", server)
    }

    /// A half-open connection that has to go.
    pub(crate) fn describe_eviction(&self, index: EntryIndex, reason: Eviction) -> Step {
        let text = match reason {
            Eviction::HalfOpenQuota => {
                "the oldest half-open connection of the service goes, for its quota is reached"
            }
            Eviction::TableFull => "a half-open connection goes, for the table is full",
        };
        let text = match self.connections.table.entry(index).map(|it| it.key()) {
            Some(key) => format!("{text}: of {}", end(key.client.to_ip(key.ipv6), key.client_port)),
            None => text.to_owned(),
        };
        Step::new("evicted", text).with("why", reason.name())
    }
}

/// A packet with which a server begins a call.
pub(crate) fn server_begins() -> Step {
    let text = "the server of a service with a persistence engine begins a call: no scheduler is asked";
    Step::new("server-begins", text)
}

/// The first packet of a connection whose server is told its client.
pub(crate) fn to_be_told() -> Step {
    let text = "the server is told the client's address: a PROXY protocol header goes with the ACK that ends the handshake";
    Step::new("proxy-header", text).with("added", false)
}

/// A segment with a PROXY header ahead of its data.
pub(crate) fn with_proxy_header(client: (IpAddr, u16), length: usize) -> Step {
    let client = end(client.0, client.1);
    let text = format!(
        "{length} bytes of PROXY protocol header that tell the server of {client} go ahead of what the client sends, \
         for the server has not acknowledged them yet"
    );
    Step::new("proxy-header", text).with("added", true).with("client", client).with("bytes", length)
}

/// A client of no template.
pub(crate) fn no_template() -> Step {
    Step::new("template", "none: the scheduler chooses, and the client stays there").with("found", false)
}

/// Whether a destination could have been chosen.
fn describe_candidate(destination: &Destination, chosen: bool) -> Step {
    let config = destination.config;
    let overload = match (config.upper_threshold, destination.overloaded) {
        (0, _) => String::new(),
        (upper, false) => format!(", below its upper threshold of {upper}"),
        (upper, true) => format!(", overloaded since it had {upper} connections"),
    };
    let (why, word) = match (chosen, destination.usable()) {
        (true, _) => ("chosen", "chosen"),
        (false, true) => ("passed-over", "could be chosen too"),
        (false, false) if config.weight <= 0 => ("weight-0", "not eligible for its weight"),
        (false, false) => ("overloaded", "not eligible, overloaded"),
    };
    let server = end(destination.id.address, destination.id.port);
    let (active, inactive) = (destination.active(), destination.inactive());
    let text =
        format!("{server} {word}: weight {}, {active} active, {inactive} inactive{overload}", config.weight);
    Step::new("candidate", text)
        .with("destination", server)
        .with("chosen", chosen)
        .with("eligible", destination.usable())
        .with("why", why)
        .with("method", method_name(config.forwarding))
        .with("weight", config.weight.unsigned_abs())
        .with("active", active)
        .with("inactive", inactive)
        .with("upper_threshold", config.upper_threshold)
        .with("overloaded", destination.overloaded)
}
