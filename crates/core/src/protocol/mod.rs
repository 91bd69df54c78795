//! Protocols that IPVS balances: what of a packet moves a connection, and which state and timeout follow.

use ipvs_flow::{sctp, tcp, udp};
use ipvs_wire::sctp as sctp_wire;
use ipvs_wire::sctp::{SctpPacket, chunk};
use ipvs_wire::{Headers, Malformed, tcp as tcp_wire};

use crate::sysctl::{Sysctl, Sysctls};
use crate::timeouts::StateTimeouts;

pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMPV6: u8 = 58;
pub(crate) const SCTP: u8 = 132;

/// The protocols of services that packets can match: TCP, UDP, SCTP.
pub(crate) const BALANCED: [u16; 3] = [6, 17, 132];

/// What the transport header says about the connection's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// A TCP segment with these flags.
    Tcp(tcp_wire::Flags),
    /// A UDP datagram.
    Udp,
    /// An SCTP packet: the types of its first chunk, and where it matters of the second.
    Sctp {
        /// The first chunk's type.
        first: u8,
        /// The second chunk's type, after COOKIE ECHO and COOKIE ACK alone.
        second: Option<u8>,
    },
}

impl Signal {
    /// Reads the transport header; `None` for a protocol that is not balanced.
    #[inline]
    pub(crate) fn read(packet: &[u8], headers: &Headers) -> Result<Option<Self>, Malformed> {
        match headers.protocol {
            TCP => Ok(Some(Self::Tcp(tcp_wire::flags(packet, headers)?))),
            UDP => Ok(Some(Self::Udp)),
            SCTP => read_sctp(packet, headers).map(Some),
            _ => Ok(None),
        }
    }

    /// Whether a packet without a connection may start one: any datagram, a SYN without RST, with `sloppy_tcp` any segment
    /// without RST; an SCTP packet that begins with INIT, with `sloppy_sctp` any but with ABORT.
    pub(crate) fn starts_connection(self, sysctls: &Sysctls) -> bool {
        let sloppy = |sysctl| sysctls.value(sysctl) != 0;
        match self {
            Self::Tcp(flags) => (flags.syn() || sloppy(Sysctl::SloppyTcp)) && !flags.rst(),
            Self::Udp => true,
            Self::Sctp { first, .. } => {
                first == chunk::INIT || sloppy(Sysctl::SloppySctp) && first != chunk::ABORT
            }
        }
    }

    /// The IP protocol number.
    pub(crate) fn protocol(self) -> u8 {
        match self {
            Self::Tcp(_) => TCP,
            Self::Udp => UDP,
            Self::Sctp { .. } => SCTP,
        }
    }

    /// Whether it is a client's first: a SYN, an INIT.
    pub(crate) fn opens(self) -> bool {
        match self {
            Self::Tcp(flags) => flags.syn(),
            Self::Udp => false,
            Self::Sctp { first, .. } => first == chunk::INIT,
        }
    }

    /// Whether it resets a connection.
    pub(crate) fn is_reset(self) -> bool {
        match self {
            Self::Tcp(flags) => flags.rst(),
            Self::Udp => false,
            Self::Sctp { first, .. } => first == chunk::ABORT,
        }
    }

    /// The state that follows `state`, and whether it counts as active. `secure`: by the tables for floods.
    pub(crate) fn next(self, state: u8, direction: tcp::Direction, secure: bool) -> Next {
        match self {
            Self::Tcp(flags) => {
                let before = tcp::State::from_number(state).unwrap_or(tcp::State::None);
                let event = tcp::Event::from_flags(flags.0);
                let state = tcp::next_state(secure, direction, event, before);
                Next {
                    state: state as u8,
                    active: state.is_active(),
                    assures: state == tcp::State::Established && before != state,
                }
            }
            Self::Udp => {
                Next { state: udp::STATE, active: false, assures: direction == tcp::Direction::Output }
            }
            Self::Sctp { first, second } => next_of_sctp(state, direction, first, second),
        }
    }
}

#[inline(never)] // TCP's way stays short
fn next_of_sctp(state: u8, direction: tcp::Direction, first: u8, second: Option<u8>) -> Next {
    let before = sctp::State::from_number(state).unwrap_or(sctp::State::None);
    let event = sctp::Event::from_chunks(first, second);
    let state = sctp::next_state(direction, event, before);
    Next {
        state: state as u8,
        active: state.is_active(),
        assures: state == sctp::State::Established && before != state,
    }
}

impl Signal {
    /// The timeout of `state`, in ticks.
    pub(crate) fn timeout(self, state: u8, timeouts: &StateTimeouts) -> u32 {
        match self {
            Self::Tcp(_) => timeouts.tcp(tcp::State::from_number(state).unwrap_or(tcp::State::None)),
            Self::Udp => timeouts.udp(),
            Self::Sctp { .. } => timeouts.sctp(sctp::State::from_number(state).unwrap_or(sctp::State::None)),
        }
    }
}

#[inline(never)] // as for `next_of_sctp`
fn read_sctp(packet: &[u8], headers: &Headers) -> Result<Signal, Malformed> {
    let first = sctp_wire::first_chunk(packet, headers)?;
    let second = match first {
        chunk::COOKIE_ECHO | chunk::COOKIE_ACK => second_chunk(headers.payload(packet)),
        _ => None,
    };
    Ok(Signal::Sctp { first, second })
}

/// The type of an SCTP packet's second chunk.
fn second_chunk(packet: &[u8]) -> Option<u8> {
    let packet = SctpPacket::new_checked(packet).ok()?;
    packet.chunks().nth(1)?.ok().map(|chunk| chunk.kind)
}

/// What follows a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Next {
    pub(crate) state: u8,
    /// Counts as active (else as inactive).
    pub(crate) active: bool,
    /// Shows that the server answers: the connection's template becomes ASSURED.
    pub(crate) assures: bool,
}

/// The state's name as the kernel prints it.
pub(crate) fn state_name(protocol: u8, state: u8) -> &'static str {
    match protocol {
        TCP => tcp::State::from_number(state).map_or("ERR!", tcp::State::name),
        UDP => udp::STATE_NAME,
        SCTP => sctp::State::from_number(state).map_or("ERR!", sctp::State::name),
        _ => "NONE",
    }
}
