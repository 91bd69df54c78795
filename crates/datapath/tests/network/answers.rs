//! What the datapath answers itself, and whose addresses it leaves to the host.

use std::process::Command;

use ipvs_datapath::{Counter, Options};

use crate::director::{Director, Nat, end};
use crate::topology::{SERVER, SERVER6, Topology, VIP, VIP6};

fn nat(virtual_address: &str, server: &str) -> Nat {
    Nat {
        protocol: 6,
        virtual_end: end(virtual_address, 80),
        server: end(server, 80),
        local: false,
        direct: false,
    }
}

fn small() -> Options {
    Options { frames_per_queue: 256, ..Options::default() }
}

/// Whether `address` answers an echo request from the client.
fn ping(topology: &Topology, address: &str) -> bool {
    topology.client.run(|| {
        // -n: no name is asked for, which could take long.
        let output = Command::new("ping").args(["-n", "-c", "1", "-W", "1", address]).output();
        output.expect("iputils-ping is installed").status.success()
    })
}

#[test]
fn a_virtual_address_answers_echo_as_long_as_it_has_a_service() {
    let topology = Topology::new();
    let director = Director::open(&topology.director, &small());
    assert!(!ping(&topology, VIP));
    topology.client.ip("neigh flush all");
    for (virtual_address, server) in [(VIP, SERVER), (VIP6, SERVER6)] {
        director.serve(nat(virtual_address, server));
        assert!(ping(&topology, virtual_address), "{virtual_address}: {:?}", director.counters());
        let before = director.counter(Counter::EchoAnswered);
        assert!(before >= 1);
        director.withdraw(nat(virtual_address, server));
        assert!(!ping(&topology, virtual_address));
        assert_eq!(director.counter(Counter::EchoAnswered), before);
    }
}

#[test]
fn an_address_of_the_host_is_the_hosts() {
    let topology = Topology::new();
    topology.director.ip(&format!("addr add {VIP}/32 dev d0"));
    let director = Director::open(&topology.director, &small());
    director.serve(nat(VIP, SERVER));
    assert!(ping(&topology, VIP));
    assert_eq!(director.counter(Counter::ArpAnswered) + director.counter(Counter::EchoAnswered), 0);
    // It goes, and the daemon stands in at once; it comes back, and the daemon leaves it alone.
    topology.director.ip(&format!("addr del {VIP}/32 dev d0"));
    director.wait("the daemon answers", |director| {
        ping(&topology, VIP) && director.counter(Counter::EchoAnswered) != 0
    });
    topology.director.ip(&format!("addr add {VIP}/32 dev d0"));
    director.wait("the host answers", |director| {
        let before = director.counter(Counter::EchoAnswered);
        ping(&topology, VIP) && director.counter(Counter::EchoAnswered) == before
    });
}

#[test]
fn with_answering_off_nothing_is_answered() {
    let topology = Topology::new();
    let director = Director::open(&topology.director, &Options { answer_arp: false, ..small() });
    director.serve(nat(VIP, SERVER));
    assert!(!ping(&topology, VIP));
    assert_eq!(director.counter(Counter::ArpAnswered), 0);
}

#[test]
fn a_new_virtual_address_is_announced() {
    let topology = Topology::new();
    // The client believes it elsewhere.
    topology.client.ip(&format!("neigh replace {VIP} lladdr 02:00:00:00:00:99 dev c0 nud stale"));
    topology.client.ip(&format!("neigh replace {VIP6} lladdr 02:00:00:00:00:99 dev c0 nud stale"));
    let director = Director::open(&topology.director, &small());
    let link = topology.director.ip("link show d0");
    let own = link.split_whitespace().skip_while(|word| *word != "link/ether").nth(1).unwrap().to_owned();
    for (virtual_address, server) in [(VIP, SERVER), (VIP6, SERVER6)] {
        director.serve(nat(virtual_address, server));
        director.wait("the client learns the new place", |_| {
            topology.client.ip(&format!("neigh show {virtual_address}")).contains(&own)
        });
    }
}
