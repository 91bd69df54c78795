//! The hashing schedulers at size: each of 10 000 clients goes to the server that the kernel's IPVS chose for it
//! (`conformance/experiments/hash_choices.py`), so that directors of both kinds agree; and what moves when a server goes.
#![allow(clippy::unwrap_used, reason = "a test may fail that way")]

mod rig;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipvs_core::{
    Command, Config, DestinationConfig, DestinationId, ForwardingMethod, MaglevSize, ServiceConfig,
    ServiceId, Verdict,
};
use rig::{Family, Rig, round_robin, udp};

const SERVERS: u16 = 10;

/// The flags SCHED1 and SCHED2 of a service.
const FALLBACK: u32 = 0x08;
const PORT: u32 = 0x10;

/// Address and port of client `i`, as in the experiment: spread by a multiplicative hash.
fn client(i: u32, family: Family) -> (IpAddr, u16) {
    let spread = i.wrapping_mul(2_654_435_761);
    let [a, b, c, _] = spread.to_be_bytes();
    let [high, low] = [(spread >> 16) as u16, spread as u16];
    let address = match family {
        Family::V4 => Ipv4Addr::new(11, a, b, c).into(),
        Family::V6 => Ipv6Addr::new(0x2001, 0xdb9, high, low, 0, 0, 0, i as u16).into(),
    };
    (address, 1024 + (i % 60000) as u16)
}

/// The address of server `number` in the experiment, where the last group of an IPv6 address is written in decimal digits.
fn server(number: u16, family: Family) -> IpAddr {
    family.ip(&format!("10.0.2.{}", 11 + number), &format!("2001:db8:2::{}", 11 + number))
}

fn virtual_address(family: Family) -> IpAddr {
    family.ip("10.0.1.100", "2001:db8:1::100")
}

fn config(weight: i32) -> DestinationConfig {
    DestinationConfig::new(ForwardingMethod::DIRECT, weight)
}

/// A service with ten servers, server 0 the first in its list.
fn service(family: Family, scheduler: &str, flags: u32, ramp: bool) -> (Rig, ServiceId) {
    service_of(MaglevSize::default(), family, scheduler, flags, ramp)
}

fn service_of(
    maglev_size: MaglevSize,
    family: Family,
    scheduler: &str,
    flags: u32,
    ramp: bool,
) -> (Rig, ServiceId) {
    let mut rig = Rig::with(Config { capacity: 128 * 1024, maglev_size, ..Config::default() });
    let id = ServiceId::Address { protocol: 17, address: virtual_address(family), port: 53 };
    let netmask = if family == Family::V4 { u32::MAX } else { 128 };
    let settings = ServiceConfig { scheduler: scheduler.into(), netmask, ..round_robin(flags) };
    rig.execute(Command::AddService(id, settings));
    for number in (0..SERVERS).rev() {
        let weight = if ramp { i32::from(number) + 1 } else { 1 };
        let destination = DestinationId { address: server(number, family), port: 53 };
        rig.execute(Command::AddDestination(id, destination, config(weight)));
    }
    (rig, id)
}

/// The server that client `i` goes to.
fn choice(rig: &mut Rig, i: u32, family: Family) -> u16 {
    let packet = udp(client(i, family), (virtual_address(family), 53), b"x", 64);
    let (verdict, _) = rig.receive(&packet);
    let Verdict::Forward { next } = verdict else { panic!("client {i}: {verdict:?}") };
    (0..SERVERS).find(|number| server(*number, family) == next).unwrap()
}

#[test]
fn ten_thousand_clients_go_where_the_kernel_sends_them() {
    let recorded = include_str!("reference/hash_choices.txt");
    let mut lines = 0;
    for line in recorded.lines() {
        let [family, scheduler, weights, change, digits] =
            line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let family = if family == "v4" { Family::V4 } else { Family::V6 };
        let (name, option) = scheduler.split_once('-').unwrap_or((scheduler, ""));
        let flags = match option {
            "" => 0,
            "port" => PORT,
            "fallback" => FALLBACK,
            other => panic!("{other}"),
        };
        let (mut rig, id) = service(family, name, flags, weights == "ramp");
        let gone = DestinationId { address: server(2, family), port: 53 };
        match change {
            "all" => {}
            "removed" => drop(rig.execute(Command::DeleteDestination(id, gone))),
            "quiesced" => drop(rig.execute(Command::EditDestination(id, gone, config(0)))),
            other => panic!("{other}"),
        }
        let mut clients = 0;
        for (i, digit) in (0..).zip(digits.chars()) {
            let choice = choice(&mut rig, i, family);
            let shown = match family {
                Family::V4 => u32::from(choice),
                // 11 to 20 read as hexadecimal, less 0x11.
                Family::V6 => u32::from_str_radix(&(choice + 11).to_string(), 16).unwrap() - 0x11,
            };
            assert_eq!(
                Some(shown),
                digit.to_digit(16),
                "{family:?} {scheduler} {weights} {change}: client {i}"
            );
            clients += 1;
        }
        assert_eq!(clients, 10_000);
        lines += 1;
    }
    assert_eq!(lines, 16);
}

/// Maglev's promise: when one of ten servers is removed, its own clients move, and of the others less than one in a hundred
/// with a table of 131 071 places; with the kernel's default of 4093 a few more (its own recording: 132 of 9029 and 95 of 9057).
/// When it is quiesced and clients fall back, none.
#[test]
fn few_of_a_hundred_thousand_clients_move_with_a_server() {
    for (family, index, most_per_mille) in
        Family::BOTH.into_iter().flat_map(|family| [(family, 12, 20), (family, 17, 9)])
    {
        let size = MaglevSize::of_index(index).unwrap();
        let choices = |change: &dyn Fn(&mut Rig, ServiceId, DestinationId), flags| {
            let (mut rig, id) = service_of(size, family, "mh", flags, false);
            change(&mut rig, id, DestinationId { address: server(2, family), port: 53 });
            (0..100_000).map(|i| choice(&mut rig, i, family)).collect::<Vec<_>>()
        };
        let before = choices(&|_, _, _| {}, 0);
        let removed = choices(&|rig, id, gone| drop(rig.execute(Command::DeleteDestination(id, gone))), 0);
        let quiesced = choices(
            &|rig, id, gone| drop(rig.execute(Command::EditDestination(id, gone, config(0)))),
            FALLBACK,
        );
        let others = before.iter().filter(|choice| **choice != 2).count();
        let moved = |after: &[u16]| {
            before.iter().zip(after).filter(|(before, after)| **before != 2 && before != after).count()
        };
        assert!(!removed.contains(&2) && !quiesced.contains(&2));
        println!("{family:?}, index {index}: {} of {others} others moved", moved(&removed));
        assert!(moved(&removed) * 1000 < others * most_per_mille, "{} of {others}", moved(&removed));
        assert_eq!(moved(&quiesced), 0);
    }
}
