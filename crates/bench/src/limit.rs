//! The machine's limit of tracked connections, which network namespaces share: raised while nftables is measured.

use std::path::PathBuf;

use crate::Error;

/// Settings as they were; put back when dropped.
#[derive(Debug)]
pub(crate) struct Limit(Vec<(PathBuf, String)>);

impl Limit {
    /// Has the kernel track `connections`, found as fast as fewer.
    pub(crate) fn raise(connections: u32) -> Result<Self, Error> {
        let mut before = Self(Vec::new());
        for name in ["nf_conntrack_max", "nf_conntrack_buckets"] {
            let path = PathBuf::from("/proc/sys/net/netfilter").join(name);
            let failed = |error| {
                Error::setup(
                    format!(
                        "raise {} to {connections} (it is the same for all network namespaces)",
                        path.display()
                    ),
                    error,
                )
            };
            let now = std::fs::read_to_string(&path).map_err(failed)?.trim().to_owned();
            if now.parse::<u32>().is_ok_and(|now| now < connections) {
                std::fs::write(&path, connections.to_string()).map_err(failed)?;
                before.0.push((path, now));
            }
        }
        Ok(before)
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        for (path, value) in &self.0 {
            // Nothing can be done about a failure here.
            let _ = std::fs::write(path, value);
        }
    }
}
