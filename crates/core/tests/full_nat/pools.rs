//! Pools: what is refused, listed, and taken out.

use super::ports::client;
use super::*;

#[test]
fn pools_are_checked() {
    let mut rig = Rig::new(1000);
    let family = Family::V4;
    let service = rig.service(family, 6, "rr");
    let v6 = rig.service(Family::V6, 6, "rr");
    let (one, two, three) = (local(family, 1), local(family, 2), local(family, 3));
    let (name, other) = (pool("local"), pool("other"));
    let id = |address| DestinationId { address, port: 80 };
    let with = |method, pool| DestinationConfig { local_pool: pool, ..DestinationConfig::new(method, 1) };
    let try_it = |rig: &mut Rig, command| rig.director.execute(rig.now, &rig.host, command).err();
    let multicast: IpAddr = "224.0.0.1".parse().unwrap();
    for (command, error) in [
        (Command::AddPool(name, vec![]), Some(Error::PoolEmpty)),
        (Command::AddPool(name, vec![multicast]), Some(Error::PoolAddressNotUnicast)),
        (Command::AddPool(name, vec!["127.0.0.1".parse().unwrap()]), Some(Error::PoolAddressNotUnicast)),
        (Command::AddPool(name, vec![one, family.vip()]), Some(Error::PoolAddressVirtual)),
        (Command::AddPool(name, vec![one, one]), Some(Error::PoolAddressExists)),
        (Command::DeletePool(name, vec![]), Some(Error::NoSuchPool)),
        (Command::AddPool(name, vec![one, two]), None),
        (Command::AddPool(other, vec![three, one]), Some(Error::PoolAddressExists)),
        (
            Command::AddService(ServiceId::Address { protocol: 17, address: one, port: 1 }, round_robin(0)),
            Some(Error::PoolAddressVirtual),
        ),
        (
            Command::AddDestination(
                service,
                id(family.server(1)),
                with(ForwardingMethod::MASQUERADE, Some(name)),
            ),
            Some(Error::PoolWithoutFullNat),
        ),
        (
            Command::AddDestination(
                service,
                id(family.server(1)),
                with(ForwardingMethod::FULL_NAT, Some(other)),
            ),
            Some(Error::NoSuchPool),
        ),
        (
            Command::AddDestination(
                v6,
                id(Family::V6.server(1)),
                with(ForwardingMethod::FULL_NAT, Some(name)),
            ),
            Some(Error::PoolFamily),
        ),
        (
            Command::AddDestination(v6, id(family.server(1)), with(ForwardingMethod::FULL_NAT, None)),
            Some(Error::MixedFamily),
        ),
        (
            Command::AddDestination(
                service,
                id(family.server(1)),
                with(ForwardingMethod::FULL_NAT, Some(name)),
            ),
            None,
        ),
        (Command::DeletePool(name, vec![three]), Some(Error::NoSuchPoolAddress)),
        (Command::DeletePool(name, vec![]), Some(Error::PoolInUse)),
        (Command::DeletePool(name, vec![one, two]), Some(Error::PoolInUse)),
        (Command::DeletePool(name, vec![one]), None),
        (Command::EditDestination(service, id(family.server(1)), with(ForwardingMethod::DIRECT, None)), None),
        (Command::DeletePool(name, vec![two]), None),
        (Command::DeletePool(name, vec![]), Some(Error::NoSuchPool)),
    ] {
        assert_eq!(try_it(&mut rig, command.clone()), error, "{command:?}");
    }
    // One-packet services.
    rig.execute(Command::AddPool(name, vec![one]));
    let service_of_datagrams = ServiceId::Address { protocol: 17, address: family.vip(), port: 53 };
    rig.execute(Command::AddService(service_of_datagrams, round_robin(ServiceFlags::ONE_PACKET)));
    let command = Command::AddDestination(service_of_datagrams, id(family.server(1)), by(name));
    assert_eq!(try_it(&mut rig, command), Some(Error::FullNatService));
    // Nor can that come later, and then nothing of the edit takes effect.
    let service_by_pool = ServiceId::Address { protocol: 17, address: family.vip(), port: 5000 };
    rig.execute(Command::AddService(service_by_pool, round_robin(0)));
    rig.execute(Command::AddDestination(service_by_pool, id(family.server(1)), by(name)));
    let config = ServiceConfig {
        scheduler: "wlc".into(),
        helper: Some("tftp".into()),
        ..round_robin(ServiceFlags::ONE_PACKET)
    };
    assert_eq!(
        try_it(&mut rig, Command::EditService(service_by_pool, config)),
        Some(Error::FullNatDestinations)
    );
    let Reply::Service(info) = rig.execute(Command::GetService(service_by_pool)) else { panic!() };
    assert_eq!(
        (&*info.scheduler, info.helper, info.flags.contains(ServiceFlags::ONE_PACKET)),
        ("rr", None, false)
    );
    rig.execute(Command::EditService(service_by_pool, ServiceConfig::new("wlc")));
    // The kernel takes any number for a method; without pool it is none that forwards.
    let config = DestinationConfig::new(ForwardingMethod::FULL_NAT, 1);
    rig.execute(Command::EditDestination(service, id(family.server(1)), config));
    let (verdict, _) = rig.receive(&tcp(client(0), (family.vip(), 80), "S", b"", 64));
    assert_eq!(verdict, Verdict::Drop(Reason::MethodNotSupported));
}

#[test]
fn pools_are_listed_page_by_page() {
    let mut rig = Rig::new(10);
    for number in 1..=5 {
        rig.execute(Command::AddPool(pool(&format!("p{number}")), vec![local(Family::V4, number)]));
    }
    let (mut names, mut cursor) = (Vec::new(), Some(0));
    while let Some(place) = cursor {
        match rig.execute(Command::ListPools { cursor: place, limit: 2 }) {
            Reply::Pools { items, next } => {
                names.extend(items.iter().map(|pool| pool.name.to_string()));
                cursor = next;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(names, ["p1", "p2", "p3", "p4", "p5"]);
}

#[test]
fn an_address_that_is_taken_out_serves_its_connections_to_their_end() {
    let family = Family::V4;
    let (mut rig, service) = full_nat(family, 17, small());
    let (vip, server) = ((family.vip(), 80), (family.server(1), 8080));
    let (one, two) = (local(family, 1), local(family, 2));
    let (from, _) = forwarded(&mut rig, &udp(client(0), vip, b"x", 64), server.0);
    rig.director.take_interest_changes();
    rig.execute(Command::AddPool(pool("local"), vec![two]));
    rig.execute(Command::DeletePool(pool("local"), vec![one]));
    let of = |address| [6, 17, 132].map(|protocol| Interest::Virtual { protocol, address, port: 0 });
    let changes = rig.director.take_interest_changes();
    for interest in of(two) {
        assert!(changes.contains(&InterestChange::Added(interest)), "{changes:?}");
    }
    assert!(changes.iter().all(|change| matches!(change, InterestChange::Added(_))), "{changes:?}");
    assert_eq!(forwarded(&mut rig, &udp(server, from, b"y", 64), client(0).0), (vip, client(0)));
    assert_eq!(forwarded(&mut rig, &udp(client(1), vip, b"x", 64), server.0).0.0, two);
    rig.execute(Command::DeleteDestination(service, DestinationId { address: server.0, port: 8080 }));
    rig.execute(Command::DeletePool(pool("local"), vec![]));
    assert_eq!(rig.director.take_interest_changes(), []);
    rig.advance(Duration::from_secs(301));
    let changes = rig.director.take_interest_changes();
    for interest in of(one).into_iter().chain(of(two)) {
        assert!(changes.contains(&InterestChange::Removed(interest)), "{changes:?}");
    }
}
