//! How the datapath is set up.

use crate::{AttachRule, FastPathOptions, Pins, SynFilter};

/// How the XDP program is attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum XdpMode {
    /// By the driver: fast; not every driver has it.
    Native,
    /// By the network stack: works on every interface.
    Generic,
    /// Native where that works, else generic, interface by interface.
    #[default]
    Auto,
}

/// What to open.
#[derive(Clone, Debug)]
pub struct Options {
    /// Names of the interfaces to attach to; empty: all Ethernet interfaces that are up and not ports of a bridge or
    /// bond, nor VLAN devices.
    pub interfaces: Vec<String>,
    /// Where to attach.
    pub attach: AttachRule,
    /// Attach classifiers by tcx links where the kernel has them (Linux 6.6); else, and where it has none, by filters of clsact.
    pub tcx: bool,
    /// Where a classifier is attached, have TCP packets wait in the kernel while they are judged by their headers, if it can.
    pub parking: bool,
    /// How to attach by XDP.
    pub xdp_mode: XdpMode,
    /// Answer ARP, neighbour solicitations and echo requests for virtual addresses that are not the host's.
    pub answer_arp: bool,
    /// Have netfilter give away the packets of clients on this host to virtual services.
    pub local_clients: bool,
    /// Frames of 4096 bytes per receive queue: half of them wait for packets, the others are in processing or being
    /// sent. Made a power of two.
    pub frames_per_queue: u32,
    /// Whether the XDP program forwards packets of established connections itself, and how.
    pub fast_path: Option<FastPathOptions>,
    /// Whether the XDP program drops the first segment of each new TCP connection, whose repetition it hands over: against
    /// SYN floods. It takes 16 MiB of memory unless it is off.
    pub syn_filter: SynFilter,
    /// Where links and maps of a former run are looked for, and whether those of this one outlive it.
    pub pins: Option<Pins>,
    /// Whether they do; only with [`Options::fast_path`].
    pub keep: bool,
    /// Name of the TUN device that leads into the host's own network stack.
    pub host_port: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            interfaces: Vec::new(),
            attach: AttachRule::default(),
            tcx: true,
            parking: true,
            xdp_mode: XdpMode::Auto,
            answer_arp: true,
            local_clients: true,
            frames_per_queue: 4096,
            fast_path: None,
            syn_filter: SynFilter::Auto,
            pins: None,
            keep: false,
            host_port: "ipvsd0".into(),
        }
    }
}
