//! Nanoseconds per packet of what runs for each one: `cargo bench -p ipvs-wire`. The best of fifteen runs.
use std::{hint::black_box, time::Instant};

use etherparse::PacketBuilder;
use ipvs_wire::{Headers, checksum, rewrite};

fn measure(name: &str, bytes: usize, mut run: impl FnMut()) {
    let mut best = f64::MAX;
    for _ in 0..15 {
        let start = Instant::now();
        for _ in 0..200_000 {
            run();
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e9 / 200_000.0);
    }
    println!("{name:<32} {bytes:>5} bytes {best:>8.2} ns");
}

fn main() {
    for (size, ipv6) in [(20, false), (1440, false), (20, true), (1440, true)] {
        let mut packet = Vec::new();
        let data = vec![7; size];
        let written = if ipv6 {
            PacketBuilder::ipv6([1; 16], [2; 16], 64).tcp(1, 2, 3, 4).write(&mut packet, &data)
        } else {
            PacketBuilder::ipv4([1; 4], [2; 4], 64).tcp(1, 2, 3, 4).write(&mut packet, &data)
        };
        written.unwrap_or_else(|error| panic!("{error}"));
        let Ok(headers) = Headers::parse(&packet) else { panic!("not parsed") };
        let len = packet.len();
        println!("IPv{}", if ipv6 { 6 } else { 4 });
        measure("Headers::parse", len, || {
            let _ = black_box(Headers::parse(black_box(&packet)));
        });
        measure("ports", len, || {
            let _ = black_box(ipvs_wire::transport::ports(black_box(&packet), black_box(&headers)));
        });
        measure("verify_transport", len, || {
            black_box(checksum::verify_transport(black_box(&packet), &headers));
        });
        let mut copy = packet.clone();
        measure("complete_partial, complete", len, || {
            black_box(checksum::complete_partial(black_box(&mut copy), &headers));
        });
        measure("set_source + set_destination", len, || {
            let _ = rewrite::set_source(black_box(&mut copy), &headers, headers.destination, 5);
            let _ = rewrite::set_destination(black_box(&mut copy), &headers, headers.source, 6);
        });
        measure("decrement_hop_limit", len, || rewrite::decrement_hop_limit(black_box(&mut copy)));
        let data = vec![3; len];
        measure("crc32c", len, || {
            let _ = black_box(ipvs_wire::crc32c::checksum(black_box(&data)));
        });
    }
}
