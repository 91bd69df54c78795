//! The options of the synchronisation daemons: checked as the original checks them, of no effect yet.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::error::UsageError;
use super::number::number;
use super::option::OptionName;

/// Checks the argument of one of these options; has nothing against any other.
pub(super) fn check_sync_option(option: OptionName, text: &str) -> Result<(), UsageError> {
    let (range, what) = match option {
        OptionName::SyncId => (0..=255, "syncid"),
        OptionName::SyncMaxlen => (1..=65507, "sync-maxlen"),
        OptionName::McastPort => (1..=65535, "mcast-port"),
        OptionName::McastTtl => (1..=255, "mcast-ttl"),
        OptionName::McastGroup => return check_group(text),
        _ => return Ok(()),
    };
    match number(text, range) {
        Some(_) => Ok(()),
        None => Err(format!("illegal {what} specified").into()),
    }
}

fn check_group(text: &str) -> Result<(), UsageError> {
    let (family, multicast) = if text.contains(':') {
        ("IPv6", text.parse().is_ok_and(|group: Ipv6Addr| group.is_multicast()))
    } else {
        ("IPv4", text.parse().is_ok_and(|group: Ipv4Addr| group.is_multicast()))
    };
    if multicast { Ok(()) } else { Err(format!("invalid {family} mcast-group `{text}'").into()) }
}
