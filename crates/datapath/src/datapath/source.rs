//! What descriptors of the datapath are readable: reading one by which nothing came costs a system call, in every turn.

/// What comes by a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Packets, by an interface. Looking costs no call for sockets, so it is done in every turn.
    Interfaces,
    /// What the host itself sends by the host port.
    Host,
    /// News of links, addresses, routes and neighbours.
    Network,
    /// Packets that netfilter holds.
    Netfilter,
    /// Packets that wait in the kernel for what is said of their headers, and those that come whole from there.
    Parked,
}

impl Source {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Interfaces, Self::Host, Self::Network, Self::Netfilter, Self::Parked];
}

/// The sources that may have something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readable {
    pub(super) host: bool,
    pub(super) network: bool,
    pub(super) netfilter: bool,
    pub(super) parked: bool,
}

impl Readable {
    /// All of them.
    pub const ALL: Self = Self { host: true, network: true, netfilter: true, parked: true };

    /// Adds a source.
    pub fn add(&mut self, source: Source) {
        match source {
            Source::Interfaces => {}
            Source::Host => self.host = true,
            Source::Network => self.network = true,
            Source::Netfilter => self.netfilter = true,
            Source::Parked => self.parked = true,
        }
    }
}
