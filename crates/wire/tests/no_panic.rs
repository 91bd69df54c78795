//! Random, mutated and truncated frames through every entry point: nothing may panic.
#![allow(clippy::unwrap_used)]

mod packets;

use std::net::IpAddr;

use ipvs_wire::{
    Headers, arp, checksum, crc32c, echo,
    ethernet::{self, EthernetHeader, MacAddress},
    fragment::Fragments,
    icmp_error::{self, ErrorKind, icmp_error},
    icmpv4::Icmpv4Packet,
    icmpv6::Icmpv6Packet,
    ipv4::Ipv4Packet,
    ipv6::Ipv6Packet,
    ndp, rewrite,
    sctp::{self, SctpPacket},
    tcp::{self, TcpPacket},
    tcp_reset, transport,
    udp::UdpPacket,
};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};

/// xorshift64*: fast, and the same on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        ((self.next() >> 32) as usize * limit) >> 32
    }
}

/// Reads everything there is to read. What is computed goes into the returned number, so that nothing is left out.
fn read(packet: &[u8], headers: &Headers) -> usize {
    let mut sum = usize::from(checksum::verify_transport(packet, headers));
    sum += usize::from(checksum::verify_ipv4_header(packet));
    sum += transport::ports(packet, headers).map_or(0, |p| usize::from(p.source));
    sum += transport::ports_embedded(packet, headers).map_or(0, |p| usize::from(p.destination));
    sum += tcp::flags(packet, headers).map_or(0, |flags| usize::from(flags.0));
    sum += sctp::first_chunk(packet, headers).map_or(0, usize::from);
    sum += usize::from(icmp_error::is_icmp_error(packet, headers));
    sum += icmp_error::quoted_offset(packet, headers).unwrap_or_default();
    sum += usize::from(ndp::Solicitation::parse(packet, headers).is_ok());
    sum += usize::from(ndp::Advertisement::parse(packet, headers).is_ok());
    let data = headers.payload(packet);
    if let Ok(view) = TcpPacket::new_checked(data) {
        sum += view.options().len() + view.payload().len() + view.sequence() as usize;
    }
    if let Ok(view) = UdpPacket::new_checked(data) {
        sum += view.payload().len() + usize::from(view.checksum());
    }
    if let Ok(view) = SctpPacket::new_checked(data) {
        sum += view.chunks().flatten().map(|chunk| chunk.value.len()).sum::<usize>();
    }
    if let Ok(view) = Icmpv4Packet::new_checked(data) {
        sum += view.payload().len() + usize::from(view.verify_checksum());
    }
    if let Ok(view) = Icmpv6Packet::new_checked(data) {
        sum += view.payload().len();
    }
    sum
}

/// Everything about one layer-3 slice, whole or quoted.
fn layer3(packet: &mut [u8], random: &mut Random, out: &mut [u8]) -> usize {
    let mut sum = 0;
    if let Ok(view) = Ipv4Packet::new_checked(&*packet) {
        sum += view.options().len() + view.payload().len() + usize::from(view.verify_checksum());
    }
    if let Ok(view) = Ipv6Packet::new_checked(&*packet) {
        sum += view.payload().len() + view.extensions().flatten().map(|e| e.bytes.len()).sum::<usize>();
    }
    let from: [IpAddr; 2] = [[192, 0, 2, 1].into(), [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into()];
    let end = from[random.below(16).min(1)];
    let same = |headers: &Headers| if headers.is_ipv6() { from[1] } else { from[0] };
    if let Ok(headers) = Headers::parse(packet) {
        if random.below(4) == 0 {
            // Some things are read only if the checksum is right.
            checksum::fill_transport(packet, &headers);
        }
        sum += read(packet, &headers);
        sum += icmp_error(packet, same(&headers), ErrorKind::PortUnreachable, out).unwrap_or_default();
        sum += tcp_reset(packet, &headers, out).unwrap_or_default();
        if let Ok(mut cut) = Fragments::new(packet, &headers, random.below(200), None, 7) {
            while let Ok(Some(len)) = cut.write_next(out) {
                sum += len;
            }
        }
        match random.below(4) {
            0 => sum += usize::from(echo::reply(packet, &headers) == Ok(true)),
            1 => sum += usize::from(checksum::complete_partial(packet, &headers)),
            2 => checksum::fill_transport(packet, &headers),
            _ => rewrite::decrement_hop_limit(packet),
        }
        let _ = rewrite::set_source(packet, &headers, same(&headers), 1);
        let _ = rewrite::set_destination(packet, &headers, end, 2);
    }
    if let Ok(headers) = Headers::parse_embedded(packet) {
        sum += read(packet, &headers);
        let _ = rewrite::set_embedded_source(packet, &headers, end, 3);
        let _ = rewrite::set_embedded_destination(packet, &headers, same(&headers), 4);
        // Headers of another slice than the one they are used with.
        let shorter = random.below(packet.len() + 1);
        let packet = packet.get_mut(..shorter).unwrap_or_default();
        sum += read(packet, &headers);
        let _ = rewrite::set_source(packet, &headers, same(&headers), 5);
        let _ = rewrite::set_embedded_destination(packet, &headers, same(&headers), 6);
        let _ = echo::reply(packet, &headers);
        checksum::complete_partial(packet, &headers);
        checksum::fill_transport(packet, &headers);
        sum += tcp_reset(packet, &headers, out).unwrap_or_default();
        if let Ok(mut cut) = Fragments::new(packet, &headers, random.below(2000), None, 7) {
            while let Ok(Some(len)) = cut.write_next(out) {
                sum += len;
            }
        }
    }
    rewrite::decrement_hop_limit(packet);
    checksum::fill_ipv4_header(packet);
    sum
}

fn frame(frame: &mut [u8], random: &mut Random, out: &mut [u8]) -> usize {
    let mut sum = 0;
    if let Ok(header) = EthernetHeader::parse(frame) {
        sum += header.tags().count() + header.payload;
        let _ = header.emit(out);
        let payload = frame.get_mut(header.payload..).unwrap_or_default();
        sum += usize::from(arp::ArpPacket::parse(payload).is_ok());
        sum += layer3(payload, random, out);
    }
    let _ = ethernet::set_addresses(frame, MacAddress::BROADCAST, MacAddress::default());
    sum += usize::from(crc32c::verify(frame)) + usize::from(crc32c::fill(frame).is_ok());
    sum + layer3(frame, random, out)
}

/// A solicitation or an advertisement.
fn neighbour_discovery(solicitation: bool) -> Vec<u8> {
    let mut out = vec![0; ndp::MAX_LEN];
    let (source, target) = ([0x20; 16].into(), [0x21; 16].into());
    let mac = MacAddress([2, 0, 0, 0, 0, 9]);
    let ask = ndp::Solicitation { source, target, source_mac: Some(mac) };
    let len =
        if solicitation { ask.emit(&mut out) } else { ask.answer(mac).0.emit(target, source, &mut out) };
    out.truncate(len.unwrap());
    out
}

#[test]
fn ten_million_frames() {
    let mut runner = TestRunner::deterministic();
    let strategy = packets::spec();
    let mut seeds: Vec<Vec<u8>> =
        (0..2000).map(|_| strategy.new_tree(&mut runner).unwrap().current().build()).collect();
    seeds.extend((0..100).map(|n| neighbour_discovery(n % 2 == 0)));
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut buffer = [0u8; 512];
    let mut out = [0u8; 1280];
    let mut sum = 0usize;
    for round in 0..10_000_000u32 {
        let len;
        if round % 4 == 0 {
            // Random bytes, most with the version of an IP packet.
            len = random.below(100);
            for chunk in buffer[..len].chunks_mut(8) {
                let word = random.next().to_ne_bytes();
                chunk.copy_from_slice(&word[..chunk.len()]);
            }
            buffer[0] = match random.below(8) {
                0 => buffer[0],
                1..4 => 0x60,
                4 => 0x46,
                _ => 0x45,
            };
        } else {
            // A valid packet, in a frame or bare, some bytes changed, some cut off.
            let seed = &seeds[random.below(seeds.len())];
            let head = if random.below(4) == 0 { 14 } else { 0 };
            buffer[..14].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, random.below(2) as u8 * 6]);
            let take = seed.len().min(buffer.len() - head);
            buffer[head..head + take].copy_from_slice(&seed[..take]);
            len = if random.below(2) == 0 { head + take } else { random.below(head + take + 1) };
            for _ in 0..random.below(4) {
                // The headers are where it matters.
                let at = if random.below(2) == 0 { random.below(80) } else { random.below(len + 1) };
                buffer[at.min(511)] = random.next() as u8;
            }
        }
        sum = sum.wrapping_add(if round % 3 == 0 {
            frame(&mut buffer[..len], &mut random, &mut out)
        } else {
            layer3(&mut buffer[..len], &mut random, &mut out)
        });
    }
    assert_ne!(sum, 0);
}
