//! The options of the synchronisation daemons.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use ipvs_core::SyncDaemonConfig;

use super::error::UsageError;
use super::number::number;
use super::option::OptionName;

/// The interface unless another is given.
const INTERFACE: &str = "eth0";

/// Longest name of an interface; what is longer is cut.
const INTERFACE_MOST: usize = 15;

/// What the options so far say.
pub(super) struct SyncArguments {
    /// What a daemon would be started with.
    pub(super) config: SyncDaemonConfig,
}

impl Default for SyncArguments {
    fn default() -> Self {
        let interface = INTERFACE.to_owned();
        Self {
            config: SyncDaemonConfig {
                interface,
                sync_id: 0,
                max_length: 0,
                group: None,
                port: 0,
                ttl: 0,
                mixed: false,
            },
        }
    }
}

impl SyncArguments {
    /// Takes the argument of one of these options; ignores any other option.
    pub(super) fn set(&mut self, option: OptionName, text: &str) -> Result<(), UsageError> {
        let config = &mut self.config;
        match option {
            OptionName::McastInterface => {
                config.interface = text.to_owned();
                let cut = (0..=INTERFACE_MOST).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
                config.interface.truncate(cut);
            }
            OptionName::SyncId => config.sync_id = value(text, 0..=255, "syncid")?,
            OptionName::SyncMaxlen => config.max_length = value(text, 1..=65507, "sync-maxlen")?,
            OptionName::McastPort => config.port = value(text, 1..=65535, "mcast-port")?,
            OptionName::McastTtl => config.ttl = value(text, 1..=255, "mcast-ttl")?,
            OptionName::McastGroup if text.contains(':') => {
                let group = text.parse().ok().filter(Ipv6Addr::is_multicast);
                config.group = Some(group.ok_or_else(|| not_multicast("IPv6", text))?.into());
            }
            OptionName::McastGroup => {
                let group = text.parse().ok().filter(Ipv4Addr::is_multicast);
                config.group = Some(group.ok_or_else(|| not_multicast("IPv4", text))?.into());
            }
            _ => {}
        }
        Ok(())
    }
}

fn value<T: TryFrom<i64>>(text: &str, range: RangeInclusive<i64>, what: &str) -> Result<T, UsageError> {
    let value = number(text, range).and_then(|value| T::try_from(value).ok());
    value.ok_or_else(|| format!("illegal {what} specified").into())
}

fn not_multicast(family: &str, text: &str) -> UsageError {
    format!("invalid {family} mcast-group `{text}'").into()
}
