//! Settings that are stored and shown but do not have their effect yet, or never will: whoever sets one shall know.

use ipvs_core::{Command, Sysctl};
use tracing::warn;

/// What was said already: each limitation is logged once.
#[derive(Debug, Default)]
pub(super) struct Limitations {
    told: Vec<&'static str>,
}

impl Limitations {
    /// Logs what of an accepted command has no effect yet.
    pub(super) fn tell(&mut self, limitations: Vec<&'static str>) {
        for limitation in limitations {
            if !self.told.contains(&limitation) {
                warn!("without effect: {limitation}");
                self.told.push(limitation);
            }
        }
    }
}

/// What of a command has no effect yet.
pub(super) fn of(command: &Command) -> Vec<&'static str> {
    let mut limitations = Vec::new();
    let mut add = |applies, limitation| {
        if applies {
            limitations.push(limitation);
        }
    };
    match command {
        Command::SetSysctl(sysctl, values) => {
            let changes = !sysctl.default_values().starts_with(values);
            add(changes && !is_effective(*sysctl), without_effect(*sysctl));
        }
        Command::StartSyncDaemon(..) => {
            add(
                true,
                "synchronisation daemons, not yet implemented; connections are neither sent nor received",
            );
        }
        _ => {}
    }
    limitations
}

/// Whether a setting has its effect.
fn is_effective(sysctl: Sysctl) -> bool {
    matches!(
        sysctl,
        Sysctl::Amemthresh
            | Sysctl::AmDroprate
            | Sysctl::DropEntry
            | Sysctl::RunEstimation
            | Sysctl::DropPacket
            | Sysctl::SecureTcp
            | Sysctl::ExpireNodestConn
            | Sysctl::SloppyTcp
            | Sysctl::SloppySctp
            | Sysctl::ExpireQuiescentTemplate
            | Sysctl::PmtuDisc
            | Sysctl::NatIcmpSend
            | Sysctl::ConnReuseMode
            | Sysctl::ScheduleIcmp
            | Sysctl::LblcExpiration
            | Sysctl::LblcrExpiration
            | Sysctl::CacheBypass
            | Sysctl::BackupOnly
    )
}

/// What is said of a setting without effect: why, if it stays so outside the kernel (`docs/compatibility.md`).
fn without_effect(sysctl: Sysctl) -> &'static str {
    match sysctl {
        Sysctl::Conntrack => "conntrack; netfilter does not see balanced packets",
        Sysctl::IgnoreTunneled => "ignore_tunneled; what comes out of the host's tunnels is not balanced",
        Sysctl::SnatReroute => "snat_reroute; routes are chosen by destination alone",
        other => other.name(),
    }
}

#[cfg(test)]
mod tests {
    use ipvs_core::ServiceId;

    use super::*;

    #[test]
    fn only_what_lacks_its_effect_is_named() {
        assert_eq!(of(&Command::DeleteService(ServiceId::Mark { ipv6: false, mark: 1 })), [] as [&str; 0]);
        assert_eq!(of(&Command::Flush), [] as [&str; 0]);
        assert_eq!(of(&Command::SetSysctl(Sysctl::DropEntry, vec![1])), [] as [&str; 0]);
        assert_eq!(of(&Command::SetSysctl(Sysctl::SyncRetries, vec![1])), ["sync_retries"]);
        assert_eq!(of(&Command::SetSysctl(Sysctl::SyncThreshold, vec![3, 40])), ["sync_threshold"]);
        assert_eq!(of(&Command::SetSysctl(Sysctl::BackupOnly, vec![1])), [] as [&str; 0]);
        assert!(of(&Command::SetSysctl(Sysctl::SnatReroute, vec![0]))[0].contains("by destination"));
        assert_eq!(of(&Command::SetSysctl(Sysctl::SyncThreshold, vec![3])), [] as [&str; 0]);
        assert_eq!(of(&Command::SetSysctl(Sysctl::RunEstimation, vec![0])), [] as [&str; 0]);
    }

    #[test]
    fn each_is_told_once() {
        let mut limitations = Limitations::default();
        limitations.tell(vec!["a", "b"]);
        limitations.tell(vec!["b"]);
        assert_eq!(limitations.told, ["a", "b"]);
    }
}
