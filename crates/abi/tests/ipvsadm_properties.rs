//! Properties of ipvsadm's command line: no words bring it down, and what it saves it restores.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipvs_abi::errno::Errno;
use ipvs_abi::ipvsadm::{Action, ClientFailure, DirectorClient, NumericResolver, Streams, run, understand};
use ipvs_core::{
    Command, ConnectionFlags, DestinationConfig, DestinationId, DestinationInfo, ForwardingMethod, Info,
    MarkTarget, PoolName, Reply, ServiceConfig, ServiceFlags, ServiceId, ServiceInfo, Stats, Timeouts,
    Tunnel,
};
use proptest::prelude::*;

/// One service with one destination, if any; keeps what it is told.
#[derive(Default)]
struct Told {
    state: Option<(ServiceInfo, DestinationInfo)>,
    commands: Vec<Command>,
}

impl DirectorClient for Told {
    fn execute(&mut self, command: Command) -> Result<Reply, ClientFailure> {
        let reply = match &command {
            Command::GetInfo => Reply::Info(Info { version: 0x01_02_01, table_size: 4096, services: 1 }),
            Command::ListSyncDaemons => Reply::SyncDaemons(Vec::new()),
            Command::GetTimeouts => Reply::Timeouts(Timeouts::default()),
            Command::ListServices { .. } => {
                let items = self.state.iter().map(|(service, _)| service.clone()).collect();
                Reply::Services { items, next: None }
            }
            Command::ListDestinations { .. } => {
                let items = self.state.iter().map(|(_, destination)| *destination).collect();
                Reply::Destinations { items, next: None }
            }
            Command::ListConnections { .. } => Reply::Connections { items: Vec::new(), next: None },
            Command::GetService(_) => return Err(ClientFailure::Refused(Errno::ESRCH)),
            _ => Reply::Done,
        };
        self.commands.push(command);
        Ok(reply)
    }
}

fn run_words(words: &[String], input: &str, client: &mut Told) -> (Option<u8>, String) {
    let Ok(line) = understand(words, &NumericResolver) else { return (None, String::new()) };
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let mut streams = Streams { input: &mut input.as_bytes(), output: &mut output, errors: &mut errors };
    let code = run(line.action, client, &NumericResolver, &mut streams);
    (Some(code), String::from_utf8(output).expect("text"))
}

/// A word that means something, or nearly so.
fn word() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "-A",
        "-E",
        "-D",
        "-C",
        "-a",
        "-e",
        "-d",
        "-L",
        "-S",
        "-Z",
        "-h",
        "-v",
        "--set",
        "-t",
        "-u",
        "-f",
        "-6",
        "--sctp-service",
        "-s",
        "-p",
        "-M",
        "-r",
        "-g",
        "-i",
        "-m",
        "-w",
        "-x",
        "-y",
        "-n",
        "-c",
        "--stats",
        "--rate",
        "--thresholds",
        "--persistent-conn",
        "--nosort",
        "--exact",
        "--timeout",
        "--daemon",
        "-o",
        "--pe",
        "-b",
        "--tun-type",
        "gue",
        "--tun-port",
        "--tun-csum",
        "--full-nat",
        "--local-pool",
        "--local",
        "--json",
        "--socket",
        "--",
        "-",
        "",
        "10.0.0.1:80",
        "10.0.0.2",
        "[2001:db8::1]:80",
        "2001:db8::2",
        "1",
        "0",
        "-1",
        "rr",
        "flag-1",
        "255.255.255.0",
        "64",
        "master",
        "--start-daemon",
        "--stop-daemon",
        "--syncid",
        "--mcast-group",
        "224.0.0.1",
        "-p5",
        "--persistent=5",
        "-w=1",
    ]);
    prop_oneof![4 => known.prop_map(str::to_owned), 1 => "\\PC{0,12}", 1 => "-{1,2}[a-zA-Z0-9=:é]{0,8}"]
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| Ipv4Addr::from(bits).into()),
        any::<u128>().prop_map(|bits| Ipv6Addr::from(bits).into()),
    ]
}

prop_compose! {
    /// What ipvsadm can say about a service.
    fn service()(
        address in address(),
        port in 1_u16..,
        protocol in prop::sample::select(vec![6_u16, 17, 132]),
        // Larger marks are saved as negative numbers, which cannot be restored.
        mark in prop::option::of(1..=i32::MAX as u32),
        scheduler in prop::sample::select(vec!["rr", "wlc", "sh", "mh", "none"]),
        engine in prop::option::of(Just("sip".to_owned())),
        helper in 0..4,
        timeout in prop::option::of(1_u32..=2_678_400),
        flags in 0_u32..8,
        netmask in any::<u32>(),
        prefix in 1_u32..=128,
    ) -> (ServiceId, ServiceConfig) {
        let id = match mark {
            Some(mark) => ServiceId::Mark { ipv6: address.is_ipv6(), mark },
            None => ServiceId::Address { protocol, address, port },
        };
        let helper = match (helper, protocol) {
            (0, _) => Some("none".to_owned()),
            (1, 6) => Some("ftp".to_owned()),
            (1, 17) => Some("tftp".to_owned()),
            _ => None,
        };
        let mut bits = flags << 3;
        if matches!(scheduler, "sh" | "mh") {
            // Their third flag has no name.
            bits &= !ServiceFlags::SCHED3;
        }
        let ops = mark.is_some() || protocol == 17;
        if ops && port % 2 == 0 {
            bits |= ServiceFlags::ONE_PACKET;
        }
        if timeout.is_some() {
            bits |= ServiceFlags::PERSISTENT;
        }
        // The mask is saved with persistence only.
        let netmask = match (id.is_ipv6(), timeout) {
            (true, Some(_)) => prefix,
            (true, None) => 128,
            (false, Some(_)) => netmask,
            (false, None) => u32::MAX,
        };
        let config = ServiceConfig {
            scheduler: scheduler.to_owned(),
            persistence_engine: engine,
            helper,
            flags: bits,
            flags_mask: u32::MAX,
            timeout: timeout.unwrap_or(0),
            netmask,
            target: MarkTarget::default(),
        };
        (id, config)
    }
}

prop_compose! {
    /// What ipvsadm can say about a destination of `service`.
    fn destination(service: ServiceId)(
        address in address(),
        port in any::<u16>(),
        method in prop::sample::select(vec![0_u8, 2, 3, 5]),
        weight in 0..=i32::MAX,
        kind in 0_u8..3,
        tunnel_port in 1_u16..,
        flags in 0_u16..3,
        told in any::<bool>(),
    ) -> (DestinationId, DestinationConfig) {
        // Only tunneling reaches the other family, only masquerading and full NAT another port.
        let forwarding = ForwardingMethod(if address.is_ipv6() == service.is_ipv6() { method } else { 2 });
        let port = match service {
            ServiceId::Address { port, .. } if !matches!(forwarding, ForwardingMethod::MASQUERADE | ForwardingMethod::FULL_NAT) => port,
            _ => port,
        };
        let tcp = !matches!(service, ServiceId::Address { protocol, .. } if protocol != 6);
        let tunnel = match (forwarding, kind) {
            (ForwardingMethod::TUNNEL, 1) => Tunnel { kind, port: tunnel_port, flags },
            (ForwardingMethod::TUNNEL, 2) => Tunnel { kind, port: 0, flags: flags & 1 },
            _ => Tunnel::default(),
        };
        let config = DestinationConfig {
            forwarding,
            flags: ConnectionFlags::default(),
            weight,
            upper_threshold: 0,
            lower_threshold: 0,
            tunnel,
            local_pool: (forwarding == ForwardingMethod::FULL_NAT).then(|| PoolName::new("web-1").expect("a name")),
            proxy: (told && forwarding.answers_pass() && tcp).then_some(true),
        };
        (DestinationId { address, port }, config)
    }
}

proptest! {
    #[test]
    fn no_words_bring_it_down(words in prop::collection::vec(word(), 0..8)) {
        run_words(&words, "", &mut Told::default());
    }

    #[test]
    fn no_restored_lines_bring_it_down(input in prop::collection::vec(prop::collection::vec(word(), 0..6), 0..6)) {
        let input: String = input.iter().map(|words| words.join(" ") + "\n").collect();
        run_words(&["-R".to_owned()], &input, &mut Told::default());
    }

    #[test]
    fn restoring_what_was_saved_says_the_same(
        (service, destination) in service().prop_flat_map(|it| (Just(it.clone()), destination(it.0))),
    ) {
        let ((id, config), (destination_id, destination_config)) = (service, destination);
        let stats = Stats::default();
        let mut saved = Told {
            state: Some((
                ServiceInfo {
                    id,
                    scheduler: config.scheduler.clone(),
                    persistence_engine: config.persistence_engine.clone(),
                    helper: config.helper.clone(),
                    flags: ServiceFlags(config.flags | ServiceFlags::HASHED),
                    timeout: config.timeout,
                    netmask: config.netmask,
                    target: config.target,
                    destinations: 1,
                    stats,
                },
                DestinationInfo {
                    id: destination_id,
                    config: destination_config,
                    active: 0,
                    inactive: 0,
                    persistent: 0,
                    stats,
                },
            )),
            ..Told::default()
        };
        let (code, text) = run_words(&["-S".to_owned(), "-n".to_owned()], "", &mut saved);
        prop_assert_eq!(code, Some(0));
        let mut restored = Told::default();
        let (code, _) = run_words(&["-R".to_owned()], &text, &mut restored);
        prop_assert_eq!(code, Some(0), "{}", text);
        let said = vec![
            Command::AddService(id, config),
            Command::AddDestination(id, destination_id, destination_config),
        ];
        prop_assert_eq!(restored.commands, said, "{}", text);
    }
}

#[test]
fn our_own_options_may_stand_before_the_command() {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    for text in ["--socket /s --json -L -n", "-L --json -n --socket=/s"] {
        let line = understand(&words(text), &NumericResolver).expect("a command line");
        assert_eq!(line.socket.as_deref(), Some(std::path::Path::new("/s")));
        assert!(matches!(line.action, Action::List(listing) if listing.json && listing.numeric));
    }
    let alone = understand(&words("--socket /s"), &NumericResolver).expect("a command line");
    assert!(matches!(alone.action, Action::List(listing) if !listing.numeric));
    let failure = understand(&words("-C --json"), &NumericResolver).expect_err("a usage error");
    assert_eq!(
        (failure.message.as_str(), failure.exit_code),
        ("Illegal 'json' option with the 'flush' command", 2)
    );
}

#[test]
fn every_listing_is_also_json() {
    let mut client = Told::default();
    for (options, key) in
        [("-L", "services"), ("-Lc", "connections"), ("-L --timeout", "tcp"), ("-L --daemon", "sync_daemons")]
    {
        let words: Vec<String> = format!("{options} --json").split(' ').map(str::to_owned).collect();
        let (code, text) = run_words(&words, "", &mut client);
        assert_eq!(code, Some(0));
        let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert!(document.get(key).is_some(), "{text}");
    }
}
