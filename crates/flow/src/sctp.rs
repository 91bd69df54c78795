//! SCTP's state machine, as IPVS runs it from either side of an association.
//!
//! Facts observed at Linux 6.1, each cell of the tables too.

pub use crate::tcp::Direction;

/// State of an SCTP association; the kernel's numbers (`IP_VS_SCTP_S_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names are the kernel's own")]
pub enum State {
    None = 0,
    Init1 = 1,
    Init = 2,
    CookieSent = 3,
    CookieReplied = 4,
    CookieWait = 5,
    Cookie = 6,
    CookieEchoed = 7,
    Established = 8,
    ShutdownSent = 9,
    ShutdownReceived = 10,
    ShutdownAckSent = 11,
    Rejected = 12,
    Closed = 13,
}

impl State {
    /// All states, in the order of their numbers.
    pub const ALL: [State; 14] = [
        State::None,
        State::Init1,
        State::Init,
        State::CookieSent,
        State::CookieReplied,
        State::CookieWait,
        State::Cookie,
        State::CookieEchoed,
        State::Established,
        State::ShutdownSent,
        State::ShutdownReceived,
        State::ShutdownAckSent,
        State::Rejected,
        State::Closed,
    ];

    /// The state with this number.
    pub fn from_number(number: u8) -> Option<State> {
        State::ALL.get(usize::from(number)).copied()
    }

    /// Name as listings show it.
    pub const fn name(self) -> &'static str {
        match self {
            State::None => "NONE",
            State::Init1 => "INIT1",
            State::Init => "INIT",
            State::CookieSent => "C-SENT",
            State::CookieReplied => "C-REPLIED",
            State::CookieWait => "C-WAIT",
            State::Cookie => "COOKIE",
            State::CookieEchoed => "C-ECHOED",
            State::Established => "ESTABLISHED",
            State::ShutdownSent => "S-SENT",
            State::ShutdownReceived => "S-RECEIVED",
            State::ShutdownAckSent => "S-ACK-SENT",
            State::Rejected => "REJECTED",
            State::Closed => "CLOSED",
        }
    }

    /// Default timeout, in seconds.
    pub const fn timeout(self) -> u32 {
        match self {
            State::None => 2,
            State::Init1 | State::Rejected => 4,
            State::Established => 15 * 60,
            _ => 61,
        }
    }

    /// Whether an association in this state counts as active.
    pub const fn is_active(self) -> bool {
        matches!(self, State::Established)
    }
}

/// What a packet means to the state machine: the type of its first chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are SCTP's own chunk types")]
pub enum Event {
    /// DATA, SACK, HEARTBEAT and its ACK, ECN and every type not named below.
    Data,
    Init,
    InitAck,
    CookieEcho,
    CookieAck,
    Shutdown,
    ShutdownAck,
    ShutdownComplete,
    Error,
    Abort,
}

impl Event {
    /// The event of a packet from its first chunk's type and the second one's, if there is one: COOKIE ECHO or
    /// COOKIE ACK followed by ABORT counts as ABORT.
    pub const fn from_chunks(first: u8, second: Option<u8>) -> Event {
        match (first, second) {
            (COOKIE_ECHO | COOKIE_ACK, Some(ABORT)) | (ABORT, _) => Event::Abort,
            (COOKIE_ECHO, _) => Event::CookieEcho,
            (COOKIE_ACK, _) => Event::CookieAck,
            (1, _) => Event::Init,
            (2, _) => Event::InitAck,
            (7, _) => Event::Shutdown,
            (8, _) => Event::ShutdownAck,
            (9, _) => Event::Error,
            (14, _) => Event::ShutdownComplete,
            _ => Event::Data,
        }
    }
}

const ABORT: u8 = 6;
const COOKIE_ECHO: u8 = 10;
const COOKIE_ACK: u8 = 11;

/// The state after `event` from `state`.
pub const fn next_state(direction: Direction, event: Event, state: State) -> State {
    // The indices are within the arrays: each comes from an enum, and the tables hold numbers of states only.
    State::ALL[TABLES[direction as usize][event as usize][state as usize] as usize]
}

/// Numbers of the next states, by direction, event and state.
const TABLES: [[[u8; 14]; 10]; 3] = [
    [
        // Input.
        [8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13],
        [1, 2, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 2, 2],
        [5, 5, 5, 3, 4, 6, 6, 7, 8, 9, 10, 11, 12, 13],
        [4, 2, 2, 4, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13],
        [8, 1, 2, 3, 4, 5, 6, 8, 8, 9, 10, 11, 12, 13],
        [10, 1, 2, 3, 4, 5, 6, 7, 10, 9, 10, 11, 12, 13],
        [13, 2, 2, 3, 4, 5, 6, 7, 8, 13, 10, 13, 12, 13],
        [13, 13, 13, 3, 4, 5, 6, 7, 8, 9, 10, 13, 12, 13],
        [13, 1, 2, 3, 4, 5, 6, 13, 8, 9, 10, 11, 12, 13],
        [13, 13, 13, 13, 13, 12, 13, 13, 13, 13, 13, 13, 13, 13],
    ],
    [
        // Output.
        [8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13],
        [5, 5, 5, 5, 5, 5, 5, 5, 8, 5, 5, 5, 5, 5],
        [3, 3, 3, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13],
        [7, 7, 7, 7, 7, 7, 7, 7, 8, 9, 10, 11, 12, 13],
        [8, 8, 8, 8, 8, 8, 8, 8, 8, 9, 10, 11, 12, 13],
        [9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 10, 11, 12, 13],
        [11, 11, 11, 11, 11, 5, 6, 7, 8, 11, 11, 11, 12, 13],
        [13, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13],
        [13, 13, 13, 13, 13, 5, 6, 7, 8, 9, 10, 11, 12, 13],
        [13, 12, 13, 13, 13, 13, 13, 13, 13, 13, 13, 13, 13, 13],
    ],
    [
        // Input only.
        [8, 1, 2, 3, 4, 8, 6, 7, 8, 9, 10, 11, 12, 13],
        [1, 2, 2, 2, 2, 2, 6, 7, 8, 9, 10, 11, 2, 2],
        [7, 7, 7, 7, 7, 7, 6, 7, 8, 9, 10, 11, 12, 13],
        [8, 8, 8, 8, 8, 8, 6, 7, 8, 9, 10, 11, 12, 13],
        [8, 1, 2, 8, 8, 5, 8, 8, 8, 9, 10, 11, 12, 13],
        [10, 1, 2, 3, 4, 5, 6, 7, 10, 9, 10, 11, 12, 13],
        [13, 2, 2, 3, 4, 5, 6, 7, 13, 13, 10, 13, 12, 13],
        [13, 13, 13, 13, 13, 5, 6, 7, 8, 9, 13, 13, 12, 13],
        [13, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13],
        [13, 13, 13, 13, 13, 12, 13, 13, 13, 13, 13, 13, 13, 13],
    ],
];
