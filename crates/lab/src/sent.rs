//! What the ends themselves sent, by their kernels' counters: what a director must have counted.

use std::fs;
use std::ops::Add;
use std::time::Duration;

use serde::Serialize;

use crate::Error;
use crate::interrupt::Interrupt;
use crate::namespace::Namespace;
use crate::topology::Topology;

/// Time for the last acknowledgements to be sent.
const LIMIT: Duration = Duration::from_secs(5);

/// What hosts sent since they were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sent {
    /// TCP segments, repeated ones included.
    pub segments: u64,
    /// Bytes of IP packets, of both families and all protocols.
    pub bytes: u64,
    /// ICMP and ICMPv6 messages, which are in `bytes`, too.
    pub icmp: u64,
}

/// What both sides of the director sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Ends {
    /// The client.
    pub client: Sent,
    /// All servers.
    pub servers: Sent,
}

impl Add for Sent {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let Self { segments, bytes, icmp } = other;
        Self { segments: self.segments + segments, bytes: self.bytes + bytes, icmp: self.icmp + icmp }
    }
}

/// What both sides sent, once they have nothing more to send, or after a while.
pub(crate) fn by_both(topology: &Topology, interrupt: &Interrupt) -> Result<Ends, Error> {
    let mut latest = None;
    let quiet = || {
        let ends = now(topology)?;
        Ok((latest.replace(ends) == Some(ends)).then_some(ends))
    };
    match interrupt.wait(LIMIT, quiet)? {
        Some(ends) => Ok(ends),
        None => now(topology),
    }
}

fn now(topology: &Topology) -> Result<Ends, Error> {
    let mut servers = topology.servers.iter().map(|server| of(&server.namespace));
    let servers = servers.try_fold(Sent::default(), |sum, sent| Ok::<_, Error>(sum + sent?))?;
    Ok(Ends { client: of(&topology.client.namespace)?, servers })
}

fn of(namespace: &Namespace) -> Result<Sent, Error> {
    let read = |name: &str| fs::read_to_string(format!("/proc/thread-self/net/{name}"));
    // Without IPv6 there is no snmp6.
    let texts =
        || Ok::<_, std::io::Error>([read("snmp")?, read("netstat")?, read("snmp6").unwrap_or_default()]);
    let texts = namespace.run(texts)?.map_err(|error| Error::setup("read what a host sent", error))?;
    let value =
        |protocol: &str, name: &str| texts.iter().find_map(|text| value(text, protocol, name)).unwrap_or(0);
    Ok(Sent {
        segments: value("Tcp:", "OutSegs") + value("Tcp:", "RetransSegs"),
        bytes: value("IpExt:", "OutOctets") + value("", "Ip6OutOctets"),
        icmp: value("Icmp:", "OutMsgs") + value("", "Icmp6OutMsgs"),
    })
}

/// A counter: where `protocol` begins lines, one of names is followed by one of values; else each line has a name and a value.
fn value(text: &str, protocol: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().map(|line| line.split_whitespace());
    if protocol.is_empty() {
        let mut words = lines.find(|words| words.clone().next() == Some(name))?;
        return words.nth(1)?.parse().ok();
    }
    let mut of_protocol = lines.filter(|words| words.clone().next() == Some(protocol));
    let place = of_protocol.next()?.position(|word| word == name)?;
    of_protocol.next()?.nth(place)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found() {
        let snmp = "Ip: Forwarding OutRequests\nIp: 1 20\nTcp: MaxConn OutSegs\nTcp: -1 7\n";
        assert_eq!(value(snmp, "Tcp:", "OutSegs"), Some(7));
        assert_eq!(value(snmp, "Ip:", "OutRequests"), Some(20));
        assert_eq!(value(snmp, "Udp:", "OutDatagrams"), None);
        assert_eq!(value("Ip6InOctets \t1\nIp6OutOctets \t92\n", "", "Ip6OutOctets"), Some(92));
    }
}
