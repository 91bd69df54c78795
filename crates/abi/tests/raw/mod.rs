//! What the replays of `conformance/recordings/raw` share: the machine that they were recorded on.

use std::net::IpAddr;

use ipvs_core::{AddressKind, Host};

/// The network of `conformance/raw/setup.sh`.
pub(crate) struct RecordingHost;

impl Host for RecordingHost {
    fn address_kind(&self, address: IpAddr) -> AddressKind {
        let text = address.to_string();
        match text.as_str() {
            "10.0.0.1" | "127.0.0.1" | "2001:db8::1" => AddressKind::Local,
            "10.0.0.255" | "255.255.255.255" => AddressKind::Other,
            _ if address.is_multicast() || address.is_unspecified() => AddressKind::Other,
            _ if text.starts_with("fe80:") => AddressKind::LinkLocal,
            _ => AddressKind::Unicast,
        }
    }

    fn path_mtu(&self, _: IpAddr) -> Option<u32> {
        Some(1500)
    }

    fn interface_mtu(&self, name: &str) -> Option<u32> {
        match name {
            "lo" => Some(65536),
            "ve0" => Some(1500),
            "big" => Some(9000),
            _ => None,
        }
    }

    fn source_address(&self, _: IpAddr) -> Option<IpAddr> {
        None
    }
}

/// Bytes of hex digits.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
