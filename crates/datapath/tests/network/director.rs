//! A datapath that runs in a namespace, with an engine that stands in for the director.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ipvs_core::{Host, Instant, Interest, InterestChange, Packet, Reason, Verdict};
use ipvs_datapath::{Counter, Datapath, Engine, Options};
use ipvs_wire::{Headers, rewrite, transport};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::time::{ClockId, clock_gettime};

use crate::namespace::Namespace;

/// A condition that does not come true in this time never will, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Hops that Linux gives what it sends.
const HOPS: u8 = 64;

/// Translates one virtual address to one server for all connections, without state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nat {
    pub(crate) protocol: u8,
    pub(crate) virtual_end: SocketAddr,
    pub(crate) server: SocketAddr,
    /// The server is on the director.
    pub(crate) local: bool,
    /// Route to the server unchanged.
    pub(crate) direct: bool,
}

impl Nat {
    /// What a datapath must know of it.
    fn interests(&self) -> impl Iterator<Item = Interest> {
        let protocol = u16::from(self.protocol);
        let Self { virtual_end, server, .. } = *self;
        let to = Interest::Virtual { protocol, address: virtual_end.ip(), port: virtual_end.port() };
        let from = Interest::Server { protocol, address: server.ip(), port: server.port() };
        std::iter::once(to).chain((!self.direct).then_some(from))
    }

    fn receive(&self, packet: &mut Packet<'_>) -> Option<Verdict> {
        let bytes = packet.as_mut_slice();
        let headers = Headers::parse(bytes).ok()?;
        let ports = transport::ports(bytes, &headers).ok()?;
        if headers.protocol != self.protocol {
            return None;
        }
        if (headers.destination, ports.destination) == (self.virtual_end.ip(), self.virtual_end.port()) {
            if self.direct {
                return Some(Verdict::Forward { next: self.server.ip() });
            }
            rewrite::set_destination(bytes, &headers, self.server.ip(), self.server.port()).ok()?;
            return Some(if self.local {
                Verdict::Deliver
            } else {
                Verdict::Forward { next: self.server.ip() }
            });
        }
        if (headers.source, ports.source) == (self.server.ip(), self.server.port()) {
            rewrite::set_source(bytes, &headers, self.virtual_end.ip(), self.virtual_end.port()).ok()?;
            return Some(Verdict::Forward { next: headers.destination });
        }
        None
    }
}

/// The services of a test.
#[derive(Debug, Default)]
pub(crate) struct Services(pub(crate) Vec<Nat>, pub(crate) Payload);

/// Whether the engine says that it reads what TCP packets carry. Then it wants them as they came, too: on one link, no router has had them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Payload {
    #[default]
    Ignored,
    Read,
}

impl Engine for Services {
    fn receive(&mut self, _: Instant, _: &dyn Host, packet: &mut Packet<'_>) -> Verdict {
        let Ok(headers) = Headers::parse(packet.as_slice()) else { return Verdict::Drop(Reason::Malformed) };
        if self.1 == Payload::Read && headers.protocol == 6 {
            let hops = packet.as_slice()[if headers.is_ipv6() { 7 } else { 8 }];
            assert_eq!(hops, HOPS);
        }
        self.0.iter().find_map(|nat| nat.receive(packet)).unwrap_or(Verdict::Pass)
    }

    fn reads_payload(&self) -> bool {
        self.1 == Payload::Read
    }
}

type Order = Box<dyn FnOnce(&mut Datapath, &mut Services) + Send>;

/// A datapath with its loop in a thread. Dropping it ends the loop and closes the datapath.
pub(crate) struct Director {
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

fn now() -> Instant {
    let time = clock_gettime(ClockId::Monotonic);
    Instant::from_nanos(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

impl Director {
    /// Opens a datapath in the namespace.
    pub(crate) fn open(namespace: &Namespace, options: &Options) -> Self {
        let (orders, received) = channel::<Order>();
        let (ready, is_ready) = channel();
        let options = options.clone();
        let name = namespace.name().to_owned();
        let thread = thread::spawn(move || {
            Namespace::enter_named(&name);
            let mut datapath = match Datapath::open(&options) {
                Ok(datapath) => datapath,
                Err(error) => return ready.send(Err(error.to_string())).unwrap(),
            };
            ready.send(Ok(())).unwrap();
            let mut services = Services::default();
            loop {
                match received.try_recv() {
                    Ok(order) => order(&mut datapath, &mut services),
                    Err(std::sync::mpsc::TryRecvError::Empty) => {}
                    Err(std::sync::mpsc::TryRecvError::Disconnected) => return,
                }
                if datapath.turn(now(), &mut services).more {
                    continue;
                }
                let descriptors = datapath.descriptors();
                let mut fds: Vec<PollFd<'_>> =
                    descriptors.into_iter().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
                let tick = Timespec { tv_sec: 0, tv_nsec: 2_000_000 };
                let _ = poll(&mut fds, Some(&tick));
            }
        });
        is_ready.recv().unwrap().expect("the datapath opens");
        Self { orders: Some(orders), thread: Some(thread) }
    }

    /// Runs `what` between two turns.
    pub(crate) fn with<T: Send + 'static>(
        &self,
        what: impl FnOnce(&mut Datapath, &mut Services) -> T + Send + 'static,
    ) -> T {
        let (done, is_done) = channel();
        let order: Order = Box::new(move |datapath, services| {
            let _ = done.send(what(datapath, services));
        });
        self.orders.as_ref().unwrap().send(order).expect("the director runs");
        is_done.recv().expect("the director runs")
    }

    /// Adds a service, and what the program must know of it.
    pub(crate) fn serve(&self, nat: Nat) {
        self.with(move |datapath, services| {
            datapath.apply_interest(nat.interests().map(InterestChange::Added));
            services.0.push(nat);
        });
    }

    /// Removes a service.
    pub(crate) fn withdraw(&self, nat: Nat) {
        self.with(move |datapath, services| {
            datapath.apply_interest(nat.interests().map(InterestChange::Removed));
            services.0.clear();
        });
    }

    /// A counter's value.
    pub(crate) fn counter(&self, counter: Counter) -> u64 {
        self.with(move |datapath, _| datapath.counter(counter))
    }

    /// All counters that are not zero.
    pub(crate) fn counters(&self) -> HashMap<&'static str, u64> {
        self.with(|datapath, _| {
            let values = Counter::ALL.iter().map(|counter| (counter.name(), datapath.counter(*counter)));
            let mut counters: HashMap<_, _> = values.filter(|(_, value)| *value != 0).collect();
            counters.insert("lost-in-kernel", datapath.lost_in_kernel());
            let program = datapath.program_counters();
            counters.insert("xdp-redirected", program.redirected);
            counters.insert("xdp-passed", program.passed);
            counters.insert("xdp-no-socket", program.no_socket);
            counters
        })
    }

    /// Waits until `condition` holds.
    pub(crate) fn wait(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        // By the clock: a condition may take a second to find out.
        let start = std::time::Instant::now();
        while start.elapsed() < PATIENCE {
            if condition(self) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("not within {PATIENCE:?}: {what}; counters: {:?}", self.counters());
    }
}

impl Drop for Director {
    fn drop(&mut self) {
        drop(self.orders.take());
        let result = self.thread.take().map(JoinHandle::join);
        if let Some(Err(panic)) = result
            && !thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

/// An address and port.
pub(crate) fn end(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse::<IpAddr>().unwrap(), port)
}
