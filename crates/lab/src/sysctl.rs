//! Network settings of the calling thread's namespace.

use crate::Error;

/// Writes `value` to `/proc/sys/net/NAME`, which the kernel resolves in the calling thread's network namespace.
///
/// # Errors
/// [`Error`], if there is no such setting or it refuses.
pub fn set(name: &str, value: &str) -> Result<(), Error> {
    let path = format!("/proc/sys/net/{name}");
    std::fs::write(&path, value).map_err(|error| Error::setup(format!("set {path} to {value}"), error))
}

/// Whether the kernel has IPv6.
pub fn has_ipv6() -> bool {
    std::path::Path::new("/proc/sys/net/ipv6").exists()
}

/// Has the network namespace of the calling thread forward IPv4 packets, and IPv6 ones if asked for.
pub(crate) fn forward(ipv6: bool) -> Result<(), Error> {
    set("ipv4/ip_forward", "1")?;
    if ipv6 { set("ipv6/conf/all/forwarding", "1") } else { Ok(()) }
}
