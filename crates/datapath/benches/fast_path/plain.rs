//! The tables of the plain balancers (`crates/xdp/src/plain`), and what one does to a packet.

#[path = "../../../xdp/src/plain/layout.rs"]
#[allow(unreachable_pub, reason = "the file of another crate")]
mod layout;

use aya::maps::{Array, HashMap, Map, MapData, PerCpuArray};
use ipvs_wire::checksum;

use crate::setup::{ACK, CLIENTS, REDIRECT, SERVER, Setup, VIP};
use layout::{DESTINATIONS, Destination, Flow, Known, Line, PROBES, hash};

/// The programs: over the kernel's LRU hash, its hash, lines with whole entries, and the director's table.
pub(crate) const PROGRAMS: [&str; 4] = ["plain_by_lru", "plain_by_hash", "plain_by_lines", "plain_by_tags"];

const DESTINATION: u32 = 3;
const TCP: u8 = 6;
const SERVER_PORT: u16 = 8080;
/// Where the frame's parts are.
const IP: usize = 14;
const DESTINATION_ADDRESS: usize = IP + 16;
const DESTINATION_PORT: usize = IP + 22;
const TCP_CHECKSUM: usize = IP + 36;

/// Entries of the kernel's tables. An LRU hash has some of its entries set aside for each processor.
pub(crate) fn entries(flows: u32) -> u32 {
    flows.max(1024)
}

/// Lines of the table of whole entries, at most half of which are used.
pub(crate) fn lines(flows: u32) -> u32 {
    2 * flows.next_power_of_two()
}

fn flow(number: u32) -> Flow {
    let ports = [((1024 + (number >> 16)) as u16).to_be(), 80u16.to_be()];
    let ports = u32::from(ports[0]) | u32::from(ports[1]) << 16;
    [(CLIENTS | number & 0xffff).to_be(), u32::from_ne_bytes(VIP), ports, TCP.into()]
}

impl Setup {
    /// Puts so many flows into all tables, and checks what becomes of a packet of the first.
    pub(crate) fn fill_plain(&mut self, flows: u32) {
        let known: Known = [DESTINATION, 0, 0, 0];
        for name in ["plain_lru", "plain_hash"] {
            let map = self.ebpf.map_mut(name).unwrap();
            let mut map: HashMap<&mut MapData, Flow, Known> = map.try_into().unwrap();
            // The first once more: a full LRU hash may have forgotten it.
            (0..flows).chain([0]).for_each(|number| map.insert(flow(number), known, 0).unwrap());
        }
        let size = lines(flows);
        let mut lines = vec![Line::default(); size as usize];
        let mut lost = 0;
        for number in 0..flows {
            let flow = flow(number);
            let probes = (0..PROBES).map(|probe| (hash(&flow).wrapping_add(probe) & (size - 1)) as usize);
            match { probes }.find(|line| lines[*line] == Line::default()) {
                Some(line) => {
                    lines[line][..4].copy_from_slice(&flow);
                    lines[line][4..8].copy_from_slice(&known);
                }
                None => lost += 1,
            }
        }
        assert!(lost <= flows / 1000, "{lost} flows have no place");
        let mut map: Array<_, Line> = self.ebpf.map_mut("plain_lines").unwrap().try_into().unwrap();
        for (number, line) in (0..).zip(&lines).filter(|(_, line)| **line != Line::default()) {
            map.set(number, *line, 0).unwrap();
        }
        let hardware = [[2, 0, 0, 0], [0, 1, 2, 0], [0, 0, 0, 2]].map(u32::from_ne_bytes);
        let [a, b, c] = hardware;
        let to: Destination =
            [u32::from_ne_bytes(SERVER), SERVER_PORT.to_be().into(), self.back.index, a, b, c];
        let mut map: Array<_, Destination> =
            self.ebpf.map_mut("plain_destinations").unwrap().try_into().unwrap();
        (0..DESTINATIONS).for_each(|number| map.set(number, to, 0).unwrap());
        for program in PROGRAMS {
            self.check_plain(program);
        }
    }

    fn check_plain(&mut self, program: &str) {
        let (_, before) = self.run("make", false, (1, ACK, 1));
        let (result, after) = self.run(program, false, (1, ACK, 1));
        assert_eq!(result.return_value, REDIRECT, "{program}");
        let mut expected = before.clone();
        expected[..12].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
        expected[IP + 8] -= 1;
        expected[DESTINATION_ADDRESS..DESTINATION_ADDRESS + 4].copy_from_slice(&SERVER);
        expected[DESTINATION_PORT..DESTINATION_PORT + 2].copy_from_slice(&SERVER_PORT.to_be_bytes());
        checksum::fill_ipv4_header(&mut expected[IP..]);
        // The address and the port stand under it.
        let of = |frame: &[u8]| {
            [
                &frame[DESTINATION_ADDRESS..DESTINATION_ADDRESS + 4],
                &frame[DESTINATION_PORT..DESTINATION_PORT + 2],
            ]
            .concat()
        };
        let difference = checksum::difference(&of(&before), &of(&expected));
        let field = TCP_CHECKSUM..TCP_CHECKSUM + 2;
        let old = u16::from_be_bytes(before[field.clone()].try_into().unwrap());
        expected[field].copy_from_slice(&checksum::update(old, difference).to_be_bytes());
        assert_eq!(after, expected, "{program}");
    }

    pub(crate) fn forwarded_by_plain(&mut self) -> u64 {
        let map: &Map = self.ebpf.map("plain_traffic").unwrap();
        let map: PerCpuArray<_, [u64; 2]> = map.try_into().unwrap();
        map.get(&DESTINATION, 0).unwrap().iter().map(|[packets, _]| packets).sum()
    }
}
