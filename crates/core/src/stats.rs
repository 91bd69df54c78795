//! Counters and rates of a service, a destination or the whole director.

/// What is counted. Bytes are IP total lengths; `in` is client to server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub packets_in: u64,
    /// Packets from servers.
    pub packets_out: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes from servers.
    pub bytes_out: u64,
}

/// Rates as the kernel's estimator shows them, per second; "bps" are bytes (spec section 12).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Connections per second.
    pub connections: u64,
    /// Packets from clients per second.
    pub packets_in: u64,
    /// Packets from servers per second.
    pub packets_out: u64,
    /// Bytes from clients per second.
    pub bytes_in: u64,
    /// Bytes from servers per second.
    pub bytes_out: u64,
}

/// What listings show: counters since the last zeroing, and rates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Counters since the last zeroing.
    pub counters: Counters,
    /// Estimated rates.
    pub rates: Rates,
}

impl Counters {
    /// Each counter of both together; they wrap.
    #[must_use]
    pub(crate) fn plus(self, other: Self) -> Self {
        let (one, other) = (self.to_array(), other.to_array());
        Self::from_array(std::array::from_fn(|i| one[i].wrapping_add(other[i])))
    }

    /// In the order connections, packets in, packets out, bytes in, bytes out.
    pub(crate) fn to_array(self) -> [u64; 5] {
        [self.connections, self.packets_in, self.packets_out, self.bytes_in, self.bytes_out]
    }

    /// From the order of [`Counters::to_array`].
    pub(crate) fn from_array(values: [u64; 5]) -> Self {
        let [connections, packets_in, packets_out, bytes_in, bytes_out] = values;
        Self { connections, packets_in, packets_out, bytes_in, bytes_out }
    }
}

impl Rates {
    /// From the order of [`Counters::to_array`].
    pub(crate) fn from_array(values: [u64; 5]) -> Self {
        let [connections, packets_in, packets_out, bytes_in, bytes_out] = values;
        Self { connections, packets_in, packets_out, bytes_in, bytes_out }
    }
}
