//! The director: the whole engine behind four calls.

use ipvs_flow::{Layout, MemoryError};

use crate::ahead::Ahead;
use crate::births::Births;
use crate::connections::Connections;
use crate::defence::Defence;
use crate::destination::{DestinationIndex, Destinations};
use crate::drop_entry::DropEntries;
use crate::drops::Drops;
use crate::error_limits::ErrorBuckets;
use crate::estimator::{self, Estimated};
use crate::explain::Trial;
use crate::fast_path::{FastPath, Unsettled};
use crate::forward::tunnel_path::TunnelPaths;
use crate::interest::{Interest, InterestChange, Interests};
use crate::marks::Marks;
use crate::memory::{ConnectionTable, Lines, TableMemory};
use crate::orphans::Orphans;
use crate::scheduler::MaglevSize;
use crate::service::Services;
use crate::stats::{Counters, Stats};
use crate::sync_daemon::SyncDaemons;
use crate::sysctl::Sysctls;
use crate::time::Instant;
use crate::timeouts::StateTimeouts;
use crate::trash::Trash;
use crate::verdict::{Eviction, Reason};

/// How a director is made.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Most connections at a time (entries of the connection table).
    pub capacity: u32,
    /// The size shown to users as the kernel's "size=" (its number of hash buckets); 4096 by default.
    pub shown_table_size: u32,
    /// Seed of all randomness: the table's hash key, random schedulers.
    pub seed: u64,
    /// What the setting sync_qlen_max is at first: in the kernel, a 32nd of the pages that may hold buffers.
    pub sync_qlen_max: u64,
    /// Whether virtual addresses that are not the host's are the director's own: there it refuses what no service
    /// takes, as their host would. If not, somebody else moves them between hosts, and such packets pass: the kernel
    /// of a host that has just lost an address says nothing, and clients try again until its next host answers.
    pub refuses_for_virtual: bool,
    /// Whose connections they are: [`Director::adopt`] takes those with the same number alone.
    pub label: u64,
    /// Most half-open connections of one service: then a new connection takes the place of the oldest. 0: no limit, as
    /// in the kernel.
    pub half_open_quota: u32,
    /// Places of the lookup table of each service under mh.
    pub maglev_size: MaglevSize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            capacity: 1 << 20,
            shown_table_size: 4096,
            seed: 0,
            sync_qlen_max: 4096,
            refuses_for_virtual: true,
            label: 0,
            half_open_quota: 0,
            maglev_size: MaglevSize::default(),
        }
    }
}

impl Config {
    /// The key of the connection table's hash.
    pub fn hash_key(&self) -> [u64; 2] {
        // SipHash's two key words from one seed: the second differs by a constant that has no structure.
        [self.seed, self.seed ^ 0x9e37_79b9_7f4a_7c15]
    }
}

/// The IPVS engine. See the crate's documentation.
#[derive(Debug)]
pub struct Director {
    pub(crate) config: Config,
    pub(crate) timeouts: StateTimeouts,
    pub(crate) sysctls: Sysctls,
    pub(crate) sync_daemons: SyncDaemons,
    pub(crate) services: Services,
    /// Which packets have a firewall mark.
    pub(crate) marks: Marks,
    pub(crate) destinations: Destinations,
    pub(crate) trash: Trash,
    pub(crate) interests: Interests,
    /// Destinations whose method has changed but not that of their connections: former interests are still needed.
    pub(crate) lingering: Vec<DestinationIndex>,
    /// Counters of everything. Count through [`Director::count`].
    pub(crate) total: Estimated,
    /// State of the seeds given to schedulers.
    pub(crate) seed: u64,
    /// Number of the last two-second period in which the estimator ran.
    last_period: Option<u64>,
    pub(crate) connections: Connections,
    pub(crate) fast_path: Option<Box<dyn FastPath + Send>>,
    pub(crate) unsettled: Unsettled,
    pub(crate) births: Births,
    pub(crate) drops: Drops,
    /// The entry that is looked at next for room in a full table.
    pub(crate) hand: u32,
    /// By [`Eviction`].
    pub(crate) evictions: [u64; Eviction::ALL.len()],
    pub(crate) defence: Defence,
    pub(crate) drop_entries: DropEntries,
    pub(crate) orphans: Orphans,
    /// What is left of the limits of ICMP errors.
    pub(crate) error_buckets: ErrorBuckets,
    /// Where the error that the packet at hand became counts.
    pub(crate) own_error: Option<DestinationIndex>,
    /// Packets from clients are left to the host (`backup_only`).
    pub(crate) standby: bool,
    pub(crate) tunnel_paths: TunnelPaths,
    /// Where packets that are expected will look.
    pub(crate) ahead: Ahead,
    /// While a packet is explained: nothing that it does is to stay.
    pub(crate) trial: Option<Trial>,
}

impl Director {
    /// An empty director whose clock stands at `now`.
    ///
    /// # Errors
    /// If the connection table cannot have this capacity.
    pub fn new(config: Config, now: Instant) -> Result<Self, MemoryError> {
        Self::in_memory(config, now, TableMemory::heap(config.capacity)?)
    }

    /// As [`Director::new`], with the connection table in `memory`.
    ///
    /// # Errors
    /// If the connection table cannot have this capacity, or not in this memory.
    pub fn in_memory(config: Config, now: Instant, memory: TableMemory) -> Result<Self, MemoryError> {
        let lines = Layout::for_capacity(config.capacity)?.lines_with_words_beside();
        if memory.len() < lines as usize {
            return Err(MemoryError::TooShort(lines));
        }
        let table = ConnectionTable::over(Lines::Real(memory), config.capacity, config.hash_key())?;
        table.set_label(config.label);
        Ok(Self {
            config,
            timeouts: StateTimeouts::default(),
            sysctls: Sysctls::new(config.sync_qlen_max),
            sync_daemons: SyncDaemons::default(),
            services: Services::default(),
            marks: Marks::default(),
            destinations: Destinations::default(),
            trash: Trash::default(),
            interests: Interests::default(),
            lingering: Vec::new(),
            total: Estimated::default(),
            seed: config.seed,
            connections: Connections::new(table, config.half_open_quota, config.seed, now),
            fast_path: None,
            unsettled: Unsettled::default(),
            births: Births::default(),
            drops: Drops::default(),
            hand: 0,
            evictions: Default::default(),
            defence: Defence::default(),
            drop_entries: DropEntries::new(config.seed),
            orphans: Orphans::default(),
            standby: false,
            error_buckets: ErrorBuckets::default(),
            own_error: None,
            tunnel_paths: TunnelPaths::default(),
            ahead: Ahead::default(),
            trial: None,
            last_period: None,
        })
    }

    /// Does what is due by `now`: ends connections, estimates rates and empties the trash. Call it at
    /// [`Director::poll_timeout`] or earlier; calling it too often does no harm. It ends at most a few thousand
    /// connections at a time, so that packets never wait long; the next call is then due at once.
    pub fn poll(&mut self, now: Instant) {
        self.connections.expire(&mut self.destinations, now);
        self.release_locals();
        self.estimate(now);
        self.empty_trash(now);
        self.services.keep_up(now, &self.sysctls);
        self.end_orphans();
        self.defend(now);
    }

    /// When [`Director::poll`] has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let period = estimator::PERIOD.as_nanos() as u64;
        let estimate = self.last_period.map_or(0, |last| last.saturating_add(1).saturating_mul(period));
        let estimate = Instant::from_nanos(estimate);
        let due = [
            Some(estimate),
            self.trash.next_tick(),
            self.connections.next_expiry(),
            self.services.next_upkeep(),
            self.orphans.is_due().then_some(Instant::default()),
            self.next_defence(),
        ];
        due.into_iter().flatten().min()
    }

    /// Most connections at a time.
    pub fn capacity(&self) -> u32 {
        self.connections.table.capacity()
    }

    /// Dropped packets by reason.
    pub fn drops(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        self.drops.iter()
    }

    /// Counts a dropped packet.
    pub(crate) fn count_drop(&mut self, reason: Reason) {
        self.drops.count(reason);
    }

    /// Counters and rates of everything.
    pub fn stats(&self) -> Stats {
        self.total.shown()
    }

    /// What the packet filter must hand over has changed so since the last call. Both a new listener and one that
    /// missed something start from [`Director::interests`].
    pub fn take_interest_changes(&mut self) -> Vec<InterestChange> {
        self.interests.take_changes()
    }

    /// All that the packet filter must hand over now.
    pub fn interests(&self) -> Vec<Interest> {
        self.interests.iter().collect()
    }

    /// Counts something at a destination, its service and in total.
    pub(crate) fn count(&mut self, index: DestinationIndex, count: impl Fn(&mut Counters)) {
        // Counters decide nothing.
        if self.trial.is_some() {
            return;
        }
        if let Some(service) = self.destinations.count(index, &count) {
            self.services.count(service, &count);
        }
        count(&mut self.total.counters);
        self.total.changed = true;
    }

    /// Counts a packet of `bytes` from a client.
    #[inline]
    pub(crate) fn count_in(&mut self, index: DestinationIndex, bytes: usize) {
        self.count(index, |counters| {
            counters.packets_in += 1;
            counters.bytes_in += bytes as u64;
        });
    }

    /// Counts a packet of `bytes` to a client.
    #[inline]
    pub(crate) fn count_out(&mut self, index: DestinationIndex, bytes: usize) {
        self.count(index, |counters| {
            counters.packets_out += 1;
            counters.bytes_out += bytes as u64;
        });
    }

    /// Runs the estimators once per two seconds. Periods are counted from the clock's origin.
    fn estimate(&mut self, now: Instant) {
        let period = now.as_nanos() / estimator::PERIOD.as_nanos() as u64;
        let passed = period.saturating_sub(self.last_period.unwrap_or(period));
        self.last_period = Some(period.max(self.last_period.unwrap_or(0)));
        // Without estimation the last values stay, and what is counted meanwhile goes into the next estimate.
        if passed == 0 || !self.sysctls.estimation() {
            return;
        }
        self.collect();
        self.total.estimate(passed);
        self.services.estimate(passed);
        self.destinations.estimate(passed);
        self.settle_lingering();
    }
}
