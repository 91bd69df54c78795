//! The synchronisation daemons' configuration: starting, stopping, asking (spec section 6). What they would send and
//! receive is not implemented yet.

use std::net::{IpAddr, Ipv4Addr};

use crate::error::Error;
use crate::host::Host;

/// Which of the two daemons of a director.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SyncRole {
    /// Sends connections (IP_VS_STATE_MASTER, 1).
    Master,
    /// Receives connections (IP_VS_STATE_BACKUP, 2).
    Backup,
}

impl SyncRole {
    /// The kernel's number.
    pub const fn number(self) -> u32 {
        match self {
            Self::Master => 1,
            Self::Backup => 2,
        }
    }

    /// The role of the kernel's number.
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Master),
            2 => Some(Self::Backup),
            _ => None,
        }
    }
}

/// What a synchronisation daemon is started with, and what listings show of it. At a start, 0 or `None` stand for the
/// default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncDaemonConfig {
    /// Name of the interface for multicast.
    pub interface: String,
    /// Id, to tell clusters apart; its low byte counts.
    pub sync_id: u32,
    /// Most bytes of a message, without IP and UDP headers.
    pub max_length: u16,
    /// Multicast group; default 224.0.0.81.
    pub group: Option<IpAddr>,
    /// UDP port; default 8848.
    pub port: u16,
    /// TTL of messages; default 1.
    pub ttl: u8,
    /// Start although a destination is of another family than its service, which messages cannot tell: the kernel
    /// does not look when a socket option asks (seen). Not part of what listings show.
    pub mixed: bool,
}

/// Default multicast group.
const GROUP: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 81));
/// Default port.
const PORT: u16 = 8848;
/// MTU that a master counts on.
const MASTER_MTU: u32 = 1500;

/// The two daemons of a director.
#[derive(Clone, Debug, Default)]
pub(crate) struct SyncDaemons {
    master: Option<SyncDaemonConfig>,
    backup: Option<SyncDaemonConfig>,
    /// Something has changed since it was kept.
    unsaved: bool,
}

impl SyncDaemons {
    /// Those that run, the master first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (SyncRole, &SyncDaemonConfig)> {
        let master = self.master.iter().map(|config| (SyncRole::Master, config));
        master.chain(self.backup.iter().map(|config| (SyncRole::Backup, config)))
    }

    /// Whether the backup runs.
    pub(crate) const fn has_backup(&self) -> bool {
        self.backup.is_some()
    }

    /// Whether something has changed that [`SyncDaemons::take_unsaved`] tells.
    pub(crate) const fn is_unsaved(&self) -> bool {
        self.unsaved
    }

    /// Whether something has changed since the last call.
    pub(crate) fn take_unsaved(&mut self) -> bool {
        std::mem::take(&mut self.unsaved)
    }

    /// The configuration of one, if it runs.
    pub(crate) const fn get(&self, role: SyncRole) -> Option<&SyncDaemonConfig> {
        match role {
            SyncRole::Master => self.master.as_ref(),
            SyncRole::Backup => self.backup.as_ref(),
        }
    }

    /// Starts or stops one as a former run had it.
    pub(crate) fn restore(&mut self, role: SyncRole, config: Option<SyncDaemonConfig>) {
        match role {
            SyncRole::Master => self.master = config,
            SyncRole::Backup => self.backup = config,
        }
    }

    /// Starts or stops the backup without a host.
    #[cfg(test)]
    pub(crate) fn run_backup(&mut self, config: Option<SyncDaemonConfig>) {
        self.backup = config;
    }

    /// Whether one runs.
    pub(crate) const fn any(&self) -> bool {
        self.master.is_some() || self.backup.is_some()
    }

    /// Starts the daemon of the kernel's number `role`, with the kernel's checks in the kernel's order. `mixed`: whether a
    /// destination is of another family than its service.
    ///
    /// # Errors
    /// [`Error::MixedFamily`], [`Error::NoSuchInterface`], [`Error::SyncDaemonRuns`], [`Error::InvalidSyncRole`],
    /// [`Error::NetworkUnreachable`].
    pub(crate) fn start(
        &mut self,
        host: &dyn Host,
        role: u32,
        mut config: SyncDaemonConfig,
        mixed: bool,
    ) -> Result<(), Error> {
        if mixed && !config.mixed {
            return Err(Error::MixedFamily);
        }
        config.mixed = false;
        let mtu = host.interface_mtu(&config.interface).ok_or(Error::NoSuchInterface)?;
        let role = SyncRole::from_number(role);
        let slot = match role {
            Some(SyncRole::Master) => &mut self.master,
            Some(SyncRole::Backup) => &mut self.backup,
            None => return Err(Error::InvalidSyncRole),
        };
        if slot.is_some() {
            return Err(Error::SyncDaemonRuns);
        }
        let group = *config.group.get_or_insert(GROUP);
        // IP header and UDP header.
        let headers = if group.is_ipv6() { 48 } else { 28 };
        let (mtu, least) = match role {
            Some(SyncRole::Backup) => (mtu.clamp(MASTER_MTU, u16::MAX.into()), 1024),
            _ => (MASTER_MTU, 1),
        };
        let length = match u32::from(config.max_length) {
            0 => mtu - headers,
            given => given.clamp(least, u32::from(u16::MAX) - headers),
        };
        config.max_length = u16::try_from(length).unwrap_or(u16::MAX);
        // A master's socket is connected to the group. A backup's only listens.
        if role == Some(SyncRole::Master) {
            host.multicast_route(&config.interface, group)?;
        }
        if config.port == 0 {
            config.port = PORT;
        }
        if config.ttl == 0 {
            config.ttl = 1;
        }
        *slot = Some(config);
        self.unsaved = true;
        Ok(())
    }

    /// Stops the daemon of the kernel's number `role`.
    ///
    /// # Errors
    /// [`Error::InvalidSyncRole`], [`Error::NoSyncDaemon`].
    pub(crate) fn stop(&mut self, role: u32) -> Result<(), Error> {
        let slot = match SyncRole::from_number(role) {
            Some(SyncRole::Master) => &mut self.master,
            Some(SyncRole::Backup) => &mut self.backup,
            None => return Err(Error::InvalidSyncRole),
        };
        self.unsaved |= slot.is_some();
        slot.take().map(drop).ok_or(Error::NoSyncDaemon)
    }
}
