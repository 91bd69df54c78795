//! What becomes of a packet.

use std::net::IpAddr;

/// What the caller must do with the packet it gave to [`crate::Director::receive`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send the packet, rewritten in place where the method asks for it, on the route to `next`.
    Forward {
        /// The address whose route to take: the packet's own destination, or with direct routing the real server's.
        next: IpAddr,
    },
    /// Hand the packet, rewritten in place, to a real server on this host.
    Deliver,
    /// The packet was dropped for this reason (and is so counted), and an ICMP error to its sender now stands in its
    /// place; send that on the route to its destination address.
    Reply(Reason),
    /// Not IPVS's concern: give the packet to the host's own network stack as it came.
    Pass,
    /// Drop it.
    Drop(Reason),
}

/// Declares [`Reason`] with each reason's name, in one place.
macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// Why a packet was dropped. Each is counted; see [`crate::Director::drops`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Reason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Reason {
            /// Every reason, in the order of the counters.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The reason's name as shown to users and in metrics.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What it means, a sentence or more.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc,)+).trim_ascii_start(),)+ }
            }
        }
    };
}

reasons! {
    /// A header is truncated, contradicts itself or has a bad length.
    Malformed = "malformed",
    /// A fragment, which the director does not take: the datapath reassembles datagrams first.
    Fragment = "fragment",
    /// Its IPv4 options choose its way.
    SourceRoute = "source-route",
    /// It may not start a connection because the service's persistence engine finds nothing to go by: no SIP Call-ID.
    NoPersistenceData = "no-persistence-data",
    /// The connection table is full.
    TableFull = "table-full",
    /// One client port has too many connections to be told apart quickly.
    ClientPortFull = "client-port-full",
    /// The service has no usable destination; the client got an ICMP port unreachable where that could be sent.
    NoDestination = "no-destination",
    /// All ports of the destination's pool are in use towards it (full NAT); the client got an ICMP port unreachable where that
    /// could be sent.
    PoolExhausted = "pool-exhausted",
    /// For a virtual address that is not the host's, but for no service and no connection there: answered as a host
    /// would, with a reset or ICMP port unreachable.
    NotServed = "not-served",
    /// From a real server but of no connection, with `nat_icmp_send`; the server got an ICMP port unreachable where that
    /// could be sent.
    NoConnection = "no-connection",
    /// The defence dropped it instead of starting a connection (`drop_packet`).
    Defence = "defence",
    /// A segment of a connection that a helper reads, while one ahead of it is missing.
    OutOfOrder = "out-of-order",
    /// A segment of a connection whose server is told the client's address by a PROXY header, before its handshake was
    /// seen: nobody knows where the header goes.
    ProxyHeader = "proxy-header",
    /// The connection's destination was removed or is not available.
    DestinationUnavailable = "destination-unavailable",
    /// TTL or hop limit ran out; the sender got an ICMP error where that could be sent.
    HopLimitExceeded = "hop-limit-exceeded",
    /// There is no route to the destination.
    NoRoute = "no-route",
    /// The packet exceeds the path MTU and may not be fragmented; the sender got an ICMP error where that could be sent.
    TooBig = "too-big",
    /// A tunnel to the server leaves less than IPv6's smallest MTU, or there is no room for its headers.
    TunnelTooSmall = "tunnel-too-small",
    /// The forwarding method is not implemented yet.
    MethodNotSupported = "method-not-supported",
    /// An ICMP error about a connection whose embedded packet is unusable.
    IcmpMalformed = "icmp-malformed",
}

impl Reason {
    /// The setting that has such packets dropped or would spare them, if there is one: of /proc/sys/net/ipv4/vs by its
    /// name, else as an option.
    pub const fn setting(self) -> Option<&'static str> {
        Some(match self {
            Self::NoPersistenceData => "the service's persistence engine (ipvsadm --pe)",
            Self::TableFull => "ipvsd run --capacity",
            Self::NoDestination => "cache_bypass (for services by mark)",
            Self::PoolExhausted => "the pool's addresses (ipvsd pool add)",
            Self::NotServed => "ipvsd run --no-arp",
            Self::NoConnection => "nat_icmp_send",
            Self::ProxyHeader => "the destination's PROXY protocol (ipvsadm --proxy-protocol)",
            Self::Defence => "drop_packet",
            Self::DestinationUnavailable => "expire_nodest_conn",
            _ => return None,
        })
    }
}

/// Why a half-open connection had to go for a new one. Each is counted; see [`crate::Director::evictions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Eviction {
    /// Its service was at its quota, see [`crate::Config::half_open_quota`].
    HalfOpenQuota,
    /// The connection table was full.
    TableFull,
}

impl Eviction {
    /// Every one, in the order of the counters.
    pub const ALL: [Self; 2] = [Self::HalfOpenQuota, Self::TableFull];

    /// The name as shown to users and in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HalfOpenQuota => "half-open-quota",
            Self::TableFull => "table-full",
        }
    }
}
