//! Full NAT in every interface: as our own clients say and see it, and hidden from those that know the kernel's methods alone.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[allow(dead_code, reason = "only the host is needed here")]
mod raw;

use std::net::IpAddr;

use ipvs_abi::errno::Errno;
use ipvs_abi::genetlink::{Action, Exchange, Header, Messages, decode_request, encode_reply};
use ipvs_abi::ipvsadm::{ClientFailure, DirectorClient, NumericResolver, Streams, run, understand};
use ipvs_abi::proc::{File, read};
use ipvs_abi::sockopt::{Change, Reading, decode_set};
use ipvs_core::{
    Command, Config, ConnectionInfo, DestinationConfig, DestinationId, DestinationInfo, Director,
    ForwardingMethod, Info, Instant, MarkTarget, PoolName, Reply, ServiceConfig, ServiceFlags, ServiceId,
    ServiceInfo, Stats,
};

const SERVICE: ServiceId =
    ServiceId::Address { protocol: 6, address: IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 100)), port: 80 };

fn server() -> DestinationId {
    DestinationId { address: [10, 0, 0, 11].into(), port: 8080 }
}

fn full_nat(weight: i32) -> DestinationConfig {
    let config = DestinationConfig::new(ForwardingMethod::FULL_NAT, weight);
    DestinationConfig { local_pool: Some(PoolName::new("web").unwrap()), ..config }
}

/// A director with one service, one destination and two connections, or one that refuses what changes anything.
struct Shown(Option<Errno>);

impl DirectorClient for Shown {
    fn execute(&mut self, command: Command) -> Result<Reply, ClientFailure> {
        shown(&command).ok_or_else(|| ClientFailure::Refused(self.0.unwrap()))
    }
}

fn shown(command: &Command) -> Option<Reply> {
    let (id, stats) = (SERVICE, Stats::default());
    let service = ServiceInfo {
        id,
        scheduler: "rr".to_owned(),
        persistence_engine: None,
        helper: None,
        flags: ServiceFlags(0),
        timeout: 0,
        netmask: u32::MAX,
        target: MarkTarget::default(),
        destinations: 1,
        stats,
    };
    let destination =
        DestinationInfo { id: server(), config: full_nat(3), active: 1, inactive: 0, persistent: 0, stats };
    let connection = |local| ConnectionInfo {
        protocol: 6,
        client: [192, 0, 2, 7].into(),
        client_port: 40000,
        virtual_address: [10, 0, 0, 100].into(),
        virtual_port: 80,
        destination: server().address,
        destination_port: server().port,
        state: "ESTABLISHED",
        expires: 61,
        engine: None,
        local,
    };
    let connections = vec![connection(Some(([10, 0, 0, 8].into(), 1024))), connection(None)];
    Some(match command {
        Command::GetInfo => Reply::Info(Info { version: 0x01_02_01, table_size: 4096, services: 1 }),
        Command::GetService(_) => Reply::Service(Box::new(service)),
        Command::ListServices { .. } => Reply::Services { items: vec![service], next: None },
        Command::ListDestinations { .. } => Reply::Destinations { items: vec![destination], next: None },
        Command::ListConnections { .. } => Reply::Connections { items: connections, next: None },
        _ => return None,
    })
}

/// What a command line prints, or its refusal.
fn ipvsadm(words: &str, refused: Option<Errno>) -> Result<String, String> {
    let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
    let line = understand(&words, &NumericResolver).map_err(|failure| failure.message)?;
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let mut streams = Streams { input: &mut &b""[..], output: &mut output, errors: &mut errors };
    match run(line.action, &mut Shown(refused), &NumericResolver, &mut streams) {
        0 => Ok(String::from_utf8(output).unwrap()),
        _ => Err(String::from_utf8(errors).unwrap().trim_end().to_owned()),
    }
}

#[test]
fn ipvsadm_says_it() {
    use ipvs_abi::ipvsadm::Action::Execute;
    for (command, expected) in [
        ("-a", Command::AddDestination(SERVICE, server(), full_nat(3))),
        ("-e", Command::EditDestination(SERVICE, server(), full_nat(3))),
    ] {
        let other = format!("{command} -t [2001:db8::1]:80 -r 10.0.0.11:8080 --full-nat --local-pool web");
        let other: Vec<String> = other.split(' ').map(str::to_owned).collect();
        assert!(understand(&other, &NumericResolver).is_ok(), "a server of the other family");
        let line = format!("{command} -t 10.0.0.100:80 -r 10.0.0.11:8080 --full-nat --local-pool web -w 3");
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        assert_eq!(understand(&words, &NumericResolver).unwrap().action, Execute(expected));
    }
}

#[test]
fn ipvsadm_shows_and_saves_it() {
    let row = "  -> 10.0.0.11:8080               FullNat 3      1          0         ";
    assert_eq!(ipvsadm("-Ln", None).unwrap().lines().last(), Some(row));
    let saved =
        "-A -t 10.0.0.100:80 -s rr\n-a -t 10.0.0.100:80 -r 10.0.0.11:8080 --full-nat -w 3 --local-pool web\n";
    assert_eq!(ipvsadm("-Sn", None).unwrap(), saved);
    let json: serde_json::Value = serde_json::from_str(&ipvsadm("-Ln --json", None).unwrap()).unwrap();
    let destination = &json["services"][0]["destinations"][0];
    assert_eq!((&destination["forwarding"], &destination["local_pool"]), (&"full-nat".into(), &"web".into()));
}

#[test]
fn ipvsadm_shows_local_addresses_if_asked_for() {
    let rows =
        |options| ipvsadm(options, None).unwrap().lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(
        rows("-Lnc --local"),
        [
            "pro expire state       source             virtual            local              destination",
            "TCP 01:01  ESTABLISHED 192.0.2.7:40000    10.0.0.100:80      10.0.0.8:1024      10.0.0.11:8080",
            "TCP 01:01  ESTABLISHED 192.0.2.7:40000    10.0.0.100:80      -                  10.0.0.11:8080",
        ]
    );
    assert_eq!(
        rows("-Lnc")[1],
        "TCP 01:01  ESTABLISHED 192.0.2.7:40000    10.0.0.100:80      10.0.0.11:8080"
    );
    let json: serde_json::Value = serde_json::from_str(&ipvsadm("-Lnc --json", None).unwrap()).unwrap();
    assert_eq!(json["connections"][0]["local"], serde_json::json!({"address": "10.0.0.8", "port": 1024}));
    assert!(json["connections"][1].get("local").is_none());
}

#[test]
fn what_is_wrong_is_named_with_its_remedy() {
    let add = "-a -t 10.0.0.100:80 -r 10.0.0.11:8080";
    for (line, named) in [
        (format!("{add} --full-nat"), "add --local-pool NAME"),
        (format!("{add} -m --local-pool web"), "add --full-nat"),
        (format!("{add} -m --full-nat"), "multiple 'forwarding-method'"),
        (format!("{add} --full-nat --local-pool a --local-pool b"), "multiple 'local-pool'"),
        (format!("{add} --full-nat --local-pool a/b"), "illegal pool name 'a/b'"),
        (format!("{add} --full-nat --local-pool web --tun-type gue"), "Tunnel options conflict"),
        (
            "-A -t 10.0.0.100:80 --local-pool web".to_owned(),
            "Illegal 'local-pool' option with the 'add-service' command",
        ),
        ("-Ln --local".to_owned(), "--connection"),
        ("-Lnc --local --persistent-conn".to_owned(), "without --persistent-conn"),
    ] {
        let said = ipvsadm(&line, None).unwrap_err();
        assert!(said.contains(named), "{line}: {said}");
    }
    let add = format!("{add} --full-nat --local-pool web");
    for (errno, named) in [
        (Errno::ENXIO, "`ipvsd pool add web ADDRESS...`"),
        (Errno::EAFNOSUPPORT, "The pool 'web' has no address of the server's family"),
        (Errno::EOPNOTSUPP, "no -o"),
        (Errno::EEXIST, "Destination already exists"),
    ] {
        for line in [add.clone(), add.replace("-a ", "-e ")] {
            if errno == Errno::EEXIST && line.starts_with("-e") {
                continue;
            }
            let said = ipvsadm(&line, Some(errno)).unwrap_err();
            assert!(said.contains(named), "{line}: {said}");
        }
    }
    let said = ipvsadm("-A -t 10.0.0.100:80", Some(Errno::EADDRINUSE)).unwrap_err();
    assert!(said.contains("`ipvsd pool del`"), "{said}");
}

/// The bytes of attribute `kind` in a nest.
fn attribute(mut nest: &[u8], kind: u16) -> Option<&[u8]> {
    while let Some((head, rest)) = nest.split_first_chunk::<4>() {
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]])) - 4;
        if u16::from_ne_bytes([head[2], head[3]]) == kind {
            return rest.get(..length);
        }
        nest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    None
}

/// A client that knows the kernel's attributes alone is shown masquerading.
#[test]
fn netlink_shows_masquerading() {
    let mut answer = Vec::new();
    let listing = Command::ListDestinations { service: SERVICE, cursor: 0, limit: 9 };
    encode_reply(&mut answer, Header::default(), &shown(&listing).unwrap());
    let nest = attribute(Messages::new(&answer).next().unwrap().generic().unwrap().1, 2).unwrap();
    assert_eq!(attribute(nest, 3), Some(&0u32.to_ne_bytes()[..]), "method");
    assert_eq!(attribute(nest, 128), Some(&b"web\0"[..]), "pool");
}

/// What such a client sends back changes neither method nor pool; ours says both.
#[test]
fn netlink_tells_clients_apart() {
    let decoded = |command: Command| {
        let request = Exchange::new(command, 1).request();
        decode_request(&Messages::new(&request).next().unwrap(), true)
    };
    let masquerading = DestinationConfig::new(ForwardingMethod::MASQUERADE, 5);
    for command in [
        Command::EditDestination(SERVICE, server(), masquerading),
        Command::EditDestination(SERVICE, server(), full_nat(5)),
        Command::EditKernelDestination(SERVICE, server(), masquerading),
    ] {
        assert_eq!(decoded(command.clone()), Ok(Action::Execute(command)));
    }
}

#[test]
fn socket_options_show_masquerading_and_keep_it() {
    let mut question = vec![0; 24 + 96];
    question[0] = 6;
    question[4..8].copy_from_slice(&[10, 0, 0, 100]);
    question[8..10].copy_from_slice(&80u16.to_be_bytes());
    question[16..20].copy_from_slice(&1u32.to_ne_bytes());
    let mut reading = Reading::new(1156, question.len() as u32, &question).unwrap();
    let page = reading.page(&mut |command| Ok(shown(&command).unwrap())).unwrap();
    // Inactive, and nothing else: no other method, and packets are looked for that leave.
    assert_eq!(page.data[8..12], 0x100u32.to_ne_bytes());
    // And back, with another weight: ip_vs_service_user, and of the entry what ip_vs_dest_user has.
    let mut edit = [&question[..16], &[0; 28], &page.data[..24]].concat();
    edit[44 + 12..44 + 16].copy_from_slice(&7u32.to_ne_bytes());
    let Change::OnService(SERVICE, 6, Command::EditKernelDestination(_, id, config)) =
        decode_set(1161, &edit).unwrap()
    else {
        panic!("another command");
    };
    assert_eq!((id, config.forwarding, config.weight), (server(), ForwardingMethod::MASQUERADE, 7));
}

#[test]
fn proc_shows_masquerading() {
    let mut director = |command: Command| Ok::<_, ()>(shown(&command).unwrap());
    let text = read(File::IpVs, 1, &mut director).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("-> 0A00000B:1F90      Masq    3"), "{text}");
}

/// The director knows what such a client cannot.
#[test]
fn changes_by_clients_of_the_kernel_keep_the_pool() {
    let mut director = Director::new(Config::default(), Instant::default()).unwrap();
    let mut run = |command: Command| director.execute(Instant::default(), &raw::RecordingHost, command);
    run(Command::AddPool(PoolName::new("web").unwrap(), vec![[10, 0, 0, 8].into()])).unwrap();
    run(Command::AddService(SERVICE, ServiceConfig::new("rr"))).unwrap();
    run(Command::AddDestination(SERVICE, server(), full_nat(3))).unwrap();
    let masquerading = |weight| DestinationConfig::new(ForwardingMethod::MASQUERADE, weight);
    let direct = DestinationConfig::new(ForwardingMethod::DIRECT, 2);
    for (change, expected) in [
        (Command::EditKernelDestination(SERVICE, server(), masquerading(5)), full_nat(5)),
        (Command::EditKernelDestination(SERVICE, server(), direct), direct),
        (Command::EditKernelDestination(SERVICE, server(), masquerading(6)), masquerading(6)),
        (Command::EditDestination(SERVICE, server(), full_nat(7)), full_nat(7)),
        (Command::EditDestination(SERVICE, server(), masquerading(8)), masquerading(8)),
    ] {
        assert_eq!(run(change.clone()), Ok(Reply::Done), "{change:?}");
        let listing = Command::ListDestinations { service: SERVICE, cursor: 0, limit: 9 };
        let Ok(Reply::Destinations { items, .. }) = run(listing) else { panic!("no destinations") };
        assert_eq!(items[0].config, expected, "{change:?}");
    }
    let other = DestinationId { port: 9, ..server() };
    assert_eq!(
        run(Command::EditKernelDestination(SERVICE, other, masquerading(1))),
        Err(ipvs_core::Error::NoSuchDestination)
    );
}
