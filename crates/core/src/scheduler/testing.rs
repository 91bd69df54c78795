//! A director for tests of the control plane and the schedulers: a table as host, shorthand for commands, and
//! connections that are only counted.

use std::net::{IpAddr, Ipv4Addr};

use crate::command::{
    Command, DestinationConfig, DestinationId, DestinationInfo, ForwardingMethod, Reply, ServiceConfig,
    ServiceId, ServiceInfo,
};
use crate::destination::{Bound, DestinationIndex};
use crate::director::{Config, Director};
use crate::error::Error;
use crate::host::{AddressKind, Host};
use crate::scheduler::Flow;
use crate::service::ServiceIndex;
use crate::time::Instant;

/// Judges addresses by their look: 10.9.x.y and ::1 are local.
pub(crate) struct TestHost;

impl Host for TestHost {
    fn address_kind(&self, address: IpAddr) -> AddressKind {
        match address {
            IpAddr::V4(it) if it.octets()[..2] == [10, 9] => AddressKind::Local,
            IpAddr::V4(it) if it.is_unspecified() || it.is_broadcast() || it.is_multicast() => {
                AddressKind::Other
            }
            IpAddr::V6(it) if it.is_loopback() => AddressKind::Local,
            IpAddr::V6(it) if it.is_unspecified() || it.is_multicast() => AddressKind::Other,
            IpAddr::V6(it) if it.is_unicast_link_local() => AddressKind::LinkLocal,
            _ => AddressKind::Unicast,
        }
    }

    fn path_mtu(&self, _address: IpAddr) -> Option<u32> {
        Some(1500)
    }

    fn source_address(&self, _towards: IpAddr) -> Option<IpAddr> {
        None
    }
}

/// A director with its clock.
pub(crate) struct Bench {
    pub(crate) director: Director,
    pub(crate) now: Instant,
}

pub(crate) fn seconds(seconds: u64) -> core::time::Duration {
    core::time::Duration::from_secs(seconds)
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The TCP service at `address`, port 80.
pub(crate) fn service(address: &str) -> ServiceId {
    ServiceId::Address { protocol: 6, address: ip(address), port: 80 }
}

/// What services are set to where a test does not care.
pub(crate) fn settings(scheduler: &str) -> ServiceConfig {
    ServiceConfig::new(scheduler)
}

/// The real server number `i`, port 80.
pub(crate) fn server(i: u8) -> DestinationId {
    DestinationId { address: Ipv4Addr::new(10, 8, 0, i).into(), port: 80 }
}

/// A masquerading destination without thresholds.
pub(crate) fn weight(weight: i32) -> DestinationConfig {
    DestinationConfig::new(ForwardingMethod::MASQUERADE, weight)
}

/// As [`weight`], with thresholds.
pub(crate) fn limits(upper_threshold: u32, lower_threshold: u32) -> DestinationConfig {
    DestinationConfig { upper_threshold, lower_threshold, ..weight(1) }
}

impl Bench {
    pub(crate) fn new() -> Self {
        let mut bench = Self {
            director: Director::new(Config { capacity: 64, ..Config::default() }, Instant::from_nanos(0))
                .unwrap(),
            now: Instant::from_nanos(0),
        };
        bench.director.poll(bench.now);
        bench
    }

    /// With one service and its servers 1, 2, ... of these weights, added in this order.
    pub(crate) fn with(scheduler: &str, weights: &[i32]) -> (Self, ServiceId) {
        let mut bench = Self::new();
        let id = service("10.9.0.1");
        bench.run(Command::AddService(id, settings(scheduler))).unwrap();
        for (i, it) in (1..).zip(weights) {
            bench.add(id, i, weight(*it)).unwrap();
        }
        (bench, id)
    }

    pub(crate) fn run(&mut self, command: Command) -> Result<Reply, Error> {
        self.director.execute(self.now, &TestHost, command)
    }

    pub(crate) fn add(&mut self, id: ServiceId, i: u8, config: DestinationConfig) -> Result<Reply, Error> {
        self.run(Command::AddDestination(id, server(i), config))
    }

    pub(crate) fn edit(&mut self, id: ServiceId, i: u8, config: DestinationConfig) -> Result<Reply, Error> {
        self.run(Command::EditDestination(id, server(i), config))
    }

    pub(crate) fn delete(&mut self, id: ServiceId, i: u8) -> Result<Reply, Error> {
        self.run(Command::DeleteDestination(id, server(i)))
    }

    /// Lets time pass in steps of a second, polling when the director asks for it.
    pub(crate) fn pass(&mut self, seconds_passed: u64) {
        let end = self.now + seconds(seconds_passed);
        while let Some(next) = self.director.poll_timeout().filter(|next| *next <= end) {
            self.now = next.max(self.now);
            self.director.poll(self.now);
        }
        self.now = end;
    }

    pub(crate) fn find(&self, id: ServiceId) -> ServiceIndex {
        self.director.services.find_id(&id).unwrap()
    }

    pub(crate) fn info(&mut self, id: ServiceId) -> ServiceInfo {
        match self.run(Command::GetService(id)) {
            Ok(Reply::Service(info)) => *info,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn listed(&mut self, id: ServiceId) -> Vec<DestinationInfo> {
        match self.run(Command::ListDestinations { service: id, cursor: 0, limit: usize::MAX }) {
            Ok(Reply::Destinations { items, next: None }) => items,
            other => panic!("{other:?}"),
        }
    }

    /// The last byte of an IPv4 destination's address: the number that [`server`] was given.
    pub(crate) fn number(&self, index: DestinationIndex) -> u8 {
        match self.director.destinations.get(index).unwrap().id.address {
            IpAddr::V4(address) => address.octets()[3],
            IpAddr::V6(address) => address.octets()[15],
        }
    }

    /// Schedules one connection of `client` and counts it.
    pub(crate) fn connect_from(
        &mut self,
        id: ServiceId,
        client: IpAddr,
        bound: Bound,
    ) -> Option<DestinationIndex> {
        let flow = Flow {
            now: self.now,
            source: client,
            source_port: 1024,
            destination: ip("10.9.0.1"),
            destination_port: 80,
        };
        self.connect(id, &flow, bound)
    }

    /// Schedules one connection and counts it.
    pub(crate) fn connect(&mut self, id: ServiceId, flow: &Flow, bound: Bound) -> Option<DestinationIndex> {
        let index = self.find(id);
        let Director { services, destinations, sysctls, .. } = &mut self.director;
        let chosen = services.get_mut(index)?.schedule(destinations, sysctls, flow)?;
        destinations.bind(chosen, bound);
        self.director.count(chosen, |counters| counters.connections += 1);
        Some(chosen)
    }

    /// Schedules and counts `n` connections; the numbers of the chosen servers, "-" where there was none.
    pub(crate) fn sequence(&mut self, id: ServiceId, n: usize, bound: Bound) -> String {
        let chosen = (0..n).map(|_| match self.connect_from(id, ip("10.1.0.1"), bound) {
            Some(index) => self.number(index).to_string(),
            None => "-".to_owned(),
        });
        chosen.collect::<Vec<_>>().join(" ")
    }
}
