//! The datapath as a whole: what the daemon's event loop drives.

mod follow;
mod source;
mod turn;

pub use source::{Readable, Source};
pub use turn::Turn;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use ipvs_core::Host;
use ipvs_flow::steady::TIMEOUTS;

use crate::counter::Counter;
use crate::fast_path::{FastPath, Previous, Shared};
use crate::filter::Temporary;
use crate::interests::Interests;
use crate::netfilter::Netfilter;
use crate::network::{Event, Network};
use crate::open::Unattached;
use crate::output::Output;
use crate::parking::Parking;
use crate::pins::Pins;
use crate::program::{Program, ProgramCounters};
use crate::reassembly::Reassembly;
use crate::syn_filter::Switch;
use crate::xsk::Buffer;
use crate::{Mode, OpenError, Options, Trial, open, trial};

/// An interface that the datapath is attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// How.
    pub mode: Mode,
    /// Number of queues with a socket; none for a classifier.
    pub queues: usize,
}

/// Packets in and out of this host's interfaces, for one director. Dropping it leaves nothing behind, but with [`Options::keep`]
/// the XDP program and what it forwards by.
#[derive(Debug)]
pub struct Datapath {
    pub(crate) program: Program,
    pub(crate) network: Network,
    pub(crate) output: Output,
    pub(crate) interests: Interests,
    pub(crate) netfilter: Netfilter,
    /// Where the program is a classifier somewhere, and the kernel can.
    pub(crate) parking: Option<Parking>,
    pub(crate) fast_path: Option<FastPath>,
    pub(crate) syn_filter: Switch,
    /// Timeouts as the program has them.
    pub(crate) timeouts: [u32; TIMEOUTS],
    pub(crate) attached: Vec<Attached>,
    /// Taken from a queue, not judged yet; empty between turns.
    pub(crate) buffers: Vec<Buffer>,
    pub(crate) large: Vec<u8>,
    pub(crate) reassembly: Reassembly,
    pub(crate) events: Vec<Event>,
    /// Frames that refilling leaves for sending.
    pub(crate) reserve: usize,
    pub(crate) previous: Option<Previous>,
    pub(crate) pins: Option<Pins>,
    /// Links and maps outlive this.
    pub(crate) keep: bool,
    pub(crate) unattached: Option<Unattached>,
    /// Filters that go with this.
    pub(crate) filters: Temporary,
}

impl Datapath {
    /// Opens everything in the network namespace of the calling thread: loads and attaches the XDP program, opens the
    /// sockets and the TUN device.
    ///
    /// # Errors
    /// [`OpenError`] names what is missing and the remedy. Nothing is left behind.
    pub fn open(options: &Options) -> Result<Self, OpenError> {
        let mut datapath = Self::prepare(options)?;
        datapath.attach()?;
        Ok(datapath)
    }

    /// As [`Datapath::open`], but does not attach yet: no packets come, and the program of a former run goes on.
    ///
    /// # Errors
    /// As there.
    pub fn prepare(options: &Options) -> Result<Self, OpenError> {
        open::prepare(options)
    }

    /// Attaches the program, in the place of that of a former run where [`Options::pins`] has its links. From here on packets
    /// come.
    ///
    /// # Errors
    /// [`OpenError::Attach`] and others.
    pub fn attach(&mut self) -> Result<(), OpenError> {
        open::attach(self)
    }

    /// What a former run left in [`Options::pins`]; once.
    pub fn take_previous(&mut self) -> Option<Previous> {
        self.previous.take()
    }

    /// The kernel's number of the counters of this run, if it forwards in the program, as [`Previous::counters_id`] will be for the
    /// next one.
    pub fn counters_id(&self) -> Option<u32> {
        let info = self.fast_path.as_ref()?.maps.traffic.info();
        Some(info.ok()?.id())
    }

    /// Lets the next run find what this one has instead of what the former left; without [`Options::keep`] nothing at all. Call
    /// it when everything was taken over and the program is attached.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn settle_pins(&self) -> io::Result<()> {
        match (&self.pins, &self.fast_path) {
            (Some(pins), Some(fast_path)) if self.keep => pins.keep_maps(&fast_path.maps),
            (Some(pins), _) => pins.remove(),
            (None, _) => Ok(()),
        }
    }

    /// The interfaces attached to.
    pub fn attached(&self) -> &[Attached] {
        &self.attached
    }

    /// Facts about this host.
    pub fn host(&self) -> &dyn Host {
        &self.network
    }

    /// The descriptors to wait for: [`Datapath::turn`] has work when one is readable. They stay the same.
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.sources().into_iter().map(|(descriptor, _)| descriptor).collect()
    }

    /// The same, with what comes by each, for [`Datapath::turn_for`].
    pub fn sources(&self) -> Vec<(BorrowedFd<'_>, Source)> {
        let sockets = self.output.ports.iter().flat_map(|port| &port.sockets).map(AsFd::as_fd);
        let taps = self.output.ports.iter().filter_map(|port| port.tap.as_ref()).map(AsFd::as_fd);
        let queue = self.netfilter.queue.iter().map(|queue| (queue.as_fd(), Source::Netfilter));
        let parking = self.parking.iter().flat_map(Parking::descriptors);
        let parking = parking.map(|descriptor| (descriptor, Source::Parked));
        sockets
            .chain(taps)
            .map(|descriptor| (descriptor, Source::Interfaces))
            .chain([
                (self.program.misfits(), Source::Interfaces),
                (self.output.host.as_fd(), Source::Host),
                (self.network.monitor().as_fd(), Source::Network),
            ])
            .chain(queue)
            .chain(parking)
            .collect()
    }

    /// A counter's value since the start.
    pub fn counter(&self, counter: Counter) -> u64 {
        self.output.counters.get(counter)
    }

    /// What the XDP program counted.
    pub fn program_counters(&self) -> ProgramCounters {
        let forwarded = self.fast_path.as_ref().map_or(0, FastPath::forwarded);
        ProgramCounters { forwarded, ..self.program.counters() }
    }

    /// Whether the XDP program forwards packets itself.
    pub fn has_fast_path(&self) -> bool {
        self.fast_path.is_some()
    }

    /// Runs the XDP program on a frame as if it came by `interface`, `repeat` times over: for tests and measurements.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn try_program(&self, interface: u32, frame: &[u8], repeat: u32) -> io::Result<Trial> {
        trial::run(&self.program, interface, frame, repeat)
    }

    /// Has a frame come by `interface`, so many times in a row: for tests.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn receive_frame(&self, interface: u32, frame: &[u8], times: u32) -> io::Result<()> {
        trial::receive(&self.program, interface, frame, times)
    }

    /// Takes an interface for a VLAN device on the interface `under` that puts on `tag` (EtherType and control information, as in a
    /// frame), until its link changes: for tests on kernels without VLAN devices.
    pub fn take_for_vlan(&mut self, interface: u32, under: u32, tag: [u8; 4]) {
        self.network.take_for_vlan(interface, under, tag);
        self.tell_ports();
    }

    /// Runs the classifier on a frame as if it came by `interface`, yet to be cut into segments with `segment` bytes of payload, or,
    /// with 0, as it is: for tests.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn try_classifier(&self, interface: u32, frame: &[u8], segment: u32) -> io::Result<Trial> {
        trial::classify(&self.program, interface, frame, segment)
    }

    /// What the director needs so that the XDP program forwards packets of its connections, if
    /// [`Options::fast_path`] asked for that; once.
    pub fn take_shared(&mut self) -> Option<Shared> {
        self.fast_path.as_mut()?.take_shared()
    }
}
