//! FTP and TFTP: data connections from the local address of their control connection, whose ports are taken and given back.

#![allow(clippy::unwrap_used, reason = "a test may fail that way")]

use super::*;
use rig::segment;

/// A control connection, and where its server sees it.
struct Talk {
    client: End,
    virtual_end: End,
    local: End,
    server: End,
    /// What client and server will send next, as they count.
    next: [u32; 2],
    /// What client and server will receive next, as they count.
    received: [u32; 2],
}

impl Talk {
    fn new(rig: &mut Rig, clients: Family, servers: Family, client_port: u16) -> Self {
        let (client, virtual_end) = ((clients.client(), client_port), (clients.vip(), 21));
        let (verdict, bytes) = rig.receive(&segment(client, virtual_end, "S", (1000, 0), b""));
        assert_eq!(verdict, Verdict::Forward { next: servers.server(1) });
        let (local, server) = (seen(&bytes).source, (servers.server(1), 21));
        let mut talk =
            Self { client, virtual_end, local, server, next: [1001, 5001], received: [5001, 1001] };
        forwarded(rig, &segment(server, local, "SA", (5000, 1001), b""), client.0);
        assert_eq!(talk.say(rig, true, ""), "");
        talk
    }

    /// One end says something; what comes out at the other, all numbers in order there.
    fn say(&mut self, rig: &mut Rig, by_client: bool, text: &str) -> String {
        let (own, other) = if by_client { (0, 1) } else { (1, 0) };
        let (from, to, as_from, as_to) = match by_client {
            true => (self.client, self.virtual_end, self.local, self.server),
            false => (self.server, self.local, self.virtual_end, self.client),
        };
        let numbers = (self.next[own], self.received[own]);
        self.next[own] += text.len() as u32;
        let (verdict, bytes) = rig.receive(&segment(from, to, "A", numbers, text.as_bytes()));
        assert_eq!(verdict, Verdict::Forward { next: as_to.0 });
        let seen = seen(&bytes);
        assert_eq!((seen.source, seen.destination, seen.checksums_ok), (as_from, as_to, true));
        let at = if as_to.0.is_ipv4() { 20 } else { 40 };
        let word = |offset: usize| u32::from_be_bytes(bytes[at + offset..][..4].try_into().unwrap());
        // What is repeated, for lack of anything new, is a byte before.
        let repeated = self.received[other].wrapping_sub(word(4)) as usize;
        assert!(repeated <= 1, "{repeated}");
        assert_eq!(word(8), self.next[other], "all that the other end said has arrived");
        let text = String::from_utf8(seen.payload.get(repeated..).unwrap_or_default().to_vec()).unwrap();
        self.received[other] += text.len() as u32;
        text
    }

    /// A data connection that the server begins from `port`; from where the client sees it come.
    fn active(&self, rig: &mut Rig, port: u16, local: End, client: End) -> End {
        let server = (self.server.0, port);
        let (from, to) = forwarded(rig, &segment(server, local, "S", (1, 0), b""), client.0);
        assert_eq!(to, client);
        let back = forwarded(rig, &segment(client, from, "SA", (1, 2), b""), server.0);
        assert_eq!(back, (local, server));
        assert_eq!(forwarded(rig, &segment(server, local, "A", (2, 2), b"x"), client.0), (from, client));
        from
    }
}

/// Clients' and servers' families.
const FAMILIES: [(Family, Family); 4] =
    [(Family::V4, Family::V4), (Family::V6, Family::V6), (Family::V6, Family::V4), (Family::V4, Family::V6)];

/// A service with that helper's port and one server by full NAT, from three addresses of each family.
fn helped(clients: Family, servers: Family, protocol: u16, port: u16) -> Rig {
    let mut rig = Rig::with(small());
    let service = ServiceId::Address { protocol, address: clients.vip(), port };
    let netmask = if clients == Family::V4 { u32::MAX } else { 128 };
    rig.execute(Command::AddService(service, ServiceConfig { netmask, ..round_robin(0) }));
    let addresses = [1, 2, 3].into_iter().flat_map(|number| Family::BOTH.map(|family| local(family, number)));
    rig.execute(Command::AddPool(pool("local"), addresses.collect()));
    let id = DestinationId { address: servers.server(1), port };
    rig.execute(Command::AddDestination(service, id, by(pool("local"))));
    rig
}

/// The command by which a client names an end, and the end that a command names.
fn command(extended: bool, end: End) -> String {
    match end.0 {
        IpAddr::V4(address) if !extended => {
            let [a, b, c, d] = address.octets();
            format!("PORT {a},{b},{c},{d},{},{}\r\n", end.1 >> 8, end.1 & 255)
        }
        address => format!("EPRT |{}|{address}|{}|\r\n", if address.is_ipv4() { 1 } else { 2 }, end.1),
    }
}

fn named(line: &str) -> End {
    if let Some(numbers) = line.strip_prefix("PORT ") {
        let numbers: Vec<u8> = numbers.trim_end().split(',').map(|it| it.parse().unwrap()).collect();
        let [a, b, c, d, high, low] = numbers[..] else { panic!("{line}") };
        return ([a, b, c, d].into(), u16::from_be_bytes([high, low]));
    }
    let fields: Vec<&str> = line.strip_prefix("EPRT ").expect(line).split('|').collect();
    (fields[2].parse().unwrap(), fields[3].parse().unwrap())
}

#[test]
fn passive() {
    for (clients, servers) in FAMILIES {
        let mut rig = helped(clients, servers, 6, 21);
        let mut talk = Talk::new(&mut rig, clients, servers, 3000);
        let question = if clients == Family::V4 { "PASV\r\n" } else { "EPSV\r\n" };
        let (to_server, answer) = match servers {
            Family::V4 if clients == Family::V4 => ("PASV\r\n", "227 Here (10,0,0,1,195,80).\r\n"),
            _ => ("EPSV\r\n", "229 Here (|||50000|).\r\n"),
        };
        // Byte by byte: what waits comes with what follows.
        let there: String = question.chars().map(|it| talk.say(&mut rig, true, &it.to_string())).collect();
        assert_eq!(there, to_server);
        let back: String = answer.chars().map(|it| talk.say(&mut rig, false, &it.to_string())).collect();
        let wanted = match clients {
            Family::V4 => "227 Here (203,0,113,1,195,80).\r\n",
            Family::V6 => "229 Here (|||50000|).\r\n",
        };
        assert_eq!(back, wanted);
        assert_eq!(talk.say(&mut rig, true, "RETR x\r\n"), "RETR x\r\n");
        assert_eq!(rig.shown()[0], "7:0>1:50000>1:50000 LISTEN");
        assert_eq!(listed(&mut rig).connections, 2);
        // What the server sends there before the client has come is of no connection, and the client comes all the same.
        let expected = rig.connections().iter().find(|it| it.client_port == 0).unwrap().local.unwrap();
        assert_eq!(expected.0, talk.local.0);
        let early = segment((talk.server.0, 50_000), expected, "A", (1, 1), b"");
        assert_eq!(rig.receive(&early).0, Verdict::Reply(Reason::NotServed));
        let (client, to, server) =
            ((clients.client(), 4000), (clients.vip(), 50_000), (talk.server.0, 50_000));
        assert_eq!(forwarded(&mut rig, &segment(client, to, "S", (1, 0), b""), server.0), (expected, server));
        let answer = segment(server, expected, "SA", (1, 2), b"");
        assert_eq!(forwarded(&mut rig, &answer, client.0), (to, client));
        forwarded(&mut rig, &segment(client, to, "A", (2, 2), b""), server.0);
        assert_eq!(rig.shown(), ["7:3000>1:21>1:21 ESTABLISHED", "7:4000>1:50000>1:50000 ESTABLISHED"]);
        // Expected once: another is for the host.
        let other = segment((clients.client(), 4001), to, "S", (1, 0), b"");
        assert_eq!(rig.server_for(&other), "not-served");
        for packet in
            [segment(client, to, "R", (2, 2), b""), segment(talk.client, talk.virtual_end, "R", (1, 1), b"")]
        {
            rig.receive(&packet);
        }
        (0..3).for_each(|_| rig.advance(Duration::from_secs(61)));
        assert_eq!((rig.connections(), listed(&mut rig).connections), (vec![], 0), "{clients:?} {servers:?}");
    }
}

#[test]
fn active() {
    for (clients, servers) in FAMILIES {
        for (extended, bytewise, port) in [(false, false, 20), (true, true, 20), (false, true, 40_000)] {
            let mut rig = helped(clients, servers, 6, 21);
            let mut talk = Talk::new(&mut rig, clients, servers, 3000);
            let client = (clients.client(), 5000);
            let line = command(extended, client);
            let there = match bytewise {
                true => line.chars().map(|it| talk.say(&mut rig, true, &it.to_string())).collect(),
                false => talk.say(&mut rig, true, &line),
            };
            let end = named(&there);
            assert_eq!(there, command(extended && clients == servers, end));
            assert_eq!(end.0, talk.local.0, "the server sees one client");
            assert!(end.1 >= 1024);
            assert_eq!(talk.say(&mut rig, false, "200 yes\r\n"), "200 yes\r\n");
            assert_eq!(talk.say(&mut rig, true, "RETR x\r\n"), "RETR x\r\n");
            assert_eq!(rig.shown()[1], "7:5000>1:20>1:20 LISTEN");
            // Neither from another server, nor to another port.
            for (source, to) in [((servers.server(2), 20), end), ((talk.server.0, 20), (end.0, end.1 ^ 1))] {
                let other = segment(source, to, "S", (1, 0), b"");
                assert_eq!(rig.receive(&other).0, Verdict::Reply(Reason::NotServed));
            }
            assert_eq!(talk.active(&mut rig, port, end, client), (clients.vip(), port));
            assert_eq!(rig.shown()[1], format!("7:5000>1:{port}>1:{port} ESTABLISHED"));
            assert_eq!(listed(&mut rig).connections, 2);
            // Once.
            let again = segment((talk.server.0, port + 1), end, "S", (1, 0), b"");
            assert_eq!(rig.receive(&again).0, Verdict::Reply(Reason::NotServed));
            for (source, to) in [(client, (clients.vip(), port)), (talk.client, talk.virtual_end)] {
                rig.receive(&segment(source, to, "R", (2, 2), b""));
            }
            (0..3).for_each(|_| rig.advance(Duration::from_secs(61)));
            assert_eq!((rig.connections(), listed(&mut rig).connections), (vec![], 0));
        }
    }
}

/// A server cannot see whom a command meant that was written anew, so it gets to see those that it has to refuse.
#[test]
fn a_command_that_names_another_host_goes_on_as_it_is() {
    let mut rig = helped(Family::V4, Family::V4, 6, 21);
    let mut talk = Talk::new(&mut rig, Family::V4, Family::V4, 3000);
    for line in ["PORT 192,0,2,8,19,136\r\n", "PORT 192,0,2,7,0,22\r\n"] {
        assert_eq!(talk.say(&mut rig, true, line), line);
    }
    assert_eq!((rig.connections().len(), listed(&mut rig).connections), (1, 1));
}

#[test]
fn the_ports_of_expected_connections_are_given_back() {
    let family = Family::V4;
    let mut rig = helped(family, family, 6, 21);
    let mut talk = Talk::new(&mut rig, family, family, 3000);
    let client = |port| (family.client(), port);
    // The last one counts, and only its port is in use; also if both are in one segment.
    let first = named(&talk.say(&mut rig, true, &command(false, client(5000))));
    let line = command(false, client(5000));
    let lines = talk.say(&mut rig, true, &[line.as_str(), line.as_str()].concat());
    let ends: Vec<End> = lines.lines().map(named).collect();
    assert_eq!(ends.len(), 2);
    assert!(first != ends[1] && ends[0] != ends[1]);
    assert_eq!((rig.connections().len(), listed(&mut rig).connections), (2, 2));
    assert_eq!(
        rig.receive(&segment((talk.server.0, 20), ends[0], "S", (1, 0), b"")).0,
        Verdict::Reply(Reason::NotServed)
    );
    talk.active(&mut rig, 20, ends[1], client(5000));
    // While that is open its port is named again, as with masquerading; when it has ended, another one.
    let same = named(&talk.say(&mut rig, true, &line));
    assert_eq!((same, listed(&mut rig).connections), (ends[1], 2));
    rig.receive(&segment((talk.server.0, 20), ends[1], "R", (3, 2), b""));
    let other = named(&talk.say(&mut rig, true, &line));
    assert_ne!(other, ends[1]);
    assert_eq!((rig.connections().len(), listed(&mut rig).connections), (2, 2));
    talk.active(&mut rig, 20, other, client(5000));
    // Few wait at a time.
    for number in 0..20 {
        talk.say(&mut rig, true, &command(true, client(6000 + number)));
        talk.say(&mut rig, false, "200 yes\r\n");
    }
    assert_eq!((rig.connections().len(), listed(&mut rig).connections), (10, 10));
    // What waits in vain ends.
    rig.advance(Duration::from_secs(121));
    assert_eq!((rig.connections().len(), listed(&mut rig).connections), (2, 2));
    // A client that comes from another address of its own begins anew in the old one's place: its data connection goes on.
    let data = rig.connections().iter().find(|it| it.client_port == 5000).unwrap().local.unwrap();
    rig.receive(&segment(talk.client, talk.virtual_end, "R", (1, 1), b""));
    rig.receive(&segment(talk.client, talk.virtual_end, "S", (1, 0), b""));
    assert_eq!((rig.connections().len(), listed(&mut rig).connections), (2, 2));
    let packet = segment((talk.server.0, 20), data, "A", (3, 2), b"more");
    assert_eq!(forwarded(&mut rig, &packet, family.client()), ((family.vip(), 20), client(5000)));
    (0..20).for_each(|_| rig.advance(Duration::from_secs(100)));
    assert_eq!((rig.connections(), listed(&mut rig).connections), (vec![], 0));
}

/// Two services at two ports of one server, whose data connections come from any port: a local port is of one of them.
#[test]
fn no_two_data_connections_of_a_server_are_expected_at_one_port() {
    let family = Family::V4;
    let mut rig = helped(family, family, 6, 21);
    rig.execute(Command::DeletePool(pool("local"), [2, 3].map(|number| local(family, number)).to_vec()));
    let service = ServiceId::Address { protocol: 6, address: family.vip(), port: 2121 };
    rig.execute(Command::AddService(service, ServiceConfig { helper: Some("ftp".into()), ..round_robin(0) }));
    let id = DestinationId { address: family.server(1), port: 2121 };
    rig.execute(Command::AddDestination(service, id, by(pool("local"))));
    let mut talk = Talk::new(&mut rig, family, family, 3000);
    let other = (family.client(), 3001);
    for (flags, numbers, text) in [("S", (1000, 0), ""), ("A", (1001, 5001), "NOOP\r\n")] {
        rig.receive(&segment(other, (family.vip(), 2121), flags, numbers, text.as_bytes()));
    }
    let mut ends = BTreeSet::new();
    for number in 0..8 {
        let end = named(&talk.say(&mut rig, true, &command(false, (family.client(), 5000 + number))));
        talk.say(&mut rig, false, "200 yes\r\n");
        assert!(ends.insert(end), "{end:?}");
    }
    let mut sequence = 1007;
    for number in 0..8 {
        let line = command(false, (family.client(), 6000 + number));
        let packet = segment(other, (family.vip(), 2121), "A", (sequence, 5001), line.as_bytes());
        sequence += line.len() as u32;
        let end = named(std::str::from_utf8(&seen(&rig.receive(&packet).1).payload).unwrap());
        assert!(ends.insert(end), "{end:?}");
    }
    // Each leads to whom it was named by.
    for (number, end) in rig
        .connections()
        .iter()
        .filter(|it| it.client_port >= 5000)
        .map(|it| (it.client_port, it.local.unwrap()))
        .collect::<Vec<_>>()
    {
        assert_eq!(talk.active(&mut rig, 45_000, end, (family.client(), number)), (family.vip(), 45_000));
    }
}

#[test]
fn tftp() {
    for (clients, servers) in FAMILIES {
        let mut rig = helped(clients, servers, 17, 69);
        let (client, vip, server) = ((clients.client(), 3000), clients.vip(), servers.server(1));
        let request = udp(client, (vip, 69), b"\0\x01file\0octet\0", 64);
        let (local, to) = forwarded(&mut rig, &request, server);
        assert_eq!(to, (server, 69));
        assert_eq!(rig.shown(), ["7:3000>1:0>1:0 UDP", "7:3000>1:69>1:69 UDP"]);
        // Sent again.
        assert_eq!(forwarded(&mut rig, &request, server), (local, to));
        let mut pass = |from: End, to: End, next: IpAddr| {
            forwarded(&mut rig, &udp(from, to, b"\0\x03\0\x01data", 64), next)
        };
        assert_eq!(pass((server, 40_000), local, client.0), ((vip, 40_000), client));
        assert_eq!(pass(client, (vip, 40_000), server), (local, (server, 40_000)));
        assert_eq!(pass((server, 40_000), local, client.0), ((vip, 40_000), client));
        assert_eq!(rig.shown(), ["7:3000>1:40000>1:40000 UDP", "7:3000>1:69>1:69 UDP"]);
        // The next file, from the same port.
        assert_eq!(forwarded(&mut rig, &request, server), (local, to));
        let answer = udp((server, 40_001), local, b"\0\x03\0\x01data", 64);
        assert_eq!(forwarded(&mut rig, &answer, client.0), ((vip, 40_001), client));
        assert_eq!(listed(&mut rig).connections, 3);
        (0..8).for_each(|_| rig.advance(Duration::from_secs(100)));
        assert_eq!((rig.connections(), listed(&mut rig).connections), (vec![], 0));
    }
}
