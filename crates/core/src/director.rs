//! The director: the whole engine behind four calls.

/// How a director is made.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Most connections at a time (entries of the connection table).
    pub capacity: u32,
    /// The size shown to users as the kernel's "size=" (its number of hash buckets); 4096 by default.
    pub shown_table_size: u32,
    /// Seed of all randomness: the table's hash key, random schedulers.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { capacity: 1 << 20, shown_table_size: 4096, seed: 0 }
    }
}

/// The IPVS engine. See the crate's documentation.
#[derive(Debug)]
pub struct Director {}
