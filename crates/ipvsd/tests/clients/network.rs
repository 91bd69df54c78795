//! A client and two servers around a director, for programs that speak protocols of their own.

use crate::namespace::Namespace;
use crate::program::Director;
use crate::wait_for;

/// Name of the pool for full NAT.
pub(crate) const POOL: &str = "front.pool";

/// How packets reach the servers, which decides the cables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// Masquerading: the servers have their own segment and the director is their gateway.
    Masquerading,
    /// Direct routing: all on one segment, the servers hold the virtual address on loopback.
    DirectRouting,
    /// Full NAT: all on one segment, the servers know nothing of the director.
    FullNat,
}

/// The way of packets of established connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Path {
    /// All go through the daemon.
    Daemon,
    /// Those that the XDP program can forward do not.
    Fast,
}

impl Path {
    /// Starts the daemon, whose cables have these other ends in `switch`.
    pub(crate) fn start_daemon(self, director: &mut Director, switch: &Namespace, cables: &[&str]) {
        self.start_daemon_with(director, switch, cables, &[]);
    }

    /// The same, with more options for the daemon.
    pub(crate) fn start_daemon_with(
        self,
        director: &mut Director,
        switch: &Namespace,
        cables: &[&str],
        more: &[&str],
    ) {
        if self == Self::Daemon {
            return director.start_daemon(more);
        }
        switch.run(|| cables.iter().try_for_each(|cable| ipvs_lab::like_a_wire(cable))).unwrap();
        director.start_daemon(&[&["--fast-path", "on"], more].concat());
    }

    /// Ends the daemon, and fails unless packets went this way.
    pub(crate) fn end_daemon(self, director: &mut Director) {
        director.stop_daemon();
        let log = std::fs::read_to_string(director.file("ipvsd.log")).unwrap();
        assert_eq!(log.contains("forwarded-by-xdp"), self == Self::Fast, "{log}");
    }
}

/// The addresses of one family: what comes before the number of a host, on the segment of clients and on that of servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    pub(crate) fn front(self, host: u8) -> String {
        match self {
            Self::V4 => format!("10.88.0.{host}"),
            Self::V6 => format!("fd88::{host}"),
        }
    }

    fn back(self, host: u8) -> String {
        match self {
            Self::V4 => format!("10.88.1.{host}"),
            Self::V6 => format!("fd88:1::{host}"),
        }
    }

    fn prefix(self) -> u8 {
        if self == Self::V4 { 24 } else { 64 }
    }

    /// An address and port, as programs write them.
    pub(crate) fn with_port(self, address: &str, port: u16) -> String {
        if self == Self::V4 { format!("{address}:{port}") } else { format!("[{address}]:{port}") }
    }
}

/// A client and two servers around a director.
pub(crate) struct Network {
    pub(crate) director: Director,
    pub(crate) client: Namespace,
    pub(crate) servers: [Namespace; 2],
    method: Method,
    family: Family,
    path: Path,
    _switch: Namespace,
}

impl Network {
    /// Builds it and starts the daemon. `test` names it.
    pub(crate) fn new(test: &str, method: Method, family: Family, path: Path) -> Self {
        let switch = Namespace::new(test, "switch");
        switch.bridge("front");
        if method == Method::Masquerading {
            switch.bridge("back");
        }
        let mut director = Director::new(test, "director");
        let client = Namespace::new(test, "client");
        let servers = [1, 2].map(|number| Namespace::new(test, &format!("server{number}")));
        for host in [&director.namespace, &client, &servers[0], &servers[1]] {
            // Addresses are unique by construction: looking for duplicates would only cost seconds.
            for scope in ["all", "default"] {
                host.sysctl(&format!("ipv6/conf/{scope}/accept_dad"), "0");
            }
        }
        let plug = |host: &Namespace, name: &str, address: String, segment: &str, port: &str| {
            host.plug(name, &format!("{address}/{}", family.prefix()), &switch, segment, port);
        };
        plug(&director.namespace, "front", family.front(1), "front", "front-d");
        plug(&client, "front", family.front(2), "front", "front-c");
        if method == Method::Masquerading {
            plug(&director.namespace, "back", family.back(1), "back", "back-d");
            director.namespace.sysctl("ipv4/ip_forward", "1");
            director.namespace.sysctl("ipv6/conf/all/forwarding", "1");
        }
        for (number, server) in (11..).zip(&servers) {
            match method {
                Method::Masquerading => {
                    plug(server, "back", family.back(number), "back", &format!("back-{number}"));
                    server.ip(&format!("route add default via {}", family.back(1)));
                }
                Method::FullNat => {
                    plug(server, "front", family.front(number), "front", &format!("front-{number}"));
                }
                Method::DirectRouting => {
                    // Holds the virtual address, but neither answers ARP for it nor asks in its name.
                    server.sysctl("ipv4/conf/all/arp_ignore", "1");
                    server.sysctl("ipv4/conf/all/arp_announce", "2");
                    let length = if family == Family::V4 { 32 } else { 128 };
                    server.ip(&format!("addr add {}/{length} dev lo", family.front(10)));
                    plug(server, "front", family.front(number), "front", &format!("front-{number}"));
                }
            }
        }
        let hosts = [&switch, &director.namespace, &client, &servers[0], &servers[1]];
        wait_for("cables that are up", || hosts.iter().all(|host| is_up(host)));
        let cables: &[&str] =
            if method == Method::Masquerading { &["front-d", "back-d"] } else { &["front-d"] };
        path.start_daemon(&mut director, &switch, cables);
        let network = Self { director, client, servers, method, family, path, _switch: switch };
        if method == Method::FullNat {
            let added = network.director.ipvsd(&["pool", "add", POOL, &network.local_address()]);
            assert!(added.is_some(), "no pool: {}", network.director.logs());
        }
        network
    }

    /// Ends the daemon, and fails unless packets went by the path that was asked for.
    pub(crate) fn end(mut self) {
        self.path.end_daemon(&mut self.director);
    }

    /// The virtual address.
    pub(crate) fn address(&self) -> String {
        self.family.front(10)
    }

    /// The client's address.
    pub(crate) fn client_address(&self) -> String {
        self.family.front(2)
    }

    /// With full NAT, the address that servers see.
    pub(crate) fn local_address(&self) -> String {
        self.family.front(5)
    }

    /// A server's address and port.
    pub(crate) fn server(&self, number: u8, port: u16) -> String {
        self.family.with_port(&self.server_address(number), port)
    }

    /// The address of a server, the first one's number being 0.
    pub(crate) fn server_address(&self, number: u8) -> String {
        match self.method {
            Method::Masquerading => self.family.back(11 + number),
            Method::DirectRouting | Method::FullNat => self.family.front(11 + number),
        }
    }

    /// An address of the client's, by its number on the segment; it has that from now on.
    pub(crate) fn client_of(&self, host: u8) -> String {
        let address = self.family.front(host);
        if address != self.client_address() {
            self.client.ip(&format!("addr add {address}/{} dev front", self.family.prefix()));
        }
        address
    }

    /// Gives director, servers and pool addresses of another family too, on the segment of clients. Returns the servers'.
    pub(crate) fn serve_in(&self, family: Family) -> [String; 2] {
        let give = |host: &Namespace, number: u8| {
            let address = family.front(number);
            host.ip(&format!("addr add {address}/{} dev front", family.prefix()));
            address
        };
        give(&self.director.namespace, 1);
        let added = self.director.ipvsd(&["pool", "add", POOL, &family.front(5)]);
        assert!(added.is_some(), "no address: {}", self.director.logs());
        [0, 1].map(|number| give(&self.servers[number], 11 + number as u8))
    }

    /// Virtual address and port.
    pub(crate) fn virtual_service(&self, port: u16) -> String {
        self.family.with_port(&self.address(), port)
    }

    /// Adds a service with both servers, at ports of their own: `protocol` is ipvsadm's option (`-u`), `options` the words of
    /// its other ones.
    pub(crate) fn serve(&self, protocol: &str, port: u16, server_port: u16, options: &str) {
        let service = self.virtual_service(port);
        let ipvsadm = |words: &[&str]| {
            let done = self.director.ipvsadm(words);
            assert!(done.is_some(), "ipvsadm {} failed", words.join(" "));
        };
        let options: Vec<_> = options.split(' ').collect();
        ipvsadm(&[&["-A", protocol, &service], &*options].concat());
        let method: &[&str] = match self.method {
            Method::Masquerading => &["-m"],
            Method::DirectRouting => &["-g"],
            Method::FullNat => &["--full-nat", "--local-pool", POOL],
        };
        for number in [0, 1] {
            let server = self.server(number, server_port);
            ipvsadm(&[&["-a", protocol, &service, "-r", &server][..], method].concat());
        }
    }
}

/// Whether all cables of a namespace let traffic through.
fn is_up(host: &Namespace) -> bool {
    let links = host.ip("-o link show");
    links.lines().filter(|link| !link.contains("LOOPBACK")).all(|link| link.contains(" state UP "))
}
