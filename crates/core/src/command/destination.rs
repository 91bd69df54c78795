//! What names a destination, and what it is set to.

use std::net::IpAddr;

use crate::local_pool::PoolName;

/// Identity of a destination within its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestinationId {
    /// The real server's address; its family may differ from the service's with tunneling.
    pub address: IpAddr,
    /// The real server's port.
    pub port: u16,
}

/// How packets reach a destination: the kernel's numbers (IP_VS_CONN_F_FWD_MASK).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ForwardingMethod(pub u8);

impl ForwardingMethod {
    /// Masquerading (NAT).
    pub const MASQUERADE: Self = Self(0);
    /// Local: a server on the director.
    pub const LOCAL: Self = Self(1);
    /// Tunneling.
    pub const TUNNEL: Self = Self(2);
    /// Direct routing.
    pub const DIRECT: Self = Self(3);
    /// Bypass: to the packet's own destination.
    pub const BYPASS: Self = Self(4);
    /// Full NAT, an extension of ours: also the client's address is replaced, by one of a pool. The kernel has no method of this
    /// number.
    pub const FULL_NAT: Self = Self(5);

    /// Whether the server's answers pass the director, so that what both ends say can be changed.
    pub const fn answers_pass(self) -> bool {
        matches!(self, Self::MASQUERADE | Self::FULL_NAT)
    }
}

/// Flags for a destination's connections besides the method, the kernel's bits (IP_VS_CONN_F_*). Only socket options can
/// give and show them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ConnectionFlags(pub u32);

impl ConnectionFlags {
    /// One-packet scheduling.
    pub const ONE_PACKET: u32 = 0x2000;
    /// Connection tracking.
    pub const CONNTRACK: u32 = 0x1_0000;
    /// Those that can be given.
    pub const GIVEN: u32 = Self::ONE_PACKET | Self::CONNTRACK;
}

/// How a tunneled packet is encapsulated. Any value of `kind` is kept as given, as the kernel does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tunnel {
    /// Encapsulation: see [`TunnelType`].
    pub kind: u8,
    /// UDP port for GUE.
    pub port: u16,
    /// 1: checksum, 2: remote checksum offload.
    pub flags: u16,
}

/// Encapsulations, the kernel's numbers (IP_VS_CONN_F_TUNNEL_TYPE_*).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TunnelType;

impl TunnelType {
    /// IP in IP.
    pub const IPIP: u8 = 0;
    /// Generic UDP encapsulation.
    pub const GUE: u8 = 1;
    /// Generic routing encapsulation.
    pub const GRE: u8 = 2;
}

/// What a destination is set to by add and edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DestinationConfig {
    /// Forwarding method.
    pub forwarding: ForwardingMethod,
    /// More flags; others than [`ConnectionFlags::GIVEN`] are dropped.
    pub flags: ConnectionFlags,
    /// Weight; negative is refused.
    pub weight: i32,
    /// No new connections at this many; 0: no limit.
    pub upper_threshold: u32,
    /// New connections again below this many; 0: three quarters of the upper one.
    pub lower_threshold: u32,
    /// Encapsulation for tunneling.
    pub tunnel: Tunnel,
    /// Where full NAT takes local addresses from; with another method there is none.
    pub local_pool: Option<PoolName>,
    /// Ours: whether the server is told each client's address by a PROXY protocol header (version 2) ahead of what the client
    /// sends over TCP; `None`: as it was, at first not. Shown as `Some(true)` or `None`. Connections keep what they began with.
    pub proxy: Option<bool>,
}

impl DestinationConfig {
    /// The method as clients see it that know the kernel's alone: full NAT is masquerading to them. (The number without a pool is one
    /// that they gave.)
    pub const fn kernel_method(&self) -> ForwardingMethod {
        match self.local_pool {
            Some(_) => ForwardingMethod::MASQUERADE,
            None => self.forwarding,
        }
    }

    /// Without thresholds, flags or options of tunneling.
    pub fn new(forwarding: ForwardingMethod, weight: i32) -> Self {
        Self {
            forwarding,
            flags: ConnectionFlags::default(),
            weight,
            upper_threshold: 0,
            lower_threshold: 0,
            tunnel: Tunnel::default(),
            local_pool: None,
            proxy: None,
        }
    }
}
