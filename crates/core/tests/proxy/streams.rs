//! Whole connections over bad links.

use std::time::Duration;

use ipvs_core::{Reason, Verdict};
use proptest::prelude::*;

use crate::ends::{MSS, Tcp};
use crate::rig::{End, Family, Rig};
use crate::segment::Segment;
use crate::{SERVER_PORT, full_nat, header, rig};

const CLIENT_PORT: u16 = 4000;

/// What is random: xorshift.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }
}

/// How a connection is tried.
#[derive(Clone, Debug)]
struct Trial {
    family: Family,
    /// By full NAT to a server of this family; `None`: by masquerading.
    full_nat: Option<Family>,
    seed: u64,
    /// What the client says, and the server, which may speak first.
    said: [usize; 2],
    client_ends: bool,
    firsts: [u32; 2],
    window: u16,
    /// How many packets of a hundred are lost and doubled, and how many may be overtaken by others.
    lost: usize,
    doubled: usize,
    overtaken: usize,
}

/// Where packets are on their way to, a queue each.
const TO_DIRECTOR: [usize; 2] = [0, 1];
const TO_CLIENT: usize = 2;
const TO_SERVER: usize = 3;

struct Network {
    rig: Rig,
    trial: Trial,
    chance: Chance,
    client: Tcp,
    server: Tcp,
    /// As whom the server sees its client.
    seen: Option<End>,
    queues: [Vec<Vec<u8>>; 4],
}

impl Network {
    fn new(trial: &Trial) -> Self {
        let [client, server] = trial.firsts;
        Self {
            rig: match trial.full_nat {
                None => rig(trial.family),
                Some(of_server) => full_nat::rig(trial.family, of_server),
            },
            chance: Chance(trial.seed | 1),
            client: Tcp::new(false, client, text(trial.said[0], 1), trial.client_ends, 20_000),
            server: Tcp::new(true, server, text(trial.said[1], 9), false, trial.window),
            seen: None,
            queues: Default::default(),
            trial: trial.clone(),
        }
    }

    fn ends(&self) -> [End; 3] {
        let family = self.trial.family;
        let of_server = self.trial.full_nat.unwrap_or(family);
        [(family.client(), CLIENT_PORT), (family.vip(), 80), (of_server.server(1), SERVER_PORT)]
    }

    fn by_client(&mut self, segment: Option<Segment>) {
        let [client, vip, _] = self.ends();
        self.queues[0].extend(segment.map(|it| it.packet(client, vip)));
    }

    fn by_server(&mut self, segment: Option<Segment>) {
        let [_, _, server] = self.ends();
        let Some(client) = self.seen else { return assert_eq!(segment, None) };
        self.queues[1].extend(segment.map(|it| it.packet(server, client)));
    }

    /// Something happens: a packet arrives somewhere, or time passes at an end. Links are good in the end.
    fn step(&mut self, good: bool) {
        self.rig.advance(Duration::from_millis(1));
        let waiting: Vec<usize> = (0..4).filter(|queue| !self.queues[*queue].is_empty()).collect();
        let greatest = [usize::from(MSS), 40][self.chance.below(2)];
        let size = 1 + self.chance.below(greatest);
        if waiting.is_empty() || self.chance.below(40) == 0 {
            let probe = self.chance.below(4) == 0;
            let (client, server) = (self.client.timer(size, probe), self.server.timer(size, probe));
            self.by_client(client);
            return self.by_server(server);
        }
        if self.chance.below(4) == 0 {
            let (client, server) = (self.client.send(size), self.server.send(size));
            self.by_client(client);
            self.by_server(server);
        }
        let queue = waiting[self.chance.below(waiting.len())];
        let most = self.queues[queue].len().min(self.trial.overtaken + 1);
        let packet = self.queues[queue].remove(self.chance.below(most));
        if !good && self.chance.below(100) < self.trial.doubled {
            self.queues[queue].push(packet.clone());
        }
        if !good && self.chance.below(100) < self.trial.lost {
            return;
        }
        let [client, vip, server] = self.ends();
        if TO_DIRECTOR.contains(&queue) {
            let (verdict, packet) = self.rig.receive(&packet);
            match verdict {
                Verdict::Forward { next } if next == server.0 => self.queues[TO_SERVER].push(packet),
                Verdict::Forward { next } if next == client.0 => self.queues[TO_CLIENT].push(packet),
                // A packet of a connection that is long over.
                Verdict::Drop(Reason::ProxyHeader) | Verdict::Reply(_) => {}
                other => panic!("{other:?}"),
            }
            return;
        }
        let (segment, from, to) = Segment::read(&packet);
        if queue == TO_SERVER {
            assert_eq!((*self.seen.get_or_insert(from), to), (from, server));
            let wanted = self.trial.full_nat.map_or(client.0, full_nat::local);
            assert!(from.0 == wanted && (self.trial.full_nat.is_some() || from == client));
            let answer = self.server.receive(&segment);
            self.by_server(answer);
        } else {
            assert_eq!((from, to), (vip, client));
            let answer = self.client.receive(&segment);
            self.by_client(answer);
        }
    }
}

/// What an end says.
fn text(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 + at / 251 + seed) as u8).collect()
}

/// Runs a connection to its end: the server has the header and what the client said, and nothing else.
fn run(trial: &Trial) {
    let mut network = Network::new(trial);
    let expected = header(trial.family, CLIENT_PORT);
    let mut steps = 0;
    loop {
        network.step(steps > 3000);
        steps += 1;
        let done = network.client.is_done() && network.server.is_done();
        if done && network.server.received().len() >= expected.len() {
            break;
        }
        assert!(steps < 60_000, "no end: {:?} {:?}", network.client, network.server);
    }
    let expected = [expected, text(trial.said[0], 1)].concat();
    assert!(network.server.received() == expected, "{:?}", network.server.received());
    assert_eq!(network.client.received(), text(trial.said[1], 9));
    assert_eq!(network.server.saw_end(), trial.client_ends);
}

fn trial() -> impl Strategy<Value = Trial> {
    let said = || prop_oneof![Just(0_usize), 1_usize..40, 1_usize..6000];
    let first = || prop_oneof![any::<u32>(), (0_u32..3000).prop_map(|below| u32::MAX - below)];
    let links = (0_usize..40, 0_usize..20, 0_usize..4);
    let family = || prop_oneof![Just(Family::V4), Just(Family::V6)];
    let ends = (family(), proptest::option::of(family()));
    (ends, any::<u64>(), [said(), said()], any::<bool>(), [first(), first()], 120_u16..2000, links).prop_map(
        |((family, full_nat), seed, said, client_ends, firsts, window, (lost, doubled, overtaken))| Trial {
            family,
            full_nat,
            seed,
            said,
            client_ends,
            firsts,
            window,
            lost,
            doubled,
            overtaken,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_lost_the_server_has_the_header_and_the_stream(trial in trial()) {
        run(&trial);
    }
}

#[test]
fn good_links_and_nothing_said_by_the_client() {
    for family in Family::BOTH {
        let (said, firsts) = ([0, 500], [77, u32::MAX - 3]);
        let trial = Trial {
            family,
            full_nat: None,
            seed: 3,
            said,
            client_ends: false,
            firsts,
            window: 1000,
            lost: 0,
            doubled: 0,
            overtaken: 0,
        };
        run(&trial);
    }
}
