//! Frames with VLAN tags that come for good: the director's links are TAP devices, whose frames the test writes and reads. (A program that is run
//! on a frame sees no tag that the kernel keeps beside the bytes.)

use std::time::{Duration, Instant};

use ipvs_datapath::{Offload, Tap};

use crate::namespace::Namespace;
use crate::topology::Topology;

/// What does not come in this time never will, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// The director's links, `d0` and `d1`.
pub(crate) struct Trunk([Link; 2]);

/// A link, from the other end.
pub(crate) struct Link {
    tap: Tap,
    buffer: Vec<u8>,
}

/// A device in the place of a VLAN device on a link, for kernels that have none, and hosts behind it, with lengths of their networks. The datapath is to
/// take it for one (`Datapath::take_for_vlan`). Its MTU is a little less. `next` is the hardware address of the hosts.
pub(crate) fn stand_in(
    director: &Namespace,
    (device, link): (&str, &str),
    next: &str,
    hosts: &[(&str, u32)],
) {
    let own = director.hardware_address(link);
    director.ip(&format!("link add {device} address {own} mtu 1480 type veth peer name {device}x"));
    director.ip(&format!("link set {device}x up"));
    director.ip(&format!("link set {device} up"));
    for (host, bits) in hosts {
        director.ip(&format!("route replace {host}/{bits} dev {device}"));
        director.ip(&format!("neigh replace {host} lladdr {next} nud permanent dev {device}"));
    }
}

impl Trunk {
    /// Takes the place of a topology's links, with their names and addresses.
    pub(crate) fn lay(topology: &Topology) -> Self {
        let director = &topology.director;
        Self([("d0", "x0", "1"), ("d1", "x1", "2")].map(|(name, former, net)| {
            let own = director.hardware_address(name);
            director.ip(&format!("link set {name} down"));
            director.ip(&format!("addr flush dev {name}"));
            director.ip(&format!("link set {name} name {former}"));
            let tap = director.run(|| {
                let tap = Tap::open(name).unwrap();
                std::fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "0").unwrap();
                tap
            });
            director.ip(&format!("link set {name} address {own} mtu 1500"));
            director.ip(&format!("addr add 10.{net}.0.1/24 dev {name}"));
            director.ip(&format!("addr add fd0{net}::1/64 dev {name} nodad"));
            Link { tap, buffer: vec![0; 1 << 17] }
        }))
    }

    /// The links that a packet from the client's side comes by and leaves by, or one from the server's.
    pub(crate) fn way(&mut self, from_client: bool) -> (&mut Link, &mut Link) {
        let Self([front, back]) = self;
        if from_client { (front, back) } else { (back, front) }
    }
}

impl Link {
    /// Has a frame come by it.
    pub(crate) fn bring(&mut self, frame: &[u8], offload: &Offload) {
        self.tap.send(frame, &[], offload).unwrap();
    }

    /// The next frame that leaves by it, if one does already, but for what a host tells all others.
    pub(crate) fn next(&mut self) -> Option<(&[u8], Offload)> {
        loop {
            let (len, offload) = self.tap.receive(&mut self.buffer)?;
            if self.buffer[0] & 1 == 0 {
                return Some((&self.buffer[..len], offload));
            }
        }
    }

    /// The same, when it comes.
    pub(crate) fn wait(&mut self) -> (Vec<u8>, Offload) {
        let start = Instant::now();
        loop {
            if let Some((frame, offload)) = self.next() {
                return (frame.to_vec(), offload);
            }
            assert!(start.elapsed() < PATIENCE, "no frame comes");
            std::thread::yield_now();
        }
    }
}
