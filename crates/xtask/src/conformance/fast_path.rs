//! The suite with the fast path: the XDP program forwards what it can, and nothing may differ.

use std::path::Path;

/// Whether the daemon's program forwards packets itself, and where it is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum FastPath {
    /// The daemon forwards everything.
    Off,
    /// As an XDP program.
    On,
    /// As a classifier.
    Tc,
}

/// Tables of which the program leaves every packet to the daemon, by XDP too and as a classifier.
const LEFT_TO_DAEMON: [(&str, FastPath); 7] = [
    // Servers on the director itself.
    ("local", FastPath::On),
    ("local", FastPath::Tc),
    // Packets that begin connections with a template, or change their state.
    ("persistence", FastPath::On),
    ("persistence", FastPath::Tc),
    ("sctp", FastPath::On),
    ("sctp", FastPath::Tc),
    // A classifier does not move the frame's beginning.
    ("tunnels", FastPath::Tc),
];

/// Scripts of commands whose datagrams the program forwards.
const SCRIPTS: [&str; 3] = ["traffic", "proc", "sysctl"];

/// What is said of a run that proves nothing.
const PROVES_NOTHING: &str = "the program forwarded none of its packets, so this proves nothing\n";

impl FastPath {
    /// Options of the daemon. Nothing of the program is to outlive it.
    pub(crate) const fn options(self) -> &'static [&'static str] {
        match self {
            Self::Off => &[],
            Self::On => &["--fast-path", "on", "--pin", "off"],
            Self::Tc => &["--fast-path", "on", "--pin", "off", "--attach", "tc"],
        }
    }

    /// What runs tables of packets calls the director.
    pub(crate) const fn director(self) -> &'static str {
        match self {
            Self::Off => "ipvsd",
            Self::On => "ipvsd-xdp",
            Self::Tc => "ipvsd-tc",
        }
    }

    /// What is wrong with a run of a table of which the program forwarded so many packets.
    pub(crate) fn judge_table(self, table: &str, forwarded: u64) -> Option<String> {
        self.judge(!LEFT_TO_DAEMON.contains(&(table, self)), forwarded)
    }

    /// The same of a script.
    pub(crate) fn judge_script(self, script: &str, forwarded: u64) -> Option<String> {
        self.judge(SCRIPTS.contains(&script), forwarded)
    }

    fn judge(self, must_forward: bool, forwarded: u64) -> Option<String> {
        (self != Self::Off && must_forward && forwarded == 0).then(|| PROVES_NOTHING.to_owned())
    }

    /// The shell commands, for the scripts' library, that make the client's end of the link ve0 a card on a wire.
    pub(crate) fn wire(self, packets: &Path) -> String {
        match self {
            Self::Off => String::new(),
            Self::On | Self::Tc => format!(
                "; on_client env PYTHONDONTWRITEBYTECODE=1 PYTHONPATH={} python3 -c 'import network; network.like_a_wire(\"ve1\")'",
                packets.display()
            ),
        }
    }
}

/// Packets that the program forwarded, by the log of a daemon that has ended.
pub(crate) fn forwarded_in(log: &str) -> u64 {
    let line = log.lines().rfind(|line| line.contains("what=\"forwarded-by-xdp\""));
    let count = line.and_then(|line| line.split("packets=").nth(1)?.split_whitespace().next()?.parse().ok());
    count.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_packet_forwarded_a_run_proves_nothing() {
        assert!(FastPath::On.judge_table("tcp", 0).is_some());
        assert!(FastPath::On.judge_table("tcp", 1).is_none());
        assert!(FastPath::Off.judge_table("tcp", 0).is_none());
        assert!(FastPath::On.judge_table("sctp", 0).is_none());
        assert!(FastPath::On.judge_table("tunnels", 0).is_some());
        assert!(FastPath::Tc.judge_table("tunnels", 0).is_none());
        assert!(FastPath::Tc.judge_script("traffic", 0).is_some());
        assert!(FastPath::Tc.judge_script("usage", 0).is_none());
    }

    #[test]
    fn the_log_tells_what_the_program_forwarded() {
        let line = "2026-01-01T00:00:00Z  INFO ipvsd::run::report: counted by the datapath what=\"forwarded-by-xdp\" packets=65\n";
        assert_eq!((forwarded_in(line), forwarded_in("nothing\n")), (65, 0));
    }
}
