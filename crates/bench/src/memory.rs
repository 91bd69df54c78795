//! Memory of a connection.

use std::collections::BTreeMap;

use crate::Error;
use crate::build::{self, Site};
use crate::path::Path;
use crate::peer::Peer;

/// Connections that are next to nothing.
const FEW: u32 = 1024;

/// Bytes, and what they are of.
pub(crate) fn per_connection(peer: &mut Peer, site: &Site<'_>) -> Result<(f64, String), Error> {
    match (&peer.daemon, peer.path) {
        (Some(daemon), _) => {
            let whole = of_process(daemon.id())?;
            let fixed = match peer.memory_without_connections {
                Some(fixed) => fixed,
                None => without_connections(peer.path, site)?,
            };
            peer.memory_without_connections = Some(fixed);
            let each = whole.saturating_sub(fixed) as f64 / f64::from(peer.capacity - FEW);
            let (room, fixed) = (peer.capacity, fixed as f64 / 1e6);
            Ok((each, format!("of room for {room}; the daemon and its maps take {fixed:.1} MB beside")))
        }
        (None, Path::Nft) => {
            let failed = |why: String| Error::setup("read how large a tracked connection is", why);
            let text =
                std::fs::read_to_string("/proc/slabinfo").map_err(|error| failed(error.to_string()))?;
            let size =
                tracked_in(&text).ok_or_else(|| failed("/proc/slabinfo has no nf_conntrack".into()))?;
            Ok((size as f64, "an entry of connection tracking, without its hash table and extensions".into()))
        }
        _ => Err(Error::setup("measure memory", "nothing is kept per connection")),
    }
}

/// Memory of a daemon that has room for few.
fn without_connections(path: Path, site: &Site<'_>) -> Result<u64, Error> {
    let small = Site { label: "-small", capacity: FEW, ..*site };
    let peer = build::one(small, path)?
        .map_err(|unavailable| Error::setup("start a small daemon", unavailable.why))?;
    peer.daemon.as_ref().map_or(Ok(0), |daemon| of_process(daemon.id()))
}

/// Memory of a process's own, and of the BPF maps that it has open.
fn of_process(process: u32) -> Result<u64, Error> {
    let failed = |error| Error::setup("read the memory of the daemon", error);
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).map_err(failed)?;
    let files = std::fs::read_dir(format!("/proc/{process}/fdinfo")).map_err(failed)?;
    let texts = files.flatten().filter_map(|file| std::fs::read_to_string(file.path()).ok());
    let maps: BTreeMap<u64, u64> = texts.filter_map(|text| map_in(&text)).collect();
    Ok(own_in(&status) + maps.values().sum::<u64>())
}

/// Anonymous memory in /proc/PID/status.
fn own_in(status: &str) -> u64 {
    let kib = status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.trim().parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// A map's number and memory in /proc/PID/fdinfo/N.
fn map_in(text: &str) -> Option<(u64, u64)> {
    let value = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.trim().parse::<u64>().ok())
    };
    Some((value("map_id")?, value("memlock")?))
}

/// Bytes of a tracked connection in /proc/slabinfo.
fn tracked_in(slabs: &str) -> Option<u64> {
    let mut words = slabs.lines().find(|line| line.starts_with("nf_conntrack "))?.split_whitespace();
    words.nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_proc_says_is_understood() {
        assert_eq!(own_in("VmRSS:\t 900 kB\nRssAnon:\t     100 kB\nRssFile: 3 kB\n"), 102_400);
        let info = "pos:\t0\nflags:\t02000002\nmap_type:\t2\nmax_entries:\t9\nmemlock:\t4096\nmap_id:\t7\n";
        assert_eq!(map_in(info), Some((7, 4096)));
        assert_eq!(map_in("pos:\t0\n"), None);
        let slabs = "slabinfo - version: 2.1\nnf_conntrack_expect 0 0 208 19 1 : x\nnf_conntrack  5  16  256  16 1 : x\n";
        assert_eq!(tracked_in(slabs), Some(256));
    }
}
