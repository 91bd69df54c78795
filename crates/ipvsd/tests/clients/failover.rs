//! VRRP: a virtual address moves from one director to another, with direct routing.

use std::time::Duration;

use crate::namespace::Namespace;
use crate::program::Director;
use crate::server::Server;
use crate::traffic::Traffic;
use crate::wait_for;

fn configuration(state: &str, priority: u8) -> String {
    let server = |host: u8| {
        format!(
            " real_server 10.83.0.{host} 80 {{\n weight 1\n TCP_CHECK {{\n connect_timeout 5\n retry 1\n \
             delay_before_retry 1\n }}\n }}\n"
        )
    };
    format!(
        "global_defs {{\n router_id {state}\n vrrp_garp_master_delay 1\n}}\n\
         vrrp_instance V {{\n state {state}\n interface eth0\n virtual_router_id 51\n priority {priority}\n \
         advert_int 1\n virtual_ipaddress {{\n 10.83.0.100/24\n }}\n}}\n\
         virtual_server 10.83.0.100 80 {{\n delay_loop 1\n lvs_sched rr\n lvs_method DR\n protocol TCP\n{}{}}}\n",
        server(11),
        server(12)
    )
}

const RULES: &str = "-A -t 10.83.0.100:80 -s rr\n\
                     -a -t 10.83.0.100:80 -r 10.83.0.11:80 -g -w 1\n\
                     -a -t 10.83.0.100:80 -r 10.83.0.12:80 -g -w 1\n";

fn has_address(director: &Director) -> bool {
    director.namespace.ip("-4 addr show dev eth0").contains("10.83.0.100/24")
}

#[test]
fn the_virtual_address_moves_and_requests_go_on() {
    // Everybody on one segment: client .2, directors .3 and .4, servers .11 and .12 with the virtual address on lo.
    let client = Namespace::new("vrrp", "client");
    let switch = Namespace::new("vrrp", "switch");
    let mut first = Director::new("vrrp", "first");
    let mut second = Director::new("vrrp", "second");
    let (one, two) = (Namespace::new("vrrp", "one"), Namespace::new("vrrp", "two"));
    switch.bridge("lan");
    client.plug("eth0", "10.83.0.2/24", &switch, "lan", "client");
    first.namespace.plug("eth0", "10.83.0.3/24", &switch, "lan", "first");
    second.namespace.plug("eth0", "10.83.0.4/24", &switch, "lan", "second");
    for (server, host) in [(&one, 11), (&two, 12)] {
        server.sysctl("ipv4/conf/all/arp_ignore", "1");
        server.sysctl("ipv4/conf/all/arp_announce", "2");
        server.ip("addr add 10.83.0.100/32 dev lo");
        server.plug("eth0", &format!("10.83.0.{host}/24"), &switch, "lan", &format!("server{host}"));
    }
    let _servers = [Server::start(&one, "one", 80), Server::start(&two, "two", 80)];
    // The directors answer ARP for the address only while it is theirs.
    first.start_daemon(&["--no-arp"]);
    second.start_daemon(&["--no-arp"]);
    first.configure(&configuration("MASTER", 200));
    second.configure(&configuration("BACKUP", 100));
    let master = first.start_keepalived("auto");
    first.wait_for_rules(RULES);
    wait_for("the address at the master", || has_address(&first));
    let backup = second.start_keepalived("auto");
    second.wait_for_rules(RULES);
    assert!(!has_address(&second));

    let traffic = Traffic::start(&client, "10.83.0.100:80", Duration::from_secs(2));
    traffic.only(&["one", "two"], 20);
    let balanced = |director: &Director| {
        ["10.83.0.11:80", "10.83.0.12:80"]
            .map(|server| director.connections("10.83.0.100:80", server).unwrap_or_default())
            .iter()
            .sum::<u64>()
    };
    assert!(balanced(&first) >= 20);
    assert_eq!(balanced(&second), 0);

    // The master goes in order: it gives up the address and says so. Requests fail only while the address moves.
    let mark = traffic.mark();
    assert!(master.end().success());
    wait_for("the address at the backup", || has_address(&second));
    assert!(!has_address(&first));
    wait_for("an answer by way of the backup", || balanced(&second) > 0);
    wait_for("an answer after the move", || {
        traffic.since(traffic.mark().saturating_sub(1)).iter().all(Result::is_ok)
    });
    traffic.only(&["one", "two"], 40);
    let outcomes = traffic.since(mark);
    let failed: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    let last = outcomes.iter().rposition(Result::is_err).unwrap_or_default();
    // A director that has lost the address is silent, and who asks then is answered at the next try, by the other: only
    // requests fail that were under way, or came between the end of the service and that of the address.
    assert!(failed.len() * 3 < outcomes.len(), "{} of {}: {failed:?}", failed.len(), outcomes.len());
    // One gap: once the requests that were under way have failed, answers come again and stay.
    assert!(outcomes.len() - last > 20, "failures after the move: {outcomes:?}");
    let mut kinds: Vec<String> = failed.iter().map(|kind| format!("{kind:?}")).collect();
    kinds.sort_unstable();
    kinds.dedup();
    eprintln!("{} of {} requests failed while the address moved: {kinds:?}", failed.len(), outcomes.len());

    // The old master comes back, and takes the address again.
    let master = first.start_keepalived("auto");
    wait_for("the address at the master", || has_address(&first) && !has_address(&second));
    first.wait_for_rules(RULES);
    let before = balanced(&first);
    wait_for("answers by way of the master", || balanced(&first) > before + 10);
    wait_for("an answer after the move", || {
        traffic.since(traffic.mark().saturating_sub(1)).iter().all(Result::is_ok)
    });
    traffic.only(&["one", "two"], 40);
    assert!(master.end().success() && backup.end().success());
}
