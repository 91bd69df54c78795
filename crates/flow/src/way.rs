//! How the XDP program reaches a destination: one line of memory each, by destination index, that the daemon writes.
//!
//! | word | content |
//! |---|---|
//! | 0–3 | the destination's address, as in [`crate::Address`] |
//! | 4 | index of the interface to leave by |
//! | 5 | most bytes of an IP packet (16 bit), encapsulation (16) |
//! | 6–8 | hardware addresses: the next hop's, then our own, as they stand in a frame |
//! | 9 | VLAN tag that the frame gets, as it stands there (EtherType and control information); 0: none |
//! | 10–13 | source address of a tunnel's outer header |
//! | 14 | UDP port of the tunnel (16), most bytes of a packet in it (16; 0: no tunnel) |
//! | 15 | version: 0 or odd while the way must not be used |
//!
//! The version works as that of an entry (see [`crate::EntryRef`]); the daemon's one thread writes.

use ipvs_wire::tunnel::Encapsulation;

use crate::{
    Address,
    line::Line,
    sync::{Ordering, fence},
};

/// The way to a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// The destination's address.
    pub address: Address,
    /// Index of the interface to leave by.
    pub interface: u32,
    /// Most bytes of an IP packet, at most 65535.
    pub mtu: u32,
    /// The first twelve bytes of the frame: the next hop's hardware address and our own.
    pub hardware: [u32; 3],
    /// The VLAN tag that the frame gets, as it stands there: EtherType, then control information; 0: none.
    pub tag: u32,
}

/// How packets go to a destination inside others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// Source address of the outer header, of the family of the destination's.
    pub source: Address,
    /// The outer header is one of IPv6, as is the destination's address.
    pub ipv6: bool,
    /// What stands between; the source port of GUE is each packet's own.
    pub encapsulation: Encapsulation,
    /// Most bytes of a packet inside, at most 65535; never 0.
    pub room: u32,
}

/// The kinds of encapsulation, in the upper half of word 5; with an outer IPv6 header [`OVER_IPV6`] is added.
const IPIP: u32 = 1;
const GUE: u32 = 2;
const GUE_CHECKSUM: u32 = 3;
const GRE: u32 = 4;
const GRE_CHECKSUM: u32 = 5;
const OVER_IPV6: u32 = 8;

impl Tunnel {
    /// Kind and port.
    const fn parts(&self) -> (u32, u16) {
        let (kind, port) = match self.encapsulation {
            Encapsulation::Ipip => (IPIP, 0),
            Encapsulation::Gue { port, checksum: false, .. } => (GUE, port),
            Encapsulation::Gue { port, checksum: true, .. } => (GUE_CHECKSUM, port),
            Encapsulation::Gre { checksum: false } => (GRE, 0),
            Encapsulation::Gre { checksum: true } => (GRE_CHECKSUM, 0),
        };
        (kind | if self.ipv6 { OVER_IPV6 } else { 0 }, port)
    }
}

/// The way in a line, `None` if there is none or it just changes.
#[inline(always)]
pub fn read(line: &Line) -> Option<Way> {
    // Orderings as in `entry`.
    let version = line.word::<15>().load(Ordering::Acquire);
    let way = plain(line);
    fence(Ordering::Acquire);
    let unchanged = line.word::<15>().load(Ordering::Relaxed) == version;
    (version & 1 == 0 && version != 0 && unchanged).then_some(way)
}

/// Whether there is a way in a line, and it is that to `address`.
#[inline(always)]
pub fn leads_to(line: &Line, address: Address) -> bool {
    let version = line.word::<15>().load(Ordering::Acquire);
    let mut difference = 0;
    for (word, wanted) in line.first::<4>().iter().zip(address.words()) {
        difference |= word.load(Ordering::Relaxed) ^ wanted;
    }
    fence(Ordering::Acquire);
    let unchanged = line.word::<15>().load(Ordering::Relaxed) == version;
    version & 1 == 0 && version != 0 && unchanged && difference == 0
}

/// The way in a line with its tunnel, `None` if there is none or it just changes.
#[inline(always)]
pub fn read_tunnel(line: &Line) -> Option<(Way, Tunnel)> {
    let version = line.word::<15>().load(Ordering::Acquire);
    let way = plain(line);
    let kind = line.word::<5>().load(Ordering::Relaxed) >> 16;
    let source = [line.word::<10>(), line.word::<11>(), line.word::<12>(), line.word::<13>()];
    let source = Address::from_words(source.map(|word| word.load(Ordering::Relaxed)));
    let last = line.word::<14>().load(Ordering::Relaxed);
    fence(Ordering::Acquire);
    let unchanged = line.word::<15>().load(Ordering::Relaxed) == version;
    let (port, room) = (last as u16, last >> 16);
    if version & 1 != 0 || version == 0 || !unchanged || room == 0 {
        return None;
    }
    let encapsulation = match kind & !OVER_IPV6 {
        IPIP => Encapsulation::Ipip,
        kind @ (GUE | GUE_CHECKSUM) => {
            Encapsulation::Gue { source_port: 0, port, checksum: kind == GUE_CHECKSUM }
        }
        kind @ (GRE | GRE_CHECKSUM) => Encapsulation::Gre { checksum: kind == GRE_CHECKSUM },
        _ => return None,
    };
    Some((way, Tunnel { source, ipv6: kind & OVER_IPV6 != 0, encapsulation, room }))
}

#[inline(always)]
fn plain(line: &Line) -> Way {
    let word = |number: usize| line.first::<10>().get(number).map_or(0, |word| word.load(Ordering::Relaxed));
    Way {
        address: Address::from_words([word(0), word(1), word(2), word(3)]),
        interface: word(4),
        mtu: word(5) & 0xffff,
        hardware: [word(6), word(7), word(8)],
        tag: word(9),
    }
}

/// Puts a way in a line, and how a tunnel goes it.
pub fn write(line: &Line, way: &Way, tunnel: Option<&Tunnel>) {
    clear(line);
    let [a, b, c, d] = way.address.words();
    let [e, f, g] = way.hardware;
    let (kind, port) = tunnel.map_or((0, 0), Tunnel::parts);
    let sizes = way.mtu.min(0xffff) | kind << 16;
    let [h, i, j, k] = tunnel.map_or([0; 4], |tunnel| tunnel.source.words());
    let last = u32::from(port) | tunnel.map_or(0, |tunnel| tunnel.room.min(0xffff)) << 16;
    let words = [a, b, c, d, way.interface, sizes, e, f, g, way.tag, h, i, j, k, last];
    for (word, value) in line.first::<15>().iter().zip(words) {
        word.store(value, Ordering::Relaxed);
    }
    crate::entry::publish(line);
}

/// Takes the way out of a line: nobody uses it who begins to read now.
pub fn clear(line: &Line) {
    crate::entry::retire(line);
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_way_is_there_until_it_is_cleared() {
        let line = Line::zeroed();
        assert_eq!(read(&line), None);
        let way = Way { address: [10, 0, 0, 1].into(), interface: 7, mtu: 1500, hardware: [1, 2, 3], tag: 0 };
        write(&line, &way, None);
        assert_eq!(read(&line), Some(way));
        assert!(leads_to(&line, way.address) && !leads_to(&line, [10, 0, 0, 2].into()));
        clear(&line);
        assert_eq!(read(&line), None);
        assert!(!leads_to(&line, way.address));
        let other = Way { interface: 8, tag: 0x6400_0081, ..way };
        write(&line, &other, None);
        assert_eq!(read(&line), Some(other));
        write(&line, &way, None);
        assert_eq!(read(&line), Some(way));
    }

    #[test]
    fn a_tunnel_goes_with_its_way() {
        let line = Line::zeroed();
        let way =
            Way { address: [10, 0, 0, 1].into(), interface: 7, mtu: 70_000, hardware: [1, 2, 3], tag: 0 };
        write(&line, &way, None);
        assert_eq!((read_tunnel(&line), read(&line)), (None, Some(Way { mtu: 65_535, ..way })));
        let way = Way { mtu: 1500, ..way };
        let gue = |checksum| Encapsulation::Gue { source_port: 0, port: 6080, checksum };
        let gre = |checksum| Encapsulation::Gre { checksum };
        for encapsulation in [Encapsulation::Ipip, gue(false), gue(true), gre(false), gre(true)] {
            for ipv6 in [false, true] {
                let source = if ipv6 { Address::from([7; 16]) } else { Address::from([10, 0, 0, 2]) };
                let tunnel = Tunnel { source, ipv6, encapsulation, room: 1480 };
                write(&line, &way, Some(&tunnel));
                assert_eq!((read_tunnel(&line), read(&line)), (Some((way, tunnel)), Some(way)));
            }
        }
        clear(&line);
        assert_eq!(read_tunnel(&line), None);
    }
}
