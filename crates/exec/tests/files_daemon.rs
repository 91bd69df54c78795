//! Settings from a director behind a control socket.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use ipvs_abi::errno::Errno;
use ipvs_abi::genetlink::{MAX_REQUEST, Session};
use ipvs_core::{AddressKind, Config, Director, Host, Instant, Sysctl};
use ipvs_exec::files::{Daemon, Name, Provider};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType, accept, bind,
    listen, recv, send, shutdown, socket_with,
};

struct NoHost;

impl Host for NoHost {
    fn address_kind(&self, _: IpAddr) -> AddressKind {
        AddressKind::Unicast
    }

    fn path_mtu(&self, _: IpAddr) -> Option<u32> {
        None
    }

    fn source_address(&self, _: IpAddr) -> Option<IpAddr> {
        None
    }
}

/// A director that answers at a socket until it is dropped; it may be started again with the same director.
struct Server {
    socket: PathBuf,
    open: Arc<Mutex<Vec<Arc<OwnedFd>>>>,
}

impl Server {
    fn start(socket: &Path, director: &Arc<Mutex<Director>>) -> Self {
        let listener =
            socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        bind(&listener, &SocketAddrUnix::new(socket).unwrap()).unwrap();
        listen(&listener, 8).unwrap();
        let listener = Arc::new(listener);
        let open = Arc::new(Mutex::new(vec![listener.clone()]));
        let (sockets, director) = (open.clone(), director.clone());
        thread::spawn(move || {
            while let Ok(client) = accept(&*listener) {
                let client = Arc::new(client);
                sockets.lock().unwrap().push(client.clone());
                let director = director.clone();
                thread::spawn(move || converse(&client, &director));
            }
        });
        Self { socket: socket.to_owned(), open }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        std::fs::remove_file(&self.socket).unwrap();
        for socket in self.open.lock().unwrap().iter() {
            // One that the client has closed already is not connected.
            let _ = shutdown(&**socket, Shutdown::Both);
        }
    }
}

fn converse(client: &OwnedFd, director: &Mutex<Director>) {
    let (mut session, mut buffer) = (Session::new(), vec![0; MAX_REQUEST]);
    while let Ok((length @ 1.., _)) = recv(client, &mut buffer[..], RecvFlags::empty()) {
        session.receive(&buffer[..length]);
        while !session.is_idle() {
            let mut execute =
                |command| director.lock().unwrap().execute(Instant::from_nanos(0), &NoHost, command);
            session.step(true, &mut execute, &mut |answer| {
                send(client, &answer, SendFlags::NOSIGNAL).unwrap();
            });
        }
    }
}

fn director() -> Arc<Mutex<Director>> {
    let config = Config { capacity: 1024, ..Config::default() };
    Arc::new(Mutex::new(Director::new(config, Instant::from_nanos(0)).unwrap()))
}

fn directory(test: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("ipvs-exec-{}-{test}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

fn text(daemon: &Daemon, setting: Sysctl) -> Result<String, Errno> {
    daemon.read(Name::Setting(setting)).map(|text| String::from_utf8(text).unwrap())
}

#[test]
fn settings_are_the_directors() {
    let directory = directory("settings");
    let socket = directory.join("socket");
    let server = Server::start(&socket, &director());
    let daemon = Daemon::new(&socket);
    assert_eq!(text(&daemon, Sysctl::SyncThreshold).unwrap(), "3\t50\n");
    daemon.write(Sysctl::SyncThreshold, b"5\n").unwrap();
    assert_eq!(text(&daemon, Sysctl::SyncThreshold).unwrap(), "5\t50\n");
    assert_eq!(daemon.write(Sysctl::SyncThreshold, b"60 50"), Err(Errno::EINVAL));
    assert_eq!(daemon.write(Sysctl::SyncVersion, b"2"), Err(Errno::EINVAL));
    assert_eq!(daemon.write(Sysctl::SyncVersion, b"one"), Err(Errno::EINVAL));
    assert_eq!(text(&daemon, Sysctl::SyncVersion).unwrap(), "1\n");
    drop(server);
    std::fs::remove_dir_all(&directory).ok();
}

#[test]
fn a_daemon_may_be_restarted() {
    let directory = directory("restart");
    let socket = directory.join("socket");
    let director = director();
    let daemon = Daemon::with_patience(&socket, Duration::from_secs(600));
    let server = Server::start(&socket, &director);
    daemon.write(Sysctl::AmDroprate, b"7").unwrap();
    drop(server);
    thread::scope(|scope| {
        // It finds its connection lost and nobody at the socket, and waits.
        let reader = scope.spawn(|| text(&daemon, Sysctl::AmDroprate));
        let server = Server::start(&socket, &director);
        assert_eq!(reader.join().unwrap().unwrap(), "7\n");
        drop(server);
    });
    std::fs::remove_dir_all(&directory).ok();
}

#[test]
fn without_a_daemon_there_is_an_error_in_the_end() {
    let daemon = Daemon::with_patience("/nonexistent/socket".as_ref(), Duration::ZERO);
    assert_eq!(text(&daemon, Sysctl::AmDroprate), Err(Errno::EIO));
    assert_eq!(daemon.write(Sysctl::AmDroprate, b"1"), Err(Errno::EIO));
    assert_eq!(daemon.write(Sysctl::AmDroprate, b"x"), Err(Errno::EINVAL), "nobody need be asked about that");
}
