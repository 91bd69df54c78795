//! Millions of random, truncated and mutated packets: never a panic, never another connection's loss, counts that add up.

mod rig;

use std::time::Duration;

use ipvs_core::{
    Command, DestinationId, ForwardingMethod, Packet, ServiceConfig, ServiceFlags, ServiceId, Sysctl, Verdict,
};
use rig::{Family, Rig, round_robin, tcp, udp, unreachable};

/// Packets for each of the tests below.
const PACKETS: u64 = 2_000_000;

/// A small generator (xorshift64*), so that a failure can be replayed from its seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// Valid packets of every kind that the engine handles, to be damaged.
fn corpus() -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    for family in Family::BOTH {
        let (client, vip, server) = ((family.client(), 4000), (family.vip(), 80), (family.server(1), 8080));
        for flags in ["S", "SA", "A", "FA", "R", ""] {
            packets.push(tcp(client, vip, flags, b"hello", 64));
            packets.push(tcp(server, client, flags, b"hello", 64));
        }
        let (question, answer) = (udp(client, vip, b"hello", 2), udp(server, client, b"hello", 1));
        packets.push(unreachable(server.0, client.0, &udp(client, server, b"hello", 60)));
        packets.push(unreachable(client.0, vip.0, &udp(vip, client, b"hello", 60)));
        packets.push(question);
        packets.push(answer);
    }
    packets
}

/// A director with all that can be set, set.
fn armed() -> Rig {
    let mut rig = Rig::new(500);
    for family in Family::BOTH {
        for protocol in [6, 17] {
            let flags = ServiceFlags::PERSISTENT | if protocol == 17 { ServiceFlags::ONE_PACKET } else { 0 };
            let id = ServiceId::Address { protocol, address: family.vip(), port: 80 };
            rig.pair(
                id,
                ServiceConfig { netmask: 100, scheduler: "lblcr".into(), ..round_robin(flags) },
                8080,
            );
            let id = ServiceId::Address { protocol, address: family.vip(), port: 0 };
            let flags = ServiceFlags::PERSISTENT;
            rig.pair(id, ServiceConfig { netmask: 64, scheduler: "lblc".into(), ..round_robin(flags) }, 0);
        }
    }
    for sysctl in [
        Sysctl::ScheduleIcmp,
        Sysctl::NatIcmpSend,
        Sysctl::SloppyTcp,
        Sysctl::ExpireNodestConn,
        Sysctl::ExpireQuiescentTemplate,
    ] {
        rig.set(sysctl, 1);
    }
    for sysctl in [Sysctl::ConnReuseMode, Sysctl::DropEntry, Sysctl::DropPacket, Sysctl::SecureTcp] {
        rig.set(sysctl, 3);
    }
    rig
}

/// Takes a server away, or brings it back.
fn change(rig: &mut Rig, random: &mut Random) {
    let family = Family::BOTH[random.below(2)];
    let protocol = [6, 17][random.below(2)];
    let service = ServiceId::Address { protocol, address: family.vip(), port: 80 };
    let id = DestinationId { address: family.server(1), port: 8080 };
    let listed = rig.destinations(service);
    if random.below(2) == 0 {
        if listed.iter().any(|destination| destination.id == id) {
            rig.weigh(service, id, random.below(2) as i32);
        }
    } else if listed.iter().any(|destination| destination.id == id) {
        rig.execute(Command::DeleteDestination(service, id));
    } else {
        rig.add(service, id, 1);
    }
}

fn rig() -> Rig {
    let mut rig = Rig::new(500);
    for family in Family::BOTH {
        for protocol in [6, 17] {
            let service = rig.service(family, protocol, "wlc");
            rig.destination(service, family.server(1), ForwardingMethod::MASQUERADE, 1);
            rig.destination(service, family.server(2), ForwardingMethod::DIRECT, 2);
            rig.destination(service, family.server(3), ForwardingMethod::TUNNEL, 1);
        }
    }
    rig
}

fn run(seed: u64, mut make: impl FnMut(&mut Random, &mut [u8; 2048]) -> usize) {
    run_on(rig(), seed, |_, _| {}, &mut make);
    run_on(armed(), seed, change, &mut make);
}

fn run_on(
    mut rig: Rig,
    seed: u64,
    change: impl Fn(&mut Rig, &mut Random),
    make: &mut impl FnMut(&mut Random, &mut [u8; 2048]) -> usize,
) {
    let mut random = Random(seed);
    const ROOM: usize = 128;
    let (mut buffer, mut room) = ([0; 2048], [0; ROOM + 2048]);
    let (mut dropped, mut forwarded) = (0, 0);
    for round in 0..PACKETS {
        let len = make(&mut random, &mut buffer);
        // With room for the headers of a tunnel.
        room[ROOM..ROOM + len].copy_from_slice(&buffer[..len]);
        let mut packet = Packet::new(&mut room, ROOM, len);
        match rig.director.receive(rig.now, &rig.host, &mut packet) {
            Verdict::Drop(_) | Verdict::Reply(_) => dropped += 1,
            Verdict::Forward { .. } | Verdict::Deliver => forwarded += 1,
            Verdict::Pass => {}
        }
        if round % 1000 == 0 {
            rig.advance(Duration::from_secs(random.next() % 8));
            change(&mut rig, &mut random);
        }
    }
    assert_eq!(rig.director.drops().map(|(_, count)| count).sum::<u64>(), dropped);
    // Templates go after their connections.
    for _ in 0..3 {
        rig.advance(Duration::from_secs(4000));
    }
    assert_eq!(rig.connections(), [], "after {forwarded} forwarded packets all connections must expire");
    for (family, protocol) in Family::BOTH.into_iter().flat_map(|family| [(family, 6), (family, 17)]) {
        for it in rig.destinations(ServiceId::Address { protocol, address: family.vip(), port: 80 }) {
            assert_eq!((it.active, it.inactive, it.persistent), (0, 0, 0));
        }
    }
}

fn damaged(seed: u64, damage: impl Fn(&mut Random, &mut [u8; 2048], usize) -> usize) {
    let corpus = corpus();
    run(seed, |random, buffer| {
        let original = &corpus[random.below(corpus.len())];
        buffer[..original.len()].copy_from_slice(original);
        damage(random, buffer, original.len())
    });
}

#[test]
fn random_bytes() {
    run(1, |random, buffer| {
        let len = random.below(200);
        for chunk in buffer[..len.next_multiple_of(8)].chunks_exact_mut(8) {
            chunk.copy_from_slice(&random.next().to_le_bytes());
        }
        // Most random packets die at the version: give half of them one.
        buffer[0] = [buffer[0], 0x45, 0x60, 0x46][random.below(4)];
        len
    });
}

#[test]
fn truncated_packets() {
    damaged(2, |random, _, len| random.below(len + 1));
}

#[test]
fn flipped_bits() {
    damaged(3, |random, buffer, len| {
        for _ in 0..=random.below(4) {
            buffer[random.below(len)] ^= 1 << random.below(8);
        }
        len
    });
}

#[test]
fn overwritten_bytes_and_lengths() {
    damaged(4, |random, buffer, len| {
        let at = random.below(len.min(64));
        buffer[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)];
        len + random.below(64)
    });
}

#[test]
fn valid_packets_of_many_clients() {
    damaged(5, |random, buffer, len| {
        // Another client port or address, header checksums untouched: the table fills, wraps and expires.
        let at = if buffer[0] >> 4 == 4 { 18 + random.below(4) } else { 22 + random.below(20) };
        buffer[at.min(len - 1)] = random.next() as u8;
        len
    });
}
