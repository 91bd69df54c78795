//! TCP's state machine, as IPVS runs it from either side of a connection.
//!
//! Facts observed at Linux 6.1, each cell of the tables too.

/// State of a TCP connection; the kernel's numbers (`IP_VS_TCP_S_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names are TCP's own")]
pub enum State {
    None = 0,
    Established = 1,
    SynSent = 2,
    SynRecv = 3,
    FinWait = 4,
    TimeWait = 5,
    Close = 6,
    CloseWait = 7,
    LastAck = 8,
    Listen = 9,
    SynAck = 10,
}

use State::{
    Close as CL, CloseWait as CW, Established as ES, FinWait as FW, LastAck as LA, Listen as LI, None as NO,
    SynAck as SA, SynRecv as SR, SynSent as SS, TimeWait as TW,
};

impl State {
    /// All states, in the order of their numbers.
    pub const ALL: [State; 11] = [NO, ES, SS, SR, FW, TW, CL, CW, LA, LI, SA];

    /// The state with this number.
    pub fn from_number(number: u8) -> Option<State> {
        State::ALL.get(usize::from(number)).copied()
    }

    /// Name as listings show it.
    pub const fn name(self) -> &'static str {
        match self {
            NO => "NONE",
            ES => "ESTABLISHED",
            SS => "SYN_SENT",
            SR => "SYN_RECV",
            FW => "FIN_WAIT",
            TW => "TIME_WAIT",
            CL => "CLOSE",
            CW => "CLOSE_WAIT",
            LA => "LAST_ACK",
            LI => "LISTEN",
            SA => "SYNACK",
        }
    }

    /// Default timeout, in seconds.
    pub const fn timeout(self) -> u32 {
        match self {
            NO => 2,
            ES => 15 * 60,
            SS | FW | TW | LI | SA => 120,
            SR | CW => 60,
            CL => 10,
            LA => 30,
        }
    }

    /// Whether a connection in this state counts as active.
    pub const fn is_active(self) -> bool {
        matches!(self, ES | SS | SR | SA)
    }
}

/// What a segment means to the state machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// SYN.
    Syn,
    /// FIN.
    Fin,
    /// ACK and none of the others.
    Ack,
    /// RST.
    Rst,
    /// None of the flags: the connection closes.
    Nothing,
}

impl Event {
    /// The event of a segment with these flags (the header's fourteenth byte). The first of RST, SYN, FIN, ACK counts.
    pub const fn from_flags(flags: u8) -> Event {
        match flags {
            _ if flags & 0x04 != 0 => Event::Rst,
            _ if flags & 0x02 != 0 => Event::Syn,
            _ if flags & 0x01 != 0 => Event::Fin,
            _ if flags & 0x10 != 0 => Event::Ack,
            _ => Event::Nothing,
        }
    }
}

/// Where a packet goes, and what the director sees of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client.
    Input,
    /// To the client.
    Output,
    /// From the client, while the director has seen no packet to the client (flag NOOUTPUT: direct routing, tunneling).
    InputOnly,
}

/// The state after `event` from `state`. `secure`: the tables of the `secure_tcp` defence.
pub const fn next_state(secure: bool, direction: Direction, event: Event, state: State) -> State {
    let row = match event {
        Event::Syn => 0,
        Event::Fin => 1,
        Event::Ack => 2,
        Event::Rst => 3,
        Event::Nothing => return CL,
    };
    let tables = if secure { &SECURE } else { &NORMAL };
    // The indices are within the arrays: each comes from an enum.
    tables[direction as usize][row][state as usize]
}

/// Next states of one event, by state.
type Row = [State; 11];
/// Rows by direction and event.
type Tables = [[Row; 4]; 3];

const NORMAL: Tables = [
    [
        //NO, ES, SS, SR, FW, TW, CL, CW, LA, LI, SA
        [SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR],
        [CL, CW, SS, TW, TW, TW, CL, CW, LA, LI, TW],
        [ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES],
        [CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, SR],
    ],
    [
        [SS, ES, SS, SR, SS, SS, SS, SS, SS, LI, SR],
        [TW, FW, SS, TW, FW, TW, CL, TW, LA, LI, TW],
        [ES, ES, SS, ES, FW, TW, CL, CW, LA, ES, ES],
        [CL, CL, SS, CL, CL, TW, CL, CL, CL, CL, CL],
    ],
    [
        [SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR],
        [CL, FW, SS, TW, FW, TW, CL, CW, LA, LI, TW],
        [ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES],
        [CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL],
    ],
];

const SECURE: Tables = [
    [
        [SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SA],
        [CL, CW, SS, TW, TW, TW, CL, CW, LA, LI, SA],
        [ES, ES, SS, SR, FW, TW, CL, CW, CL, LI, SA],
        [CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL],
    ],
    [
        [SS, ES, SS, SA, SS, SS, SS, SS, SS, LI, SA],
        [TW, FW, SS, TW, FW, TW, CL, TW, LA, LI, TW],
        [ES, ES, SS, ES, FW, TW, CL, CW, LA, ES, ES],
        [CL, CL, SS, CL, CL, TW, CL, CL, CL, CL, CL],
    ],
    [
        [SA, ES, ES, SR, SA, SA, SA, SA, SA, SA, SA],
        [CL, FW, SS, TW, FW, TW, CL, CW, LA, LI, TW],
        [ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES],
        [CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL],
    ],
];
