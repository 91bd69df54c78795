//! Random command sequences against a plain model, with everything that must agree checked after each step.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::command::{
    Command, ConnectionFlags, DestinationConfig, DestinationId, ForwardingMethod, Reply, ServiceConfig,
    ServiceId, Tunnel,
};
use crate::destination::{Bound, DestinationIndex};
use crate::error::Error;
use crate::interest::{Interest, InterestChange};
use crate::scheduler::testing::{Bench, ip, settings};

const SCHEDULERS: [&str; 16] = [
    "rr", "wrr", "lc", "wlc", "sed", "nq", "fo", "ovf", "dh", "sh", "mh", "twos", "lblc", "lblcr", "none",
    "nope",
];

#[derive(Clone, Debug)]
enum Step {
    Run(Command),
    Connect(ServiceId, u8, Bound),
    Disconnect(usize),
    Activate(usize),
    Pass(u64),
}

fn service_id() -> impl Strategy<Value = ServiceId> {
    let at = |address: &str, port| ServiceId::Address { protocol: 6, address: ip(address), port };
    prop::sample::select(vec![
        at("10.9.0.1", 80),
        at("10.9.0.1", 0),
        at("10.9.0.2", 80),
        at("2001:db8::1", 80),
        ServiceId::Mark { ipv6: false, mark: 1 },
        ServiceId::Mark { ipv6: true, mark: 1 },
    ])
}

fn service_config() -> impl Strategy<Value = ServiceConfig> {
    (prop::sample::select(&SCHEDULERS[..]), any::<u32>(), prop::sample::select(vec![64, u32::MAX]))
        .prop_map(|(scheduler, flags, netmask)| ServiceConfig { flags, netmask, ..settings(scheduler) })
}

fn destination_id() -> impl Strategy<Value = DestinationId> {
    let addresses = vec!["10.8.0.1", "10.8.0.2", "2001:db8::7", "224.0.0.1"];
    (prop::sample::select(addresses), prop::sample::select(vec![0, 80]))
        .prop_map(|(address, port)| DestinationId { address: ip(address), port })
}

fn destination_config() -> impl Strategy<Value = DestinationConfig> {
    (0..4u8, -1..4, 0..6u32, 0..3u32).prop_map(|(method, weight, upper_threshold, lower_threshold)| {
        DestinationConfig {
            forwarding: ForwardingMethod(method),
            flags: ConnectionFlags::default(),
            weight,
            upper_threshold,
            lower_threshold,
            tunnel: Tunnel::default(),
            local_pool: None,
            proxy: None,
        }
    })
}

fn step() -> impl Strategy<Value = Step> {
    let bound = prop::sample::select(vec![Bound::Active, Bound::Inactive, Bound::Template]);
    prop_oneof![
        3 => (service_id(), service_config()).prop_map(|(id, it)| Step::Run(Command::AddService(id, it))),
        1 => (service_id(), service_config()).prop_map(|(id, it)| Step::Run(Command::EditService(id, it))),
        1 => service_id().prop_map(|id| Step::Run(Command::DeleteService(id))),
        1 => prop::option::of(service_id()).prop_map(|id| Step::Run(Command::Zero(id))),
        1 => prop::bool::weighted(0.2).prop_map(|flush| if flush { Step::Run(Command::Flush) } else { Step::Pass(1) }),
        6 => (service_id(), destination_id(), destination_config())
            .prop_map(|(service, id, it)| Step::Run(Command::AddDestination(service, id, it))),
        3 => (service_id(), destination_id(), destination_config())
            .prop_map(|(service, id, it)| Step::Run(Command::EditDestination(service, id, it))),
        2 => (service_id(), destination_id())
            .prop_map(|(service, id)| Step::Run(Command::DeleteDestination(service, id))),
        8 => (service_id(), any::<u8>(), bound).prop_map(|(id, client, bound)| Step::Connect(id, client, bound)),
        4 => any::<usize>().prop_map(Step::Disconnect),
        2 => any::<usize>().prop_map(Step::Activate),
        3 => prop::sample::select(vec![1, 30, 61, 200]).prop_map(Step::Pass),
    ]
}

/// What should be there: nothing but identities and settings.
#[derive(Default)]
struct Model(BTreeMap<ServiceId, BTreeMap<DestinationId, DestinationConfig>>);

impl Model {
    /// What the kernel would answer, and its effect.
    fn run(&mut self, command: &Command) -> Result<(), Error> {
        let check_service = |id: &ServiceId, config: &ServiceConfig| {
            if config.scheduler == "nope" {
                Err(Error::NoSuchScheduler)
            } else if id.is_ipv6() && config.netmask > 128 {
                Err(Error::InvalidPrefixLength)
            } else {
                Ok(())
            }
        };
        let check = |service: &ServiceId, id: &DestinationId, config: &DestinationConfig| {
            if service.is_ipv6() != id.address.is_ipv6() && config.forwarding != ForwardingMethod::TUNNEL {
                Err(Error::MixedFamily)
            } else if config.weight < 0 {
                Err(Error::NegativeWeight)
            } else if config.lower_threshold > config.upper_threshold {
                Err(Error::ThresholdsReversed)
            } else {
                Ok(())
            }
        };
        match command {
            Command::AddService(id, config) => {
                if self.0.contains_key(id) {
                    return Err(Error::ServiceExists);
                }
                check_service(id, config)?;
                self.0.insert(*id, BTreeMap::new());
            }
            Command::EditService(id, config) => {
                self.0.get(id).ok_or(Error::NoSuchService)?;
                check_service(id, config)?;
            }
            Command::DeleteService(id) => {
                self.0.remove(id).ok_or(Error::NoSuchService)?;
            }
            Command::Flush => self.0.clear(),
            Command::Zero(Some(id)) => {
                self.0.get(id).ok_or(Error::NoSuchService)?;
            }
            Command::AddDestination(service, id, config) => {
                let list = self.0.get_mut(service).ok_or(Error::NoSuchService)?;
                check(service, id, config)?;
                if list.contains_key(id) {
                    return Err(Error::DestinationExists);
                }
                if id.address == ip("224.0.0.1") {
                    return Err(Error::AddressNotUnicast); // never gets in, so never is in the trash
                }
                list.insert(*id, *config);
            }
            Command::EditDestination(service, id, config) => {
                let list = self.0.get_mut(service).ok_or(Error::NoSuchService)?;
                check(service, id, config)?;
                *list.get_mut(id).ok_or(Error::NoSuchDestination)? = *config;
            }
            Command::DeleteDestination(service, id) => {
                let list = self.0.get_mut(service).ok_or(Error::NoSuchService)?;
                list.remove(id).ok_or(Error::NoSuchDestination)?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Everything that must agree.
fn check(
    bench: &mut Bench,
    model: &Model,
    connections: &[(DestinationIndex, Bound)],
    told: &mut BTreeSet<Interest>,
) {
    // The model's content, in listings and by lookup.
    let Ok(Reply::Services { items, next: None }) =
        bench.run(Command::ListServices { cursor: 0, limit: usize::MAX })
    else {
        panic!("listing")
    };
    assert_eq!(items.iter().map(|it| it.id).collect::<BTreeSet<_>>(), model.0.keys().copied().collect());
    assert_eq!(items.len(), model.0.len());
    let mut listed = 0;
    for info in &items {
        let expected = &model.0[&info.id];
        let list = bench.listed(info.id);
        assert_eq!(info.destinations as usize, list.len());
        assert_eq!(&list.iter().map(|it| (it.id, it.config)).collect::<BTreeMap<_, _>>(), expected);
        listed += list.len();
        let index = bench.find(info.id);
        let service = bench.director.services.get(index).unwrap();
        for (position, destination) in service.destinations.iter().enumerate() {
            let it = bench.director.destinations.get(*destination).unwrap();
            assert!(it.available && it.service == Some(index) && it.service_serial == service.serial);
            assert_eq!(bench.director.destinations.find(index, it.id), Some(*destination));
            assert_eq!(service.position(&bench.director.destinations, *destination), Some(position));
        }
    }
    let director = &bench.director;
    assert_eq!(director.destinations.len(), listed + director.trash.len());
    // Connections are counted where they are, and keep their destination.
    let mut interests: BTreeMap<Interest, u32> = BTreeMap::new();
    for id in model.0.keys() {
        *interests.entry(Interest::of_service(id, false)).or_default() += 1;
    }
    let mut counted = 0;
    for (index, it) in director.destinations.iter() {
        let count = |bound| connections.iter().filter(|other| **other == (index, bound)).count() as u32;
        let counts = [count(Bound::Active), count(Bound::Inactive), count(Bound::Template)];
        assert_eq!([it.active(), it.inactive(), it.persistent], counts);
        assert_eq!(it.references(), counts.iter().sum::<u32>());
        counted += it.references() as usize;
        if it.config.upper_threshold == 0 {
            assert!(!it.overloaded);
        }
        // Interests: of its service always, of its method, and of former methods while it has connections.
        let DestinationId { address, port } = it.id;
        let mut wanted = match it.config.forwarding {
            ForwardingMethod::MASQUERADE => Interest::of_server(&it.service_id, it.all_ports, address, port),
            ForwardingMethod::FULL_NAT => {
                Interest::of_translated_server(&it.service_id, it.all_ports, address).into_iter().collect()
            }
            ForwardingMethod::TUNNEL => Interest::of_tunnel(address, &it.config.tunnel).into_iter().collect(),
            _ => Vec::new(),
        };
        wanted.push(Interest::of_service(&it.service_id, it.all_ports));
        assert!(wanted.iter().all(|wanted| it.interests.contains(wanted)));
        for held in it.interests.iter().flat_map(|held| std::iter::once(*held).chain(held.followers())) {
            *interests.entry(held).or_default() += 1;
        }
        // Its reply is recognised.
        if it.available && it.config.forwarding == ForwardingMethod::MASQUERADE {
            assert!(director.destinations.find_any(6, it.id.address, it.id.port).is_some());
        }
    }
    assert_eq!(counted, connections.len());
    assert_eq!(director.interests(), interests.keys().copied().collect::<Vec<_>>());
    for (interest, count) in &interests {
        assert_eq!(director.interests.count(*interest), *count);
    }
    // The changes told add up to what is held.
    for change in bench.director.take_interest_changes() {
        match change {
            InterestChange::Added(it) => assert!(told.insert(it)),
            InterestChange::Removed(it) => assert!(told.remove(&it)),
        }
    }
    assert_eq!(told, &interests.keys().copied().collect());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn commands(steps in prop::collection::vec(step(), 1..120)) {
        let (mut bench, mut model, mut told) = (Bench::new(), Model::default(), BTreeSet::new());
        let mut connections: Vec<(DestinationIndex, Bound)> = Vec::new();
        for step in steps {
            match step {
                Step::Run(command) => {
                    let expected = model.run(&command);
                    let answer = bench.run(command);
                    prop_assert_eq!(answer.map(|_| ()), expected);
                }
                Step::Connect(id, client, bound) => {
                    if bench.director.services.find_id(&id).is_some() {
                        let client = std::net::Ipv4Addr::new(10, 1, 0, client);
                        if let Some(index) = bench.connect_from(id, client.into(), bound) {
                            let chosen = bench.director.destinations.get(index).unwrap();
                            prop_assert!(chosen.available && chosen.config.weight > 0);
                            connections.push((index, bound));
                        }
                    }
                }
                Step::Disconnect(which) => {
                    if !connections.is_empty() {
                        let (index, bound) = connections.swap_remove(which % connections.len());
                        bench.director.destinations.unbind(index, bound);
                    }
                }
                Step::Activate(which) => {
                    let length = connections.len().max(1);
                    if let Some((index, bound)) = connections.get_mut(which % length) {
                        match *bound {
                            Bound::Active => {
                                bench.director.destinations.set_active(*index, false);
                                *bound = Bound::Inactive;
                            }
                            Bound::Inactive => {
                                bench.director.destinations.set_active(*index, true);
                                *bound = Bound::Active;
                            }
                            Bound::Template => {}
                        }
                    }
                }
                Step::Pass(seconds) => bench.pass(seconds),
            }
            check(&mut bench, &model, &connections, &mut told);
        }
        // When all is gone and the trash's time is over, nothing is left.
        bench.run(Command::Flush).unwrap();
        for (index, bound) in connections.drain(..) {
            bench.director.destinations.unbind(index, bound);
        }
        bench.pass(200);
        prop_assert_eq!(bench.director.destinations.len(), 0);
        prop_assert!(bench.director.interests().is_empty());
    }
}
