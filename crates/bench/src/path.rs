//! What stands between client and server.

use serde::Serialize;

/// A director, or something else in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Path {
    /// An XDP program that redirects every frame without a look: the limit.
    Noop,
    /// ipvsd, which forwards in its XDP program (`--fast-path on`) by masquerading.
    Xdp,
    /// ipvsd in XDP by masquerading, the service under wlc with a hundred servers.
    #[serde(rename = "xdp-wlc100")]
    XdpWlc,
    /// ipvsd in XDP by direct routing.
    Dr,
    /// ipvsd in XDP by IP in IP.
    Ipip,
    /// ipvsd in XDP by GUE.
    Gue,
    /// ipvsd in XDP by GRE.
    Gre,
    /// ipvsd in XDP by full NAT.
    #[serde(rename = "fullnat")]
    FullNat,
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
    /// ipvsd in XDP by other methods than masquerading.
    pub const METHODS: [Self; 5] = [Self::Dr, Self::Ipip, Self::Gue, Self::Gre, Self::FullNat];

    /// As in names of rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Noop => "noop",
            Self::Xdp => "xdp",
            Self::XdpWlc => "xdp-wlc100",
            Self::Dr => "dr",
            Self::Ipip => "ipip",
            Self::Gue => "gue",
            Self::Gre => "gre",
            Self::FullNat => "fullnat",
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
            Self::XdpWlc => "XDP, wlc, 100 servers",
            Self::Dr => "XDP, direct routing",
            Self::Ipip => "XDP, IP in IP",
            Self::Gue => "XDP, GUE",
            Self::Gre => "XDP, GRE",
            Self::FullNat => "XDP, full NAT",
            Self::Tc => "ipvsd, tc",
            Self::Slow => "ipvsd, daemon only",
            Self::SlowTc => "ipvsd, tc, daemon only",
            Self::Forwarding => "kernel forwarding",
            Self::Nft => "nftables DNAT",
            Self::Haproxy => "HAProxy, TCP mode",
        }
    }

    /// Whether all of it happens on the generator's processor, as far as ipvsd's program does it.
    pub(crate) const fn is_on_one_processor(self) -> bool {
        !matches!(self, Self::Slow | Self::SlowTc | Self::Haproxy)
    }

    /// Whether an XDP program takes the frames at the director: cables must then be like wires.
    pub(crate) fn is_xdp(self) -> bool {
        self.is_fast() && self != Self::Tc || self == Self::Slow
    }

    /// Whether ipvsd forwards in a program.
    pub(crate) fn is_fast(self) -> bool {
        matches!(self, Self::Xdp | Self::XdpWlc | Self::Tc) || Self::METHODS.contains(&self)
    }
}
