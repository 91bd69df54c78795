//! What a script printed, and how two such texts are compared.

use anyhow::{Context, Result};
use similar::TextDiff;

use super::client::Interface;
use super::script::Script;

/// What a script printed, normalised, and where.
pub(crate) struct Recording {
    source: String,
    text: String,
}

impl Recording {
    /// The output `text` of a script on `source`.
    pub(crate) fn new(source: &str, text: &str) -> Self {
        let mut text: String =
            text.lines().filter(|line| !is_modprobe(line)).map(|line| normalise(line) + "\n").collect();
        if text.is_empty() {
            text.push('\n');
        }
        Self { source: source.to_owned(), text }
    }

    /// The output.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Writes the recording's file.
    pub(crate) fn save(&self, script: &Script, interface: Interface) -> Result<()> {
        let path = script.recording(interface);
        let option = match interface {
            Interface::Netlink => "",
            Interface::Sockopt => "--interface sockopt ",
        };
        let header = format!(
            "# cargo xtask conformance record {option}{}\n# on the reference: {}\n\n",
            script.name, self.source
        );
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&path, header + &self.text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Reads the recording's file.
    pub(crate) fn load(script: &Script, interface: Interface) -> Result<Self> {
        let path = script.recording(interface);
        let file = std::fs::read_to_string(&path)
            .with_context(|| format!("{} is not recorded: cannot read {}", script.name, path.display()))?;
        let (header, text) =
            file.split_once("\n\n").context("a recording has a header, an empty line and the text")?;
        Ok(Self { source: header.to_owned(), text: text.to_owned() })
    }

    /// How `other` differs, as a unified diff with these names; `None` if it does not.
    pub(crate) fn difference(&self, other: &Self, this_name: &str, other_name: &str) -> Option<String> {
        if self.text == other.text {
            return None;
        }
        let diff = TextDiff::from_lines(&self.text, &other.text);
        Some(diff.unified_diff().context_radius(3).header(this_name, other_name).to_string())
    }
}

/// Whether a line is an error of modprobe(8). A client that is refused tries to load the kernel's module before it says
/// so; there is none where ipvsd is needed, and that is not the client's word.
fn is_modprobe(line: &str) -> bool {
    line.starts_with("  e| modprobe: ")
}

/// Replaces the one thing that differs from run to run: the time to expiry in a row of a connection listing or of
/// /proc/net/ip_vs_conn. Everything else stays as it is.
fn normalise(line: &str) -> String {
    if let Some(row) = normalise_proc(line) {
        return row;
    }
    let Some((protocol, rest)) = line.strip_prefix("  o| ").and_then(|row| row.split_once(' ')) else {
        return line.to_owned();
    };
    let rest_trimmed = rest.trim_start();
    let expiry = rest_trimmed.get(..5).unwrap_or_default();
    let is_expiry = matches!(expiry.as_bytes(), [m1, m2, b':', s1, s2] if [m1, m2, s1, s2].iter().all(|c| c.is_ascii_digit()));
    if !is_expiry || !matches!(protocol, "TCP" | "UDP" | "SCTP" | "IP") {
        return line.to_owned();
    }
    let blanks = &rest[..rest.len() - rest_trimmed.len()];
    format!("  o| {protocol} {blanks}MM:SS{}", &rest_trimmed[5..])
}

/// A row of /proc/net/ip_vs_conn or ip_vs_conn_sync with S for its seconds, right-aligned as they were; `None` for any
/// other line.
fn normalise_proc(line: &str) -> Option<String> {
    let words: Vec<&str> = line.strip_prefix("  o| ")?.split_whitespace().collect();
    let [_, client, client_port, service, service_port, server, server_port, state, rest @ ..] = &words[..]
    else {
        return None;
    };
    let hex = |word: &str| word.chars().all(|character| character.is_ascii_hexdigit() || character == ':');
    let addresses = [client, service, server].into_iter().all(|word| word.len() >= 8 && hex(word));
    let ports = [client_port, service_port, server_port].into_iter().all(|word| word.len() == 4 && hex(word));
    let seconds = match rest {
        ["LOCAL" | "SYNC", seconds, ..] | [seconds, ..] => seconds,
        [] => return None,
    };
    if !addresses || !ports || !seconds.chars().all(|character| character.is_ascii_digit()) {
        return None;
    }
    // The seconds follow the state: what looks like them before is a port.
    let after = line.find(&format!(" {state} "))? + state.len() + 1;
    let start = after + line.get(after..)?.find(&format!(" {seconds}"))? + 1;
    let end = start + seconds.len();
    Some(format!("{}{:>width$}{}", &line[..start], "S", &line[end..], width = seconds.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_time_of_connections_is_replaced() {
        let row = "  o| UDP 03:19  UDP         10.0.0.2:40001     10.0.0.100:57      10.0.0.11:5757";
        let want = "  o| UDP MM:SS  UDP         10.0.0.2:40001     10.0.0.100:57      10.0.0.11:5757";
        assert_eq!(normalise(row), want);
        for same in [
            "  o| TCP  10.0.0.100:80 wlc",
            "  o|   -> 10.0.0.11:80                 Masq    1      0          0         ",
            "$ ipvsadm -A -t 10.0.0.100:80 -s rr",
            "  o| pro expire state       source             virtual            destination",
            "  o| UDP  10.0.0.100:53                       6        6        0      240        0",
        ] {
            assert_eq!(normalise(same), same);
        }
    }

    #[test]
    fn what_modprobe_says_is_left_out() {
        let text = "$ ipvsadm\n  e| modprobe: FATAL: Module ip_vs not found\n  e| Can't initialize ipvs\n";
        assert_eq!(Recording::new("ipvsd", text).text(), "$ ipvsadm\n  e| Can't initialize ipvs\n");
    }

    #[test]
    fn seconds_of_proc_rows() {
        for (row, want) in [
            (
                "  o| UDP 0A000002 9C41 0A000064 0035 0A00000C 0035 UDP            2971",
                "  o| UDP 0A000002 9C41 0A000064 0035 0A00000C 0035 UDP               S",
            ),
            (
                "  o| UDP 0A000002 9C41 0A000064 0035 0A00000C 0035 UDP         LOCAL      55",
                "  o| UDP 0A000002 9C41 0A000064 0035 0A00000C 0035 UDP         LOCAL       S",
            ),
            (
                "  o| UDP 0A000002 0000 0A000064 13C4 0A00000B 13C4 NONE             55 sip abc@10.0.0.2",
                "  o| UDP 0A000002 0000 0A000064 13C4 0A00000B 13C4 NONE              S sip abc@10.0.0.2",
            ),
        ] {
            assert_eq!(normalise(row), want);
        }
        let title = "  o| Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData";
        assert_eq!(normalise(title), title);
    }

    #[test]
    fn a_changed_byte_is_a_difference() {
        let kernel = Recording::new("kernel", "$ ipvsadm -Ln\n  o| Masq    1\n");
        let same = Recording::new("ipvsd", "$ ipvsadm -Ln\n  o| Masq    1\n");
        let blank = Recording::new("ipvsd", "$ ipvsadm -Ln\n  o| Masq    1 \n");
        assert!(kernel.difference(&same, "kernel", "ipvsd").is_none());
        let text = kernel.difference(&blank, "kernel", "ipvsd").unwrap();
        assert!(text.contains("-  o| Masq    1\n") && text.contains("+  o| Masq    1 \n"), "{text}");
    }
}
