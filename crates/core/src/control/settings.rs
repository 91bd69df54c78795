//! Settings (sysctls), synchronisation daemons, and the counters of everything.

use crate::command::{Reply, TotalStats};
use crate::director::Director;
use crate::error::Error;
use crate::host::Host;
use crate::sync_daemon::SyncDaemonConfig;
use crate::sysctl::Sysctl;

impl Director {
    pub(super) fn list_sysctls(&self, wanted: Option<Sysctl>) -> Reply {
        let all = Sysctl::ALL.into_iter().filter(|sysctl| wanted.is_none_or(|wanted| wanted == *sysctl));
        Reply::Sysctls(all.map(|sysctl| (sysctl, self.sysctls.get(sysctl).to_vec())).collect())
    }

    pub(super) fn set_sysctl(&mut self, sysctl: Sysctl, values: &[i64]) -> Result<Reply, Error> {
        let before = self.sysctls.value(sysctl);
        self.sysctls.set(sysctl, values)?;
        let of_defence = matches!(sysctl, Sysctl::DropEntry | Sysctl::DropPacket | Sysctl::SecureTcp);
        if of_defence && self.sysctls.value(sysctl) != before {
            self.judge_defence();
        }
        self.judge_standby();
        Ok(Reply::Done)
    }

    pub(super) fn start_sync_daemon(
        &mut self,
        host: &dyn Host,
        role: u32,
        config: SyncDaemonConfig,
    ) -> Result<Reply, Error> {
        self.sync_daemons.start(host, role, config, self.destinations.any_mixed())?;
        self.judge_standby();
        Ok(Reply::Done)
    }

    pub(super) fn stop_sync_daemon(&mut self, role: u32) -> Result<Reply, Error> {
        self.sync_daemons.stop(role)?;
        self.judge_standby();
        Ok(Reply::Done)
    }

    pub(super) fn list_sync_daemons(&self) -> Reply {
        Reply::SyncDaemons(self.sync_daemons.iter().map(|(role, config)| (role, config.clone())).collect())
    }

    pub(super) fn total_stats(&self) -> Reply {
        let running = self.total.counters;
        Reply::Stats(Box::new(TotalStats { shown: self.total.shown(), running }))
    }
}
