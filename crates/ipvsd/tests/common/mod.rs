//! A daemon without a datapath, in a thread, and raw clients of it.

use std::net::IpAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use ipvs_client::ControlClient;
use ipvs_core::{
    AddressKind, Choices, Command, Config, Counters, Director, FastPath, Host, Instant, InterestChange,
    ServiceConfig, ServiceId,
};
use ipvsd::run::{Control, Dropped, Due, Engine, Failure, Front, Limits, Readable, Source};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketType, connect, recv, send, socket,
};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// No packets; counts what it is told to watch, and turns in which there is no service that the fast path chooses for.
struct NoPackets {
    added: Arc<AtomicUsize>,
    choosing: Arc<AtomicUsize>,
    idle: Arc<AtomicUsize>,
}

impl Host for NoPackets {
    fn address_kind(&self, _: IpAddr) -> AddressKind {
        AddressKind::Unicast
    }

    fn path_mtu(&self, _: IpAddr) -> Option<u32> {
        Some(1500)
    }

    fn source_address(&self, _: IpAddr) -> Option<IpAddr> {
        None
    }
}

impl Front for NoPackets {
    fn fds(&self) -> Vec<(BorrowedFd<'_>, Source)> {
        Vec::new()
    }

    fn turn(&mut self, _: Instant, _: &mut Director, _: Readable) -> Due {
        if self.choosing.load(Ordering::SeqCst) == 0 {
            self.idle.fetch_add(1, Ordering::SeqCst);
        }
        Due::Never
    }

    fn apply_interest(&mut self, changes: &[InterestChange]) {
        let added = changes.iter().filter(|change| matches!(change, InterestChange::Added(_))).count();
        self.added.fetch_add(added, Ordering::SeqCst);
    }

    fn host(&self) -> &dyn Host {
        self
    }

    fn drops(&self) -> Vec<Dropped> {
        vec![
            Dropped { reason: "no-route", packets: 7, active: false },
            Dropped { reason: "syn-filter", packets: 0, active: true },
        ]
    }
}

/// Makes all choices that it is told; counts the services that it has those of.
#[derive(Debug)]
struct Choosing {
    services: Arc<AtomicUsize>,
}

impl FastPath for Choosing {
    fn take(&mut self, _: u32) -> Counters {
        Counters::default()
    }

    fn revoke(&mut self, _: u32) {}

    fn publish(&mut self, _: u32, _: &Choices) -> bool {
        self.services.fetch_add(1, Ordering::SeqCst);
        true
    }

    fn withdraw(&mut self, _: u32) -> u32 {
        self.services.fetch_sub(1, Ordering::SeqCst);
        0
    }
}

/// A path for a control socket of this test alone.
pub(crate) fn socket_path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("ipvsd-test-{}-{name}.sock", std::process::id()))
}

/// A daemon in a thread of this process; ended when dropped.
pub(crate) struct Daemon {
    name: String,
    path: PathBuf,
    added: Arc<AtomicUsize>,
    choosing: Arc<AtomicUsize>,
    idle: Arc<AtomicUsize>,
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<Result<(), Failure>>>,
}

impl Daemon {
    pub(crate) fn start(name: &str, limits: Limits) -> Self {
        let path = socket_path(name);
        let added = Arc::new(AtomicUsize::new(0));
        let (choosing, idle) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let front =
            NoPackets { added: Arc::clone(&added), choosing: Arc::clone(&choosing), idle: Arc::clone(&idle) };
        let config = Config { capacity: 1024, ..Config::default() };
        let mut director = Director::new(config, Instant::default()).unwrap();
        director.set_fast_path(Box::new(Choosing { services: Arc::clone(&choosing) }));
        let control = Control::open(&path, limits).unwrap();
        let mut engine = Engine::new(director, front, control).unwrap();
        // The loop ends when the other end is closed, which makes this one readable.
        let (stop, stopped) = UnixStream::pair().unwrap();
        let thread = std::thread::spawn(move || engine.run(&stopped));
        Self { name: name.into(), path, added, choosing, idle, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn client(&self) -> ControlClient {
        ControlClient::connect(&self.path).unwrap()
    }

    /// Of how many services the fast path makes the choices.
    pub(crate) fn services_chosen_for(&self) -> usize {
        self.choosing.load(Ordering::SeqCst)
    }

    /// In how many turns of the datapath it made none.
    pub(crate) fn turns_without_choices(&self) -> usize {
        self.idle.load(Ordering::SeqCst)
    }

    /// How many interests the datapath was told to add.
    pub(crate) fn interests_added(&self) -> usize {
        self.added.load(Ordering::SeqCst)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.stop.take());
        let outcome = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            assert!(matches!(outcome, Some(Ok(Ok(())))), "the daemon failed: {outcome:?}");
        }
    }
}

/// A TCP service at 10.0.0.1 and its settings.
pub(crate) fn service(port: u16) -> (ServiceId, ServiceConfig) {
    let id = ServiceId::Address { protocol: 6, address: [10, 0, 0, 1].into(), port };
    let config = ServiceConfig::new("rr");
    (id, config)
}

/// The port of an address service.
pub(crate) fn port_of(id: &ServiceId) -> u16 {
    match id {
        ServiceId::Address { port, .. } => *port,
        ServiceId::Mark { .. } => 0,
    }
}

/// Adds services at ports from 1 on.
pub(crate) fn fill(client: &mut ControlClient, count: u16) {
    for port in 1..=count {
        let (id, config) = service(port);
        client.request(Command::AddService(id, config)).unwrap();
    }
}

/// Fails the test unless it runs as root.
pub(crate) fn require_root() {
    assert!(rustix::process::geteuid().is_root(), "this test needs root: run it by sudo");
}

/// As many open files as may be.
pub(crate) fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}

/// A connection whose bytes the test chooses.
pub(crate) struct Raw(OwnedFd);

impl Raw {
    pub(crate) fn connect(daemon: &Daemon) -> Self {
        Self::connect_to(daemon.path())
    }

    pub(crate) fn connect_to(path: &Path) -> Self {
        let socket = socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE)).unwrap();
        set_socket_timeout(&socket, Timeout::Send, Some(PATIENCE)).unwrap();
        connect(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
        Self(socket)
    }

    pub(crate) fn send(&self, bytes: &[u8]) {
        send(&self.0, bytes, SendFlags::NOSIGNAL).unwrap();
    }

    /// Sends unless that would block.
    pub(crate) fn try_send(&self, bytes: &[u8]) -> bool {
        match send(&self.0, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(_) => true,
            Err(rustix::io::Errno::AGAIN) => false,
            Err(errno) => panic!("send: {errno}"),
        }
    }

    /// Sends, and takes the answers that are there.
    pub(crate) fn send_and_drain(&self, bytes: &[u8]) {
        self.send(bytes);
        self.drain();
    }

    /// Takes the answers that are there.
    pub(crate) fn drain(&self) {
        let mut buffer = vec![0u8; 70_000];
        while recv(&self.0, &mut buffer[..], RecvFlags::DONTWAIT).is_ok_and(|(length, _)| length > 0) {}
    }

    /// The next datagram; empty at the end.
    pub(crate) fn receive(&self) -> Vec<u8> {
        let mut buffer = vec![0u8; 70_000];
        let (length, _) = recv(&self.0, &mut buffer[..], RecvFlags::empty()).unwrap();
        buffer.truncate(length);
        buffer
    }

    /// Waits until the other end closes; reads nothing.
    pub(crate) fn wait_for_hang_up(&self, limit: Duration) -> bool {
        let mut fds = [PollFd::new(&self.0, PollFlags::empty())];
        let limit = Timespec { tv_sec: limit.as_secs().try_into().unwrap(), tv_nsec: 0 };
        poll(&mut fds, Some(&limit)).unwrap();
        fds[0].revents().contains(PollFlags::HUP)
    }
}
