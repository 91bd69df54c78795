//! The state tables against their description, cell by cell. The description is written out as people read it, so that
//! a slip in the code's tables and one in the text would have to coincide.
#![cfg(not(loom))]

use std::collections::{BTreeMap, HashSet};

use ipvs_flow::{sctp, tcp};

/// number, name, timeout in seconds, counts as active
const TCP_STATES: &str = "
| 0 | NONE | 2 | |
| 1 | ESTABLISHED | 900 | yes |
| 2 | SYN_SENT | 120 | yes |
| 3 | SYN_RECV | 60 | yes |
| 4 | FIN_WAIT | 120 | |
| 5 | TIME_WAIT | 120 | |
| 6 | CLOSE | 10 | |
| 7 | CLOSE_WAIT | 60 | |
| 8 | LAST_ACK | 30 | |
| 9 | LISTEN | 120 | |
| 10 | SYNACK | 120 | yes |
";

/// Rows: direction and segment. Columns: current state. Cells: next state.
const TCP: &str = "
| normal | NO | ES | SS | SR | FW | TW | CL | CW | LA | LI | SA |
| in syn | SR | ES | ES | SR | SR | SR | SR | SR | SR | SR | SR |
| in fin | CL | CW | SS | TW | TW | TW | CL | CW | LA | LI | TW |
| in ack | ES | ES | SS | ES | FW | TW | CL | CW | CL | LI | ES |
| in rst | CL | CL | CL | SR | CL | CL | CL | CL | LA | LI | SR |
| out syn | SS | ES | SS | SR | SS | SS | SS | SS | SS | LI | SR |
| out fin | TW | FW | SS | TW | FW | TW | CL | TW | LA | LI | TW |
| out ack | ES | ES | SS | ES | FW | TW | CL | CW | LA | ES | ES |
| out rst | CL | CL | SS | CL | CL | TW | CL | CL | CL | CL | CL |
| only syn | SR | ES | ES | SR | SR | SR | SR | SR | SR | SR | SR |
| only fin | CL | FW | SS | TW | FW | TW | CL | CW | LA | LI | TW |
| only ack | ES | ES | SS | ES | FW | TW | CL | CW | CL | LI | ES |
| only rst | CL | CL | CL | SR | CL | CL | CL | CL | LA | LI | CL |
";

/// What the secure tables have otherwise: row, then current state and next state.
const TCP_SECURE: &str = "
in syn: SA SA
in fin: SA SA
in ack: SR SR, SA SA
in rst: SA CL
out syn: SR SA, SA SA
only syn: NO SA, FW SA, TW SA, CL SA, CW SA, LA SA, LI SA, SA SA
";

const SCTP_STATES: &str = "0 NONE 2; 1 INIT1 4; 2 INIT 61; 3 C-SENT 61; 4 C-REPLIED 61; 5 C-WAIT 61; 6 COOKIE 61; \
    7 C-ECHOED 61; 8 ESTABLISHED 900; 9 S-SENT 61; 10 S-RECEIVED 61; 11 S-ACK-SENT 61; 12 REJECTED 4; 13 CLOSED 61";

/// Rows: first chunk. Columns: number of the current state. Cells: number of the next.
const SCTP: &str = "
| input | 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12 | 13 |
| d | 8 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12 | 13 |
| i | 1 | 2 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 2 | 2 |
| ia | 5 | 5 | 5 | 3 | 4 | 6 | 6 | 7 | 8 | 9 | 10 | 11 | 12 | 13 |
| ce | 4 | 2 | 2 | 4 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12 | 13 |
| ca | 8 | 1 | 2 | 3 | 4 | 5 | 6 | 8 | 8 | 9 | 10 | 11 | 12 | 13 |
| s | 10 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 10 | 9 | 10 | 11 | 12 | 13 |
| sa | 13 | 2 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 13 | 10 | 13 | 12 | 13 |
| sc | 13 | 13 | 13 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 13 | 12 | 13 |
| e | 13 | 1 | 2 | 3 | 4 | 5 | 6 | 13 | 8 | 9 | 10 | 11 | 12 | 13 |
| ab | 13 | 13 | 13 | 13 | 13 | 12 | 13 | 13 | 13 | 13 | 13 | 13 | 13 | 13 |
| output | 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12 | 13 |
| d | 8 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12 | 13 |
| i | 5 | 5 | 5 | 5 | 5 | 5 | 5 | 5 | 8 | 5 | 5 | 5 | 5 | 5 |
| ia | 3 | 3 | 3 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12 | 13 |
| ce | 7 | 7 | 7 | 7 | 7 | 7 | 7 | 7 | 8 | 9 | 10 | 11 | 12 | 13 |
| ca | 8 | 8 | 8 | 8 | 8 | 8 | 8 | 8 | 8 | 9 | 10 | 11 | 12 | 13 |
| s | 9 | 9 | 9 | 9 | 9 | 9 | 9 | 9 | 9 | 9 | 10 | 11 | 12 | 13 |
| sa | 11 | 11 | 11 | 11 | 11 | 5 | 6 | 7 | 8 | 11 | 11 | 11 | 12 | 13 |
| sc | 13 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12 | 13 |
| e | 13 | 13 | 13 | 13 | 13 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12 | 13 |
| ab | 13 | 12 | 13 | 13 | 13 | 13 | 13 | 13 | 13 | 13 | 13 | 13 | 13 | 13 |
| input-only | 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12 | 13 |
| d | 8 | 1 | 2 | 3 | 4 | 8 | 6 | 7 | 8 | 9 | 10 | 11 | 12 | 13 |
| i | 1 | 2 | 2 | 2 | 2 | 2 | 6 | 7 | 8 | 9 | 10 | 11 | 2 | 2 |
| ia | 7 | 7 | 7 | 7 | 7 | 7 | 6 | 7 | 8 | 9 | 10 | 11 | 12 | 13 |
| ce | 8 | 8 | 8 | 8 | 8 | 8 | 6 | 7 | 8 | 9 | 10 | 11 | 12 | 13 |
| ca | 8 | 1 | 2 | 8 | 8 | 5 | 8 | 8 | 8 | 9 | 10 | 11 | 12 | 13 |
| s | 10 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 10 | 9 | 10 | 11 | 12 | 13 |
| sa | 13 | 2 | 2 | 3 | 4 | 5 | 6 | 7 | 13 | 13 | 10 | 13 | 12 | 13 |
| sc | 13 | 13 | 13 | 13 | 13 | 5 | 6 | 7 | 8 | 9 | 13 | 13 | 12 | 13 |
| e | 13 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12 | 13 |
| ab | 13 | 13 | 13 | 13 | 13 | 12 | 13 | 13 | 13 | 13 | 13 | 13 | 13 | 13 |
";

fn cells(line: &str) -> Vec<&str> {
    line.trim().trim_matches('|').split('|').map(str::trim).collect()
}

fn tcp_state(short: &str) -> tcp::State {
    let shorts = ["NO", "ES", "SS", "SR", "FW", "TW", "CL", "CW", "LA", "LI", "SA"];
    tcp::State::ALL[shorts.iter().position(|s| *s == short).expect("a state")]
}

fn tcp_row(name: &str) -> (tcp::Direction, tcp::Event) {
    let (direction, event) = name.split_once(' ').expect("direction and event");
    let direction = match direction {
        "in" => tcp::Direction::Input,
        "out" => tcp::Direction::Output,
        "only" => tcp::Direction::InputOnly,
        other => panic!("{other}"),
    };
    let event = match event {
        "syn" => tcp::Event::Syn,
        "fin" => tcp::Event::Fin,
        "ack" => tcp::Event::Ack,
        "rst" => tcp::Event::Rst,
        other => panic!("{other}"),
    };
    (direction, event)
}

#[test]
fn tcp_states_are_as_described() {
    let lines: Vec<_> = TCP_STATES.trim().lines().collect();
    assert_eq!(lines.len(), tcp::State::ALL.len());
    for (state, line) in tcp::State::ALL.into_iter().zip(lines) {
        let [number, name, timeout, active] = cells(line)[..] else { panic!("{line}") };
        assert_eq!((state as u8).to_string(), number);
        assert_eq!((state.name(), state.timeout().to_string().as_str()), (name, timeout));
        assert_eq!(state.is_active(), active == "yes", "{name}");
        assert_eq!(tcp::State::from_number(state as u8), Some(state));
    }
    assert_eq!(tcp::State::from_number(11), None);
}

#[test]
fn tcp_next_states_are_as_described() {
    let mut lines = TCP.trim().lines();
    let columns: Vec<_> = cells(lines.next().unwrap())[1..].iter().map(|s| tcp_state(s)).collect();
    assert_eq!(columns, tcp::State::ALL);
    let mut secure_cells = BTreeMap::new();
    for line in TCP_SECURE.trim().lines() {
        let (row, changes) = line.split_once(": ").unwrap();
        for (from, to) in changes.split(", ").map(|change| change.split_once(' ').unwrap()) {
            secure_cells.insert((row, tcp_state(from) as u8), tcp_state(to));
        }
    }
    let mut seen = HashSet::new();
    for line in lines {
        let cells = cells(line);
        let (direction, event) = tcp_row(cells[0]);
        for (state, next) in columns.iter().copied().zip(&cells[1..]) {
            let next = tcp_state(next);
            assert_eq!(tcp::next_state(false, direction, event, state), next, "{} from {state:?}", cells[0]);
            let secure = secure_cells.get(&(cells[0], state as u8)).copied().unwrap_or(next);
            assert_eq!(
                tcp::next_state(true, direction, event, state),
                secure,
                "secure {} from {state:?}",
                cells[0]
            );
            seen.insert((direction, event, state));
        }
    }
    assert_eq!(seen.len(), 3 * 4 * 11);
    for state in tcp::State::ALL {
        assert_eq!(
            tcp::next_state(false, tcp::Direction::Output, tcp::Event::Nothing, state),
            tcp::State::Close
        );
    }
}

#[test]
fn tcp_events_follow_the_first_flag_that_counts() {
    for flags in 0..=u8::MAX {
        let [fin, syn, rst, ack] = [1, 2, 4, 0x10].map(|bit| flags & bit != 0);
        let expected = match () {
            () if rst => tcp::Event::Rst,
            () if syn => tcp::Event::Syn,
            () if fin => tcp::Event::Fin,
            () if ack => tcp::Event::Ack,
            () => tcp::Event::Nothing,
        };
        assert_eq!(tcp::Event::from_flags(flags), expected);
    }
}

#[test]
fn sctp_states_are_as_described() {
    let described: Vec<_> = SCTP_STATES.split(';').collect();
    assert_eq!(described.len(), sctp::State::ALL.len());
    for (state, text) in sctp::State::ALL.into_iter().zip(described) {
        assert_eq!(format!("{} {} {}", state as u8, state.name(), state.timeout()), text.trim());
        assert_eq!(state.is_active(), state.name() == "ESTABLISHED");
        assert_eq!(sctp::State::from_number(state as u8), Some(state));
    }
}

#[test]
fn sctp_next_states_are_as_described() {
    let mut direction = None;
    let mut seen = HashSet::new();
    for line in SCTP.trim().lines() {
        let cells = cells(line);
        let event = match cells[0] {
            "input" => {
                direction = Some(sctp::Direction::Input);
                continue;
            }
            "output" => {
                direction = Some(sctp::Direction::Output);
                continue;
            }
            "input-only" => {
                direction = Some(sctp::Direction::InputOnly);
                continue;
            }
            "d" => sctp::Event::Data,
            "i" => sctp::Event::Init,
            "ia" => sctp::Event::InitAck,
            "ce" => sctp::Event::CookieEcho,
            "ca" => sctp::Event::CookieAck,
            "s" => sctp::Event::Shutdown,
            "sa" => sctp::Event::ShutdownAck,
            "sc" => sctp::Event::ShutdownComplete,
            "e" => sctp::Event::Error,
            "ab" => sctp::Event::Abort,
            other => panic!("{other}"),
        };
        let direction = direction.unwrap();
        for (state, next) in sctp::State::ALL.into_iter().zip(&cells[1..]) {
            assert_eq!(
                (sctp::next_state(direction, event, state) as u8).to_string(),
                *next,
                "{line} from {state:?}"
            );
            seen.insert((direction, event, state));
        }
    }
    assert_eq!(seen.len(), 3 * 10 * 14);
}

#[test]
fn sctp_events_follow_the_first_chunk() {
    use sctp::Event;
    let single = [
        (0, Event::Data),
        (1, Event::Init),
        (2, Event::InitAck),
        (3, Event::Data),
        (4, Event::Data),
        (5, Event::Data),
        (6, Event::Abort),
        (7, Event::Shutdown),
        (8, Event::ShutdownAck),
        (9, Event::Error),
        (10, Event::CookieEcho),
        (11, Event::CookieAck),
        (12, Event::Data),
        (13, Event::Data),
        (14, Event::ShutdownComplete),
        (255, Event::Data),
    ];
    for (chunk, event) in single {
        assert_eq!(Event::from_chunks(chunk, None), event);
        let aborted = if matches!(chunk, 10 | 11) { Event::Abort } else { event };
        assert_eq!(Event::from_chunks(chunk, Some(6)), aborted);
        assert_eq!(Event::from_chunks(chunk, Some(0)), event);
    }
}
