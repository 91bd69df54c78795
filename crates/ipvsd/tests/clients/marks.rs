//! A service by firewall mark takes two ports of a virtual address together.

use std::time::Duration;

use crate::namespace::Namespace;
use crate::network::Path;
use crate::program::Director;
use crate::server::Server;
use crate::traffic::Traffic;

#[test]
fn both_ports_of_a_persistent_mark_service_reach_one_server() {
    both_ports("marks", Path::Daemon);
}

#[test]
fn both_ports_of_a_mark_service_on_the_fast_path() {
    both_ports("marks-f", Path::Fast);
}

fn both_ports(test: &str, path: Path) {
    // Clients 10.81.0.2 and .3 – 10.81.0.1 director 10.82.0.1 – servers 10.82.0.11 and .12.
    let clients = [Namespace::new(test, "client2"), Namespace::new(test, "client3")];
    let switch = Namespace::new(test, "switch");
    let mut director = Director::new(test, "director");
    let servers = [Namespace::new(test, "one"), Namespace::new(test, "two")];
    switch.bridge("front");
    switch.bridge("back");
    for (client, host) in clients.iter().zip(2..) {
        client.plug("eth0", &format!("10.81.0.{host}/24"), &switch, "front", &format!("client{host}"));
        client.ip("route add 10.83.0.0/24 via 10.81.0.1");
    }
    director.namespace.plug("front", "10.81.0.1/24", &switch, "front", "director");
    director.namespace.plug("back", "10.82.0.1/24", &switch, "back", "behind");
    director.namespace.sysctl("ipv4/ip_forward", "1");
    for (server, host) in servers.iter().zip(11..) {
        server.plug("eth0", &format!("10.82.0.{host}/24"), &switch, "back", &format!("server{host}"));
        server.ip("route add default via 10.82.0.1");
    }
    let names = ["one", "two"];
    let webs = servers
        .iter()
        .zip(names)
        .flat_map(|(server, name)| [80, 8080].map(|port| Server::start(server, name, port)));
    let _webs: Vec<_> = webs.collect();
    path.start_daemon(&mut director, &switch, &["director", "behind"]);
    let rule = ["--proto", "tcp", "--dst", "10.81.0.100", "--dport", "80,8080", "--mark", "7"];
    let network = ["--proto", "tcp", "--dst", "10.83.0.0/24", "--dport", "80,8080", "--mark", "7"];
    for words in [&rule, &network] {
        assert!(director.ipvsd(&[&["mark", "add"], words.as_slice()].concat()).is_some());
    }
    assert_eq!(director.ipvsd(&[&["mark", "add"], rule.as_slice()].concat()), None, "twice");
    let listed = director.ipvsd(&["mark", "list"]).unwrap();
    assert!(listed.contains("tcp    10.81.0.100/32  80,8080  7"), "{listed}");
    director.ipvsadm(&["-A", "-f", "7", "-s", "rr", "-p", "300"]).unwrap();
    for host in [11, 12] {
        director.ipvsadm(&["-a", "-f", "7", "-r", &format!("10.82.0.{host}"), "-m"]).unwrap();
    }
    let limit = Duration::from_secs(10);
    // The first connection of each client goes to another server; all that follow, to either port and to the network,
    // stay there.
    for (client, name) in clients.iter().zip(["two", "one"]) {
        for service in ["10.81.0.100:80", "10.81.0.100:8080", "10.83.0.5:80", "10.83.0.6:8080"] {
            Traffic::start(client, service, limit).only(&[name], 5);
        }
    }
    // Without the rule the port is nobody's.
    assert!(director.ipvsd(&[&["mark", "del"], rule.as_slice()].concat()).is_some());
    assert_eq!(director.ipvsd(&[&["mark", "del"], rule.as_slice()].concat()), None, "twice");
    // The rule for the network is there with the next daemon too, and so is the service.
    path.end_daemon(&mut director);
    director.start_daemon(&[]);
    let listed = director.ipvsd(&["mark", "list"]).unwrap();
    assert_eq!(listed.lines().count(), 2, "{listed}");
    assert!(listed.contains("10.83.0.0/24"), "{listed}");
    let listed = director.ipvsadm(&["-Sn"]).unwrap();
    assert_eq!(listed.lines().count(), 3, "{listed}");
}
