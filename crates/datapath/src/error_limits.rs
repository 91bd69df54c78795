//! The host's limits of ICMP errors, from /proc/sys/net of the daemon's network namespace.

use std::fs;
use std::time::Duration;

use ipvs_core::{ErrorLimits, Instant};

/// How long what was read is believed.
const BELIEVED: Duration = Duration::from_secs(1);

/// The limits, read anew when they are asked for and old.
#[derive(Debug)]
pub(crate) struct HostErrorLimits {
    limits: ErrorLimits,
    until: Instant,
}

impl Default for HostErrorLimits {
    fn default() -> Self {
        Self { limits: ErrorLimits::DEFAULT, until: Instant::from_nanos(0) }
    }
}

impl HostErrorLimits {
    /// The limits as of a second ago at most.
    pub(crate) fn get(&mut self, now: Instant) -> ErrorLimits {
        if now >= self.until {
            self.limits = assembled(|name| fs::read_to_string(format!("/proc/sys/net/{name}")).ok());
            self.until = now + BELIEVED;
        }
        self.limits
    }
}

/// The limits of the settings' texts; those that are not there are the kernel's defaults.
fn assembled(setting: impl Fn(&str) -> Option<String>) -> ErrorLimits {
    let number = |name| {
        let value: i64 = setting(name)?.trim().parse().ok()?;
        Some(u64::try_from(value).unwrap_or(0))
    };
    let count = |name| number(name).map(|value| u32::try_from(value).unwrap_or(u32::MAX));
    let interval = |name| number(name).map(Duration::from_millis);
    let default = ErrorLimits::DEFAULT;
    ErrorLimits {
        v4_interval: interval("ipv4/icmp_ratelimit").unwrap_or(default.v4_interval),
        v4_types: count("ipv4/icmp_ratemask").unwrap_or(default.v4_types),
        v6_interval: interval("ipv6/icmp/ratelimit").map_or(default.v6_interval, |it| it / PREFIX_SHARE),
        v6_types: setting("ipv6/icmp/ratemask").map_or(default.v6_types, |text| ranges(&text)),
        per_second: count("ipv4/icmp_msgs_per_sec").unwrap_or(default.per_second),
        burst: count("ipv4/icmp_msgs_burst").unwrap_or(default.burst),
    }
}

/// The kernel sends an IPv6 peer errors the oftener the shorter the prefix of the route to it is: 1, 2, 4, 8 or 16 times as often, a
/// step each 32 bits. Here all are taken for peers behind a route of 33 to 64 bits.
const PREFIX_SHARE: u32 = 4;

/// A bitmap of the kernel's, as "0-1,3-127"; bits above 127 are left out.
fn ranges(text: &str) -> u128 {
    let mut bits = 0;
    for range in text.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>()) else { continue };
        for bit in first..=last.min(127) {
            bits |= 1 << bit;
        }
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_texts_are_the_defaults() {
        let text = |name: &str| {
            let text = match name {
                "ipv4/icmp_ratelimit" | "ipv4/icmp_msgs_per_sec" | "ipv6/icmp/ratelimit" => "1000\n",
                "ipv4/icmp_ratemask" => "6168\n",
                "ipv4/icmp_msgs_burst" => "50\n",
                "ipv6/icmp/ratemask" => "0-1,3-127\n",
                _ => return None,
            };
            Some(text.to_owned())
        };
        assert_eq!(assembled(text), ErrorLimits::DEFAULT);
        assert_eq!(assembled(|_| None), ErrorLimits::DEFAULT);
        let zero = assembled(|_| Some("-1".to_owned()));
        assert_eq!((zero.v4_interval, zero.burst), (Duration::ZERO, 0));
    }

    #[test]
    fn bitmaps() {
        assert_eq!(ranges(""), 0);
        assert_eq!(ranges("1"), 2);
        assert_eq!(ranges("0-2,5,128-255\n"), 0b10_0111);
        assert_eq!(ranges("0-127"), u128::MAX);
        assert_eq!(ranges("9-4,x,3-"), 0);
        assert_eq!(ranges("0-4294967295"), u128::MAX);
    }
}
