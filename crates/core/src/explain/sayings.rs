//! What is said of packets, to the word.

use std::net::IpAddr;

use super::*;
use crate::Reason;
use crate::command::{Command, DestinationId, ServiceId};
use crate::director::Config;
use crate::scheduler::testing::{service, settings, weight};
use crate::sysctl::Sysctl;
use tests::Limited;

fn asked(director: &mut Director, question: Question) -> Vec<Step> {
    let now = Instant::from_nanos(1_000_000_000);
    match director.execute(now, &Limited, Command::Explain(question)) {
        Ok(Reply::Explanation(steps)) => steps,
        other => panic!("{other:?}"),
    }
}

fn director() -> Director {
    let mut director =
        Director::new(Config { capacity: 64, ..Config::default() }, Instant::default()).unwrap();
    let id = service("10.9.0.1");
    let mut run = |command| director.execute(Instant::default(), &Limited, command).unwrap();
    run(Command::AddService(id, settings("wlc")));
    for (number, value) in [(1, 0), (2, 3)] {
        let server = DestinationId { address: IpAddr::from([10, 8, 0, number]), port: 8080 };
        run(Command::AddDestination(id, server, weight(value)));
    }
    director
}

fn syn() -> Question {
    Question {
        protocol: 6,
        source: "10.1.0.2:4000".parse().unwrap(),
        destination: "10.9.0.1:80".parse().unwrap(),
        flags: 2,
        size: 0,
        mark: None,
    }
}

fn texts(steps: &[Step]) -> Vec<String> {
    steps.iter().map(|step| format!("{}: {}", step.name, step.text)).collect()
}

#[test]
fn a_first_packet() {
    let steps = asked(&mut director(), syn());
    assert_eq!(
        texts(&steps),
        [
            "packet: TCP 10.1.0.2:4000 to 10.9.0.1:80, SYN, 40 bytes",
            "connection: none has these addresses and ports",
            "service: TCP 10.9.0.1:80 (wlc): it has this protocol, address and port",
            "scheduler: wlc chooses 10.8.0.2:8080",
            "candidate: 10.8.0.2:8080 chosen: weight 3, 0 active, 0 inactive",
            "candidate: 10.8.0.1:8080 not eligible for its weight: weight 0, 0 active, 0 inactive",
            "connection-after: as this packet would leave it: 10.1.0.2:4000 to 10.9.0.1:80 at 10.8.0.2:8080, \
             masquerading, SYN_RECV, expires in 60 s",
            "fast-path: no: it is off (ipvsd run --fast-path on)",
            "rewrite: destination 10.9.0.1:80 becomes 10.8.0.2:8080, hop limit 64 becomes 63",
            "next-hop: 10.8.0.2 by eth1; its hardware address is known",
            "verdict: forwarded to 10.8.0.2",
        ]
    );
    let verdict = steps.last().unwrap();
    assert_eq!(verdict.facts[0], ("verdict".to_owned(), Fact::from("forward")));
}

#[test]
fn a_drop_names_its_reason_and_setting() {
    let mut director = director();
    for (sysctl, value) in [(Sysctl::AmDroprate, 1), (Sysctl::DropPacket, 3)] {
        director.execute(Instant::default(), &Limited, Command::SetSysctl(sysctl, vec![value])).unwrap();
    }
    let verdict = asked(&mut director, syn()).pop().unwrap();
    let fact = |name: &str| verdict.facts.iter().find(|(key, _)| key == name).map(|(_, it)| it.clone());
    assert_eq!(fact("reason"), Some(Fact::from("defence")));
    assert_eq!(fact("setting"), Some(Fact::from("drop_packet")));
    assert!(verdict.text.contains(Reason::Defence.text()), "{}", verdict.text);
    assert!(director.drops().all(|(_, count)| count == 0));
}

/// A mark that is given stands for a rule.
#[test]
fn as_if_it_had_a_mark() {
    let mut director = director();
    let id = ServiceId::Mark { ipv6: false, mark: 9 };
    director.execute(Instant::default(), &Limited, Command::AddService(id, settings("rr"))).unwrap();
    let said = texts(&asked(&mut director, Question { mark: Some(9), ..syn() }));
    assert!(said.contains(&"service: FWM 9 (rr): the packet has firewall mark 9".to_owned()), "{said:#?}");
    let said = texts(&asked(&mut director, Question { mark: Some(8), ..syn() }));
    assert!(said[2].starts_with("service: TCP 10.9.0.1:80"), "{said:#?}");
}

/// Of a service with many destinations not all are told of, but the chosen one always.
#[test]
fn many_candidates() {
    let mut director = director();
    let id = service("10.9.0.1");
    for number in 3..=100 {
        let server = DestinationId { address: IpAddr::from([10, 8, 0, number]), port: 8080 };
        director
            .execute(Instant::default(), &Limited, Command::AddDestination(id, server, weight(0)))
            .unwrap();
    }
    let steps = asked(&mut director, syn());
    let candidates: Vec<_> = steps.iter().filter(|step| step.name == "candidate").collect();
    assert_eq!(candidates.len(), 66);
    assert!(candidates[64].text.starts_with("10.8.0.2:8080 chosen"), "{}", candidates[64].text);
    assert_eq!(candidates[65].text, "and 35 more");
}

#[test]
fn no_packet_no_answer() {
    let bad = Question { protocol: 1, ..syn() };
    let outcome = director().execute(Instant::default(), &Limited, Command::Explain(bad));
    assert_eq!(outcome, Err(Error::InvalidQuestion));
}
