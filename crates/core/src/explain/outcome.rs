//! What became of a tried packet, in words.

use std::net::IpAddr;

use ipvs_flow::{EntryIndex, steady, tcp::Direction};
use ipvs_wire::{Headers, Ports, transport};

use super::Step;
use super::describe::{end, protocol_name};
use crate::command::ForwardingMethod;
use crate::connections::{flag, tick};
use crate::director::Director;
use crate::fast_path::takes;
use crate::host::{AddressKind, Host, Reachability};
use crate::protocol::{ICMP, ICMPV6, SCTP, Signal, TCP, UDP};
use crate::receive::Match;
use crate::time::Instant;
use crate::verdict::Verdict;

/// A packet's headers and ports.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    headers: Headers,
    ports: Ports,
}

impl Ends {
    pub(super) fn read(packet: &[u8]) -> Option<Self> {
        let headers = Headers::parse(packet).ok()?;
        let ports = match headers.protocol {
            TCP | UDP | SCTP => transport::ports(packet, &headers).ok()?,
            _ => Ports { source: 0, destination: 0 },
        };
        Some(Self { headers, ports })
    }

    /// The flags of a TCP segment, none of a datagram; `None` for other packets.
    fn segment(&self, bytes: &[u8]) -> Option<Option<u8>> {
        match Signal::read(bytes, &self.headers) {
            Ok(Some(Signal::Tcp(flags))) => Some(Some(flags.0)),
            Ok(Some(Signal::Udp)) => Some(None),
            _ => None,
        }
    }

    fn source(&self) -> String {
        end(self.headers.source, self.ports.source)
    }

    fn destination(&self) -> String {
        end(self.headers.destination, self.ports.destination)
    }
}

/// The packet that is asked about.
pub(super) fn packet(bytes: &[u8], mark: Option<u32>) -> Step {
    let Some(ends) = Ends::read(bytes) else { return Step::new("packet", "malformed") };
    let protocol = protocol_name(ends.headers.protocol.into());
    let (source, destination) = (ends.source(), ends.destination());
    let flags = match Signal::read(bytes, &ends.headers) {
        Ok(Some(Signal::Tcp(flags))) => {
            let names = [(1, "FIN"), (2, "SYN"), (4, "RST"), (8, "PSH"), (16, "ACK"), (32, "URG")];
            let set = names.iter().filter(|(bit, _)| flags.0 & bit != 0).map(|(_, name)| *name);
            set.collect::<Vec<_>>().join(" ")
        }
        Ok(Some(Signal::Sctp { first, .. })) => format!("chunk {first}"),
        _ => String::new(),
    };
    let marked = mark.map(|mark| format!(", as if it had firewall mark {mark}")).unwrap_or_default();
    let shown = if flags.is_empty() { String::new() } else { format!(" {flags},") };
    let size = ends.headers.total_len;
    let step =
        Step::new("packet", format!("{protocol} {source} to {destination},{shown} {size} bytes{marked}"))
            .with("protocol", protocol)
            .with("source", source)
            .with("destination", destination)
            .with("flags", flags)
            .with("size", size);
    match mark {
        Some(mark) => step.with("mark", mark),
        None => step,
    }
}

impl Director {
    /// The connection of a packet with these ends.
    pub(super) fn match_of(&self, ends: &Ends) -> Option<Match> {
        let (it, ports) = (&ends.headers, ends.ports);
        self.find(it.protocol, (it.source, ports.source), (it.destination, ports.destination))
    }

    /// The packet's connection as the packet would leave it.
    pub(super) fn describe_after(&self, now: Instant, ends: &Ends) -> Option<Step> {
        let (Match::Inbound(index) | Match::Outbound(index)) = self.match_of(ends)?;
        let text = "as this packet would leave it";
        Some(self.describe_connection(tick(now), index, "connection-after", text))
    }

    /// Whether the XDP program would forward the packet itself; asked before the packet is tried.
    pub(super) fn describe_fast_path(&self, bytes: &[u8], ends: &Ends, index: Option<Match>) -> Step {
        let no = |why: &str, text: &str| {
            Step::new("fast-path", format!("no: {text}")).with("takes", false).with("why", why)
        };
        if self.fast_path.is_none() {
            return no("off", "it is off (ipvsd run --fast-path on)");
        }
        let Some(found) = index else { return no("no-connection", "the packet is of no known connection") };
        let Some(segment) = ends.segment(bytes) else {
            return no("protocol", "it takes TCP and UDP alone");
        };
        if self.standby {
            return no("standby", "the director stands by (backup_only)");
        }
        match self.step_of_fast_path(segment, found) {
            Ok(changes) => {
                let text = "yes, if the way to the next hop is known and the link can send its frames";
                Step::new("fast-path", text).with("takes", true).with("changes", changes)
            }
            Err((why, text)) => no(why, text),
        }
    }

    /// Whether the XDP program may begin a connection by the packet; asked before the packet is tried.
    pub(super) fn may_be_begun_by(&self, bytes: &[u8], ends: &Ends) -> bool {
        self.match_of(ends).is_none()
            && ends
                .segment(bytes)
                .is_some_and(|segment| self.begins_beside(segment, ends.headers.destination, ends.ports))
    }

    /// That the XDP program begins the connection which the packet has begun in the trial, if it can.
    pub(super) fn describe_birth(&self, ends: &Ends) -> Option<Step> {
        let Some(Match::Inbound(index)) = self.match_of(ends) else { return None };
        let method = ForwardingMethod((self.connections.table.entry(index)?.flags() & flag::METHOD) as u8);
        let text = "yes, it begins the connection by the same choice, if the way to the next hop is known and the link can send its frames";
        takes(method).then(|| Step::new("fast-path", text).with("takes", true).with("changes", true))
    }

    /// Whether the XDP program changes the state of the connection, or why it would leave a packet of a known connection to
    /// the daemon.
    fn step_of_fast_path(
        &self,
        segment: Option<u8>,
        found: Match,
    ) -> Result<bool, (&'static str, &'static str)> {
        let (Match::Inbound(index) | Match::Outbound(index)) = found;
        let gone = ("no-connection", "the packet is of no known connection");
        let entry = self.connections.table.entry(index).ok_or(gone)?;
        let flags = entry.flags();
        let method = ForwardingMethod((flags & flag::METHOD) as u8);
        let translates = flags & flag::TRANSLATED != 0 && !self.crosses_families(index);
        if !translates && !takes(method) {
            let text = "it takes masquerading, direct routing, tunneling and full NAT within a family alone";
            return Err(("method", text));
        }
        let direction = match found {
            Match::Outbound(_) => Direction::Output,
            Match::Inbound(_) if flags & flag::NO_OUTPUT != 0 => Direction::InputOnly,
            Match::Inbound(_) => Direction::Input,
        };
        if self.ends(index).is_none_or(|ends| !ends.available) {
            return Err(("destination-unavailable", "the connection's destination is not available"));
        }
        let timeouts = self.state_timeouts();
        let place = |place: usize| timeouts.get(place).copied();
        let has_timeout = |at: usize| place(at) == Some(entry.timeout());
        let step = steady::step(segment, entry.status(), direction, place, has_timeout);
        let text =
            "the packet changes more than the connection's state, or its timeout, or follows one that did";
        step.map(|(_, changes)| changes).ok_or(("changes-state", text))
    }

    /// Whether a connection's server is of the other family than its client.
    fn crosses_families(&self, index: EntryIndex) -> bool {
        self.ends(index).is_some_and(|ends| ends.client.0.is_ipv6() != ends.server_address.is_ipv6())
    }

    /// The verdict: what is done with the packet, and where it leaves.
    pub(super) fn describe_verdict(
        &self,
        host: &dyn Host,
        verdict: Verdict,
        before: Option<&Ends>,
        after: &[u8],
    ) -> Vec<Step> {
        let (mut steps, after) = (Vec::new(), Ends::read(after));
        if matches!(verdict, Verdict::Forward { .. } | Verdict::Deliver)
            && let (Some(before), Some(after)) = (before, &after)
        {
            steps.push(describe_rewrite(before, after));
        }
        let next = match (verdict, &after) {
            (Verdict::Forward { next }, _) => Some(next),
            (Verdict::Reply(_), Some(answer)) => Some(answer.headers.destination),
            _ => None,
        };
        steps.extend(next.map(|next| describe_next_hop(host, next)));
        let step = |name: &str, text: String| Step::new("verdict", text).with("verdict", name);
        steps.push(match verdict {
            Verdict::Forward { next } => {
                step("forward", format!("forwarded to {next}")).with("next", next.to_string())
            }
            Verdict::Deliver => step("deliver", "given to a server on this host".into()),
            Verdict::Pass => {
                step("pass", "not IPVS's concern: passed to the host's own network stack as it came".into())
            }
            Verdict::Reply(reason) | Verdict::Drop(reason) => {
                let (name, what) = match (verdict, &after) {
                    (Verdict::Reply(_), Some(answer)) => {
                        ("reply", format!("dropped, and {}", answer_text(answer)))
                    }
                    _ => ("drop", "dropped".to_owned()),
                };
                let setting = reason.setting();
                let by = setting.map(|it| format!(" (setting: {it})")).unwrap_or_default();
                let text = format!("{what}; reason {}: {}{by}", reason.name(), reason.text());
                let step = step(name, text).with("reason", reason.name()).with("reason_text", reason.text());
                match setting {
                    Some(setting) => step.with("setting", setting),
                    None => step,
                }
            }
        });
        steps
    }
}

/// What is sent back.
fn answer_text(answer: &Ends) -> String {
    let what = match answer.headers.protocol {
        TCP => "a reset",
        ICMP | ICMPV6 => "an ICMP error",
        _ => "an answer",
    };
    format!("{what} goes to {}", answer.headers.destination)
}

/// What of the packet is changed.
fn describe_rewrite(before: &Ends, after: &Ends) -> Step {
    let (old, new) = (&before.headers, &after.headers);
    let crosses = new.is_ipv6() != old.is_ipv6() && new.protocol == old.protocol;
    if !crosses && (new.total_len != old.total_len || new.is_ipv6() != old.is_ipv6()) {
        let more = new.total_len.saturating_sub(old.total_len);
        let text = format!("inside a packet from {} to {}, {more} bytes longer", new.source, new.destination);
        return Step::new("rewrite", text)
            .with("outer_source", new.source.to_string())
            .with("outer_destination", new.destination.to_string())
            .with("outer_protocol", u32::from(new.protocol))
            .with("outer_bytes", more);
    }
    let mut step = Step::new("rewrite", "");
    let mut changes = Vec::new();
    if crosses {
        changes.push(format!("an {} packet it becomes", if new.is_ipv6() { "IPv6" } else { "IPv4" }));
    }
    for (name, from, to) in [
        ("source", before.source(), after.source()),
        ("destination", before.destination(), after.destination()),
    ] {
        if from != to {
            changes.push(format!("{name} {from} becomes {to}"));
        }
        step = step.with(name, to);
    }
    if old.hop_limit != new.hop_limit {
        changes.push(format!("hop limit {} becomes {}", old.hop_limit, new.hop_limit));
    }
    step.text = if changes.is_empty() { "nothing is changed".into() } else { changes.join(", ") };
    step.with("hop_limit", u32::from(new.hop_limit))
}

/// Where the packet leaves this host.
fn describe_next_hop(host: &dyn Host, next: IpAddr) -> Step {
    if host.address_kind(next) == AddressKind::Local {
        return Step::new("next-hop", format!("{next} is this host")).with("local", true);
    }
    let Some(hop) = host.next_hop(next) else {
        let text = format!("no interface is known for {next}");
        return Step::new("next-hop", text).with("local", false);
    };
    let (reachability, text) = match hop.reachability {
        Reachability::Known => ("known", "its hardware address is known"),
        Reachability::Unknown => ("unknown", "its hardware address will be asked for"),
        Reachability::Failed => ("failed", "it does not answer: packets to it are dropped"),
    };
    Step::new("next-hop", format!("{} by {}; {text}", hop.neighbour, hop.interface))
        .with("local", false)
        .with("neighbour", hop.neighbour.to_string())
        .with("interface", hop.interface)
        .with("reachability", reachability)
}
