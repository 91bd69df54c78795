//! Addresses and ports as listings and saved command lines show them.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use ipvs_core::ServiceId;

use super::resolver::Resolver;

/// Longest `address:port` of an IPv4 address in the columns of a listing; the rest is cut off.
const IPV4_COLUMN: usize = 28;

/// Writes addresses, with names or without, asking for each name once.
pub(super) struct Names<'a> {
    resolver: Option<&'a dyn Resolver>,
    hosts: HashMap<IpAddr, String>,
    ports: HashMap<(u16, &'static str), String>,
}

impl<'a> Names<'a> {
    /// With names from `resolver`, unless `numeric`.
    pub(super) fn new(resolver: &'a dyn Resolver, numeric: bool) -> Self {
        let resolver = if numeric { None } else { Some(resolver) };
        Self { resolver, hosts: HashMap::new(), ports: HashMap::new() }
    }

    /// `address:port`, IPv6 in brackets. Without a protocol the port has no name.
    pub(super) fn endpoint(&mut self, address: IpAddr, port: u16, protocol: Option<&'static str>) -> String {
        let Some(resolver) = self.resolver else {
            let text = numeric(address);
            return if address.is_ipv6() { format!("[{text}]:{port}") } else { format!("{text}:{port}") };
        };
        let host = self
            .hosts
            .entry(address)
            .or_insert_with(|| resolver.host_name(address).unwrap_or_else(|| numeric(address)));
        let port = match protocol {
            Some(protocol) => self
                .ports
                .entry((port, protocol))
                .or_insert_with(|| resolver.service_name(port, protocol).unwrap_or_else(|| port.to_string())),
            None => &mut port.to_string(),
        };
        if address.is_ipv6() { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// As [`endpoint`](Self::endpoint), cut to its column.
    pub(super) fn column(&mut self, address: IpAddr, port: u16, protocol: Option<&'static str>) -> String {
        let mut text = self.endpoint(address, port, protocol);
        if address.is_ipv4() && text.is_char_boundary(IPV4_COLUMN) {
            text.truncate(IPV4_COLUMN);
        }
        text
    }
}

/// An address in figures as the C library writes it: unlike the standard library's, also IPv4-compatible ones
/// (`::10.0.0.11`) end in an IPv4 address.
fn numeric(address: IpAddr) -> String {
    let segments = if let IpAddr::V6(v6) = address { v6.segments() } else { [1; 8] };
    match segments {
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => {
            format!("::{}", Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
        }
        _ => address.to_string(),
    }
}

/// The name of a service's protocol in the database of ports; none for marks.
pub(super) const fn protocol_name(service: &ServiceId) -> Option<&'static str> {
    match service {
        ServiceId::Address { protocol: 6, .. } => Some("tcp"),
        ServiceId::Address { protocol: 17, .. } => Some("udp"),
        ServiceId::Address { protocol: 132, .. } => Some("sctp"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::numeric;

    #[test]
    fn addresses_are_written_as_the_c_library_writes_them() {
        for (address, text) in [
            ("::a00:b", "::10.0.0.11"),
            ("::1:0", "::0.1.0.0"),
            ("::ffff", "::ffff"),
            ("::1", "::1"),
            ("::", "::"),
            ("::ffff:a00:b", "::ffff:10.0.0.11"),
            ("2001:db8::100", "2001:db8::100"),
            ("10.0.0.1", "10.0.0.1"),
        ] {
            assert_eq!(numeric(address.parse().unwrap()), text);
        }
    }
}
