//! Frames with VLAN tags in the program. The host may have no VLAN devices: the frames are given to the program as they are, and
//! the daemon is told to take others for such devices.

use ipvs_core::ForwardingMethod;

use super::pair::Pair;
use super::sent::{ACK, CLIENT, CLIENT6, FIN, SYN, Sent, TCP, Twist, UDP, plain};
use super::{any_packets, full_nat, tunnels};
use crate::director::end;
use crate::topology::{SERVER, SERVER6, Topology, VIP, VIP6};
use crate::trunk::stand_in;

/// The tags of the devices to clients (802.1ad) and to servers (802.1Q).
const TO_CLIENTS: [u8; 4] = [0x88, 0xa8, 0x01, 0x2c];
const TO_SERVERS: [u8; 4] = [0x81, 0x00, 0x00, 0x64];

/// The XDP program, and a classifier.
const OPEN: [fn(&Topology) -> Pair; 2] = [Pair::open, Pair::open_on_trunk];

/// Whether clients and servers are behind VLAN devices.
const SIDES: [(bool, bool); 3] = [(true, true), (false, true), (true, false)];

/// With what opens it, and clients or servers, or both, behind VLAN devices on the links to them. Their MTU is a little less.
fn behind(clients: bool, servers: bool, open: fn(&Topology) -> Pair, test: impl FnOnce(&mut Pair) + Send) {
    let topology = Topology::new();
    let director = &topology.director;
    let sides = [
        (clients, "v0", "d0", (&topology.client, "c0"), [CLIENT, CLIENT6], TO_CLIENTS),
        (servers, "v1", "d1", (&topology.server, "s0"), [SERVER, SERVER6], TO_SERVERS),
    ];
    for (is_behind, device, link, (end, its), [host, host6], _) in &sides {
        if *is_behind {
            let hosts = [(*host, 32), (*host6, 128)];
            stand_in(director, (*device, *link), &end.hardware_address(its), &hosts);
        }
    }
    director.run(|| {
        let pair = &mut open(&topology);
        for (number, (is_behind, device, _, _, _, tag)) in sides.iter().enumerate() {
            if *is_behind {
                let (index, _) = director.interface(device);
                let under = if number == 0 { pair.front.0 } else { pair.back.0 };
                pair.datapath.take_for_vlan(index, under, *tag);
                pair.tags[number] = Some(*tag);
            }
        }
        test(pair);
    });
}

/// Any packets, tagged and not, good and bad: the director's bytes, in a frame with the tag of the way's device.
#[test]
fn any_packets_go_into_the_vlan_of_their_way() {
    for (clients, servers) in SIDES {
        behind(clients, servers, Pair::open, any_packets);
    }
}

#[test]
fn any_packets_go_into_the_vlan_of_their_way_behind_a_classifier() {
    for (clients, servers) in SIDES {
        behind(clients, servers, Pair::open_on_trunk, any_packets);
    }
}

#[test]
fn any_packets_go_through_tunnels_in_a_vlan() {
    for open in OPEN {
        behind(false, true, open, tunnels::any_packets);
    }
}

#[test]
fn full_nat_goes_into_vlans() {
    for open in OPEN {
        behind(true, true, open, full_nat::established);
    }
}

/// All ways of a tag: on, off, and in place of another; and the first packet of a connection too.
#[test]
fn every_combination_of_tags_is_the_programs() {
    for (sides, open) in SIDES.into_iter().flat_map(|sides| OPEN.map(|open| (sides, open))) {
        let (clients, servers) = sides;
        behind(clients, servers, open, |pair| {
            for (client, vip, server) in [(CLIENT, VIP, SERVER), (CLIENT6, VIP6, SERVER6)] {
                pair.serve(TCP, end(vip, 80), end(server, 8080), ForwardingMethod::MASQUERADE);
                for (port, twist) in [(4000, Twist::None), (4001, Twist::Tagged)] {
                    let out = |flags| Sent { twist, ..plain(TCP, end(client, port), end(vip, 80), flags) };
                    let back =
                        |flags| Sent { twist, ..plain(TCP, end(server, 8080), end(client, port), flags) };
                    assert!(pair.send(&out(SYN)), "it begins a connection");
                    assert!(pair.send(&back(SYN | ACK)) && pair.send(&out(ACK)));
                    assert!(pair.send(&out(ACK)) && pair.send(&back(ACK)) && pair.send(&back(ACK)));
                    // The device's MTU is that of the packet, without the tag.
                    let headers = if client == CLIENT { 40 } else { 60 };
                    for (mut sent, is_behind) in [(out(ACK), servers), (back(ACK), clients)] {
                        sent.payload = 1480 - headers;
                        assert!(pair.send(&sent), "{sent:?}");
                        sent.payload += 1;
                        assert_eq!(pair.send(&sent), !is_behind, "{sent:?}");
                    }
                }
            }
        });
    }
}

/// One tag is no hindrance, in neither direction: the frame leaves without it. What goes to the daemon has it still.
#[test]
fn a_tagged_frame_is_forwarded_without_its_tag() {
    for open in OPEN {
        behind(false, false, open, untagged);
    }
}

fn untagged(pair: &mut Pair) {
    for (client, vip, server) in [(CLIENT, VIP, SERVER), (CLIENT6, VIP6, SERVER6)] {
        for protocol in [TCP, UDP] {
            let service = pair.serve(protocol, end(vip, 80), end(server, 8080), ForwardingMethod::MASQUERADE);
            let out =
                |flags, twist| Sent { twist, ..plain(protocol, end(client, 4000), end(vip, 80), flags) };
            let back =
                |flags, twist| Sent { twist, ..plain(protocol, end(server, 8080), end(client, 4000), flags) };
            assert!(pair.send(&out(SYN, Twist::Tagged)), "it begins a connection");
            assert!(pair.send(&back(SYN | ACK, Twist::Tagged)));
            assert!(pair.send(&out(ACK, Twist::Tagged)) && pair.send(&out(ACK, Twist::None)));
            assert!(pair.send(&back(ACK, Twist::None)) && pair.send(&back(ACK, Twist::Tagged)));
            for twist in [Twist::TaggedTwice, Twist::TaggedByProvider] {
                assert!(!pair.send(&out(ACK, twist)) && !pair.send(&back(ACK, twist)));
            }
            // Of a server of no service: taken off in vain.
            let stray =
                Sent { twist: Twist::Tagged, ..plain(protocol, end(client, 4001), end(vip, 80), FIN | ACK) };
            assert!(!pair.send(&stray) || protocol == UDP);
            pair.listings(&[service]);
        }
    }
}
