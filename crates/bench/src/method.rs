//! How ipvsd sends packets to its servers, and what arrives there.

use std::net::Ipv4Addr;

use ipvs_core::{DestinationConfig, ForwardingMethod, PoolName, Tunnel, TunnelType};

use crate::address::{
    CLIENTS, HUNDRED, HUNDRED_FIRST, HUNDRED_MASK, LOCALS, SERVER_PORT, SERVERS, SERVERS_MASK, SERVICE_PORT,
    VIRTUAL,
};
use crate::path::Path;
use crate::traffic::{Arrival, Outer};

/// The pool of full NAT.
const POOL: &str = "bench";
/// Where servers take GUE: the usual port.
const GUE_PORT: u16 = 6080;
/// Length of an IPv4 header, of a UDP header, and of the headers of GUE and GRE without options.
const IPV4: u32 = 20;
const UDP: u32 = 8;
const GUE: u32 = 4;
const GRE: u32 = 4;

/// The pool of a path's local addresses; none of those that need none.
pub(crate) fn pool(path: Path) -> Option<PoolName> {
    if path == Path::FullNat { PoolName::new(POOL).ok() } else { None }
}

/// The scheduler of a path's services.
pub(crate) fn scheduler(path: Path) -> &'static str {
    if path == Path::XdpWlc { "wlc" } else { "rr" }
}

/// The servers of a path.
pub(crate) fn servers(path: Path) -> Vec<Ipv4Addr> {
    match path {
        Path::XdpWlc => (u32::from(HUNDRED_FIRST)..).take(HUNDRED as usize).map(Ipv4Addr::from).collect(),
        _ => SERVERS.to_vec(),
    }
}

/// A server of a path as destination, and its port.
pub(crate) fn destination(path: Path) -> (DestinationConfig, u16) {
    let plain = |method| DestinationConfig::new(method, 1);
    let tunnel = |kind, port| DestinationConfig {
        tunnel: Tunnel { kind, port, flags: 0 },
        ..plain(ForwardingMethod::TUNNEL)
    };
    match path {
        Path::Dr => (plain(ForwardingMethod::DIRECT), SERVICE_PORT),
        Path::Ipip => (tunnel(TunnelType::IPIP, 0), SERVICE_PORT),
        Path::Gue => (tunnel(TunnelType::GUE, GUE_PORT), SERVICE_PORT),
        Path::Gre => (tunnel(TunnelType::GRE, 0), SERVICE_PORT),
        Path::FullNat => {
            let config = plain(ForwardingMethod::FULL_NAT);
            (DestinationConfig { local_pool: pool(path), ..config }, SERVER_PORT)
        }
        _ => (plain(ForwardingMethod::MASQUERADE), SERVER_PORT),
    }
}

/// What of a client's packet arrives at the server.
pub(crate) fn arrival(path: Path) -> Arrival {
    let outer = |protocol, length| Some(Outer { to: (SERVERS[0], SERVERS_MASK), protocol, length });
    let outer = match path {
        Path::Ipip => outer(4, IPV4),
        Path::Gue => outer(17, IPV4 + UDP + GUE),
        Path::Gre => outer(47, IPV4 + GRE),
        _ => None,
    };
    let unchanged = path == Path::Noop || path == Path::Dr || outer.is_some();
    let (to, port) = match path {
        _ if unchanged => ((VIRTUAL, Ipv4Addr::BROADCAST), SERVICE_PORT),
        Path::XdpWlc => ((HUNDRED_FIRST, HUNDRED_MASK), SERVER_PORT),
        _ => ((SERVERS[0], SERVERS_MASK), SERVER_PORT),
    };
    let from = if path == Path::FullNat { LOCALS } else { CLIENTS };
    // A redirect without a look leaves the frame as it is.
    Arrival { from, to, port, outer, is_for_server: path != Path::Noop }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::BACK;

    #[test]
    fn servers_are_where_frames_are_to_arrive() {
        for path in [Path::Xdp, Path::XdpWlc, Path::Forwarding] {
            let servers = servers(path);
            let (network, mask) = arrival(path).to;
            assert!(servers.iter().all(|server| u32::from(*server) & u32::from(mask) == u32::from(network)));
            assert!(!servers.contains(&BACK), "{servers:?}");
        }
        assert_eq!(servers(Path::XdpWlc).len(), 100);
    }
}
