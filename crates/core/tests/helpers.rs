//! FTP and TFTP: data connections. The outcomes are those of `conformance/experiments/ftp*.py` on the reference kernel, but for
//! lines over several segments, which the kernel does not read, and TFTP, which it does not know.
#![allow(clippy::unwrap_used, reason = "a test may fail that way")]

mod rig;

use std::net::IpAddr;
use std::time::Duration;

use ipvs_core::{
    Command, DestinationId, Error, ForwardingMethod, Interest, Reason, ServiceConfig, ServiceFlags,
    ServiceId, Verdict,
};
use rig::{End, Family, Rig, round_robin, seen, segment, udp};

const SEGMENT: Duration = Duration::from_millis(1);

fn service(family: Family, protocol: u16, port: u16) -> ServiceId {
    ServiceId::Address { protocol, address: family.vip(), port }
}

fn config(family: Family, helper: Option<&str>) -> ServiceConfig {
    let netmask = if family == Family::V4 { u32::MAX } else { 128 };
    ServiceConfig { helper: helper.map(str::to_owned), netmask, ..round_robin(0) }
}

/// A director with one server of one service.
fn rig(family: Family, port: u16, server_port: u16, helper: Option<&str>) -> Rig {
    let mut rig = Rig::new(200);
    let id = service(family, 6, port);
    rig.execute(Command::AddService(id, config(family, helper)));
    rig.add(id, DestinationId { address: family.server(1), port: server_port }, 1);
    rig
}

/// Sequence and acknowledgment number.
fn numbers(packet: &[u8]) -> (u32, u32) {
    let at = if packet[0] >> 4 == 4 { 20 } else { 40 };
    let word = |offset: usize| u32::from_be_bytes(packet[at + offset..][..4].try_into().unwrap());
    (word(4), word(8))
}

/// A control connection.
struct Talk {
    family: Family,
    client: End,
    virtual_end: End,
    server: End,
}

impl Talk {
    fn new(rig: &mut Rig, family: Family, client_port: u16, port: u16, server_port: u16) -> Self {
        let client = (family.client(), client_port);
        let talk = Self {
            family,
            client,
            virtual_end: (family.vip(), port),
            server: (family.server(1), server_port),
        };
        talk.client(rig, "S", (1000, 0), "");
        talk.server(rig, "SA", (5000, 1001), "");
        talk.client(rig, "A", (1001, 5001), "");
        talk
    }

    /// What the server gets, with sequence and acknowledgment number.
    fn client(&self, rig: &mut Rig, flags: &str, at: (u32, u32), text: &str) -> (String, (u32, u32)) {
        let packet = segment(self.client, self.virtual_end, flags, at, text.as_bytes());
        Self::arrived(rig, &packet, self.client, self.server)
    }

    /// What the client gets.
    fn server(&self, rig: &mut Rig, flags: &str, at: (u32, u32), text: &str) -> (String, (u32, u32)) {
        let packet = segment(self.server, self.client, flags, at, text.as_bytes());
        Self::arrived(rig, &packet, self.virtual_end, self.client)
    }

    fn arrived(rig: &mut Rig, packet: &[u8], source: End, destination: End) -> (String, (u32, u32)) {
        rig.advance(SEGMENT);
        let (verdict, bytes) = rig.receive(packet);
        assert!(matches!(verdict, Verdict::Forward { .. }), "{verdict:?}");
        let seen = seen(&bytes);
        assert_eq!((seen.source, seen.destination, seen.checksums_ok), (source, destination, true));
        (String::from_utf8(seen.payload).unwrap(), numbers(&bytes))
    }

    /// Asks and is answered, from these numbers on.
    fn passive(&self, rig: &mut Rig, at: (u32, u32), port: u16) {
        let (question, answer) = match self.family {
            Family::V4 => ("PASV\r\n", format!("227 Passive (10,0,0,1,{},{}).\r\n", port >> 8, port & 255)),
            Family::V6 => ("EPSV\r\n", format!("229 Passive (|||{port}|)\r\n")),
        };
        self.client(rig, "A", at, question);
        self.server(rig, "A", (at.1, at.0 + 6), &answer);
    }
}

#[test]
fn passive() {
    for family in Family::BOTH {
        let mut rig = rig(family, 21, 21, None);
        let talk = Talk::new(&mut rig, family, 3000, 21, 21);
        talk.passive(&mut rig, (1001, 5001), 50_000);
        let control = "7:3000>1:21>1:21 ESTABLISHED";
        assert_eq!(rig.shown(), ["7:0>1:50000>1:50000 LISTEN", control]);
        assert_eq!(rig.connections().iter().find(|it| it.client_port == 0).unwrap().expires, 120);
        // The client comes.
        let (client, to, server) =
            ((family.client(), 4000), (family.vip(), 50_000), (family.server(1), 50_000));
        let mut data = |source, destination, flags, as_from, as_to| {
            let packet = segment(source, destination, flags, (1, 1), b"");
            Talk::arrived(&mut rig, &packet, as_from, as_to);
        };
        data(client, to, "S", client, server);
        data(server, client, "SA", to, client);
        data(client, to, "A", client, server);
        assert_eq!(rig.shown(), [control, "7:4000>1:50000>1:50000 ESTABLISHED"]);
        let counted = rig.destinations(service(family, 6, 21))[0];
        assert_eq!((counted.active, counted.inactive, counted.stats.counters.connections), (2, 0, 1));
        // Expected once: another is for the host.
        let other = segment((family.client(), 4001), to, "S", (1, 0), b"");
        assert_eq!(rig.server_for(&other), "not-served");
    }
}

/// As the kernel's helper does: nobody wants it, but the next control connection of that client must not suffer.
#[test]
fn a_data_connection_at_the_port_of_control_connections() {
    let mut rig = rig(Family::V4, 21, 21, None);
    let talk = Talk::new(&mut rig, Family::V4, 3000, 21, 21);
    talk.passive(&mut rig, (1001, 5001), 21);
    let talk = Talk::new(&mut rig, Family::V4, 3001, 21, 21);
    talk.passive(&mut rig, (1001, 5001), 50_000);
    assert_eq!(rig.shown().len(), 3);
}

#[test]
fn numbers_follow_what_was_written_anew() {
    let mut rig = rig(Family::V4, 21, 21, None);
    let talk = Talk::new(&mut rig, Family::V4, 3000, 21, 21);
    talk.client(&mut rig, "A", (1001, 5001), "PASV\r\n");
    let answer = "227 x (10,0,0,1,195,80).\r\n"; // 26 bytes
    let anew = "227 x (203,0,113,1,195,80).\r\n"; // 29 bytes
    let wanted = (anew.to_owned(), (5001, 1007));
    assert_eq!(talk.server(&mut rig, "A", (5001, 1007), answer), wanted);
    // Sent again.
    assert_eq!(talk.server(&mut rig, "A", (5001, 1007), answer), wanted);
    assert_eq!(rig.shown().len(), 2);
    // The half of it that was rewritten, again; the client's acknowledgment of all; and on.
    let (text, at) = talk.server(&mut rig, "A", (5008, 1007), &answer[7..]);
    assert_eq!((text.as_str(), at), (&anew[7..], (5008, 1007)));
    assert_eq!(talk.client(&mut rig, "A", (1007, 5030), "").1, (1007, 5027));
    assert_eq!(
        talk.client(&mut rig, "A", (1007, 5010), "").1.1,
        5022,
        "in the midst of the address: all but its last byte"
    );
    assert_eq!(talk.server(&mut rig, "A", (5027, 1007), "150 go\r\n").1, (5030, 1007));
    assert_eq!(talk.client(&mut rig, "A", (1007, 5038), "NOOP\r\n"), ("NOOP\r\n".to_owned(), (1007, 5035)));
    assert_eq!(talk.server(&mut rig, "FA", (5035, 1013), "").1, (5038, 1013));
    assert_eq!(talk.client(&mut rig, "FA", (1013, 5039), "").1, (1013, 5036));
}

#[test]
fn lines_over_several_segments() {
    let mut rig = rig(Family::V4, 21, 21, None);
    let talk = Talk::new(&mut rig, Family::V4, 3000, 21, 21);
    for (offset, byte) in "PASV\r\n".bytes().enumerate() {
        talk.client(&mut rig, "A", (1001 + offset as u32, 5001), &char::from(byte).to_string());
    }
    let (mut arrived, mut next) = (String::new(), 5001);
    for (offset, byte) in "227 x (10,0,0,1,195,80).\r\n".bytes().enumerate() {
        let at = (5001 + offset as u32, 1007);
        let (text, (sequence, _)) = talk.server(&mut rig, "A", at, &char::from(byte).to_string());
        if sequence == next {
            arrived += &text;
            next += text.len() as u32;
        } else {
            // Nothing is left of it: the byte before, so that the client acknowledges, and the server learns that it was read.
            assert_eq!((text.as_str(), sequence), ("(", next - 1));
            assert_eq!(talk.client(&mut rig, "A", (1007, next), "").1.1, at.0 + 1);
        }
    }
    assert_eq!(arrived, "227 x (203,0,113,1,195,80).\r\n");
    assert_eq!(rig.shown()[0], "7:0>1:50000>1:50000 LISTEN");
    // One that is ahead of its turn must come again.
    let ahead = segment(talk.server, talk.client, "A", (5100, 1007), b"x");
    assert_eq!(rig.receive(&ahead).0, Verdict::Drop(Reason::OutOfOrder));
}

#[test]
fn active() {
    for family in Family::BOTH {
        let mut rig = rig(family, 21, 2121, None);
        let talk = Talk::new(&mut rig, family, 3000, 21, 2121);
        let client = family.client();
        let command = match family {
            Family::V4 => "PORT 192,0,2,7,19,136\r\n".to_owned(),
            Family::V6 => format!("EPRT |2|{client}|5000|\r\n"),
        };
        assert_eq!(talk.client(&mut rig, "A", (1001, 5001), &command).0, command);
        let control = "7:3000>1:21>1:2121 ESTABLISHED";
        assert_eq!(rig.shown(), [control, "7:5000>1:20>1:2120 LISTEN"]);
        // From the port below that of control connections.
        let syn = segment((family.server(1), 2120), (client, 5000), "S", (1, 0), b"");
        Talk::arrived(&mut rig, &syn, (family.vip(), 20), (client, 5000));
        let answer = segment((client, 5000), (family.vip(), 20), "SA", (1, 2), b"");
        Talk::arrived(&mut rig, &answer, (client, 5000), (family.server(1), 2120));
        let last = segment((family.server(1), 2120), (client, 5000), "A", (2, 2), b"");
        Talk::arrived(&mut rig, &last, (family.vip(), 20), (client, 5000));
        assert_eq!(rig.shown(), [control, "7:5000>1:20>1:2120 ESTABLISHED"]);
    }
}

/// The kernel lets such a SYN pass as it is.
#[test]
fn active_from_any_port() {
    let mut rig = rig(Family::V4, 21, 21, None);
    let talk = Talk::new(&mut rig, Family::V4, 3000, 21, 21);
    talk.client(&mut rig, "A", (1001, 5001), "PORT 192,0,2,7,19,136\r\n");
    let (server, client) = (Family::V4.server(1), Family::V4.client());
    let other = segment((Family::V4.server(2), 40_000), (client, 5000), "S", (1, 0), b"");
    assert_eq!(rig.receive(&other).0, Verdict::Pass, "no server of ours");
    let syn = segment((server, 40_000), (client, 5000), "S", (1, 0), b"");
    Talk::arrived(&mut rig, &syn, (Family::V4.vip(), 40_000), (client, 5000));
    assert_eq!(rig.shown()[1], "7:5000>1:40000>1:40000 LISTEN");
    let answer = segment((client, 5000), (Family::V4.vip(), 40_000), "SA", (1, 2), b"");
    Talk::arrived(&mut rig, &answer, (client, 5000), (server, 40_000));
    // Once.
    let again = segment((server, 40_001), (client, 5000), "S", (1, 0), b"");
    assert_eq!(rig.receive(&again).0, Verdict::Pass);
}

#[test]
fn a_control_connection_lives_as_long_as_its_data_connections() {
    let mut rig = rig(Family::V4, 21, 21, None);
    let talk = Talk::new(&mut rig, Family::V4, 3000, 21, 21);
    talk.passive(&mut rig, (1001, 5001), 50_000);
    talk.client(&mut rig, "RA", (1007, 5027), "");
    let shown = |rig: &mut Rig, seconds| {
        (0..seconds).for_each(|_| rig.advance(Duration::from_secs(1)));
        rig.connections().iter().map(|it| (it.state, it.expires)).collect::<Vec<_>>()
    };
    assert_eq!(shown(&mut rig, 9), [("CLOSE", 1), ("LISTEN", 111)]);
    // Then by 60 s at a time, and on for the rest of the last when nothing is left.
    let states: Vec<_> = shown(&mut rig, 6);
    assert_eq!((states[0].0, states[0].1 / 10), ("CLOSE", 5));
    (0..9).for_each(|_| assert_eq!(shown(&mut rig, 11).len(), 2));
    // 114 s have passed; the data connection ends at 120 s, and the control connection, looked at last at 70 s, at 130 s.
    assert_eq!(shown(&mut rig, 8), [("CLOSE", 8)]);
    assert!(shown(&mut rig, 10).is_empty());
}

#[test]
fn few_data_connections_are_expected_at_a_time() {
    let mut rig = rig(Family::V4, 21, 21, None);
    let talk = Talk::new(&mut rig, Family::V4, 3000, 21, 21);
    for number in 0..40u32 {
        let command = format!("PORT 192,0,2,7,19,{:03}\r\n", number);
        talk.client(&mut rig, "A", (1001 + 23 * number, 5001), &command);
    }
    let shown = rig.shown();
    let wanted: Vec<String> =
        (32..40).map(|number| format!("7:{}>1:20>1:20 LISTEN", 19 * 256 + number)).collect();
    assert_eq!(shown[1..], wanted);
}

#[test]
fn who_has_which_helper() {
    let connected = |port, helper: Option<&str>| {
        let mut rig = rig(Family::V4, port, 21, helper);
        let talk = Talk::new(&mut rig, Family::V4, 3000, port, 21);
        talk.passive(&mut rig, (1001, 5001), 50_000);
        rig.shown().len() - 1
    };
    assert_eq!(connected(21, None), 1);
    assert_eq!(connected(21, Some("none")), 0);
    assert_eq!(connected(2121, None), 0);
    assert_eq!(connected(2121, Some("ftp")), 1);
    let mut rig = Rig::new(10);
    let mut add = |port, protocol, name| {
        let command =
            Command::AddService(service(Family::V4, protocol, port), config(Family::V4, Some(name)));
        rig.director.execute(rig.now, &rig.host, command).err()
    };
    assert_eq!(add(1, 6, "telnet"), Some(Error::NoSuchHelper));
    assert_eq!(add(1, 6, "tftp"), Some(Error::HelperProtocol));
    assert_eq!(add(1, 17, "tftp"), None);
}

#[test]
fn a_helper_needs_packets_of_all_ports() {
    let mut rig = rig(Family::V4, 2121, 21, None);
    let id = service(Family::V4, 6, 2121);
    let all = |rig: &Rig| {
        let ports = rig.director.interests().into_iter().map(|interest| match interest {
            Interest::Virtual { port, .. } | Interest::Server { port, .. } => port,
            Interest::Network { .. } | Interest::Mark { .. } => u16::MAX,
        });
        ports.collect::<Vec<_>>()
    };
    assert_eq!(all(&rig), [2121, 21]);
    rig.execute(Command::EditService(id, config(Family::V4, Some("ftp"))));
    assert_eq!(all(&rig), [0, 0]);
    rig.execute(Command::EditService(id, config(Family::V4, None)));
    assert_eq!(all(&rig), [2121, 21]);
    rig.execute(Command::EditService(id, config(Family::V4, Some("ftp"))));
    rig.execute(Command::DeleteService(id));
    assert_eq!(all(&rig), [0, 0], "a destination in the trash");
    (0..4).for_each(|_| rig.advance(Duration::from_secs(100)));
    assert!(all(&rig).is_empty());
}

/// As in the kernel, whose helper leaves these methods alone.
#[test]
fn direct_routing_has_no_helper() {
    let mut rig = Rig::new(10);
    let id = service(Family::V4, 6, 21);
    rig.execute(Command::AddService(id, config(Family::V4, None)));
    rig.destination(id, Family::V4.server(1), ForwardingMethod::DIRECT, 1);
    let (client, vip) = ((Family::V4.client(), 3000), (Family::V4.vip(), 21));
    for (flags, text) in [("S", ""), ("A", ""), ("A", "PORT 192,0,2,7,19,136\r\n")] {
        rig.receive(&segment(client, vip, flags, (1001, 5001), text.as_bytes()));
    }
    assert_eq!(rig.shown(), ["7:3000>1:21>1:80 ESTABLISHED"]);
}

#[test]
fn persistence_and_helper_together() {
    let mut rig = Rig::new(20);
    let id = service(Family::V4, 6, 21);
    rig.execute(Command::AddService(id, round_robin(ServiceFlags::PERSISTENT)));
    rig.add(id, DestinationId { address: Family::V4.server(1), port: 21 }, 1);
    let talk = Talk::new(&mut rig, Family::V4, 3000, 21, 21);
    talk.passive(&mut rig, (1001, 5001), 50_000);
    let template = "7:0>1:0>1:0 ASSURED";
    assert_eq!(rig.shown(), [template, "7:0>1:50000>1:50000 LISTEN", "7:3000>1:21>1:21 ESTABLISHED"]);
    for port in [4000, 4001] {
        let syn = segment((Family::V4.client(), port), (Family::V4.vip(), 50_000), "S", (1, 0), b"");
        assert_eq!(rig.server_for(&syn), "1");
    }
    assert_eq!(rig.shown().len(), 4);
}

#[test]
fn tftp() {
    for family in Family::BOTH {
        let mut rig = Rig::new(20);
        let id = service(family, 17, 69);
        rig.execute(Command::AddService(id, config(family, None)));
        rig.add(id, DestinationId { address: family.server(1), port: 69 }, 1);
        let (client, vip, server): (End, IpAddr, IpAddr) =
            ((family.client(), 3000), family.vip(), family.server(1));
        assert_eq!(rig.server_for(&udp(client, (vip, 69), b"\0\x01file\0octet\0", 64)), "1");
        assert_eq!(rig.shown(), ["7:3000>1:0>1:0 UDP", "7:3000>1:69>1:69 UDP"]);
        let mut pass = |from: End, to: End| {
            let (verdict, bytes) = rig.receive(&udp(from, to, b"\0\x03\0\x01data", 64));
            assert!(matches!(verdict, Verdict::Forward { .. }), "{verdict:?}");
            let seen = seen(&bytes);
            assert!(seen.checksums_ok);
            (seen.source, seen.destination)
        };
        assert_eq!(pass((server, 40_000), client), ((vip, 40_000), client));
        assert_eq!(pass(client, (vip, 40_000)), (client, (server, 40_000)));
        assert_eq!(pass((server, 40_000), client), ((vip, 40_000), client));
        assert_eq!(rig.shown(), ["7:3000>1:40000>1:40000 UDP", "7:3000>1:69>1:69 UDP"]);
        (0..4).for_each(|_| rig.advance(Duration::from_secs(100)));
        assert!(rig.shown().is_empty());
    }
}
