//! Names of hosts and services.

use std::net::{IpAddr, Ipv4Addr};

/// Turns names into numbers and back. The original asks the C library's resolver; so does the program, while tests
/// use a table.
pub trait Resolver {
    /// The first IPv4 address of a host. The original never asks for IPv6 ones.
    fn host_address(&self, name: &str) -> Option<Ipv4Addr>;

    /// The name of the host with this address.
    fn host_name(&self, address: IpAddr) -> Option<String>;

    /// The port of a service; `protocol` is "tcp", "udp" or "sctp". Names are case-sensitive.
    fn service_port(&self, name: &str, protocol: &str) -> Option<u16>;

    /// The name of the service at a port.
    fn service_name(&self, port: u16, protocol: &str) -> Option<String>;
}

/// A resolver that knows no names.
#[derive(Clone, Copy, Debug, Default)]
pub struct NumericResolver;

impl Resolver for NumericResolver {
    fn host_address(&self, _name: &str) -> Option<Ipv4Addr> {
        None
    }

    fn host_name(&self, _address: IpAddr) -> Option<String> {
        None
    }

    fn service_port(&self, _name: &str, _protocol: &str) -> Option<u16> {
        None
    }

    fn service_name(&self, _port: u16, _protocol: &str) -> Option<String> {
        None
    }
}
