//! The database of ports, `/etc/services`: services(5).

use std::collections::HashMap;

/// Names and ports of one file.
#[derive(Debug, Default)]
pub(super) struct ServicesFile {
    ports: HashMap<(String, String), u16>,
    names: HashMap<(u16, String), String>,
}

impl ServicesFile {
    /// Reads a file's text. Of two entries for a name or a port the first counts; what makes no sense is skipped, as
    /// the C library does.
    pub(super) fn parse(text: &str) -> Self {
        let mut file = Self::default();
        for line in text.lines() {
            let entry = line.split_once('#').map_or(line, |(entry, _)| entry);
            let mut words = entry.split_ascii_whitespace();
            let (Some(name), Some(port)) = (words.next(), words.next()) else { continue };
            let Some((port, protocol)) = port.split_once('/') else { continue };
            let Ok(port) = port.parse::<u16>() else { continue };
            file.names.entry((port, protocol.to_owned())).or_insert_with(|| name.to_owned());
            for name in std::iter::once(name).chain(words) {
                file.ports.entry((name.to_owned(), protocol.to_owned())).or_insert(port);
            }
        }
        file
    }

    /// The port of a service by its name or alias.
    pub(super) fn port(&self, name: &str, protocol: &str) -> Option<u16> {
        self.ports.get(&(name.to_owned(), protocol.to_owned())).copied()
    }

    /// The name of the service at a port.
    pub(super) fn name(&self, port: u16, protocol: &str) -> Option<&str> {
        self.names.get(&(port, protocol.to_owned())).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_names_aliases_and_ports() {
        let file = ServicesFile::parse(
            "# comment\nhttp\t\t80/tcp\t\twww\t# WorldWideWeb\nhttp 80/udp\nweb 80/tcp\nbad\nworse x/tcp\nhuge 70000/tcp\n",
        );
        assert_eq!(file.port("www", "tcp"), Some(80));
        assert_eq!(file.port("www", "udp"), None);
        assert_eq!(file.port("web", "tcp"), Some(80));
        assert_eq!(file.name(80, "tcp"), Some("http"));
        assert_eq!(file.name(80, "sctp"), None);
        assert_eq!(file.port("huge", "tcp"), None);
    }
}
