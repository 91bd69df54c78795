//! UDP source ports of GUE: one per flow, so that routers on the way to the servers spread flows.

use crate::Address;

/// The first one, and how many there are: the host's net.ipv4.ip_local_port_range, as it is by default.
const FIRST: u32 = 32_768;
const COUNT: u32 = 60_999 - FIRST;

/// Odd, with bits all over (the golden ratio's).
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// The source port of a flow, from 32768 to 60998. `ports` are the client's and the virtual one, 0 where there are none. Who
/// knows `secret` alone can tell which flows have one port.
#[inline(always)]
pub const fn source_port(secret: [u64; 2], protocol: u8, client: Address, ports: (u16, u16)) -> u16 {
    let [a, b, c, d] = client.words();
    let rest = ports.0 as u64 | (ports.1 as u64) << 16 | (protocol as u64) << 32;
    let mixed = mix(mix(secret[0], a as u64 | (b as u64) << 32), c as u64 | (d as u64) << 32);
    let mixed = mix(mixed ^ secret[1], rest);
    // The upper half is the better mixed one; scaled to the range.
    let place = ((mixed >> 32) * COUNT as u64) >> 32;
    (FIRST + place as u32) as u16
}

#[inline(always)]
const fn mix(state: u64, value: u64) -> u64 {
    let product = (state ^ value).wrapping_mul(MULTIPLIER);
    product ^ product >> 29
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_spread_over_the_range() {
        let mut seen = [0u32; 16];
        for client in 0..4096u32 {
            let [.., a, b] = client.to_be_bytes();
            let port = source_port([1, 2], 6, Address::from([10, 0, a, b]), (4000, 80));
            assert!((32_768..60_999).contains(&port), "{port}");
            seen[(usize::from(port) - 32_768) * 16 / 28_231] += 1;
        }
        assert!(seen.iter().all(|count| (150..=362).contains(count)), "{seen:?}");
        let of = |protocol, client, ports| source_port([1, 2], protocol, Address::from(client), ports);
        let one = of(6, [10, 0, 0, 1], (4000, 80));
        assert_eq!(one, of(6, [10, 0, 0, 1], (4000, 80)));
        let others = [
            of(17, [10, 0, 0, 1], (4000, 80)),
            of(6, [10, 0, 0, 2], (4000, 80)),
            of(6, [10, 0, 0, 1], (4001, 80)),
            of(6, [10, 0, 0, 1], (4000, 81)),
            source_port([3, 2], 6, Address::from([10, 0, 0, 1]), (4000, 80)),
            source_port([1, 4], 6, Address::from([10, 0, 0, 1]), (4000, 80)),
        ];
        assert!(others.iter().all(|other| *other != one), "{one} {others:?}");
    }
}
