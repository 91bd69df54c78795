//! IPv6 (RFC 8200).

pub mod extension;
