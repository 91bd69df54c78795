//! Frames with VLAN tags in the program. The host may have no VLAN devices: the frames are given to the program as they are.

use ipvs_core::ForwardingMethod;

use super::inside;
use super::sent::{ACK, CLIENT, CLIENT6, FIN, SYN, Sent, TCP, Twist, UDP, plain};
use crate::director::end;
use crate::topology::{SERVER, SERVER6, VIP, VIP6};

/// One tag is no hindrance, in neither direction: the frame leaves without it. What goes to the daemon has it still.
#[test]
fn a_tagged_frame_is_forwarded_without_its_tag() {
    inside(|pair| {
        for (client, vip, server) in [(CLIENT, VIP, SERVER), (CLIENT6, VIP6, SERVER6)] {
            for protocol in [TCP, UDP] {
                let service =
                    pair.serve(protocol, end(vip, 80), end(server, 8080), ForwardingMethod::MASQUERADE);
                let out =
                    |flags, twist| Sent { twist, ..plain(protocol, end(client, 4000), end(vip, 80), flags) };
                let back = |flags, twist| Sent {
                    twist,
                    ..plain(protocol, end(server, 8080), end(client, 4000), flags)
                };
                assert!(pair.send(&out(SYN, Twist::Tagged)), "it begins a connection");
                assert!(pair.send(&back(SYN | ACK, Twist::Tagged)));
                assert!(pair.send(&out(ACK, Twist::Tagged)) && pair.send(&out(ACK, Twist::None)));
                assert!(pair.send(&back(ACK, Twist::None)) && pair.send(&back(ACK, Twist::Tagged)));
                assert!(!pair.send(&out(ACK, Twist::TaggedTwice)));
                assert!(!pair.send(&back(ACK, Twist::TaggedTwice)));
                // Of a server of no service: taken off in vain.
                let stray = Sent {
                    twist: Twist::Tagged,
                    ..plain(protocol, end(client, 4001), end(vip, 80), FIN | ACK)
                };
                assert!(!pair.send(&stray) || protocol == UDP);
                pair.listings(&[service]);
            }
        }
    });
}
