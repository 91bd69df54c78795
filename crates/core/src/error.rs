//! Why a command was refused.

/// Why a command was refused, by meaning. The errno of each lies in one table, `ipvs_abi::errno`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The service named does not exist (ESRCH).
    #[error("no such virtual service")]
    NoSuchService,
    /// A service with that identity exists (EEXIST).
    #[error("virtual service already exists")]
    ServiceExists,
    /// No scheduler has that name (ENOENT).
    #[error("no such scheduler")]
    NoSuchScheduler,
    /// No persistence engine has that name (ENOENT).
    #[error("no such persistence engine")]
    NoSuchPersistenceEngine,
    /// No helper has that name (ENOENT).
    #[error("no such helper")]
    NoSuchHelper,
    /// The helper is for services of another protocol (EINVAL).
    #[error("the helper is for services of another protocol")]
    HelperProtocol,
    /// The destination named does not exist in its service (ENOENT).
    #[error("no such destination")]
    NoSuchDestination,
    /// A destination with that identity exists in the service (EEXIST).
    #[error("destination already exists")]
    DestinationExists,
    /// The weight is negative (ERANGE).
    #[error("weight is negative")]
    NegativeWeight,
    /// The lower threshold exceeds the upper one (ERANGE).
    #[error("lower threshold exceeds upper threshold")]
    ThresholdsReversed,
    /// The upper threshold exceeds 2^31 - 1 (EINVAL).
    #[error("upper threshold too large")]
    ThresholdTooLarge,
    /// A GUE tunnel without a port (EINVAL).
    #[error("a GUE tunnel needs a port")]
    TunnelPortMissing,
    /// The PROXY protocol with a method by which the server's answers do not pass the director (EINVAL).
    #[error("the PROXY protocol needs masquerading or full NAT")]
    ProxyMethod,
    /// The PROXY protocol for a service of another protocol than TCP (EINVAL).
    #[error("the PROXY protocol is for TCP services")]
    ProxyProtocol,
    /// The destination's address is neither unicast nor local (EINVAL).
    #[error("destination address is not unicast")]
    AddressNotUnicast,
    /// An IPv6 prefix length outside 1..=128 (EINVAL).
    #[error("IPv6 prefix length outside 1..=128")]
    InvalidPrefixLength,
    /// A timeout that is negative or too large (EINVAL).
    #[error("timeout out of range")]
    InvalidTimeout,
    /// A destination of another family with a method other than tunneling and full NAT, or while a synchronisation daemon runs (EINVAL).
    #[error(
        "a destination of another address family needs tunneling or full NAT, and no synchronisation daemon"
    )]
    MixedFamily,
    /// The scheduler refused the service as it is (EINVAL).
    #[error("scheduler refuses this service")]
    SchedulerRefused,
    /// A value that a setting does not accept (EINVAL).
    #[error("invalid value for this setting")]
    InvalidSetting,
    /// No interface has that name (ENODEV).
    #[error("no such interface")]
    NoSuchInterface,
    /// Nothing can leave for the multicast group from that interface (ENETUNREACH).
    #[error("no way to the multicast group")]
    NetworkUnreachable,
    /// That synchronisation daemon runs already (EEXIST).
    #[error("synchronisation daemon runs already")]
    SyncDaemonRuns,
    /// That synchronisation daemon does not run (ESRCH).
    #[error("synchronisation daemon does not run")]
    NoSyncDaemon,
    /// Neither master nor backup (EINVAL).
    #[error("neither master nor backup")]
    InvalidSyncRole,
    /// A rule that matches the same and gives the same mark exists (EEXIST).
    #[error("mark rule already exists")]
    MarkRuleExists,
    /// No rule matches the same and gives the same mark (ENOENT).
    #[error("no such mark rule")]
    NoSuchMarkRule,
    /// A mark rule without balanced protocol, with a prefix that is too long or ports that are no ranges (EINVAL).
    #[error("invalid mark rule")]
    InvalidMarkRule,
    /// A packet to be explained that none can be: another protocol, two families, or too short (EINVAL).
    #[error("no such packet can be")]
    InvalidQuestion,
    /// No pool can have that name (EINVAL).
    #[error("a pool's name has 1 to 15 letters, digits, '-', '_' and '.', and does not begin with '-'")]
    InvalidPoolName,
    /// No pool of local addresses has that name (ENXIO).
    #[error("no such pool of local addresses")]
    NoSuchPool,
    /// The pool does not have the address (ENOENT).
    #[error("the pool does not have this address")]
    NoSuchPoolAddress,
    /// Destinations take addresses from the pool, or their last one of a family was to be taken out (EBUSY).
    #[error("destinations use the pool")]
    PoolInUse,
    /// A new pool without addresses (EINVAL).
    #[error("a pool needs an address")]
    PoolEmpty,
    /// An address that packets cannot come from, such as a multicast or loopback one (EINVAL).
    #[error("no unicast address")]
    PoolAddressNotUnicast,
    /// The address is in a pool already (EEXIST).
    #[error("the address is in a pool already")]
    PoolAddressExists,
    /// The address is of a virtual service; of a service to be added, of a pool (EADDRINUSE).
    #[error("an address cannot be both virtual and of a pool")]
    PoolAddressVirtual,
    /// The pool has no address of the destination's family (EAFNOSUPPORT).
    #[error("the pool has no address of the destination's family")]
    PoolFamily,
    /// A pool for a destination with another method than full NAT (EINVAL).
    #[error("only full NAT takes addresses from a pool")]
    PoolWithoutFullNat,
    /// Full NAT in a service with one-packet scheduling (EOPNOTSUPP).
    #[error("full NAT is not possible with one-packet scheduling")]
    FullNatService,
    /// One-packet scheduling for a service that has destinations by full NAT (EBUSY).
    #[error("the service has destinations by full NAT, which goes without one-packet scheduling")]
    FullNatDestinations,
    /// A table of the director is full (ENOMEM).
    #[error("out of memory")]
    OutOfMemory,
}
