//! One turn of a measurement: some short runs of one kind of packets, by this executable or by another one that was kept.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use aya::programs::Xdp;

use crate::namespace::Namespace;
use crate::plain;
use crate::setup::{ACK, BIRTHS_EACH, Method, REDIRECT, SYN, Setup, TX};
use ipvs_wire::tunnel::Encapsulation;

/// Packets of a run: one to three milliseconds, in which a busy machine seldom interrupts.
const REPEAT: u32 = 8000;
/// Runs of a turn, and those before that warm the caches.
const RUNS: usize = 8;
const WARM: usize = 2;
/// Connections of the table in which others begin.
const HALF: u32 = 1 << 19;

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Empty,
    Redirect,
    In,
    Out,
    Direct,
    Ipip,
    IpipOverIpv6,
    Gue,
    GueChecksum,
    Gre,
    GreChecksum,
    FullNatIn,
    FullNatOut,
    /// A plain balancer over the table of such a program.
    Plain(&'static str),
    /// Under rr with one destination, or under wlc with so many.
    Birth(u32),
}

impl Kind {
    pub(crate) const ALL: [Kind; 22] = [
        Kind::Empty,
        Kind::Redirect,
        Kind::In,
        Kind::Out,
        Kind::Direct,
        Kind::Ipip,
        Kind::IpipOverIpv6,
        Kind::Gue,
        Kind::GueChecksum,
        Kind::Gre,
        Kind::GreChecksum,
        Kind::FullNatIn,
        Kind::FullNatOut,
        Kind::Plain(plain::PROGRAMS[0]),
        Kind::Plain(plain::PROGRAMS[1]),
        Kind::Plain(plain::PROGRAMS[2]),
        Kind::Plain(plain::PROGRAMS[3]),
        Kind::Birth(1),
        Kind::Birth(3),
        Kind::Birth(16),
        Kind::Birth(64),
        Kind::Birth(100),
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Kind::Empty => "empty program",
            Kind::Redirect => "redirect alone",
            Kind::In => "masquerading, in",
            Kind::Out => "masquerading, out",
            Kind::Direct => "direct routing",
            Kind::Ipip => "IP in IP",
            Kind::IpipOverIpv6 => "IP in IP over IPv6",
            Kind::Gue => "GUE",
            Kind::GueChecksum => "GUE, checksum",
            Kind::Gre => "GRE",
            Kind::GreChecksum => "GRE, checksum",
            Kind::FullNatIn => "full NAT, in",
            Kind::FullNatOut => "full NAT, out",
            Kind::Plain(program) => program,
            Kind::Birth(1) => "new, rr",
            Kind::Birth(3) => "new, wlc of 3",
            Kind::Birth(16) => "new, wlc of 16",
            Kind::Birth(64) => "new, wlc of 64",
            Kind::Birth(_) => "new, wlc of 100",
        }
    }

    fn method(self) -> Method {
        match self {
            Kind::Direct => Method::Direct,
            Kind::FullNatIn | Kind::FullNatOut => Method::FullNat,
            Kind::Plain(_) => Method::Plain,
            _ if self.tunnel().is_some() => Method::Tunnel,
            _ => Method::Masquerading,
        }
    }

    /// Whether the packets come from the server.
    fn is_out(self) -> bool {
        matches!(self, Kind::Out | Kind::FullNatOut)
    }

    /// The program that makes and forwards them.
    fn program(self) -> &'static str {
        match self {
            Kind::Plain(program) => program,
            _ => "make_and_forward",
        }
    }

    /// Over IPv6 or not, and what stands between.
    fn tunnel(self) -> Option<(bool, Encapsulation)> {
        let gue = |checksum| Encapsulation::Gue { source_port: 0, port: 6080, checksum };
        Some(match self {
            Kind::Ipip => (false, Encapsulation::Ipip),
            Kind::IpipOverIpv6 => (true, Encapsulation::Ipip),
            Kind::Gue => (false, gue(false)),
            Kind::GueChecksum => (false, gue(true)),
            Kind::Gre => (false, Encapsulation::Gre { checksum: false }),
            Kind::GreChecksum => (false, Encapsulation::Gre { checksum: true }),
            _ => return None,
        })
    }
}

/// Who takes turns.
pub(crate) trait Turns {
    /// Nanoseconds of each run, the making of the frames subtracted.
    fn turn(&mut self, kind: Kind, flows: u32) -> Vec<f64>;
}

/// This executable, with an object.
pub(crate) struct Own<'d> {
    object: Vec<u8>,
    director: &'d Namespace,
    setups: Vec<(u32, Method, Setup)>,
    /// The table in which connections begin, and the next entry for one.
    births: Option<(Setup, u32)>,
}

impl<'d> Own<'d> {
    pub(crate) fn new(object: Vec<u8>, director: &'d Namespace) -> Self {
        Self { object, director, setups: Vec::new(), births: None }
    }

    /// What the verifier counted of the forwarding, and the machine code's size.
    pub(crate) fn size(&mut self) -> String {
        let program: &mut Xdp = self
            .setup(1, Method::Masquerading)
            .ebpf
            .program_mut("make_and_forward")
            .unwrap()
            .try_into()
            .unwrap();
        let info = program.info().unwrap();
        let verified = info.verified_instruction_count().unwrap_or_default();
        format!("{verified} instructions verified, {} bytes of machine code", info.size_jitted())
    }

    fn setup(&mut self, flows: u32, method: Method) -> &mut Setup {
        let place = self.setups.iter().position(|(f, m, _)| (*f, *m) == (flows, method));
        let place = place.unwrap_or_else(|| {
            // Memory is taken for one number of flows at a time.
            self.setups.retain(|(f, ..)| *f == flows);
            self.births = None;
            self.setups.push((flows, method, Setup::new(&self.object, flows, method, self.director)));
            self.setups.len() - 1
        });
        &mut self.setups[place].2
    }

    fn births(&mut self, destinations: u32) -> Vec<f64> {
        let (setup, next) = self.births.get_or_insert_with(|| {
            self.setups.clear();
            (Setup::with(&self.object, (HALF, 2 * HALF), Method::Masquerading, self.director), HALF)
        });
        let flows = (1 << 24, SYN, BIRTHS_EACH);
        let make = setup.run_with("make", false, Some(TX), flows);
        // Entries are used once: then the table is made anew.
        setup.expect_births(destinations, *next);
        *next += BIRTHS_EACH * aya::util::nr_cpus().unwrap() as u32;
        let before = setup.begun();
        // One in 32 flows is one of those that are there, and one packet wakes the daemon: those are handed over.
        let both = setup.run_with("make_and_forward", false, None, flows);
        let begun = setup.begun() - before;
        assert!(begun >= u64::from(BIRTHS_EACH) * 9 / 10, "{begun}");
        if *next > 2 * HALF - 4 * BIRTHS_EACH {
            self.births = None;
        }
        vec![(both - make) * f64::from(BIRTHS_EACH) / begun as f64]
    }
}

impl Turns for Own<'_> {
    fn turn(&mut self, kind: Kind, flows: u32) -> Vec<f64> {
        let (mut times, mut makes) = (Vec::new(), Vec::new());
        if let Kind::Birth(destinations) = kind {
            return self.births(destinations);
        }
        let setup = self.setup(flows, kind.method());
        setup.set_way(kind.tunnel());
        if setup.meets(kind) {
            // Hardly a flow is left out of seven times as many packets.
            setup.run_with(kind.program(), kind.is_out(), None, (flows, ACK, flows * 7));
        }
        for run in 0..WARM + RUNS {
            let all = (flows, ACK, REPEAT);
            let time = match kind {
                Kind::Empty => setup.run_with("empty", false, Some(TX), all),
                Kind::Redirect => setup.run_with("redirect", false, Some(REDIRECT), all),
                _ => {
                    let (out, program) = (kind.is_out(), kind.program());
                    let make = setup.run_with("make", out, Some(TX), all);
                    let before = setup.forwarded();
                    let both = setup.run_with(program, out, None, all);
                    // Some look as if their checksum were left to hardware: one in 65536 flows. The kernel's LRU hash forgets some of
                    // as many flows as it is made for.
                    let most = if matches!(kind, Kind::Plain(_)) { 900 } else { 998 };
                    assert!(setup.forwarded() - before >= u64::from(REPEAT) / 1000 * most);
                    makes.push(make);
                    both
                }
            };
            if run >= WARM {
                times.push(time);
            }
        }
        // The least: what interrupted the making of frames must not make the forwarding look fast.
        let make = makes.into_iter().min_by(f64::total_cmp).unwrap_or_default();
        times.into_iter().map(|time| time - make).collect()
    }
}

/// Another executable and its object, kept in a folder.
pub(crate) struct Kept {
    child: Child,
    /// Until it is to end.
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

const EXECUTABLE: &str = "fast_path";
const OBJECT: &str = "bench.o";

impl Kept {
    /// Keeps this executable and the object for a later comparison.
    pub(crate) fn keep(folder: &Path, object: &Path) {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::copy(std::env::current_exe().unwrap(), folder.join(EXECUTABLE)).unwrap();
        std::fs::copy(object, folder.join(OBJECT)).unwrap();
    }

    pub(crate) fn start(folder: &Path) -> Self {
        let [executable, object]: [PathBuf; 2] = [EXECUTABLE, OBJECT].map(|name| folder.join(name));
        let mut child = Command::new(&executable)
            .arg("--serve")
            .arg("--object")
            .arg(object)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}: make it by --keep", executable.display()));
        let (to, from) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, to, from }
    }
}

impl Turns for Kept {
    fn turn(&mut self, kind: Kind, flows: u32) -> Vec<f64> {
        writeln!(self.to.as_ref().unwrap(), "{flows} {}", kind.name()).unwrap();
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        let times: Vec<f64> = line.split_whitespace().map(|word| word.parse().unwrap()).collect();
        assert!(!times.is_empty(), "the other executable failed");
        times
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // It ends with its input, and takes its namespaces' names away.
        drop(self.to.take());
        let _ = self.child.wait();
    }
}

/// Takes turns for another executable: one per line of input.
pub(crate) fn serve(own: &mut Own<'_>) {
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let (flows, name) = line.split_once(' ').unwrap();
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name).unwrap();
        let times = own.turn(kind, flows.parse().unwrap());
        println!("{}", times.iter().map(|time| format!("{time:.1}")).collect::<Vec<_>>().join(" "));
    }
}
