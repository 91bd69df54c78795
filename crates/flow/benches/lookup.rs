//! Time of a lookup: `cargo bench -p ipvs-flow`. Nanoseconds per lookup in tables of several sizes, keys in random
//! order; a hit reads the entry as a packet does (count, touch). The last row: after most connections have ended again.

use std::{hint::black_box, time::Instant};

use ipvs_flow::{Address, EntryRef, HeapTable, Key, NewConnection, Tick};

/// Lookups of a round, and rounds; the best round counts, since other programs disturb the rest.
const LOOKUPS: u32 = 200_000;
const ROUNDS: u32 = 25;

/// A client's key; the number is scattered, so that neighbours in time are none in memory.
fn key(number: u32, virtual_port: u16) -> Key {
    Key {
        ipv6: false,
        template: false,
        protocol: 6,
        client: Address::from((0x0a00_0000 + (number >> 4)).to_be_bytes()),
        client_port: 1024 + (number & 15) as u16,
        virtual_address: Address::from([198, 51, 100, 1]),
        virtual_port,
    }
}

/// Numbers below `count` (a power of two) in an order that no prefetcher follows, another one each round.
fn scattered(count: u32, round: u32) -> impl Iterator<Item = u32> {
    let mut state = 0x9e37_79b9_u32.wrapping_mul(round + 1);
    (0..LOOKUPS).map(move |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 6) & (count - 1)
    })
}

fn nanos_per_lookup(mut run: impl FnMut(u32) -> u32) -> f64 {
    let round = |round| {
        let start = Instant::now();
        black_box(run(round));
        start.elapsed().as_nanos() as f64 / f64::from(LOOKUPS)
    };
    (0..ROUNDS).map(round).fold(f64::MAX, f64::min)
}

fn main() {
    println!("{:>12} {:>12} {:>10} {:>10} {:>10}", "connections", "once", "in hit", "out hit", "miss");
    for (count, once) in [(1 << 10, 1 << 10), (1 << 16, 1 << 16), (1 << 20, 1 << 20), (1 << 16, 1 << 20)] {
        let table = HeapTable::allocate(once, [0x0123_4567, 0x89ab_cdef]).expect("the capacity is allowed");
        let insert = |number| {
            let new = NewConnection {
                key: key(number, 80),
                destination: number & 7,
                destination_port: 8080,
                flags: 0,
                state: 1,
                timeout: 1000,
            };
            table.insert(&new, Tick(0)).expect("there is room")
        };
        let all: Vec<_> = (0..once).map(insert).collect();
        all.into_iter().skip(count as usize).for_each(|index| assert!(table.remove(index)));
        let packet = |entry: EntryRef<'_>| {
            entry.touch(Tick(1));
            entry.count_packet_in() & 1
        };
        let inbound = nanos_per_lookup(|round| {
            let found = |number| table.lookup_in(&key(number, 80)).map(|(_, entry)| packet(entry));
            scattered(count, round).filter_map(found).fold(0, u32::wrapping_add)
        });
        let outbound = nanos_per_lookup(|round| {
            let found = |number| {
                let key = key(number, 0);
                let index = table.find_out(false, 6, key.client, key.client_port, |entry| {
                    entry.destination_port() == 8080
                })?;
                table.entry(index).map(packet)
            };
            scattered(count, round).filter_map(found).fold(0, u32::wrapping_add)
        });
        let miss = nanos_per_lookup(|round| {
            scattered(count, round).filter(|number| table.find_in(&key(number + count, 80)).is_some()).count()
                as u32
        });
        println!("{count:>12} {once:>12} {inbound:>7.1} ns {outbound:>7.1} ns {miss:>7.1} ns");
    }
}
