//! A sender, a network that loses and reorders, the stream, another such network, and a receiver: whatever happens on the way,
//! what arrives is what should, and the sender learns so.

use proptest::prelude::*;

use super::*;

/// Numbers without end from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit.max(1)
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// Of a line `#TEXT;…` the TEXT is written anew; lines beginning otherwise are not, and without `;` neither.
fn read(line: &[u8], ended: bool) -> Reading {
    match line {
        [b'#', ..] => match line.iter().position(|&byte| byte == b';') {
            Some(end) if end > 1 => Reading::Expect {
                expectation: Expectation::Client { port: end as u16 },
                edit: Some((1..end, anew(&line[1..end]))),
            },
            None if !ended => Reading::More { keep: 1 },
            _ => Reading::Nothing,
        },
        _ => Reading::Nothing,
    }
}

/// The other text: longer, shorter or none at all.
fn anew(text: &[u8]) -> Vec<u8> {
    match text.len() % 3 {
        0 => Vec::new(),
        1 => [b"<", text, text, b">"].concat(),
        _ => vec![b'*'; text.len() / 2],
    }
}

fn expected(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        match read(line, true) {
            Reading::Expect { edit: Some((range, text)), .. } if line.len() <= LONGEST => {
                out.extend([&line[..range.start], &text, &line[range.end..]].concat());
            }
            _ => out.extend(line),
        }
    }
    out
}

/// Who gets what comes out, in any order.
#[derive(Default)]
struct Receiver {
    bytes: Vec<Option<u8>>,
    fin: Option<usize>,
}

impl Receiver {
    /// Takes a segment at that offset and returns how far it has got, FIN included.
    fn take(&mut self, at: i64, bytes: &[u8], fin: bool) -> i64 {
        let offset = usize::try_from(at + i64::from(at < 0)).unwrap();
        let bytes = if at < 0 { &[][..] } else { bytes };
        if self.bytes.len() < offset + bytes.len() {
            self.bytes.resize(offset + bytes.len(), None);
        }
        for (place, byte) in self.bytes[offset..].iter_mut().zip(bytes) {
            assert!(place.is_none_or(|there| there == *byte), "another byte at the same place");
            *place = Some(*byte);
        }
        if fin {
            assert!(self.fin.is_none_or(|there| there == offset + bytes.len()), "another end");
            self.fin = Some(offset + bytes.len());
        }
        self.next()
    }

    fn next(&self) -> i64 {
        let whole = self.bytes.iter().take_while(|byte| byte.is_some()).count();
        whole as i64 + i64::from(self.fin == Some(whole))
    }

    /// The first bytes that came out of order.
    fn block(&self) -> Option<(i64, i64)> {
        let whole = self.bytes.iter().take_while(|byte| byte.is_some()).count();
        let gap = self.bytes[whole..].iter().take_while(|byte| byte.is_none()).count();
        let start = whole + gap;
        let length = self.bytes.get(start..)?.iter().take_while(|byte| byte.is_some()).count();
        (length > 0).then_some((start as i64, (start + length) as i64))
    }
}

/// How the network and the sender are.
#[derive(Clone, Copy, Debug)]
struct Ways {
    /// Lost, of a hundred.
    loss: usize,
    /// Kept back for later, of a hundred.
    delay: usize,
    /// Longest segment.
    most: usize,
    /// One byte at a time, and the next when that is acknowledged.
    one_by_one: bool,
    /// The sequence number of the first byte.
    base: u32,
}

fn transfer(text: &[u8], ways: Ways, seed: u64) {
    let mut random = Random(seed);
    let mut stream = Stream::new(ways.base);
    let mut receiver = Receiver::default();
    let mut announced = Vec::new();
    // Offsets of the sender's: acknowledged, sent. The FIN is the last.
    let (mut acknowledged, mut sent) = (0, 0);
    let end = text.len() + 1;
    let mut delayed: Vec<(i64, Vec<u8>, bool)> = Vec::new();
    let mut late: Vec<(usize, usize)> = Vec::new();
    let mut steps = 0;
    while acknowledged < end {
        steps += 1;
        assert!(steps < 200_000, "stands still at {acknowledged} of {end}");
        let (from, to) = if ways.one_by_one {
            (acknowledged, acknowledged + 1)
        } else if !late.is_empty() && random.chance(30) {
            late.swap_remove(random.below(late.len()))
        } else if sent > acknowledged && (sent - acknowledged > 8 * ways.most || random.chance(50)) {
            // Again, from where nothing was acknowledged or from anywhere.
            let from = acknowledged + if random.chance(50) { 0 } else { random.below(sent - acknowledged) };
            (from, (from + 1 + random.below(ways.most)).min(end))
        } else {
            // When all was sent, what is missing first: else this takes too many steps.
            let from = if sent < end && random.chance(80) { sent } else { acknowledged };
            (from, (from + 1 + random.below(ways.most)).min(end))
        };
        sent = sent.max(to);
        if random.chance(ways.loss) {
            continue;
        }
        if random.chance(ways.delay) {
            late.push((from, to));
            continue;
        }
        let fin = to == end;
        let data = &text[from.min(text.len())..to.min(text.len())];
        let sequence = ways.base.wrapping_add(from as u32);
        let Some((number, output)) = stream.take(Piece { sequence, data, fin }, read, &mut announced) else {
            continue;
        };
        assert_eq!(number, ways.base.wrapping_add(output.at as u32));
        delayed.push((output.at, output.bytes, output.fin));
        while !delayed.is_empty() && !random.chance(ways.delay) {
            let at = random.below(delayed.len());
            let (at, mut bytes, mut fin) = delayed.swap_remove(at);
            if random.chance(ways.loss) {
                continue;
            }
            // A way too narrow for what has grown.
            if random.chance(10) && bytes.len() > 1 {
                bytes.truncate(1 + random.below(bytes.len()));
                fin = false;
            }
            let next = receiver.take(at, &bytes, fin);
            let after = ways.base.wrapping_add(next as u32);
            if let Some((left, right)) = receiver.block() {
                let number = |at: i64| ways.base.wrapping_add(at as u32);
                let (left, right) = stream.block(number(left), number(right));
                let length = right.wrapping_sub(left);
                assert!(length as usize <= text.len() + 1, "a block of {length}");
            }
            if random.chance(ways.loss) {
                continue;
            }
            let before = stream.acknowledge(after).wrapping_sub(ways.base) as usize;
            assert!(before <= sent, "more is acknowledged than was sent");
            acknowledged = acknowledged.max(before);
        }
    }
    let arrived: Vec<u8> = receiver.bytes.into_iter().map(|byte| byte.unwrap()).collect();
    let wanted = expected(text);
    assert_eq!(arrived.escape_ascii().to_string(), wanted.escape_ascii().to_string());
    let lines = text.split_inclusive(|&byte| byte == b'\n');
    let readable =
        lines.filter(|line| line.len() <= LONGEST && matches!(read(line, true), Reading::Expect { .. }));
    assert_eq!(announced.len(), readable.count());
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        4 => "#[a-z]{0,12};[a-z]{0,5}\n",
        2 => "[a-z]{0,20}\n",
        1 => "#[a-z]{0,30}\n",
        1 => Just("\n".to_owned()),
        1 => Just(format!("#{};\n", "x".repeat(600))),
        1 => Just(format!("#{};\n", "x".repeat(500))),
    ];
    (prop::collection::vec(line, 0..40), "#?[a-z]{0,9};?[a-z]?")
        .prop_map(|(lines, last)| [lines.concat(), last].concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn what_arrives_is_what_should(
        text in text(), loss in 0..40usize, delay in 0..50usize, most in 1..80usize,
        one_by_one in prop::bool::weighted(0.2), base in any::<u32>(), seed in any::<u64>(),
    ) {
        transfer(&text, Ways { loss, delay, most, one_by_one, base }, seed);
    }
}

#[test]
fn a_sender_that_waits_for_each_byte_never_waits_for_ever() {
    let ways = Ways { loss: 0, delay: 0, most: 1, one_by_one: true, base: u32::MAX - 20 };
    transfer(b"hello\n#1234567;8\n#\n#abc;", ways, 1);
    transfer(b"#abcd;", ways, 1);
    transfer(b"#abcd", ways, 1);
}

#[test]
fn a_stream_that_is_met_midway_is_read_from_there() {
    let mut stream = Stream::new(1000);
    let mut expected = Vec::new();
    let mut take = |sequence, data: &[u8]| {
        let (number, output) =
            stream.take(Piece { sequence, data, fin: false }, read, &mut expected).unwrap();
        (number, output.bytes)
    };
    assert_eq!(take(1000, b"#a;\n"), (1000, b"#<aa>;\n".to_vec()));
    // What was sent before the first that was met.
    assert_eq!(take(990, b"abc"), (990, b"abc".to_vec()));
    assert_eq!(take(1004, b"x"), (1007, b"x".to_vec()));
}
