//! `backup_only`: while a backup synchronisation daemon runs, the director leaves packets from clients to the host, which may
//! be a real server of the director in charge: it would else send them round in a circle.
//!
//! Kernel behaviour, experiment `settings_rest.py`: also with a master daemon beside. What comes from servers is handled as
//! ever: answers and errors of known connections are translated, strays refused with `nat_icmp_send`.

use crate::director::Director;
use crate::sysctl::Sysctl;

impl Director {
    /// Notes whether packets from clients are left alone, after what decides it may have changed.
    pub(crate) fn judge_standby(&mut self) {
        let standby = self.sysctls.value(Sysctl::BackupOnly) != 0 && self.sync_daemons.has_backup();
        if standby == self.standby {
            return;
        }
        self.standby = standby;
        // The fast path, which knows nothing of this, forwards nothing meanwhile.
        for index in self.destinations.indices() {
            self.destinations.note_change(index);
            if standby {
                self.revoke(index);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;
    use crate::command::Command;
    use crate::packet::Packet;
    use crate::scheduler::testing::{Bench, TestHost};
    use crate::sync_daemon::SyncDaemonConfig;
    use crate::verdict::{Reason, Verdict};

    const CLIENT: [u8; 4] = [10, 1, 0, 2];
    const VIRTUAL: [u8; 4] = [10, 9, 0, 1];
    const SERVER: [u8; 4] = [10, 8, 0, 1];

    fn receive(bench: &mut Bench, from: ([u8; 4], u16), to: ([u8; 4], u16), answer: bool) -> Verdict {
        let mut bytes = Vec::new();
        let builder = PacketBuilder::ipv4(from.0, to.0, 64).tcp(from.1, to.1, 1, 1).syn();
        let builder = if answer { builder.ack(2) } else { builder };
        builder.write(&mut bytes, b"").unwrap();
        judge(bench, &bytes)
    }

    fn judge(bench: &mut Bench, bytes: &[u8]) -> Verdict {
        let mut buffer = [0; 600];
        buffer[..bytes.len()].copy_from_slice(bytes);
        let mut packet = Packet::new(&mut buffer, 0, bytes.len());
        bench.director.receive(bench.now, &TestHost, &mut packet)
    }

    fn error(to: [u8; 4], quoted: (([u8; 4], u16), ([u8; 4], u16))) -> Vec<u8> {
        let (mut quote, mut bytes) = (Vec::new(), Vec::new());
        let ((from, source), (destination, port)) = quoted;
        PacketBuilder::ipv4(from, destination, 64).tcp(source, port, 1, 1).write(&mut quote, b"").unwrap();
        let kind =
            etherparse::Icmpv4Type::DestinationUnreachable(etherparse::icmpv4::DestUnreachableHeader::Host);
        PacketBuilder::ipv4([10, 1, 0, 254], to, 64).icmpv4(kind).write(&mut bytes, &quote).unwrap();
        bytes
    }

    fn daemon() -> SyncDaemonConfig {
        SyncDaemonConfig {
            interface: "eth0".into(),
            sync_id: 0,
            max_length: 0,
            group: None,
            port: 0,
            ttl: 0,
            mixed: false,
        }
    }

    #[test]
    fn clients_packets_are_the_hosts_while_a_backup_daemon_runs() {
        let (mut bench, _) = Bench::with("rr", &[1]);
        let changes = |bench: &mut Bench| {
            bench.director.take_destination_changes().iter().map(|it| it.way.is_some()).collect::<Vec<_>>()
        };
        let known = |bench: &mut Bench| receive(bench, (CLIENT, 4000), (VIRTUAL, 80), false);
        let to_server = Verdict::Forward { next: SERVER.into() };
        assert_eq!(known(&mut bench), to_server);
        assert_eq!(changes(&mut bench), [true]);
        bench.run(Command::SetSysctl(Sysctl::BackupOnly, vec![1])).unwrap();
        bench.run(Command::SetSysctl(Sysctl::NatIcmpSend, vec![1])).unwrap();
        assert_eq!(known(&mut bench), to_server);
        bench.director.sync_daemons.run_backup(Some(daemon()));
        bench.director.judge_standby();
        assert_eq!(changes(&mut bench), [false]);
        assert_eq!(known(&mut bench), Verdict::Pass);
        assert_eq!(receive(&mut bench, (CLIENT, 4001), (VIRTUAL, 80), false), Verdict::Pass);
        let (client, server, service) = ((CLIENT, 4000), (SERVER, 80), (VIRTUAL, 80));
        assert_eq!(judge(&mut bench, &error(VIRTUAL, (service, client))), Verdict::Pass);
        // From the server: its answer, an error on the way to it, a stray.
        let to_client = Verdict::Forward { next: CLIENT.into() };
        assert_eq!(receive(&mut bench, server, client, true), to_client);
        assert_eq!(judge(&mut bench, &error(CLIENT, (client, server))), to_client);
        let stray = receive(&mut bench, server, (CLIENT, 4001), true);
        assert_eq!(stray, Verdict::Drop(Reason::NoConnection));
        bench.director.sync_daemons.run_backup(None);
        bench.director.judge_standby();
        assert_eq!(changes(&mut bench), [true]);
        assert_eq!(known(&mut bench), to_server);
    }

    #[test]
    fn the_commands_decide() {
        let (mut bench, _) = Bench::with("rr", &[1]);
        bench.director.sync_daemons.run_backup(Some(daemon()));
        assert!(!bench.director.standby);
        bench.run(Command::SetSysctl(Sysctl::BackupOnly, vec![1])).unwrap();
        assert!(bench.director.standby);
        bench.run(Command::StopSyncDaemon(2)).unwrap();
        assert!(!bench.director.standby);
    }
}
