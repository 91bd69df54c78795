//! Address arguments: `address[:port]`, `[ipv6]:port`, with names of hosts and services.

use std::net::{IpAddr, Ipv6Addr};

use super::inet_aton::inet_aton;
use super::number::number;
use super::resolver::Resolver;

/// An address, and its port if one is given. Without a protocol names of ports are not known.
///
/// Rules found by trying the original: digits alone are refused; a bare IPv6 address has no port; brackets need
/// `]:` after them, and brackets around anything that is no IPv6 address lose the port.
pub(super) fn parse_address(
    text: &str,
    protocol: Option<&str>,
    resolver: &dyn Resolver,
) -> Option<(IpAddr, Option<u16>)> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if let Some(inside) = text.strip_prefix('[') {
        let (host, port) = inside.split_once("]")?;
        let port = port.strip_prefix(':')?;
        return match host.parse::<Ipv6Addr>() {
            Ok(address) => Some((address.into(), Some(parse_port(port, protocol, resolver)?))),
            Err(_) => parse_ipv4(host, protocol, resolver),
        };
    }
    match text.parse::<Ipv6Addr>() {
        Ok(address) => Some((address.into(), None)),
        Err(_) => parse_ipv4(text, protocol, resolver),
    }
}

fn parse_ipv4(text: &str, protocol: Option<&str>, resolver: &dyn Resolver) -> Option<(IpAddr, Option<u16>)> {
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(parse_port(port, protocol, resolver)?)),
        None => (text, None),
    };
    let address = inet_aton(host).or_else(|| resolver.host_address(host).filter(|_| !host.is_empty()))?;
    Some((address.into(), port))
}

fn parse_port(text: &str, protocol: Option<&str>, resolver: &dyn Resolver) -> Option<u16> {
    match number(text, 0..=65535) {
        Some(port) => u16::try_from(port).ok(),
        None => resolver.service_port(text, protocol?),
    }
}
