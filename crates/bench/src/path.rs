//! What stands between client and server.

use serde::Serialize;

/// A director, or something else in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Path {
    /// An XDP program that redirects every frame without a look: the limit.
    Noop,
    /// ipvsd, which forwards in its XDP program (`--fast-path on`).
    Xdp,
    /// ipvsd, which forwards in a tc program (`--attach tc`).
    Tc,
    /// ipvsd, whose daemon forwards everything (`--fast-path off`).
    Slow,
    /// ipvsd, whose daemon forwards everything that a tc program hands it (`--attach tc --fast-path off`).
    SlowTc,
    /// The kernel's own forwarding to one server, without balancing.
    Forwarding,
    /// Rules of nftables that balance by rewriting the destination.
    Nft,
    /// HAProxy, which ends connections and makes others.
    Haproxy,
}

impl Path {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Noop,
        Self::Xdp,
        Self::Tc,
        Self::Slow,
        Self::SlowTc,
        Self::Forwarding,
        Self::Nft,
        Self::Haproxy,
    ];

    /// As in names of rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Noop => "noop",
            Self::Xdp => "xdp",
            Self::Tc => "tc",
            Self::Slow => "slow",
            Self::SlowTc => "slow-tc",
            Self::Forwarding => "forwarding",
            Self::Nft => "nft",
            Self::Haproxy => "haproxy",
        }
    }

    /// In a table.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Noop => "no-op XDP redirect",
            Self::Xdp => "ipvsd, XDP",
            Self::Tc => "ipvsd, tc",
            Self::Slow => "ipvsd, daemon only",
            Self::SlowTc => "ipvsd, tc, daemon only",
            Self::Forwarding => "kernel forwarding",
            Self::Nft => "nftables DNAT",
            Self::Haproxy => "HAProxy, TCP mode",
        }
    }

    /// Whether all of it happens on the generator's processor.
    pub(crate) const fn is_on_one_processor(self) -> bool {
        matches!(self, Self::Noop | Self::Xdp | Self::Tc | Self::Forwarding | Self::Nft)
    }

    /// Whether an XDP program takes the frames at the director: cables must then be like wires.
    pub(crate) const fn is_xdp(self) -> bool {
        matches!(self, Self::Xdp | Self::Slow)
    }
}
