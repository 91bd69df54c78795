//! Helpers: protocols whose connections tell of others in what they say. A helper reads a *control connection* and expects
//! *data connections*, which then go between the same client and server. One file each and one line in [`HELPERS`].
//!
//! With full NAT a data connection has the local address of its control connection, for servers look whether both come from one
//! client. A port of it is taken when the data connection is expected.
//!
//! - `ftp.rs`, `tftp.rs`: the helpers;
//! - `stream.rs`: a direction of a TCP connection as lines, however they are cut into segments;
//! - `sequence.rs`: sequence numbers on both sides of what a helper wrote anew;
//! - `session.rs`: what is kept of a control connection, beside the connection table;
//! - `attend.rs`: the way of a packet of a control connection;
//! - `expected.rs`: data connections before their first packet;
//! - `local_port.rs`: their ports with full NAT.

mod attend;
mod expected;
mod ftp;
mod local_port;
mod sequence;
mod session;
mod stream;
mod tftp;

use core::fmt::Debug;
use core::ops::Range;
use std::net::IpAddr;

use crate::command::ServiceId;
use crate::error::Error;

pub(crate) use session::Sessions;

/// Whoever gives this name has no helper, whatever the port.
const NEVER: &str = "none";

/// A helper. What it must know of earlier lines fits in a number, 0 at first, for each control connection.
pub(crate) trait Helper: Debug + Sync {
    /// The name by which it is known.
    fn name(&self) -> &'static str;

    /// Protocol and port of the services that have it unless they are told otherwise.
    fn usual(&self) -> (u16, u16);

    /// What a line means, or with UDP a datagram. Called with the beginning of a line too (`saying.ended` is false), each
    /// time that there is more of it, until the answer is not [`Reading::More`].
    ///
    /// With full NAT `take` takes a port of the local address, to which the server will come in the place of this port of the client.
    fn read(&self, saying: &Saying<'_>, memory: &mut u8, take: &mut Take<'_>) -> Reading;
}

/// See [`Helper::read`]. `None`: there is none.
pub(crate) type Take<'a> = dyn FnMut(u16) -> Option<u16> + 'a;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// Something said on a control connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Saying<'a> {
    pub(crate) side: Side,
    /// The line so far, with its LF if that is there.
    pub(crate) text: &'a [u8],
    /// Nothing more of it will come.
    pub(crate) ended: bool,
    /// The client's address and port.
    pub(crate) client: (IpAddr, u16),
    /// The virtual address and port, which the client knows.
    pub(crate) virtual_end: (IpAddr, u16),
    /// With full NAT, the address that the server knows as the client's; of the server's family.
    pub(crate) local: Option<IpAddr>,
}

/// What a helper makes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Nothing: the line goes on as it is.
    Nothing,
    /// It must see more. Bytes of the line from `keep` on may have to change and wait; a line that has ended goes on.
    More {
        /// Offset in the line; the line's length: none wait.
        keep: usize,
    },
    /// A data connection will come, after the bytes in `range` were written anew.
    Expect {
        /// What is expected.
        expectation: Expectation,
        /// None of it before what was kept. Not with UDP.
        edit: Option<Edit>,
    },
    /// The line goes on, after this was written anew.
    Write(Edit),
}

/// Bytes of a line and what stands in their place.
pub(crate) type Edit = (Range<usize>, Vec<u8>);

/// A data connection that will come, of the control connection's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expectation {
    /// The client will come, from any port, to this port of the virtual address, for the same port of the server.
    Client {
        /// The port.
        port: u16,
    },
    /// The server will come to this client, from the port below that of the control connection or from any.
    Server {
        /// The client's address and port.
        client: (IpAddr, u16),
        /// The port is that of FTP.
        port_below: bool,
        /// With full NAT, the port of the local address to which it will come, which was taken; `None`: that of the control
        /// connection.
        local_port: Option<u16>,
    },
}

/// A helper in use.
pub(crate) type Helping = &'static dyn Helper;

/// All of them.
static HELPERS: [Helping; 2] = [&ftp::Ftp, &tftp::Tftp];

/// A helper that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HelperInfo {
    /// The name by which services are given it.
    pub name: &'static str,
    /// IP protocol number of the services that may have it.
    pub protocol: u16,
    /// Port of the services that have it unless they are told otherwise.
    pub port: u16,
}

/// The helpers that there are.
pub fn helpers() -> impl Iterator<Item = HelperInfo> {
    HELPERS.into_iter().map(|helper| {
        let (protocol, port) = helper.usual();
        HelperInfo { name: helper.name(), protocol, port }
    })
}

/// Which helper a service's connections have.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Choice {
    /// That of the port, if it has one.
    #[default]
    ByPort,
    /// None.
    Never,
    /// This one.
    Always(Helping),
}

impl Choice {
    /// The choice of that name; no name: by port.
    ///
    /// # Errors
    /// [`Error::NoSuchHelper`] if the name is unknown; [`Error::HelperProtocol`] if it is of a helper for another protocol
    /// than the service's.
    pub(crate) fn for_service(id: &ServiceId, name: Option<&str>) -> Result<Self, Error> {
        let Some(name) = name else { return Ok(Self::ByPort) };
        if name == NEVER {
            return Ok(Self::Never);
        }
        let helper = HELPERS.into_iter().find(|helper| helper.name() == name).ok_or(Error::NoSuchHelper)?;
        match id {
            ServiceId::Address { protocol, .. } if *protocol != helper.usual().0 => {
                Err(Error::HelperProtocol)
            }
            _ => Ok(Self::Always(helper)),
        }
    }

    /// The name by which it was chosen.
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Self::ByPort => None,
            Self::Never => Some(NEVER),
            Self::Always(helper) => Some(helper.name()),
        }
    }

    /// The helper of a connection to that virtual port.
    pub(crate) fn of(self, protocol: u16, port: u16) -> Option<Helping> {
        match self {
            Self::ByPort => HELPERS.into_iter().find(|helper| helper.usual() == (protocol, port)),
            Self::Never => None,
            Self::Always(helper) => Some(helper).filter(|helper| helper.usual().0 == protocol),
        }
    }

    /// Whether data connections are to be expected at all ports of a service's address, and from all of its servers.
    pub(crate) fn uses_all_ports(self, id: &ServiceId) -> bool {
        match *id {
            ServiceId::Address { protocol, port, .. } => self.of(protocol, port).is_some(),
            ServiceId::Mark { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(protocol: u16, port: u16, name: Option<&str>) -> Result<Option<&'static str>, Error> {
        let id = ServiceId::Address { protocol, address: IpAddr::from([10, 0, 0, 1]), port };
        let choice = Choice::for_service(&id, name)?;
        assert_eq!(choice.name(), name);
        assert_eq!(choice.uses_all_ports(&id), choice.of(protocol, port).is_some());
        Ok(choice.of(protocol, port).map(Helper::name))
    }

    #[test]
    fn by_port_or_by_name() {
        assert_eq!(named(6, 21, None), Ok(Some("ftp")));
        assert_eq!(named(17, 69, None), Ok(Some("tftp")));
        for (protocol, port) in [(17, 21), (6, 69), (6, 2121), (6, 0)] {
            assert_eq!(named(protocol, port, None), Ok(None));
        }
        assert_eq!(named(6, 21, Some("none")), Ok(None));
        assert_eq!(named(6, 2121, Some("ftp")), Ok(Some("ftp")));
        assert_eq!(named(17, 2121, Some("ftp")), Err(Error::HelperProtocol));
        for name in ["FTP", "ft", "ftps", ""] {
            assert_eq!(named(6, 21, Some(name)), Err(Error::NoSuchHelper), "{name}");
        }
    }

    #[test]
    fn connections_of_mark_services_go_by_their_port() {
        let mark = ServiceId::Mark { ipv6: false, mark: 1 };
        let of = |name, protocol, port| {
            Choice::for_service(&mark, name).unwrap().of(protocol, port).map(Helper::name)
        };
        assert_eq!([of(None, 6, 21), of(None, 6, 80)], [Some("ftp"), None]);
        assert_eq!([of(Some("tftp"), 17, 80), of(Some("tftp"), 6, 80)], [Some("tftp"), None]);
    }
}
