//! keepalived's health checks and its reload, with masquerading.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::Signal;

use crate::namespace::Namespace;
use crate::network::Path;
use crate::program::Director;
use crate::server::Server;
use crate::traffic::{Traffic, ask};
use crate::wait_for;

/// Port 80: HTTP_GET. Port 81: TCP_CHECK, the second server with inhibit_on_failure. Port 82: no check at all.
fn configuration(weight: u32, more: &str) -> String {
    let http = "HTTP_GET {\n url {\n path /health\n status_code 200\n }\n connect_timeout 5\n retry 1\n \
                delay_before_retry 1\n }";
    let tcp = "TCP_CHECK {\n connect_timeout 5\n retry 1\n delay_before_retry 1\n }";
    let service = |port: u16, scheduler: &str, servers: &str| {
        format!(
            "virtual_server 10.81.0.100 {port} {{\n delay_loop 1\n lvs_sched {scheduler}\n lvs_method NAT\n \
             protocol TCP\n{servers}}}\n"
        )
    };
    let server =
        |host: u8, port: u16, rest: &str| format!(" real_server 10.82.0.{host} {port} {{\n {rest}\n }}\n");
    [
        "global_defs {\n router_id test\n}\n".to_owned(),
        service(
            80,
            "wrr",
            &[
                server(11, 80, &format!("weight 1\n {http}")),
                server(12, 80, &format!("weight {weight}\n {http}")),
            ]
            .concat(),
        ),
        service(
            81,
            "rr",
            &[
                server(11, 81, &format!("weight 3\n {tcp}")),
                server(12, 81, &format!("weight 2\n inhibit_on_failure\n {tcp}")),
            ]
            .concat(),
        ),
        service(82, "rr", &(server(11, 82, "weight 1") + more)),
    ]
    .concat()
}

/// The rules that follow from it.
fn rules(port_80: &[(u8, u32)], port_81: &[(u8, u32)], port_82: &[(u8, u32)]) -> String {
    let services = [(80, "wrr", port_80), (81, "rr", port_81), (82, "rr", port_82)];
    let mut text = String::new();
    for (port, scheduler, servers) in services {
        text += &format!("-A -t 10.81.0.100:{port} -s {scheduler}\n");
        for (host, weight) in servers {
            text += &format!("-a -t 10.81.0.100:{port} -r 10.82.0.{host}:{port} -m -w {weight}\n");
        }
    }
    text
}

#[test]
fn checks_remove_and_restore_servers_while_traffic_flows() {
    keeps_servers("netlink", "health", Path::Daemon);
}

#[test]
fn checks_remove_and_restore_servers_over_socket_options() {
    keeps_servers("sockopt", "health-sockopt", Path::Daemon);
}

#[test]
fn checks_remove_and_restore_servers_on_the_fast_path() {
    keeps_servers("netlink", "health-f", Path::Fast);
}

/// keepalived under `ipvsd exec --mode MODE`, from its start to its end.
fn keeps_servers(mode: &str, test: &str, path: Path) {
    // Client 10.81.0.2 – 10.81.0.1 director 10.82.0.1 – servers 10.82.0.11 and .12.
    let client = Namespace::new(test, "client");
    let switch = Namespace::new(test, "switch");
    let mut director = Director::new(test, "director");
    let (one, two) = (Namespace::new(test, "one"), Namespace::new(test, "two"));
    switch.bridge("front");
    switch.bridge("back");
    client.plug("eth0", "10.81.0.2/24", &switch, "front", "client");
    director.namespace.plug("front", "10.81.0.1/24", &switch, "front", "director");
    director.namespace.plug("back", "10.82.0.1/24", &switch, "back", "behind");
    director.namespace.sysctl("ipv4/ip_forward", "1");
    for (server, host) in [(&one, 11), (&two, 12)] {
        server.plug("eth0", &format!("10.82.0.{host}/24"), &switch, "back", &format!("server{host}"));
        server.ip("route add default via 10.82.0.1");
    }
    let web_one = Server::start(&one, "one", 80);
    let web_two = Server::start(&two, "two", 80);
    let mut plain_one = Server::start(&one, "one", 81);
    let mut plain_two = Server::start(&two, "two", 81);
    let _unchecked = Server::start(&one, "one", 82);

    path.start_daemon(&mut director, &switch, &["director", "behind"]);
    director.configure(&configuration(1, ""));
    let mut keepalived = director.start_keepalived(mode);
    let all = rules(&[(11, 1), (12, 1)], &[(11, 3), (12, 2)], &[(11, 1)]);
    director.wait_for_rules(&all);

    let limit = Duration::from_secs(10);
    let web = Traffic::start(&client, "10.81.0.100:80", limit);
    let plain = Traffic::start(&client, "10.81.0.100:81", limit);
    web.only(&["one", "two"], 20);
    plain.only(&["one", "two"], 20);
    let mut long = client.run(|| TcpStream::connect("10.81.0.100:82").unwrap());
    assert_eq!(ask(&mut long, false).unwrap(), "one");

    // HTTP_GET: a server that says it is ill serves on, so its removal costs no request but the one under way.
    let mark = web.mark();
    web_two.set_healthy(false);
    director.wait_for_rules(&rules(&[(11, 1)], &[(11, 3), (12, 2)], &[(11, 1)]));
    web.only(&["one"], 20);
    let connections = || director.ipvsadm(&["-Lnc"]).expect("the daemon answers");
    web.none_failed_but_to("10.82.0.12:80", &connections(), mark);
    let mark = web.mark();
    web_two.set_healthy(true);
    director.wait_for_rules(&all);
    web.only(&["one", "two"], 20);
    web_one.set_healthy(false);
    director.wait_for_rules(&rules(&[(12, 1)], &[(11, 3), (12, 2)], &[(11, 1)]));
    web.only(&["two"], 20);
    web.none_failed_but_to("10.82.0.11:80", &connections(), mark);
    let mark = web.mark();
    web_one.set_healthy(true);
    director.wait_for_rules(&all);
    web.only(&["one", "two"], 20);
    web.none_failed(mark);

    // TCP_CHECK and inhibit_on_failure: the weight becomes 0, the server stays.
    let mark = plain.mark();
    plain_two.stop();
    director.wait_for_rules(&rules(&[(11, 1), (12, 1)], &[(11, 3), (12, 0)], &[(11, 1)]));
    plain.only(&["one"], 20);
    plain_two.listen(&two);
    director.wait_for_rules(&all);
    plain.only(&["one", "two"], 20);
    // And without: it goes.
    plain_one.stop();
    director.wait_for_rules(&rules(&[(11, 1), (12, 1)], &[(12, 2)], &[(11, 1)]));
    plain.only(&["two"], 20);
    plain_one.listen(&one);
    director.wait_for_rules(&all);
    plain.only(&["one", "two"], 20);
    // What failed, failed because the stopped server refused it: nothing was lost on the way.
    for outcome in plain.since(mark) {
        let refused = matches!(&outcome, Err(failed) if matches!(failed.kind, ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset));
        assert!(outcome.is_ok() || refused, "{outcome:?}");
    }

    // A reload changes a weight and adds a server; everything else stays as it is, counters and connections too.
    let before = director.connections("10.81.0.100:81", "10.82.0.11:81").expect("its counters");
    let (mark, plain_mark) = (web.mark(), plain.mark());
    director.configure(&configuration(4, " real_server 10.82.0.12 82 {\n weight 7\n }\n"));
    keepalived.signal(Signal::HUP);
    director.wait_for_rules(&rules(&[(11, 1), (12, 4)], &[(11, 3), (12, 2)], &[(11, 1), (12, 7)]));
    assert!(
        director.connections("10.81.0.100:81", "10.82.0.11:81") >= Some(before),
        "its counters began anew"
    );
    assert_eq!(director.connections("10.81.0.100:82", "10.82.0.11:82"), Some(1));
    assert_eq!(ask(&mut long, false).unwrap(), "one");
    // One to four by weight, over ten requests whose start is anywhere in the round.
    let outcomes = web.next(50);
    let ones = outcomes.iter().filter(|outcome| **outcome == Ok("one".into())).count();
    assert!((8..=13).contains(&ones), "{ones} of {}", outcomes.len());
    web.none_failed(mark);
    plain.none_failed(plain_mark);

    // At its end keepalived takes away what it has made.
    assert!(keepalived.runs());
    assert!(keepalived.end().success());
    wait_for("the end of the rules", || director.rules().is_empty());
    path.end_daemon(&mut director);
}
