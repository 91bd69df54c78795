//! What is known of the ways to the far ends of tunnels: path MTUs, and identifications of outer packets.

use core::time::Duration;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use crate::time::Instant;

/// How long a path MTU is believed: the host's net.ipv4.route.mtu_expires.
const BELIEVED: Duration = Duration::from_secs(600);

/// The smallest path MTU that is believed: the host's net.ipv4.route.min_pmtu.
const SMALLEST: u32 = 552;

/// Path MTUs learned of errors from within tunnels. Bounded by the number of destinations, whose addresses alone are entered.
#[derive(Clone, Debug, Default)]
pub(crate) struct TunnelPaths {
    learned: HashMap<IpAddr, (u32, Instant)>,
    /// Servers of which something else may be believed since somebody asked.
    changed: BTreeSet<IpAddr>,
}

impl TunnelPaths {
    /// Notes that a router on the way to `server` forwards at most `mtu` bytes; returns what is believed. What is believed does
    /// not grow before its time is over (RFC 1191 section 6.3).
    pub(crate) fn learn(&mut self, now: Instant, server: IpAddr, mtu: u32) -> u32 {
        let Self { learned, changed } = self;
        if !learned.contains_key(&server) {
            learned.retain(|server, (_, until)| now < *until || !changed.insert(*server));
        }
        let mtu = self.mtu(now, server, mtu.max(SMALLEST));
        if self.learned.insert(server, (mtu, now + BELIEVED)).is_none_or(|(before, _)| before != mtu) {
            self.changed.insert(server);
        }
        mtu
    }

    /// The path MTU to `server`, whose link has MTU `link`.
    pub(crate) fn mtu(&mut self, now: Instant, server: IpAddr, link: u32) -> u32 {
        match self.learned.get(&server) {
            Some((mtu, until)) if now < *until => link.min(*mtu),
            Some(_) => {
                self.learned.remove(&server);
                self.changed.insert(server);
                link
            }
            None => link,
        }
    }

    /// The path MTU that was learned for `server` and is believed or was until lately.
    pub(crate) fn learned(&self, server: IpAddr) -> Option<u32> {
        self.learned.get(&server).map(|(mtu, _)| *mtu)
    }

    /// The servers of which something else may be believed since the last call.
    pub(crate) fn take_changed(&mut self) -> BTreeSet<IpAddr> {
        core::mem::take(&mut self.changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_mtu_is_believed_for_ten_minutes_and_not_below_552() {
        let (server, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let start = Instant::from_nanos(5);
        let mut paths = TunnelPaths::default();
        assert_eq!(paths.learn(start, server, 1300), 1300);
        assert_eq!((paths.mtu(start, server, 1500), paths.mtu(start, other, 1500)), (1300, 1500));
        assert_eq!(paths.mtu(start, server, 1200), 1200);
        assert_eq!((paths.learn(start, server, 1400), paths.mtu(start, server, 1500)), (1300, 1300));
        assert_eq!(paths.mtu(start + BELIEVED, server, 1500), 1500);
        assert_eq!(paths.learn(start + BELIEVED, other, 20), 552);
        assert_eq!(paths.learned.len(), 1);
    }
}
