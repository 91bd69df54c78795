//! The listing of synchronisation daemons (`-L --daemon`).

use std::net::IpAddr;

use ipvs_core::{SyncDaemonConfig, SyncRole};
use serde::Serialize;

const fn role_name(role: SyncRole) -> &'static str {
    match role {
        SyncRole::Master => "master",
        SyncRole::Backup => "backup",
    }
}

/// The line of a daemon, with its newline.
pub(in crate::ipvsadm) fn sync_daemon_row(role: SyncRole, daemon: &SyncDaemonConfig) -> String {
    let SyncDaemonConfig { interface, sync_id, max_length, group, port, ttl, mixed: _ } = daemon;
    let mut row = format!("{} sync daemon (mcast={interface}, syncid={sync_id}", role_name(role));
    // What an older kernel would not tell is left out.
    if *max_length != 0 {
        row += &format!(", maxlen={max_length}");
    }
    if let Some(group) = group {
        row += &format!(", group={group}");
    }
    if *port != 0 {
        row += &format!(", port={port}");
    }
    if *ttl != 0 {
        row += &format!(", ttl={ttl}");
    }
    row + ")\n"
}

/// `ipvsadm -L --daemon --json`.
pub(in crate::ipvsadm) fn sync_daemons_json(daemons: &[(SyncRole, SyncDaemonConfig)]) -> impl Serialize {
    #[derive(Serialize)]
    struct Daemon {
        role: &'static str,
        interface: String,
        sync_id: u32,
        max_length: u16,
        group: Option<IpAddr>,
        port: u16,
        ttl: u8,
    }
    #[derive(Serialize)]
    struct Document {
        sync_daemons: Vec<Daemon>,
    }
    let daemon = |(role, config): &(SyncRole, SyncDaemonConfig)| Daemon {
        role: role_name(*role),
        interface: config.interface.clone(),
        sync_id: config.sync_id,
        max_length: config.max_length,
        group: config.group,
        port: config.port,
        ttl: config.ttl,
    };
    Document { sync_daemons: daemons.iter().map(daemon).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_is_left_out() {
        let all = SyncDaemonConfig {
            interface: "ve0".to_owned(),
            sync_id: 7,
            max_length: 1472,
            group: Some([224, 0, 0, 81].into()),
            port: 8848,
            ttl: 1,
            mixed: false,
        };
        assert_eq!(
            sync_daemon_row(SyncRole::Backup, &all),
            "backup sync daemon (mcast=ve0, syncid=7, maxlen=1472, group=224.0.0.81, port=8848, ttl=1)\n"
        );
        let none = SyncDaemonConfig { max_length: 0, group: None, port: 0, ttl: 0, ..all };
        assert_eq!(sync_daemon_row(SyncRole::Master, &none), "master sync daemon (mcast=ve0, syncid=7)\n");
    }
}
