use std::collections::BTreeSet;

use super::*;

const SERVER: End = (IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)), 80);

fn address(number: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, 100 + number])
}

fn name() -> PoolName {
    PoolName::new("local").unwrap()
}

fn pools(addresses: u8) -> Pools {
    let mut pools = Pools::new(1);
    (0..addresses).for_each(|number| assert!(pools.add(name(), address(number))));
    pools
}

#[test]
fn addresses_take_turns_and_have_ports_of_their_own_towards_each_server() {
    let mut pools = pools(3);
    let taken: Vec<_> = (0..6).map(|_| pools.take(name(), 6, SERVER).unwrap()).collect();
    let turns: Vec<_> = taken.iter().map(|(address, _)| *address).collect();
    assert_eq!(turns, [0, 1, 2, 0, 1, 2].map(address));
    assert_eq!(taken.iter().collect::<BTreeSet<_>>().len(), 6);
    // Another protocol, port or server: ports of its own, that may be the same.
    for (protocol, server) in [(17, SERVER), (6, (SERVER.0, 81)), (6, (address(99), 80))] {
        let way = Way { protocol, local: taken[0].0, server };
        assert_eq!(pools.retake(way, taken[0].1), Some(false));
        assert_eq!(pools.retake(way, taken[0].1), None);
    }
    assert_eq!(pools.take(name(), 6, ("::1".parse().unwrap(), 80)), None);
}

#[test]
fn all_is_as_before_a_trial() {
    let mut pools = pools(2);
    let kept = pools.take(name(), 6, SERVER).unwrap();
    let before = format!("{pools:?}");
    pools.begin_trial();
    pools.give_back(Way { protocol: 6, local: kept.0, server: SERVER }, kept.1);
    for port in 0..70 {
        pools.take(name(), 6, SERVER).unwrap();
        pools.take(name(), 17, (SERVER.0, port)).unwrap();
    }
    assert_eq!(pools.take(name(), 6, ("::1".parse().unwrap(), 80)), None);
    pools.end_trial();
    assert_eq!(format!("{pools:?}"), before);
}
