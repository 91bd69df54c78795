//! Settings that are stored and shown but do not have their effect yet: whoever sets one shall know.

use ipvs_core::{Command, ServiceId, Sysctl};
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
                warn!("not yet effective: {limitation}");
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
        Command::AddService(id, _) | Command::EditService(id, _) => {
            add(matches!(id, ServiceId::Mark { .. }), "services by firewall mark; no packet matches them");
        }
        Command::SetSysctl(sysctl, values) => {
            let idle = !is_effective(*sysctl) && !sysctl.default_values().starts_with(values);
            add(idle, sysctl.name());
        }
        Command::StartSyncDaemon(..) => {
            add(true, "synchronisation daemons; connections are neither sent nor received");
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
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lacks_its_effect_is_named() {
        assert_eq!(of(&Command::DeleteService(ServiceId::Mark { ipv6: false, mark: 1 })), [] as [&str; 0]);
        assert_eq!(of(&Command::Flush), [] as [&str; 0]);
        assert_eq!(of(&Command::SetSysctl(Sysctl::DropEntry, vec![1])), [] as [&str; 0]);
        assert_eq!(of(&Command::SetSysctl(Sysctl::SyncRetries, vec![1])), ["sync_retries"]);
        assert_eq!(of(&Command::SetSysctl(Sysctl::SyncThreshold, vec![3, 40])), ["sync_threshold"]);
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
