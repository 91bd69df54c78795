//! The options of ipvsadm: names, arguments, and what each stands for.

/// What a command line asks for: exactly one per command line, given by its first option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CommandName {
    AddService,
    EditService,
    DeleteService,
    Flush,
    List,
    AddServer,
    DeleteServer,
    EditServer,
    Set,
    StartDaemon,
    StopDaemon,
    Restore,
    Save,
    Zero,
    Help,
    Version,
    HelpIpvsd,
}

impl CommandName {
    /// The name by which messages call it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::AddService => "add-service",
            Self::EditService => "edit-service",
            Self::DeleteService => "delete-service",
            Self::Flush => "flush",
            Self::List => "list",
            Self::AddServer => "add-server",
            Self::DeleteServer => "delete-server",
            Self::EditServer => "edit-server",
            Self::Set => "set",
            Self::StartDaemon => "start-daemon",
            Self::StopDaemon => "stop-daemon",
            Self::Restore => "restore",
            Self::Save => "save",
            Self::Zero => "zero",
            Self::Help => "help",
            Self::Version => "version",
            Self::HelpIpvsd => "help-ipvsd",
        }
    }
}

/// What may accompany a command, in the order in which ipvsadm checks them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum OptionName {
    Numeric,
    Connection,
    ServiceAddress,
    Scheduler,
    Persistent,
    Netmask,
    RealServer,
    ForwardingMethod,
    Weight,
    UpperThreshold,
    LowerThreshold,
    McastInterface,
    Timeout,
    Daemon,
    Stats,
    Rate,
    Thresholds,
    PersistentConn,
    NoSort,
    SyncId,
    Exact,
    Ops,
    PersistenceEngine,
    SchedFlags,
    McastGroup,
    McastPort,
    McastTtl,
    SyncMaxlen,
    TunInfo,
    TunType,
    TunPort,
    TunNocsum,
    TunCsum,
    TunRemcsum,
}

impl OptionName {
    /// All, in the order of the checks.
    pub(super) const ALL: [Self; 34] = [
        Self::Numeric,
        Self::Connection,
        Self::ServiceAddress,
        Self::Scheduler,
        Self::Persistent,
        Self::Netmask,
        Self::RealServer,
        Self::ForwardingMethod,
        Self::Weight,
        Self::UpperThreshold,
        Self::LowerThreshold,
        Self::McastInterface,
        Self::Timeout,
        Self::Daemon,
        Self::Stats,
        Self::Rate,
        Self::Thresholds,
        Self::PersistentConn,
        Self::NoSort,
        Self::SyncId,
        Self::Exact,
        Self::Ops,
        Self::PersistenceEngine,
        Self::SchedFlags,
        Self::McastGroup,
        Self::McastPort,
        Self::McastTtl,
        Self::SyncMaxlen,
        Self::TunInfo,
        Self::TunType,
        Self::TunPort,
        Self::TunNocsum,
        Self::TunCsum,
        Self::TunRemcsum,
    ];

    /// The name by which messages call it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Numeric => "numeric",
            Self::Connection => "connection",
            Self::ServiceAddress => "service-address",
            Self::Scheduler => "scheduler",
            Self::Persistent => "persistent",
            Self::Netmask => "netmask",
            Self::RealServer => "real-server",
            Self::ForwardingMethod => "forwarding-method",
            Self::Weight => "weight",
            Self::UpperThreshold => "u-threshold",
            Self::LowerThreshold => "l-threshold",
            Self::McastInterface => "mcast-interface",
            Self::Timeout => "timeout",
            Self::Daemon => "daemon",
            Self::Stats => "stats",
            Self::Rate => "rate",
            Self::Thresholds => "thresholds",
            Self::PersistentConn => "persistent-conn",
            Self::NoSort => "nosort",
            Self::SyncId => "syncid",
            Self::Exact => "exact",
            Self::Ops => "ops",
            Self::PersistenceEngine => "pe",
            Self::SchedFlags => "sched-flags",
            Self::McastGroup => "mcast-group",
            Self::McastPort => "mcast-port",
            Self::McastTtl => "mcast-ttl",
            Self::SyncMaxlen => "sync-maxlen",
            Self::TunInfo => "tun-info",
            Self::TunType => "tun-type",
            Self::TunPort => "tun-port",
            Self::TunNocsum => "tun-nocsum",
            Self::TunCsum => "tun-csum",
            Self::TunRemcsum => "tun-remcsum",
        }
    }
}

/// A set of options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct OptionSet(u64);

impl OptionSet {
    /// The set of `options`.
    pub(super) const fn of(options: &[OptionName]) -> Self {
        let mut bits = 0;
        let mut rest = options;
        while let [first, tail @ ..] = rest {
            bits |= 1 << *first as u8;
            rest = tail;
        }
        Self(bits)
    }

    /// Whether `option` is in it.
    pub(super) const fn contains(self, option: OptionName) -> bool {
        self.0 & 1 << option as u8 != 0
    }

    /// Whether nothing but `option` is in it.
    pub(super) const fn is_within(self, option: OptionName) -> bool {
        self.0 & !(1 << option as u8) == 0
    }

    /// Adds `option`; false if it was there.
    pub(super) const fn insert(&mut self, option: OptionName) -> bool {
        let added = !self.contains(option);
        self.0 |= 1 << option as u8;
        added
    }
}

/// How a virtual service is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServiceKind {
    Tcp,
    Udp,
    Sctp,
    Fwmark,
}

/// What a word of the table stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Command(CommandName),
    Service(ServiceKind),
    Ipv6,
    Sort,
    Forwarding(ipvs_core::ForwardingMethod),
    Option(OptionName),
    /// Ours alone: listings as JSON.
    Json,
    /// Ours alone: the helper of a service.
    Helper,
    /// Ours alone: where full NAT takes addresses from.
    LocalPool,
    /// Ours alone: connections with the local addresses of full NAT.
    Local,
    /// Ours alone: whether a server is told clients' addresses.
    Proxy(bool),
    /// Ours: list dropped packets.
    Drops,
    /// Ours alone: the control socket.
    Socket,
}

/// Whether an option takes an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Argument {
    None,
    Required,
    Optional,
}

/// One row of the option table.
#[derive(Clone, Copy, Debug)]
pub(super) struct OptionRow {
    /// After two dashes; none for options that have only a letter.
    pub(super) long: &'static str,
    /// After one dash.
    pub(super) short: Option<char>,
    pub(super) argument: Argument,
    pub(super) meaning: Meaning,
}

impl OptionRow {
    /// Whether restored lines may have it: what the original has, and what is saved besides.
    pub(super) const fn is_restorable(&self) -> bool {
        !matches!(
            self.meaning,
            Meaning::Json
                | Meaning::Local
                | Meaning::Drops
                | Meaning::Socket
                | Meaning::Command(CommandName::HelpIpvsd)
        )
    }
}

const fn row(long: &'static str, short: char, argument: Argument, meaning: Meaning) -> OptionRow {
    OptionRow { long, short: if short == '\0' { None } else { Some(short) }, argument, meaning }
}

/// All options.
pub(super) const TABLE: &[OptionRow] = {
    use Argument::{None, Optional, Required};
    use CommandName as C;
    use Meaning::{
        Command, Drops, Forwarding, Helper, Ipv6, Json, Local, LocalPool, Option, Proxy, Service, Socket,
        Sort,
    };
    use OptionName as O;
    use ServiceKind as S;
    use ipvs_core::ForwardingMethod as F;
    const NO: char = '\0';
    &[
        row("add-service", 'A', None, Command(C::AddService)),
        row("edit-service", 'E', None, Command(C::EditService)),
        row("delete-service", 'D', None, Command(C::DeleteService)),
        row("clear", 'C', None, Command(C::Flush)),
        row("list", 'L', None, Command(C::List)),
        row("list", 'l', None, Command(C::List)),
        row("zero", 'Z', None, Command(C::Zero)),
        row("add-server", 'a', None, Command(C::AddServer)),
        row("edit-server", 'e', None, Command(C::EditServer)),
        row("delete-server", 'd', None, Command(C::DeleteServer)),
        row("set", NO, None, Command(C::Set)),
        row("start-daemon", NO, Required, Command(C::StartDaemon)),
        row("stop-daemon", NO, Required, Command(C::StopDaemon)),
        row("restore", 'R', None, Command(C::Restore)),
        row("save", 'S', None, Command(C::Save)),
        row("help", 'h', None, Command(C::Help)),
        row("version", 'v', None, Command(C::Version)),
        row("help-ipvsd", NO, None, Command(C::HelpIpvsd)),
        row("tcp-service", 't', Required, Service(S::Tcp)),
        row("udp-service", 'u', Required, Service(S::Udp)),
        row("sctp-service", NO, Required, Service(S::Sctp)),
        row("fwmark-service", 'f', Required, Service(S::Fwmark)),
        row("ipv6", '6', None, Ipv6),
        row("scheduler", 's', Required, Option(O::Scheduler)),
        row("persistent", 'p', Optional, Option(O::Persistent)),
        row("netmask", 'M', Required, Option(O::Netmask)),
        row("real-server", 'r', Required, Option(O::RealServer)),
        row("masquerading", 'm', None, Forwarding(F::MASQUERADE)),
        row("ipip", 'i', None, Forwarding(F::TUNNEL)),
        row("gatewaying", 'g', None, Forwarding(F::DIRECT)),
        row("weight", 'w', Required, Option(O::Weight)),
        row("u-threshold", 'x', Required, Option(O::UpperThreshold)),
        row("l-threshold", 'y', Required, Option(O::LowerThreshold)),
        row("numeric", 'n', None, Option(O::Numeric)),
        row("connection", 'c', None, Option(O::Connection)),
        row("mcast-interface", NO, Required, Option(O::McastInterface)),
        row("timeout", NO, None, Option(O::Timeout)),
        row("daemon", NO, None, Option(O::Daemon)),
        row("stats", NO, None, Option(O::Stats)),
        row("rate", NO, None, Option(O::Rate)),
        row("thresholds", NO, None, Option(O::Thresholds)),
        row("persistent-conn", NO, None, Option(O::PersistentConn)),
        row("nosort", NO, None, Option(O::NoSort)),
        row("sort", NO, None, Sort),
        row("exact", 'X', None, Option(O::Exact)),
        row("ops", 'o', None, Option(O::Ops)),
        row("pe", NO, Required, Option(O::PersistenceEngine)),
        row("sched-flags", 'b', Required, Option(O::SchedFlags)),
        row("syncid", NO, Required, Option(O::SyncId)),
        row("sync-maxlen", NO, Required, Option(O::SyncMaxlen)),
        row("mcast-group", NO, Required, Option(O::McastGroup)),
        row("mcast-port", NO, Required, Option(O::McastPort)),
        row("mcast-ttl", NO, Required, Option(O::McastTtl)),
        row("tun-info", NO, None, Option(O::TunInfo)),
        row("tun-type", NO, Required, Option(O::TunType)),
        row("tun-port", NO, Required, Option(O::TunPort)),
        row("tun-nocsum", NO, None, Option(O::TunNocsum)),
        row("tun-csum", NO, None, Option(O::TunCsum)),
        row("tun-remcsum", NO, None, Option(O::TunRemcsum)),
        row("helper", NO, Required, Helper),
        row("full-nat", NO, None, Forwarding(F::FULL_NAT)),
        row("local-pool", NO, Required, LocalPool),
        row("local", NO, None, Local),
        row("proxy-protocol", NO, None, Proxy(true)),
        row("no-proxy-protocol", NO, None, Proxy(false)),
        row("json", NO, None, Json),
        row("drops", NO, None, Drops),
        row("socket", NO, Required, Socket),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_lists_each_option_at_its_place() {
        for (place, option) in OptionName::ALL.into_iter().enumerate() {
            assert_eq!(option as usize, place);
        }
    }
}
