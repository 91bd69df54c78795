//! Persistence engines: what of a packet, besides its client, says to which server it belongs. One file each; [`by_name`]
//! knows them all.

mod sip;

use core::fmt::Debug;

use crate::error::Error;

/// The most bytes that an engine may take from a packet (the kernel's IP_VS_PEDATA_MAXLEN).
pub(crate) const LONGEST: usize = 255;

/// A persistence engine.
pub(crate) trait PersistenceEngine: Debug + Sync {
    /// The name by which it is known.
    fn name(&self) -> &'static str;

    /// The part of a packet that its template is found by, at most [`LONGEST`] bytes: `payload` is all that follows the
    /// transport header's fixed part. `None`: there is none, and the packet may not start a connection.
    fn data<'p>(&self, protocol: u8, payload: &'p [u8]) -> Option<&'p [u8]>;

    /// The protocol in which servers may begin connections too.
    fn servers_begin(&self) -> Option<u8> {
        None
    }
}

/// An engine in use.
pub(crate) type Engine = &'static dyn PersistenceEngine;

/// All of them.
static ENGINES: [Engine; 1] = [&sip::Sip];

/// The engine of that name.
///
/// # Errors
/// [`Error::NoSuchPersistenceEngine`] if the name is unknown.
pub(crate) fn by_name(name: &str) -> Result<Engine, Error> {
    ENGINES.into_iter().find(|engine| engine.name() == name).ok_or(Error::NoSuchPersistenceEngine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_exact() {
        assert_eq!(by_name("sip").map(PersistenceEngine::name), Ok("sip"));
        for name in ["SIP", "si", "sipp", ""] {
            assert_eq!(by_name(name).err(), Some(Error::NoSuchPersistenceEngine), "{name}");
        }
    }
}
