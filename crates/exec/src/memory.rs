//! The memory of a client, which is hostile: any address may lead nowhere, any number may be too large, and all of it
//! may change while it is looked at.

use std::io::{IoSlice, IoSliceMut};

use ipvs_abi::errno::Errno;
use nix::sys::uio::{RemoteIoVec, process_vm_readv, process_vm_writev};
use nix::unistd::Pid;

/// The memory of the process that a thread belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory(Pid);

/// Most bytes taken at once. Longer requests than this are refused before they are read.
pub(crate) const MOST: usize = 1 << 20;

impl Memory {
    /// The memory of `thread`.
    pub(crate) fn of(thread: u32) -> Self {
        // The kernel's thread ids fit 22 bits.
        Self(Pid::from_raw(i32::try_from(thread).unwrap_or(0)))
    }

    /// `length` bytes at `address`.
    ///
    /// # Errors
    /// EFAULT if not all of them are there, EMSGSIZE for more than [`MOST`].
    pub(crate) fn read(self, address: u64, length: usize) -> Result<Vec<u8>, Errno> {
        if length > MOST {
            return Err(Errno::EMSGSIZE);
        }
        let mut bytes = vec![0; length];
        self.read_into(address, &mut bytes)?;
        Ok(bytes)
    }

    /// As many bytes at `address` as there are in an array.
    ///
    /// # Errors
    /// EFAULT if not all of them are there.
    pub(crate) fn read_array<const N: usize>(self, address: u64) -> Result<[u8; N], Errno> {
        let mut bytes = [0; N];
        self.read_into(address, &mut bytes)?;
        Ok(bytes)
    }

    fn read_into(self, address: u64, bytes: &mut [u8]) -> Result<(), Errno> {
        let length = bytes.len();
        if length == 0 {
            return Ok(());
        }
        let remote = [RemoteIoVec { base: place(address)?, len: length }];
        match process_vm_readv(self.0, &mut [IoSliceMut::new(bytes)], &remote) {
            Ok(read) if read == length => Ok(()),
            _ => Err(Errno::EFAULT),
        }
    }

    /// Puts bytes at `address`.
    ///
    /// # Errors
    /// EFAULT if not all of them can be put there; some may have been.
    pub(crate) fn write(self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        if bytes.is_empty() {
            return Ok(());
        }
        let remote = [RemoteIoVec { base: place(address)?, len: bytes.len() }];
        match process_vm_writev(self.0, &[IoSlice::new(bytes)], &remote) {
            Ok(written) if written == bytes.len() => Ok(()),
            _ => Err(Errno::EFAULT),
        }
    }
}

fn place(address: u64) -> Result<usize, Errno> {
    usize::try_from(address).map_err(|_| Errno::EFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Memory {
        Memory::of(std::process::id())
    }

    #[test]
    fn reads_what_is_there_and_nothing_else() {
        let bytes = *b"sixteen bytes ..";
        let address = bytes.as_ptr().expose_provenance() as u64;
        assert_eq!(own().read_array(address), Ok(bytes));
        assert_eq!(own().read(address, 7), Ok(b"sixteen".to_vec()));
        assert_eq!(own().read(0, 0), Ok(Vec::new()));
        for address in [0, 1, 4095, u64::MAX, u64::MAX - 3, 1 << 47] {
            assert_eq!(own().read_array::<4>(address), Err(Errno::EFAULT), "{address:#x}");
            assert_eq!(own().write(address, b"abcd"), Err(Errno::EFAULT), "{address:#x}");
        }
        assert_eq!(own().read(address, MOST + 1), Err(Errno::EMSGSIZE));
        assert_eq!(Memory::of(0).read_array::<4>(address), Err(Errno::EFAULT));
    }
}
