//! Packets that netfilter gave away: with a mark of its, and of clients on the director itself.

mod rig;

use std::net::IpAddr;

use ipvs_core::{Command, DestinationId, Hook, MarkRule, Reason, ServiceConfig, ServiceId, Verdict};
use rig::{Family, Rig, round_robin, seen, tcp, udp};

fn netmask(family: Family) -> u32 {
    if family == Family::V4 { u32::MAX } else { 128 }
}

/// A service at the virtual address, port 80, by server 1, and services by mark 7 and 9, by servers 7 and 9.
fn rig(family: Family) -> Rig {
    let mut rig = Rig::new(100);
    let ipv6 = family == Family::V6;
    let by_address = ServiceId::Address { protocol: 6, address: family.vip(), port: 80 };
    let by_mark = |mark| ServiceId::Mark { ipv6, mark };
    for (id, server, port) in [(by_address, 1, 80), (by_mark(7), 7, 0), (by_mark(9), 9, 0)] {
        let config = ServiceConfig { netmask: netmask(family), ..round_robin(0) };
        rig.execute(Command::AddService(id, config));
        rig.add(id, DestinationId { address: family.server(server), port }, 1);
    }
    rig
}

fn to(family: Family, number: u8) -> Verdict {
    Verdict::Forward { next: family.server(number) }
}

#[test]
fn the_packets_own_mark_goes_before_rules_and_addresses() {
    for family in Family::BOTH {
        let mut rig = rig(family);
        let mut port = 4000;
        let mut open = |rig: &mut Rig, mark| {
            port += 1;
            let packet = tcp((family.client(), port), (family.vip(), 80), "S", b"", 64);
            rig.receive_from_netfilter(&packet, Hook::Input, mark).0
        };
        assert_eq!(open(&mut rig, 0), to(family, 1));
        assert_eq!(open(&mut rig, 7), to(family, 7));
        assert_eq!(open(&mut rig, 8), to(family, 1), "no service has it");
        let prefix = if family == Family::V4 { 32 } else { 128 };
        let rule = MarkRule { protocol: 6, network: family.vip(), prefix, ports: Vec::new(), mark: 9 };
        rig.execute(Command::AddMark(rule));
        assert_eq!(open(&mut rig, 7), to(family, 7));
        assert_eq!(open(&mut rig, 0), to(family, 9));
    }
}

/// What nobody takes at an address that is not the host's is refused for it, unless the host itself asked about the packet.
#[test]
fn what_is_left_alone_goes_on_in_the_hosts_stack() {
    for family in Family::BOTH {
        let mut rig = rig(family);
        let stray = tcp((family.client(), 4000), (family.vip(), 81), "S", b"", 64);
        assert_eq!(rig.receive(&stray).0, Verdict::Reply(Reason::NotServed));
        for hook in [Hook::Input, Hook::Output] {
            assert_eq!(rig.receive_from_netfilter(&stray, hook, 0), (Verdict::Pass, stray.clone()));
        }
    }
}

/// What XDP handed over, the director left alone and netfilter then marked is scheduled; what was sent to a server here passes.
#[test]
fn what_comes_back_with_a_mark() {
    for family in Family::BOTH {
        let mut rig = rig(family);
        let packet = tcp((family.client(), 4000), (family.vip(), 443), "S", b"", 64);
        assert_eq!(rig.receive_from_netfilter(&packet, Hook::Returned, 7).0, to(family, 7));
        assert_eq!(rig.receive_from_netfilter(&packet, Hook::Returned, 7), (Verdict::Pass, packet.clone()));
        assert_eq!(rig.receive_from_netfilter(&packet, Hook::Input, 7).0, to(family, 7));
    }
}

/// Errors about marked packets do not come from an address that is nobody's: they are silent in IPv4, and the host's in IPv6.
#[test]
fn without_a_server() {
    for family in Family::BOTH {
        let mut rig = rig(family);
        let id = ServiceId::Mark { ipv6: family == Family::V6, mark: 7 };
        rig.execute(Command::DeleteDestination(id, DestinationId { address: family.server(7), port: 0 }));
        let elsewhere = family.ip("198.51.100.1", "2001:db8:9::1");
        let packet = udp((family.client(), 4000), (elsewhere, 53), b"x", 64);
        let (verdict, error) = rig.receive_from_netfilter(&packet, Hook::Input, 7);
        match family {
            Family::V4 => assert_eq!(verdict, Verdict::Drop(Reason::NoDestination)),
            Family::V6 => {
                assert_eq!(verdict, Verdict::Reply(Reason::NoDestination));
                assert_eq!(seen(&error).source.0, family.director());
            }
        }
    }
}

/// A client on the director: its packets are forwarded, which counts a hop; the answers are for this host, which counts none.
#[test]
fn a_client_on_the_director() {
    for family in Family::BOTH {
        let mut rig = rig(family);
        let (own, vip): (IpAddr, IpAddr) = (family.director(), family.vip());
        rig.host.local.push(own);
        let question = tcp((own, 4000), (vip, 80), "S", b"", 64);
        let (verdict, sent) = rig.receive_from_netfilter(&question, Hook::Output, 0);
        assert_eq!((verdict, seen(&sent).ttl), (to(family, 1), 63));
        for ttl in [1, 64] {
            let answer = tcp((family.server(1), 80), (own, 4000), "SA", b"", ttl);
            let (verdict, sent) = rig.receive(&answer);
            assert_eq!(verdict, Verdict::Forward { next: own });
            let sent = seen(&sent);
            assert_eq!((sent.source, sent.ttl, sent.checksums_ok), ((vip, 80), ttl, true));
        }
        let last = tcp((own, 4000), (vip, 80), "A", b"", 1);
        let late = rig.receive_from_netfilter(&last, Hook::Output, 0).0;
        assert_eq!(late, Verdict::Reply(Reason::HopLimitExceeded));
    }
}
