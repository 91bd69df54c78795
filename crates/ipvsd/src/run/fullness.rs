//! A full connection table: new connections take the place of half-open ones, or hang and nobody tells their clients, so
//! whoever runs the daemon is told.

use std::time::Duration;

use ipvs_core::{Director, Eviction, Instant, Reason};
use tracing::warn;

/// How long after a warning the next one may come.
const INTERVAL: Duration = Duration::from_secs(60);

/// What was warned of.
#[derive(Debug, Default)]
pub(super) struct Fullness {
    /// Packets dropped and connections evicted for want of room, as of the last warning.
    told: u64,
    /// When the next warning may come.
    next: Instant,
}

impl Fullness {
    /// Warns if packets were dropped, or half-open connections gave way, because the table of `capacity` connections is
    /// full, at most once a minute; returns how many, if it did.
    pub(super) fn look(&mut self, now: Instant, director: &Director, capacity: u32) -> Option<u64> {
        if now < self.next {
            return None;
        }
        let dropped = director.drops().find(|(reason, _)| *reason == Reason::TableFull).map_or(0, |(_, n)| n);
        let mut evictions = director.evictions();
        let evicted = evictions.find(|(reason, _)| *reason == Eviction::TableFull).map_or(0, |(_, n)| n);
        let all = dropped + evicted;
        let new = all.checked_sub(self.told).filter(|new| *new > 0)?;
        (self.told, self.next) = (all, now + INTERVAL);
        warn!(
            new,
            dropped,
            evicted,
            capacity,
            "the connection table is full: new connections take the place of half-open ones, or are dropped; start ipvsd \
             with a greater --capacity, or with --half-open-quota if it is a SYN flood"
        );
        Some(new)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use ipvs_core::{
        AddressKind, Command, Config, DestinationConfig, DestinationId, ForwardingMethod, Host, Packet,
        ServiceConfig, ServiceId,
    };

    use super::*;

    struct Anywhere;

    impl Host for Anywhere {
        fn address_kind(&self, _: IpAddr) -> AddressKind {
            AddressKind::Unicast
        }

        fn path_mtu(&self, _: IpAddr) -> Option<u32> {
            Some(1500)
        }

        fn source_address(&self, _: IpAddr) -> Option<IpAddr> {
            None
        }
    }

    /// A datagram from 192.0.2.1 and this port to 10.0.0.1 port 53.
    fn send(director: &mut Director, now: Instant, port: u16) {
        let mut bytes = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 10, 0, 0, 1];
        let sum: u32 = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
        let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        bytes.extend(port.to_be_bytes());
        bytes.extend([0, 53, 0, 8, 0, 0]);
        let mut buffer = vec![0; 1024];
        buffer[256..284].copy_from_slice(&bytes);
        let mut packet = Packet::new(&mut buffer, 256, 28);
        director.receive(now, &Anywhere, &mut packet);
    }

    #[test]
    fn it_is_told_once_a_minute_and_only_what_is_new() {
        let mut now = Instant::default() + Duration::from_secs(1000);
        let mut director = Director::new(Config { capacity: 2, ..Config::default() }, now).unwrap();
        let service = ServiceId::Address { protocol: 17, address: [10, 0, 0, 1].into(), port: 53 };
        let config = ServiceConfig::new("rr");
        let destination = DestinationConfig::new(ForwardingMethod::MASQUERADE, 1);
        let server = DestinationId { address: [10, 1, 0, 1].into(), port: 53 };
        for command in
            [Command::AddService(service, config), Command::AddDestination(service, server, destination)]
        {
            director.execute(now, &Anywhere, command).unwrap();
        }
        let mut fullness = Fullness::default();
        (1..=2).for_each(|port| send(&mut director, now, port));
        assert_eq!(fullness.look(now, &director, 2), None, "there was room");
        (3..=5).for_each(|port| send(&mut director, now, port));
        assert_eq!(fullness.look(now, &director, 2), Some(3));
        send(&mut director, now, 6);
        assert_eq!(fullness.look(now, &director, 2), None, "not so soon");
        now = now + INTERVAL;
        assert_eq!(fullness.look(now, &director, 2), Some(1));
        now = now + INTERVAL;
        assert_eq!(fullness.look(now, &director, 2), None, "nothing new");
    }
}
