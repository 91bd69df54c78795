//! Rules that give packets their firewall marks, as text: `tcp 192.0.2.10/32 80,443,8000-8010 5`, with `*` for all ports.

use core::fmt::Write;
use core::net::IpAddr;

use ipvs_core::{MarkRule, PortRange};

/// Protocols that have services.
const PROTOCOLS: [(&str, u16); 3] = [("tcp", 6), ("udp", 17), ("sctp", 132)];

/// Stands for all ports.
const ALL: &str = "*";

/// Why a text is no rule, for whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MarkTextError {
    /// A protocol that has no services.
    #[error("no protocol {0:?}: it is tcp, udp or sctp")]
    Protocol(String),
    /// Neither an address nor a network.
    #[error(
        "no destination {0:?}: write an address, as 192.0.2.10 or 2001:db8::10, or a network, as 192.0.2.0/24"
    )]
    Network(String),
    /// No ports.
    #[error("no ports {0:?}: write numbers from 0 to 65535 and ranges, as 80,443,8000-8010")]
    Ports(String),
    /// No mark.
    #[error("no mark {0:?}: write a number from 0 to 4294967295, or from 0x0 to 0xffffffff")]
    Mark(String),
    /// Not four words.
    #[error("a rule has four words: protocol, destination, ports and mark")]
    Words,
}

/// Reads a protocol.
///
/// # Errors
/// [`MarkTextError::Protocol`].
pub fn parse_protocol(text: &str) -> Result<u16, MarkTextError> {
    let found = PROTOCOLS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    found.map(|(_, number)| *number).ok_or_else(|| MarkTextError::Protocol(text.to_owned()))
}

/// Reads an address, or a network: its address and the length of its prefix.
///
/// # Errors
/// [`MarkTextError::Network`].
pub fn parse_network(text: &str) -> Result<(IpAddr, u8), MarkTextError> {
    let read = || {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u8>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv6() { 128 } else { 32 };
        let prefix = prefix.unwrap_or(most);
        (prefix <= most).then_some((address, prefix))
    };
    read().ok_or_else(|| MarkTextError::Network(text.to_owned()))
}

/// Reads ports and ranges of them; none stand for all.
///
/// # Errors
/// [`MarkTextError::Ports`].
pub fn parse_ports(text: &str) -> Result<Vec<PortRange>, MarkTextError> {
    if text == ALL {
        return Ok(Vec::new());
    }
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        (first <= last).then_some(PortRange { first, last })
    };
    text.split(',').map(range).collect::<Option<_>>().ok_or_else(|| MarkTextError::Ports(text.to_owned()))
}

/// Reads a mark, decimal or hexadecimal.
///
/// # Errors
/// [`MarkTextError::Mark`].
pub fn parse_mark(text: &str) -> Result<u32, MarkTextError> {
    let read = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    read.map_err(|_| MarkTextError::Mark(text.to_owned()))
}

/// The words of a rule: protocol, destination, ports and mark.
pub fn words(rule: &MarkRule) -> [String; 4] {
    let protocol = PROTOCOLS.iter().find(|(_, number)| *number == rule.protocol);
    let mut ports = String::new();
    for PortRange { first, last } in &rule.ports {
        let comma = if ports.is_empty() { "" } else { "," };
        // A string takes everything.
        let _ = match first == last {
            true => write!(ports, "{comma}{first}"),
            false => write!(ports, "{comma}{first}-{last}"),
        };
    }
    if ports.is_empty() {
        ports.push_str(ALL);
    }
    [
        protocol.map_or_else(|| rule.protocol.to_string(), |(name, _)| (*name).to_owned()),
        format!("{}/{}", rule.network, rule.prefix),
        ports,
        rule.mark.to_string(),
    ]
}

/// Reads a rule as [`words`] writes it, with blanks between them.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &str) -> Result<MarkRule, MarkTextError> {
    let mut words = text.split_ascii_whitespace();
    let (Some(protocol), Some(network), Some(ports), Some(mark), None) =
        (words.next(), words.next(), words.next(), words.next(), words.next())
    else {
        return Err(MarkTextError::Words);
    };
    let (protocol, (network, prefix)) = (parse_protocol(protocol)?, parse_network(network)?);
    Ok(MarkRule { protocol, network, prefix, ports: parse_ports(ports)?, mark: parse_mark(mark)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_written_as_they_are_read() {
        for text in [
            "tcp 192.0.2.10/32 80,443,8000-8010 5",
            "udp 10.0.0.0/8 * 4294967295",
            "sctp 2001:db8::/32 9899 0",
        ] {
            assert_eq!(words(&parse(text).unwrap()).join(" "), text);
        }
        let short = parse(" TCP\t2001:db8::1 0-65535 0x1F ").unwrap();
        assert_eq!(words(&short).join(" "), "tcp 2001:db8::1/128 0-65535 31");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, named) in [
            ("icmp ::1 * 1", "no protocol \"icmp\""),
            ("tcp example.org * 1", "no destination \"example.org\""),
            ("tcp 10.0.0.1/33 * 1", "/33"),
            ("tcp 10.0.0.1/ * 1", "no destination"),
            ("tcp 10.0.0.1 80, 1", "no ports \"80,\""),
            ("tcp 10.0.0.1 90-80 1", "no ports"),
            ("tcp 10.0.0.1 http 1", "no ports"),
            ("tcp 10.0.0.1 80 -1", "no mark \"-1\""),
            ("tcp 10.0.0.1 80 0x1ffffffff", "no mark"),
            ("tcp 10.0.0.1 80", "four words"),
            ("tcp 10.0.0.1 80 1 2", "four words"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(named), "{text:?}: {error}");
        }
    }
}
