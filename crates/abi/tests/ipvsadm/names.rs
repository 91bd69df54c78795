//! The names that the recording machine knew.

use std::net::{IpAddr, Ipv4Addr};

use ipvs_abi::ipvsadm::Resolver;

const HOSTS: [(&str, &str); 9] = [
    ("127.0.0.1", "localhost"),
    ("::1", "localhost"),
    ("10.9.9.9", "web"),
    ("10.9.9.10", "app"),
    ("10.9.9.10", "app.example"),
    ("2001:db8::99", "web6"),
    ("10.9.9.11", "exactlytwentyfivecharacte"),
    ("10.9.9.12", "a-rather-long-host-name.with-a-domain.example"),
    ("2001:db8::98", "another-rather-long-name.with-a-domain.example"),
];

const SERVICES: [(&str, u16, &str); 12] = [
    ("http", 80, "tcp"),
    ("https", 443, "tcp"),
    ("https", 443, "udp"),
    ("domain", 53, "tcp"),
    ("domain", 53, "udp"),
    ("tftp", 69, "udp"),
    ("sip", 5060, "tcp"),
    ("sip", 5060, "udp"),
    ("http-alt", 8080, "tcp"),
    ("ftp", 21, "tcp"),
    ("fsp", 21, "udp"),
    ("snpp", 444, "tcp"),
];

/// The recording machine's /etc/hosts, and what the recordings use of its /etc/services.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordedNames;

impl Resolver for RecordedNames {
    fn host_address(&self, name: &str) -> Option<Ipv4Addr> {
        HOSTS.iter().filter(|(_, known)| *known == name).find_map(|(address, _)| address.parse().ok())
    }

    fn host_name(&self, address: IpAddr) -> Option<String> {
        let text = address.to_string();
        HOSTS.iter().find(|(known, _)| *known == text).map(|(_, name)| (*name).to_owned())
    }

    fn service_port(&self, name: &str, protocol: &str) -> Option<u16> {
        SERVICES.iter().find(|it| it.0 == name && it.2 == protocol).map(|it| it.1)
    }

    fn service_name(&self, port: u16, protocol: &str) -> Option<String> {
        SERVICES.iter().find(|it| it.1 == port && it.2 == protocol).map(|it| it.0.to_owned())
    }
}
