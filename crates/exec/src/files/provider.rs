//! Where the content of the files comes from.

use ipvs_abi::errno::Errno;
use ipvs_core::Sysctl;

use super::name::Name;

/// Content for reads, and a taker of writes. Calls come from several threads at once and may take their time: who waits
/// for one can be killed meanwhile.
pub trait Provider: Send + Sync + 'static {
    /// The whole text of a file, as of now.
    ///
    /// # Errors
    /// The errno that read(2) shall give.
    fn read(&self, name: Name) -> Result<Vec<u8>, Errno>;

    /// Sets `setting` to what `text` says; how many bytes of it write(2) shall say were taken.
    ///
    /// # Errors
    /// The errno that write(2) shall give.
    fn write(&self, setting: Sysctl, text: &[u8]) -> Result<usize, Errno>;
}
