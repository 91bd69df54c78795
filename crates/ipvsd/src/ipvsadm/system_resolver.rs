//! Names from the system: hosts by the C library's resolver, services from `/etc/services`.

use std::cell::OnceCell;
use std::net::{IpAddr, Ipv4Addr};

use dns_lookup::{AddrInfoHints, getaddrinfo, lookup_addr};
use ipvs_abi::ipvsadm::Resolver;

use super::services_file::ServicesFile;

/// Linux's number of the IPv4 address family.
const AF_INET: i32 = 2;

/// Where the database of ports is. Read once, when first needed: `-R` looks up many names.
const SERVICES: &str = "/etc/services";

/// The system's names.
#[derive(Debug, Default)]
pub(super) struct SystemResolver {
    services: OnceCell<ServicesFile>,
}

impl SystemResolver {
    fn services(&self) -> &ServicesFile {
        self.services.get_or_init(|| {
            // Without the file no service has a name.
            let bytes = std::fs::read(SERVICES).unwrap_or_default();
            ServicesFile::parse(&String::from_utf8_lossy(&bytes))
        })
    }
}

impl Resolver for SystemResolver {
    fn host_address(&self, name: &str) -> Option<Ipv4Addr> {
        let hints = AddrInfoHints { address: AF_INET, ..AddrInfoHints::default() };
        getaddrinfo(Some(name), None, Some(hints)).ok()?.flatten().find_map(|found| {
            match found.sockaddr.ip() {
                IpAddr::V4(address) => Some(address),
                IpAddr::V6(_) => None,
            }
        })
    }

    fn host_name(&self, address: IpAddr) -> Option<String> {
        lookup_addr(&address).ok()
    }

    fn service_port(&self, name: &str, protocol: &str) -> Option<u16> {
        self.services().port(name, protocol)
    }

    fn service_name(&self, port: u16, protocol: &str) -> Option<String> {
        self.services().name(port, protocol).map(str::to_owned)
    }
}
