//! Rate limits of ICMP errors: those of the host whose place the director takes.
//!
//! Kernel behaviour, experiment `rate_limits.py`: each peer has one bucket of six errors, of whatever type, which fills at the
//! rate of `icmp_ratelimit`; all together have one of `icmp_msgs_burst`. An error that its peer's bucket refuses takes nothing
//! of the common one, and is not counted in statistics. "Fragmentation needed", and types that the mask does not name, are
//! free. TCP resets have no limit. The kernel stirs the common bucket by a few errors at random; here it is exact.

use core::hash::{Hash, Hasher};
use core::time::Duration;
use std::net::IpAddr;

use ipvs_wire::Headers;
use siphasher::sip::SipHasher13;

use crate::destination::DestinationIndex;
use crate::director::Director;
use crate::host::Host;
use crate::packet::Packet;
use crate::protocol::{ICMP, ICMPV6};
use crate::time::Instant;
use crate::verdict::{Reason, Verdict};

/// Errors in a peer's bucket.
const PEER_BURST: u64 = 6;

/// Peers that are remembered. Another one in a peer's place begins with a full bucket: the common one still bounds all.
const PEERS: u64 = 1024;

/// Destination unreachable because of the size (RFC 1191), which path MTU discovery needs.
const FRAGMENTATION_NEEDED: [u8; 2] = [3, 4];

/// How often the host sends ICMP errors (net.ipv4.icmp_*, net.ipv6.icmp.*).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorLimits {
    /// Time between two errors to one IPv4 peer (net.ipv4.icmp_ratelimit); zero: no limit.
    pub v4_interval: Duration,
    /// The ICMP types that are limited, a bit each (net.ipv4.icmp_ratemask).
    pub v4_types: u32,
    /// Time between two errors to one IPv6 peer; zero: no limit. The kernel's net.ipv6.icmp.ratelimit is that of a peer with
    /// a route of its own.
    pub v6_interval: Duration,
    /// The ICMPv6 types that are limited, a bit each (net.ipv6.icmp.ratemask; errors are below 128).
    pub v6_types: u128,
    /// Errors a second to all peers (net.ipv4.icmp_msgs_per_sec); 0: none but the first burst.
    pub per_second: u32,
    /// Errors to all peers at once (net.ipv4.icmp_msgs_burst).
    pub burst: u32,
}

impl ErrorLimits {
    /// No limits.
    pub const NONE: Self = Self {
        v4_interval: Duration::ZERO,
        v4_types: 0,
        v6_interval: Duration::ZERO,
        v6_types: 0,
        per_second: 0,
        burst: 0,
    };

    /// The kernel's defaults: one a second, IPv6 four; unreachable, source quench, time exceeded and parameter problem for
    /// IPv4, all but "packet too big" for IPv6; 1000 a second in all, 50 at once.
    pub const DEFAULT: Self = Self {
        v4_interval: Duration::from_secs(1),
        v4_types: 0x1818,
        v6_interval: Duration::from_millis(250),
        v6_types: !(1 << 2),
        per_second: 1000,
        burst: 50,
    };

    /// The interval of one peer's errors of this type and code; `None`: they are free.
    fn interval(&self, ipv6: bool, [kind, code]: [u8; 2]) -> Option<Duration> {
        let limited = match ipv6 {
            true => kind < 128 && self.v6_types >> kind & 1 != 0,
            false => kind < 32 && self.v4_types >> kind & 1 != 0 && [kind, code] != FRAGMENTATION_NEEDED,
        };
        limited.then_some(if ipv6 { self.v6_interval } else { self.v4_interval })
    }
}

/// A bucket, told by the time at which it will be full again.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    full: u64,
}

impl Bucket {
    /// Whether it holds an error, of `burst` that come back one each `interval` nanoseconds.
    fn holds(&self, now: u64, interval: u64, burst: u64) -> bool {
        self.full.saturating_sub(now) <= interval.saturating_mul(burst.saturating_sub(1)) && burst > 0
    }

    fn take(&mut self, now: u64, interval: u64) {
        self.full = self.full.max(now).saturating_add(interval);
    }
}

/// The buckets of all and of each peer.
#[derive(Clone, Debug, Default)]
pub(crate) struct ErrorBuckets {
    all: Bucket,
    /// By hash; empty until the first error.
    peers: Vec<Option<(IpAddr, Bucket)>>,
}

impl ErrorBuckets {
    /// Whether an error may go to `peer`, which then is counted.
    fn allow(
        &mut self,
        now: Instant,
        limits: &ErrorLimits,
        key: [u64; 2],
        peer: IpAddr,
        interval: Duration,
    ) -> bool {
        let now = now.as_nanos();
        let interval = interval.as_nanos().min(u64::MAX.into()) as u64;
        if self.peers.is_empty() {
            self.peers = vec![None; PEERS as usize];
        }
        let mut hasher = SipHasher13::new_with_keys(key[0], key[1]);
        peer.hash(&mut hasher);
        let Some(slot) = self.peers.get_mut((hasher.finish() % PEERS) as usize) else { return false };
        let (_, bucket) = match slot {
            Some(known) if known.0 == peer => known,
            other => other.insert((peer, Bucket::default())),
        };
        let second = Duration::from_secs(1).as_nanos() as u64;
        let common = second.checked_div(limits.per_second.into()).unwrap_or(u64::MAX / 2);
        if !bucket.holds(now, interval, PEER_BURST) || !self.all.holds(now, common, limits.burst.into()) {
            return false;
        }
        bucket.take(now, interval);
        self.all.take(now, common);
        true
    }
}

impl Director {
    /// Notes at which destination an error that is about to be sent counts as a packet out.
    pub(crate) fn note_own_error(&mut self, destination: DestinationIndex) {
        self.own_error = Some(destination);
    }

    /// What becomes of an error or reset that stands in its packet's place: sent and counted, or dropped for the host's
    /// limits.
    #[cold]
    pub(crate) fn send_own_error(
        &mut self,
        now: Instant,
        host: &dyn Host,
        packet: &mut Packet<'_>,
        reason: Reason,
    ) -> Verdict {
        let destination = self.own_error.take();
        if !self.speaks(host, packet) || !self.may_send(now, &host.error_limits(), packet) {
            return Verdict::Drop(reason);
        }
        if let Some(destination) = destination {
            self.count_out(destination, packet.len());
        }
        Verdict::Reply(reason)
    }

    fn may_send(&mut self, now: Instant, limits: &ErrorLimits, packet: &Packet<'_>) -> bool {
        let Ok(headers) = Headers::parse(packet.as_slice()) else { return false };
        if headers.protocol != if headers.is_ipv6() { ICMPV6 } else { ICMP } {
            return true;
        }
        let Some(kind) = headers.payload(packet.as_slice()).first_chunk().copied() else { return false };
        match limits.interval(headers.is_ipv6(), kind) {
            Some(interval) => {
                let key = self.config.hash_key();
                self.error_buckets.allow(now, limits, key, headers.destination, interval)
            }
            None => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;
    use crate::command::{Command, ForwardingMethod};
    use crate::host::AddressKind;
    use crate::scheduler::testing::{Bench, TestHost, seconds, service, settings, weight};
    use crate::stats::Counters;

    const LIMITS: ErrorLimits = ErrorLimits::DEFAULT;

    struct Limited;

    impl Host for Limited {
        fn address_kind(&self, address: IpAddr) -> AddressKind {
            TestHost.address_kind(address)
        }

        fn path_mtu(&self, _: IpAddr) -> Option<u32> {
            Some(1500)
        }

        fn source_address(&self, _: IpAddr) -> Option<IpAddr> {
            None
        }

        fn error_limits(&self) -> ErrorLimits {
            LIMITS
        }
    }

    /// How many of 20 errors to that peer may be sent.
    fn of_20(buckets: &mut ErrorBuckets, now: Instant, peer: [u8; 4], interval: Duration) -> usize {
        let mut allow = || buckets.allow(now, &LIMITS, [1, 2], IpAddr::from(peer), interval);
        (0..20).filter(|_| allow()).count()
    }

    #[test]
    fn six_at_once_then_one_an_interval() {
        let (mut buckets, start) = (ErrorBuckets::default(), Instant::from_nanos(7));
        let mut at = |after: u64, peer| of_20(&mut buckets, start + seconds(after), peer, seconds(1));
        let (peer, other) = ([192, 0, 2, 1], [192, 0, 2, 2]);
        assert_eq!([at(0, peer), at(0, peer), at(0, other)], [6, 0, 6]);
        assert_eq!([at(1, peer), at(3, peer), at(6, peer), at(18, peer)], [1, 2, 3, 6]);
        let mut at = |after: u64, peer| {
            let now = start + seconds(100) + Duration::from_millis(after);
            of_20(&mut buckets, now, peer, LIMITS.v6_interval)
        };
        assert_eq!([at(0, peer), at(200, peer), at(250, peer), at(1250, peer)], [6, 0, 1, 4]);
        // Without an interval a peer has no limit; all together have one.
        assert_eq!(of_20(&mut buckets, start + seconds(200), peer, Duration::ZERO), 20);
    }

    #[test]
    fn fifty_to_all_at_once_then_one_a_millisecond() {
        let (mut buckets, start) = (ErrorBuckets::default(), Instant::from_nanos(0) + seconds(9));
        let mut at = |milliseconds: u64| {
            let now = start + Duration::from_millis(milliseconds);
            let peers = (0..200_u8).map(|number| IpAddr::from([10, 77, milliseconds as u8, number]));
            peers.filter(|peer| buckets.allow(now, &LIMITS, [1, 2], *peer, seconds(1))).count()
        };
        assert_eq!([at(0), at(1), at(11), at(200)], [50, 1, 10, 50]);
        // What a peer is refused takes nothing from the others.
        let (mut buckets, late) = (ErrorBuckets::default(), start + seconds(9));
        for _ in 0..10 {
            of_20(&mut buckets, late, [192, 0, 2, 1], seconds(1));
        }
        let others = (0..200_u8).filter(|number| {
            buckets.allow(late, &LIMITS, [1, 2], IpAddr::from([10, 77, 1, *number]), seconds(1))
        });
        assert_eq!(others.count(), 44);
    }

    #[test]
    fn types_that_are_free() {
        let limited = |ipv6, kind| LIMITS.interval(ipv6, kind).is_some();
        assert!(
            limited(false, [3, 3])
                && limited(false, [11, 0])
                && limited(true, [1, 4])
                && limited(true, [3, 0])
        );
        assert!(!limited(false, [3, 4]) && !limited(true, [2, 0]) && !limited(false, [0, 0]));
        assert!(ErrorLimits::NONE.interval(false, [3, 3]).is_none());
    }

    fn receive(bench: &mut Bench, ttl: u8, port: u16) -> Verdict {
        let mut bytes = Vec::new();
        let builder = PacketBuilder::ipv4([10, 1, 0, 2], [10, 9, 0, 1], ttl).tcp(4000, port, 1, 1).syn();
        builder.write(&mut bytes, b"").unwrap();
        let len = bytes.len();
        bytes.resize(600, 0);
        bench.director.receive(bench.now, &Limited, &mut Packet::new(&mut bytes, 0, len))
    }

    #[test]
    fn an_error_that_is_not_sent_is_a_drop_and_not_counted() {
        let mut bench = Bench::new();
        let (id, now) = (service("10.9.0.1"), Instant::from_nanos(0) + seconds(50));
        bench.now = now;
        bench.run(Command::AddService(id, settings("rr"))).unwrap();
        let empty: Vec<_> = (0..8).map(|_| receive(&mut bench, 64, 80)).collect();
        assert_eq!(empty[5], Verdict::Reply(Reason::NoDestination));
        assert_eq!(empty[6..], [Verdict::Drop(Reason::NoDestination); 2]);
        let direct = crate::DestinationConfig { forwarding: ForwardingMethod::DIRECT, ..weight(1) };
        bench.add(id, 1, direct).unwrap();
        bench.now = now + seconds(2);
        let expired: Vec<_> = (0..5).map(|_| receive(&mut bench, 1, 80)).collect();
        assert_eq!(expired[1], Verdict::Reply(Reason::HopLimitExceeded));
        assert_eq!(expired[2], Verdict::Drop(Reason::HopLimitExceeded));
        let counted = bench.director.stats().counters;
        let wanted =
            Counters { connections: 1, packets_in: 5, bytes_in: 200, packets_out: 2, bytes_out: 136 };
        assert_eq!(counted, wanted);
        let dropped = bench.director.drops().find(|(reason, _)| *reason == Reason::HopLimitExceeded);
        assert_eq!(dropped, Some((Reason::HopLimitExceeded, 5)));
    }
}
