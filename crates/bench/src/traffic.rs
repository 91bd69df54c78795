//! The programs that make, redirect and count frames (`crates/xdp/src/generator.rs`), and a load of such frames.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use aya::maps::{Array, PerCpuArray};
use aya::programs::xdp::{XdpLink, XdpMode};
use aya::programs::{TestRun, TestRunAttrs, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfError};
use ipvs_lab::parts::{Interrupt, Namespace};

use crate::Error;
use crate::address::{CLIENT_END, FRONT_END, SERVER_END};
use crate::processors::{Processors, busy};
use crate::road::{D0, Road, S0};

/// Built by `cargo xtask build-xdp`.
static OBJECT: &[u8] = aya::include_bytes_aligned!("bpf/generator.o");

/// Words of the plan.
const PLAN: usize = 26;
/// All of IPv4.
const ANY: Network = (Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED);

/// Frames that the kernel makes before it lets them go.
const BATCH: u32 = 64;
/// Frames of the first run; later ones take what is left of the time. Between runs the kernel waits for tens of milliseconds, so there should be
/// few.
const FIRST_RUN: u32 = 1 << 14;
/// Frames of one run, at least and at most: a run ends before it is looked whether the measurement was interrupted.
const SHORTEST_RUN: u32 = 1 << 12;
const LONGEST_RUN: u32 = 1 << 20;
/// So long must nothing more arrive, and so long is that waited for.
const QUIET: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(2);

/// Bytes of a frame, without the check sequence that makes 64 of them on a wire.
const FRAME: usize = 60;
const UDP_PACKET: u16 = 46;
const TCP_PACKET: u16 = 40;
const IP_HEADER: u16 = 20;

/// What frames are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Datagrams of flows drawn at random.
    Flows(u32),
    /// Datagrams of flows one after the other.
    InOrder(u32),
    /// First segments of TCP connections, of random clients.
    Syns,
}

/// Where frames go, and where they should come out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    pub(crate) to: SocketAddrV4,
    pub(crate) arrive: Arrival,
}

/// A network and its mask.
pub(crate) type Network = (Ipv4Addr, Ipv4Addr);

/// What frames should be when they arrive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) from: Network,
    pub(crate) to: Network,
    pub(crate) port: u16,
    /// What stands before the client's packet.
    pub(crate) outer: Option<Outer>,
    /// Whether they must have the server's hardware address.
    pub(crate) is_for_server: bool,
}

/// The headers of a tunnel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outer {
    pub(crate) to: Network,
    /// Of the first header, and the length of all.
    pub(crate) protocol: u8,
    pub(crate) length: u32,
}

/// How much.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) kind: Kind,
    /// So long.
    pub(crate) time: Duration,
    /// At most so many frames.
    pub(crate) most: u64,
    /// So many a second; none: as fast as can be.
    pub(crate) rate: Option<f64>,
}

/// What came of it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Offered {
    pub(crate) sent: u64,
    /// Frames that had arrived as they should when the last one was sent, and the time until then.
    pub(crate) in_time: u64,
    pub(crate) elapsed: Duration,
    /// The same without the kernel's waiting before and after a run.
    pub(crate) active: Duration,
    /// Frames that arrived at all: as they should, and otherwise.
    pub(crate) right: u64,
    pub(crate) wrong: u64,
    /// Frames for which a cable's queue had no place, see [`crate::queues`].
    pub(crate) refused: u64,
    /// Processor time of the machine in `elapsed`, and that of the generator's thread, see [`Processors::worked`].
    pub(crate) busy: Duration,
    pub(crate) worked: Duration,
    /// Whether the generator's processor did all of it.
    pub(crate) by_one_processor: bool,
}

impl Offered {
    /// Frames a second. Where one processor does all, nothing happens while the kernel waits; else the daemon goes on.
    pub(crate) fn rate(&self) -> f64 {
        let time = if self.by_one_processor { self.active } else { self.elapsed };
        self.in_time as f64 / time.as_secs_f64()
    }

    /// Frames a second of processor time.
    pub(crate) fn rate_at_work(&self) -> f64 {
        self.in_time as f64 / self.worked.as_secs_f64()
    }

    /// Adds another run of the same.
    pub(crate) fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.in_time += other.in_time;
        self.elapsed += other.elapsed;
        self.active += other.active;
        self.right += other.right;
        self.wrong += other.wrong;
        self.refused += other.refused;
        self.busy += other.busy;
        self.worked += other.worked;
        self.by_one_processor = other.by_one_processor;
    }
}

/// The programs of one road.
pub(crate) struct Traffic {
    ebpf: Ebpf,
    out: u32,
    onward: u32,
    sink: Option<XdpLink>,
    redirect: Option<XdpLink>,
    random: u32,
    next: u32,
}

impl fmt::Debug for Traffic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Traffic").field("sink", &self.sink.is_some()).finish_non_exhaustive()
    }
}

impl Traffic {
    /// Loads the programs.
    pub(crate) fn load(road: &Road) -> Result<Self, Error> {
        let failed = |error: EbpfError| Error::setup("load the generator of frames", error);
        let mut ebpf = Ebpf::load(OBJECT).map_err(failed)?;
        for name in ["generate", "redirect", "sink"] {
            program(&mut ebpf, name)?.load().map_err(|error| {
                Error::setup(format!("load the program {name}"), format!("{error}: {}", chain(&error)))
            })?;
        }
        let (out, onward) = (road.out, road.onward);
        Ok(Self { ebpf, out, onward, sink: None, redirect: None, random: 0x9e37_79b9, next: 0 })
    }

    /// Has frames at the server counted and dropped, or no longer.
    pub(crate) fn set_sink(&mut self, road: &Road, on: bool) -> Result<(), Error> {
        match (on, self.sink.is_some()) {
            (true, false) => self.sink = Some(attach(&mut self.ebpf, "sink", &road.server, S0)?),
            (false, true) => self.sink = None,
            _ => {}
        }
        Ok(())
    }

    /// Has the director redirect every frame.
    pub(crate) fn redirect(&mut self, road: &Road) -> Result<(), Error> {
        self.redirect = Some(attach(&mut self.ebpf, "redirect", &road.director, D0)?);
        Ok(())
    }

    /// Frames sent so far.
    pub(crate) fn sent(&self) -> Result<u64, Error> {
        self.frames().map(|[sent, ..]| sent)
    }

    /// Sends frames from the client, on the generator's processor.
    pub(crate) fn offer(
        &mut self,
        road: &Road,
        way: Way,
        load: Load,
        processors: &Processors,
        interrupt: &Interrupt,
    ) -> Result<Offered, Error> {
        self.plan(way, load)?;
        let before = self.frames()?;
        let mut offered = road.client.run(|| {
            processors.take_last();
            self.send(load, before, processors, interrupt)
        })??;
        if let Kind::InOrder(_) = load.kind {
            self.next = self.next.wrapping_add(u32::try_from(offered.sent).unwrap_or(u32::MAX));
        }
        let [_, mut right, mut wrong] = self.frames()?;
        let (mut last, mut since) = ((right, wrong), Instant::now());
        interrupt.wait(PATIENCE, || {
            let [_, now_right, now_wrong] = self.frames()?;
            (right, wrong) = (now_right, now_wrong);
            if (right, wrong) != last {
                (last, since) = ((right, wrong), Instant::now());
            }
            let all = right + wrong - before[1] - before[2] >= offered.sent;
            Ok((all || since.elapsed() >= QUIET).then_some(()))
        })?;
        (offered.right, offered.wrong) = (right - before[1], wrong - before[2]);
        Ok(offered)
    }

    fn send(
        &mut self,
        load: Load,
        before: [u64; 3],
        processors: &Processors,
        interrupt: &Interrupt,
    ) -> Result<Offered, Error> {
        let frame = frame(load.kind);
        // With a rate, most are dropped again, as they are not yet due.
        let mut run = if load.rate.is_some() { LONGEST_RUN } else { FIRST_RUN };
        let (busy_before, worked_before) = (busy(), processors.worked());
        let (start, mut sent, mut active) = (Instant::now(), 0, Duration::ZERO);
        while sent < load.most && if load.rate.is_some() { start.elapsed() } else { active } < load.time {
            interrupt.check()?;
            let frames = u64::from(run).min(load.most - sent) as u32;
            let options = TestRunOptions {
                data_in: Some(&frame),
                repeat: frames,
                attrs: TestRunAttrs::new().xdp_live_frames(BATCH.min(frames)),
                ..TestRunOptions::new()
            };
            let result = program(&mut self.ebpf, "generate")?.test_run(options).map_err(|error| {
                Error::setup("send live frames (Linux 5.18 and later can)", chain(&error))
            })?;
            sent += u64::from(frames);
            // What the kernel tells is a mean of the frames, and without its waiting.
            active += result.duration * frames;
            if load.rate.is_none() {
                let left = load.time.saturating_sub(active).as_secs_f64() / active.as_secs_f64().max(1e-9);
                run = ((sent as f64 * left) as u32).clamp(SHORTEST_RUN, LONGEST_RUN);
            }
        }
        let after = self.frames()?;
        let elapsed = start.elapsed();
        let worked = processors.worked() - worked_before;
        let busy = busy().zip(busy_before).map_or(Duration::ZERO, |(after, before)| after - before);
        let (sent, in_time) = (after[0] - before[0], after[1] - before[1]);
        Ok(Offered { sent, in_time, elapsed, active, busy, worked, ..Offered::default() })
    }

    /// Writes the plan for the programs: `Plan` in their source.
    fn plan(&mut self, way: Way, load: Load) -> Result<(), Error> {
        let (number, flows, protocol, packet, rest) = match load.kind {
            Kind::Flows(flows) => (0, flows, 17, UDP_PACKET, u32::from(word(UDP_PACKET - IP_HEADER))),
            Kind::InOrder(flows) => (1, flows, 17, UDP_PACKET, u32::from(word(UDP_PACKET - IP_HEADER))),
            // Its offset and flags, its window.
            Kind::Syns => (2, 1, 6, TCP_PACKET, u32::from(word(0x5002)) + u32::from(word(0xffff))),
        };
        let rest = rest + u32::from(word(protocol)) + u32::from(word(packet - IP_HEADER));
        self.random = self.random.wrapping_mul(0x9e37_79b1).wrapping_add(1) | 1;
        let (f, c) = (FRONT_END, CLIENT_END);
        let hardware = [[f[0], f[1], f[2], f[3]], [f[4], f[5], c[0], c[1]], [c[2], c[3], c[4], c[5]]];
        let [h0, h1, h2] = hardware.map(u32::from_ne_bytes);
        let address = |address: Ipv4Addr| u32::from_ne_bytes(address.octets());
        let Arrival { from, to, port, outer, is_for_server } = way.arrive;
        let [_, _, hardware @ ..] = SERVER_END;
        let hardware = if is_for_server { u32::from_ne_bytes(hardware) } else { 0 };
        let (outer_to, protocol, length) =
            outer.map_or((ANY, 0, 0), |outer| (outer.to, u32::from(outer.protocol), outer.length));
        let interval = load.rate.map_or(0, |rate| (1e9 / rate.max(1.0)) as u32);
        let plan: [u32; PLAN] = [
            self.random,
            self.next,
            flows - 1,
            number,
            address(*way.to.ip()),
            way.to.port().into(),
            rest,
            h0,
            h1,
            h2,
            self.out,
            self.onward,
            address(from.0),
            address(from.1),
            address(to.0),
            address(to.1),
            port.into(),
            hardware,
            address(outer_to.0),
            address(outer_to.1),
            protocol,
            length,
            interval,
            0,
            // Due at once.
            0,
            0,
        ];
        let failed = |error: aya::maps::MapError| Error::setup("tell the generator what to send", error);
        let map = self.ebpf.map_mut("plan").ok_or_else(|| Error::setup("find the map plan", "none"))?;
        let mut plans: Array<_, [u32; PLAN]> = map.try_into().map_err(failed)?;
        plans.set(0, plan, 0).map_err(failed)
    }

    /// Frames sent, arrived as they should, arrived otherwise, since the programs were loaded.
    fn frames(&self) -> Result<[u64; 3], Error> {
        let failed = |error: aya::maps::MapError| Error::setup("read how many frames arrived", error);
        let map = self.ebpf.map("frames").ok_or_else(|| Error::setup("find the map frames", "none"))?;
        let map: PerCpuArray<_, u64> = map.try_into().map_err(failed)?;
        let mut frames = [0; 3];
        for (position, number) in (0..).zip(&mut frames) {
            *number = map.get(&position, 0).map_err(failed)?.iter().sum();
        }
        Ok(frames)
    }
}

/// Two bytes in network order, as the programs add them up.
const fn word(number: u16) -> u16 {
    number.to_be()
}

/// What is the same in all frames.
fn frame(kind: Kind) -> [u8; FRAME] {
    let mut frame = [0; FRAME];
    let (packet, protocol) = if kind == Kind::Syns { (TCP_PACKET, 6) } else { (UDP_PACKET, 17) };
    frame[12..16].copy_from_slice(&[8, 0, 0x45, 0]);
    frame[16..18].copy_from_slice(&packet.to_be_bytes());
    // Don't fragment.
    frame[20] = 0x40;
    frame[23] = protocol;
    if kind == Kind::Syns {
        frame[46..50].copy_from_slice(&[0x50, 0x02, 0xff, 0xff]);
    } else {
        frame[38..40].copy_from_slice(&(packet - IP_HEADER).to_be_bytes());
    }
    frame
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp, Error> {
    let failed = || Error::setup(format!("find the program {name}"), "the object lacks it");
    ebpf.program_mut(name).and_then(|program| program.try_into().ok()).ok_or_else(failed)
}

fn attach(ebpf: &mut Ebpf, name: &str, namespace: &Namespace, interface: &str) -> Result<XdpLink, Error> {
    let program = program(ebpf, name)?;
    let attached = namespace.run(|| {
        let id = program.attach(interface, XdpMode::Driver)?;
        program.take_link(id)
    })?;
    attached.map_err(|error| Error::setup(format!("attach {name} to {interface}"), chain(&error)))
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
