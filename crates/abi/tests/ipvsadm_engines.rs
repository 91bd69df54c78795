//! How ipvsadm shows persistence engines and their data. Lines as in `conformance/recordings/sip.txt`.

use ipvs_abi::ipvsadm::{ClientFailure, DirectorClient, NumericResolver, Streams, run, understand};
use ipvs_core::{
    Command, ConnectionInfo, EngineData, Info, MarkTarget, Reply, ServiceFlags, ServiceId, ServiceInfo, Stats,
};

/// A director with two services and three connections.
struct Shown;

impl DirectorClient for Shown {
    fn execute(&mut self, command: Command) -> Result<Reply, ClientFailure> {
        Ok(match command {
            Command::GetInfo => Reply::Info(Info { version: 0x01_02_01, table_size: 4096, services: 2 }),
            Command::ListServices { .. } => {
                let flags = ServiceFlags::PERSISTENT | ServiceFlags::ONE_PACKET;
                Reply::Services { items: vec![service(5060, flags), service(5061, 0)], next: None }
            }
            Command::ListDestinations { .. } => Reply::Destinations { items: Vec::new(), next: None },
            Command::ListConnections { .. } => {
                let connection =
                    ConnectionInfo { client_port: 40001, state: "UDP", engine: None, ..template(b"") };
                let ipv6 = ConnectionInfo {
                    client: "2001:db8::".parse().expect("an address"),
                    virtual_address: "2001:db8::100".parse().expect("an address"),
                    destination: "2001:db8::11".parse().expect("an address"),
                    ..template(b"\xe9")
                };
                Reply::Connections { items: vec![template(b"a@example.org"), connection, ipv6], next: None }
            }
            other => panic!("{other:?}"),
        })
    }
}

fn service(port: u16, flags: u32) -> ServiceInfo {
    ServiceInfo {
        id: ServiceId::Address { protocol: 17, address: [10, 0, 0, 100].into(), port },
        scheduler: "rr".to_owned(),
        persistence_engine: Some("sip".to_owned()),
        helper: None,
        flags: ServiceFlags(flags),
        timeout: 60,
        netmask: 0xffff_0000,
        target: MarkTarget::default(),
        destinations: 0,
        stats: Stats::default(),
    }
}

fn template(data: &[u8]) -> ConnectionInfo {
    ConnectionInfo {
        protocol: 17,
        client: [10, 0, 0, 2].into(),
        client_port: 0,
        virtual_address: [10, 0, 0, 100].into(),
        virtual_port: 5060,
        destination: [10, 0, 0, 11].into(),
        destination_port: 5060,
        state: "NONE",
        expires: 61,
        engine: Some(EngineData { name: "sip".to_owned(), data: data.into() }),
        local: None,
    }
}

fn printed(options: &str) -> Vec<u8> {
    let words: Vec<String> = options.split(' ').map(str::to_owned).collect();
    let line = understand(&words, &NumericResolver).expect("a good command line");
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let mut streams = Streams { input: &mut &b""[..], output: &mut output, errors: &mut errors };
    assert_eq!(run(line.action, &mut Shown, &NumericResolver, &mut streams), 0);
    assert!(errors.is_empty());
    output
}

#[test]
fn services_name_their_engine_where_it_counts() {
    let listing = String::from_utf8(printed("-Ln")).expect("text");
    let rows: Vec<_> = listing.lines().skip(3).collect();
    let persistent = "UDP  10.0.0.100:5060 rr persistent 60 mask 255.255.0.0 pe sip ops";
    assert_eq!(rows, [persistent, "UDP  10.0.0.100:5061 rr"]);
    let saved = String::from_utf8(printed("-Sn")).expect("text");
    let rows: Vec<_> = saved.lines().collect();
    assert_eq!(
        rows,
        [
            "-A -u 10.0.0.100:5060 -s rr -p 60 -M 255.255.0.0 --pe sip -o",
            "-A -u 10.0.0.100:5061 -s rr --pe sip"
        ]
    );
}

#[test]
fn templates_show_their_data_if_asked_for() {
    let rows = |options| {
        let text = printed(options);
        text.split(|byte| *byte == b'\n').skip(2).map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    let with_data: [&[u8]; 4] = [
        b"UDP 01:01  NONE        10.0.0.2:0         10.0.0.100:5060    10.0.0.11:5060   sip                a@example.org",
        b"UDP 01:01  UDP         10.0.0.2:40001     10.0.0.100:5060    10.0.0.11:5060",
        b"UDP 01:01  NONE        [2001:db8::]:0     [2001:db8::100]:5060 [2001:db8::11]:5060 sip                \xe9",
        b"",
    ];
    assert_eq!(rows("-Lnc --persistent-conn"), with_data);
    let plain = b"UDP 01:01  NONE        10.0.0.2:0         10.0.0.100:5060    10.0.0.11:5060";
    assert_eq!(rows("-Lnc")[0], plain);
}

#[test]
fn json_has_both() {
    let document: serde_json::Value = serde_json::from_slice(&printed("-L -c -n --json")).expect("JSON");
    let engine = |number: usize| &document["connections"][number]["persistence_engine"];
    assert_eq!(engine(0), &serde_json::json!({ "name": "sip", "data": "a@example.org" }));
    assert!(engine(1).is_null());
    assert_eq!(engine(2)["data"], "\u{fffd}");
}
