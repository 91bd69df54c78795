//! The settings of /proc/sys/net/ipv4/vs: names, defaults and what each accepts (spec section 5).

use core::time::Duration;

use crate::error::Error;

/// A setting, in the order in which the kernel lists them: by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names are the kernel's")]
pub enum Sysctl {
    AmDroprate,
    Amemthresh,
    BackupOnly,
    CacheBypass,
    ConnReuseMode,
    Conntrack,
    DropEntry,
    DropPacket,
    ExpireNodestConn,
    ExpireQuiescentTemplate,
    IgnoreTunneled,
    LblcExpiration,
    LblcrExpiration,
    NatIcmpSend,
    PmtuDisc,
    RunEstimation,
    ScheduleIcmp,
    SecureTcp,
    SloppySctp,
    SloppyTcp,
    SnatReroute,
    SyncPersistMode,
    SyncPorts,
    SyncQlenMax,
    SyncRefreshPeriod,
    SyncRetries,
    SyncSockSize,
    SyncThreshold,
    SyncVersion,
}

/// Which values a setting accepts, beyond being integers of its width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accepts {
    /// Any 32-bit integer.
    Any,
    /// From 0 to this.
    UpTo(i64),
    /// A power of two, at least 1.
    PowerOfTwo,
    /// Two integers, neither negative, the first below the second unless that is 0.
    Threshold,
    /// Any 64-bit unsigned integer (the kernel's unsigned long).
    Unsigned,
    /// Seconds that the kernel keeps as clock ticks in 32 bits.
    Seconds,
}

impl Sysctl {
    /// All settings.
    pub const ALL: [Self; 29] = [
        Self::AmDroprate,
        Self::Amemthresh,
        Self::BackupOnly,
        Self::CacheBypass,
        Self::ConnReuseMode,
        Self::Conntrack,
        Self::DropEntry,
        Self::DropPacket,
        Self::ExpireNodestConn,
        Self::ExpireQuiescentTemplate,
        Self::IgnoreTunneled,
        Self::LblcExpiration,
        Self::LblcrExpiration,
        Self::NatIcmpSend,
        Self::PmtuDisc,
        Self::RunEstimation,
        Self::ScheduleIcmp,
        Self::SecureTcp,
        Self::SloppySctp,
        Self::SloppyTcp,
        Self::SnatReroute,
        Self::SyncPersistMode,
        Self::SyncPorts,
        Self::SyncQlenMax,
        Self::SyncRefreshPeriod,
        Self::SyncRetries,
        Self::SyncSockSize,
        Self::SyncThreshold,
        Self::SyncVersion,
    ];

    /// The file's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AmDroprate => "am_droprate",
            Self::Amemthresh => "amemthresh",
            Self::BackupOnly => "backup_only",
            Self::CacheBypass => "cache_bypass",
            Self::ConnReuseMode => "conn_reuse_mode",
            Self::Conntrack => "conntrack",
            Self::DropEntry => "drop_entry",
            Self::DropPacket => "drop_packet",
            Self::ExpireNodestConn => "expire_nodest_conn",
            Self::ExpireQuiescentTemplate => "expire_quiescent_template",
            Self::IgnoreTunneled => "ignore_tunneled",
            Self::LblcExpiration => "lblc_expiration",
            Self::LblcrExpiration => "lblcr_expiration",
            Self::NatIcmpSend => "nat_icmp_send",
            Self::PmtuDisc => "pmtu_disc",
            Self::RunEstimation => "run_estimation",
            Self::ScheduleIcmp => "schedule_icmp",
            Self::SecureTcp => "secure_tcp",
            Self::SloppySctp => "sloppy_sctp",
            Self::SloppyTcp => "sloppy_tcp",
            Self::SnatReroute => "snat_reroute",
            Self::SyncPersistMode => "sync_persist_mode",
            Self::SyncPorts => "sync_ports",
            Self::SyncQlenMax => "sync_qlen_max",
            Self::SyncRefreshPeriod => "sync_refresh_period",
            Self::SyncRetries => "sync_retries",
            Self::SyncSockSize => "sync_sock_size",
            Self::SyncThreshold => "sync_threshold",
            Self::SyncVersion => "sync_version",
        }
    }

    /// The setting of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sysctl| sysctl.name() == name)
    }

    /// How many integers it holds.
    pub const fn width(self) -> usize {
        if matches!(self, Self::SyncThreshold) { 2 } else { 1 }
    }

    /// Whether it is an unsigned 64-bit integer; else it is one (or more) of 32 bits, signed.
    pub const fn is_unsigned_long(self) -> bool {
        matches!(self.accepts(), Accepts::Unsigned)
    }

    const fn accepts(self) -> Accepts {
        match self {
            Self::DropEntry | Self::DropPacket | Self::SecureTcp | Self::SyncRetries => Accepts::UpTo(3),
            Self::SyncVersion => Accepts::UpTo(1),
            Self::SyncPorts => Accepts::PowerOfTwo,
            Self::SyncThreshold => Accepts::Threshold,
            Self::SyncQlenMax => Accepts::Unsigned,
            Self::SyncRefreshPeriod | Self::LblcExpiration | Self::LblcrExpiration => Accepts::Seconds,
            _ => Accepts::Any,
        }
    }

    /// What it is at first; that of sync_qlen_max depends on the host's memory and is given to the director, see [`Config::sync_qlen_max`](crate::Config::sync_qlen_max).
    pub const fn default_values(self) -> [i64; 2] {
        match self {
            Self::Amemthresh => [1024, 0],
            Self::AmDroprate => [10, 0],
            Self::SyncThreshold => [3, 50],
            Self::LblcExpiration | Self::LblcrExpiration => [86_400, 0],
            Self::SnatReroute
            | Self::SyncVersion
            | Self::SyncPorts
            | Self::PmtuDisc
            | Self::ConnReuseMode
            | Self::RunEstimation => [1, 0],
            _ => [0, 0],
        }
    }

    /// What it accepts, for people.
    pub const fn accepted(self) -> &'static str {
        match self.accepts() {
            Accepts::Any => "an integer of 32 bits",
            Accepts::UpTo(1) => "0 or 1",
            Accepts::UpTo(_) => "0 to 3",
            Accepts::PowerOfTwo => "a power of two",
            Accepts::Threshold => "one or two integers from 0, the first below the second unless that is 0",
            Accepts::Unsigned => "an unsigned integer of 64 bits",
            Accepts::Seconds => "seconds from -8589934 to 8589934",
        }
    }

    /// Checks complete values.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`].
    pub fn check(self, values: &[i64]) -> Result<(), Error> {
        let first = values.first().copied().unwrap_or(0);
        let fits = |value: &i64| i32::try_from(*value).is_ok();
        let valid = match self.accepts() {
            Accepts::Any => values.iter().all(fits),
            Accepts::UpTo(most) => (0..=most).contains(&first),
            Accepts::PowerOfTwo => fits(&first) && first > 0 && first & (first - 1) == 0,
            Accepts::Threshold => {
                let second = values.get(1).copied().unwrap_or(0);
                values.iter().all(fits) && first >= 0 && second >= 0 && (second == 0 || first < second)
            }
            Accepts::Unsigned => true,
            Accepts::Seconds => i32::try_from(first.saturating_mul(TICKS_PER_SECOND)).is_ok(),
        };
        if valid { Ok(()) } else { Err(Error::InvalidSetting) }
    }
}

/// The kernel's HZ on Debian, which bounds what it holds in clock ticks.
const TICKS_PER_SECOND: i64 = 250;

/// The values of all settings.
#[derive(Clone, Debug)]
pub(crate) struct Sysctls([[i64; 2]; Sysctl::ALL.len()]);

impl Sysctls {
    /// The defaults.
    pub(crate) fn new(sync_qlen_max: u64) -> Self {
        let mut sysctls = Self(Sysctl::ALL.map(Sysctl::default_values));
        sysctls.0[Sysctl::SyncQlenMax as usize][0] = sync_qlen_max.cast_signed();
        sysctls
    }

    /// Whether the estimators run.
    pub(crate) fn estimation(&self) -> bool {
        self.get(Sysctl::RunEstimation)[0] != 0
    }

    /// The value of `sysctl`, [`Sysctl::width`] integers.
    pub(crate) fn get(&self, sysctl: Sysctl) -> &[i64] {
        &self.0[sysctl as usize][..sysctl.width()]
    }

    /// The first value of `sysctl`.
    pub(crate) fn value(&self, sysctl: Sysctl) -> i64 {
        self.0[sysctl as usize][0]
    }

    /// The value of a setting in seconds; a negative one counts as 0.
    pub(crate) fn seconds(&self, sysctl: Sysctl) -> Duration {
        Duration::from_secs(u64::try_from(self.value(sysctl)).unwrap_or(0))
    }

    /// Sets the first value of `sysctl`, unchecked: where the director itself changes it.
    pub(crate) fn put(&mut self, sysctl: Sysctl, value: i64) {
        self.0[sysctl as usize][0] = value;
    }

    /// Sets `sysctl` to `values`; where fewer are given, the others stay.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`]; then nothing has changed.
    pub(crate) fn set(&mut self, sysctl: Sysctl, values: &[i64]) -> Result<(), Error> {
        let slot = &mut self.0[sysctl as usize];
        let mut new = *slot;
        for (to, from) in new.iter_mut().zip(values) {
            *to = *from;
        }
        sysctl.check(&new[..sysctl.width()])?;
        *slot = new;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        for (position, sysctl) in Sysctl::ALL.into_iter().enumerate() {
            assert_eq!(sysctl as usize, position);
            assert_eq!(Sysctl::from_name(sysctl.name()), Some(sysctl));
            assert_eq!(sysctl.check(&sysctl.default_values()[..sysctl.width()]), Ok(()), "{sysctl:?}");
        }
    }

    #[test]
    fn a_refused_value_changes_nothing() {
        let mut sysctls = Sysctls::new(15_308);
        let refused = Err(Error::InvalidSetting);
        for (sysctl, values) in [
            (Sysctl::DropEntry, &[4][..]),
            (Sysctl::DropEntry, &[-1]),
            (Sysctl::SyncVersion, &[2]),
            (Sysctl::SyncPorts, &[0]),
            (Sysctl::SyncPorts, &[3]),
            (Sysctl::SyncThreshold, &[50]),
            (Sysctl::SyncThreshold, &[3, -1]),
            (Sysctl::Amemthresh, &[1 << 31]),
        ] {
            let before = sysctls.get(sysctl).to_vec();
            assert_eq!(sysctls.set(sysctl, values), refused, "{sysctl:?} {values:?}");
            assert_eq!(sysctls.get(sysctl), before);
        }
        assert_eq!(sysctls.set(Sysctl::SyncThreshold, &[7]), Ok(()));
        assert_eq!(sysctls.get(Sysctl::SyncThreshold), [7, 50]);
        assert_eq!(sysctls.set(Sysctl::SyncThreshold, &[7, 0]), Ok(()));
    }

    #[test]
    fn the_kernel_lists_them_by_name() {
        assert!(Sysctl::ALL.is_sorted_by_key(|sysctl| sysctl.name()));
    }
}
