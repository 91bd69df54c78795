//! Looking up in bulk (`crates/xdp/src/bulk.rs`): the program that frames meet on their way out, the services whose packets are put off for
//! that, and what the daemon gets from there.

use std::collections::BTreeSet;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd};

use aya::maps::{Array, MapData, MapError, RingBuf};
use aya::programs::{ProgramError, ProgramFd, Xdp};

use super::Program;

/// The program for frames on their way out.
const LEAVING: &str = "ipvsd_leaving";

/// Bytes before a frame in the ring, and the bit of its length that says that it is to leave as it is.
const BEFORE: usize = 8;
const READY: u32 = 1 << 31;

/// Length of the Ethernet header.
const ETHERNET: u32 = 14;
/// Longest frame that the ring takes.
const LONGEST: u32 = 2048;

/// A service as the program knows it.
type ServiceValue = [u32; 4];

/// A service of IPv4 all of whose packets leave by one interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BulkService {
    /// IP protocol number.
    pub(crate) protocol: u8,
    /// Address.
    pub(crate) address: Ipv4Addr,
    /// Port.
    pub(crate) port: u16,
    /// The interface.
    pub(crate) interface: u32,
    /// Longest packet that fits all of its ways, in bytes.
    pub(crate) mtu: u32,
}

impl BulkService {
    fn value(&self) -> ServiceValue {
        let end = u32::from(self.protocol) | u32::from(self.port.to_be()) << 16;
        let longest = self.mtu.saturating_add(ETHERNET).min(LONGEST);
        [u32::from_ne_bytes(self.address.octets()), end, self.interface, longest]
    }

    /// The place where the program looks for it.
    pub(crate) fn place(&self) -> u8 {
        let [high, low] = self.port.to_be_bytes();
        let [.., last] = self.address.octets();
        last ^ high ^ low ^ self.protocol
    }
}

/// What looking up in bulk needs of the kernel.
pub(super) struct Bulk {
    services: Array<MapData, ServiceValue>,
    misfits: RingBuf<MapData>,
    /// The program, if it is loaded.
    leaving: Option<ProgramFd>,
    /// Interfaces whose frames meet it.
    met_at: BTreeSet<u32>,
}

/// A frame that was put off and could not be forwarded.
#[derive(Debug)]
pub(crate) struct Misfit<'r> {
    /// The interface that it is to leave by as it is, or else came by.
    pub(crate) interface: u32,
    /// It is to leave as it is.
    pub(crate) ready: bool,
    /// The frame.
    pub(crate) frame: &'r [u8],
}

impl<'r> Misfit<'r> {
    /// Reads what stands in the ring.
    fn read(bytes: &'r [u8]) -> Option<Self> {
        let word = |at| Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?));
        let (interface, length): (u32, u32) = (word(0)?, word(4)?);
        let frame = bytes.get(BEFORE..)?.get(..(length & !READY) as usize)?;
        Some(Self { interface, ready: length & READY != 0, frame })
    }
}

impl Bulk {
    pub(super) fn new(services: Array<MapData, ServiceValue>, misfits: RingBuf<MapData>) -> Self {
        Self { services, misfits, leaving: None, met_at: BTreeSet::new() }
    }

    /// The program that frames meet on their way out by an interface.
    pub(super) fn leaving_at(&self, interface: u32) -> Option<&ProgramFd> {
        self.leaving.as_ref().filter(|_| self.met_at.contains(&interface))
    }
}

impl Program {
    /// Loads the program for frames on their way out.
    pub(crate) fn load_leaving(&mut self) -> Result<(), ProgramError> {
        let program: &mut Xdp = self.ebpf.program_mut(LEAVING).ok_or(ProgramError::NotLoaded)?.try_into()?;
        program.load()?;
        self.bulk.leaving = Some(program.fd()?.try_clone()?);
        Ok(())
    }

    /// Whether there is that program, and frames of all interfaces may meet it: those in several buffers may not.
    pub(crate) fn can_put_off(&self) -> bool {
        self.bulk.leaving.is_some() && !self.has_frags()
    }

    /// Whether frames by an interface meet that program. Those that the kernel has collected have it as it was.
    pub(crate) fn set_leaving(&mut self, interface: u32, meets: bool) -> io::Result<()> {
        if meets {
            self.bulk.met_at.insert(interface);
        } else {
            self.bulk.met_at.remove(&interface);
        }
        self.set_exit(interface).map_err(io::Error::other)
    }

    /// Says which service's packets are put off, of those with that [place](BulkService::place). Frames by its interface must meet the
    /// program since so long that the kernel has none that do not.
    pub(crate) fn set_bulk_service(
        &mut self,
        place: u8,
        service: Option<&BulkService>,
    ) -> Result<(), MapError> {
        self.bulk.services.set(place.into(), service.map_or([0; 4], BulkService::value), 0)
    }

    /// Takes the next frame that was put off in vain; `false`: there is none.
    pub(crate) fn take_misfit(&mut self, take: impl FnOnce(Misfit<'_>)) -> bool {
        let Some(item) = self.bulk.misfits.next() else { return false };
        if let Some(misfit) = Misfit::read(&item) {
            take(misfit);
        }
        true
    }

    /// What becomes readable when such frames come.
    pub(crate) fn misfits(&self) -> BorrowedFd<'_> {
        self.bulk.misfits.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_stands_as_its_packets_say() {
        let service =
            BulkService { protocol: 6, address: [10, 1, 2, 3].into(), port: 0x1234, interface: 7, mtu: 1500 };
        let [address, end, interface, longest] = service.value();
        assert_eq!(address.to_ne_bytes(), [10, 1, 2, 3]);
        assert_eq!(end.to_ne_bytes(), [6, 0, 0x12, 0x34]);
        assert_eq!((interface, longest), (7, 1514));
        assert_eq!(service.place(), 3 ^ 0x12 ^ 0x34 ^ 6);
    }

    #[test]
    fn no_ring_entry_reads_beyond_itself() {
        let entry =
            |length: u32, frame: &[u8]| [&9u32.to_ne_bytes()[..], &length.to_ne_bytes(), frame].concat();
        let whole = entry(3 | READY, &[1, 2, 3, 4]);
        let misfit = Misfit::read(&whole).unwrap();
        assert_eq!((misfit.interface, misfit.ready, misfit.frame), (9, true, &[1, 2, 3][..]));
        assert!(!Misfit::read(&entry(3, &[1, 2, 3])).unwrap().ready);
        assert!(Misfit::read(&entry(4, &[1, 2, 3])).is_none());
        assert!(Misfit::read(&whole[..7]).is_none());
    }
}
