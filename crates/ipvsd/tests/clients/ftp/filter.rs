//! Data connections while the filter of first segments is on: their SYNs are expected, so they need not come twice.

use super::*;

/// SYNs that the filter has dropped.
fn dropped(network: &Network) -> u64 {
    let listing = network.director.ipvsadm(&["-L", "--drops", "--json"]).unwrap();
    let listing: serde_json::Value = serde_json::from_str(&listing).unwrap();
    let of_filter = |row: &&serde_json::Value| row["reason"] == "syn-filter";
    let row = listing["drops"].as_array().and_then(|rows| rows.iter().find(of_filter));
    row.and_then(|row| row["packets"].as_u64()).unwrap_or_else(|| panic!("{listing}"))
}

/// Files come by these ways to agree on a data connection: the first SYN of each control connection alone is dropped.
fn only_control_connections_are_filtered(test: &str, method: Method, path: PacketPath, wanted: &[&str]) {
    let network = Network::with(test, method, path, &["--syn-filter", "on"]);
    let (served, own) = (network.folder("served"), network.folder("own"));
    let _servers = ftp_servers(&network, &served);
    network.rules(&services(method, "rr"));
    let bytes = content(100_000, 5);
    std::fs::write(served.join("file"), &bytes).unwrap();
    for (way, options, host) in ways().into_iter().filter(|(way, ..)| wanted.contains(way)) {
        let before = dropped(&network);
        let (path, url) = (own.join(way), format!("ftp://user:pass@{host}/file"));
        network.curl(&[&options[..], &["-o", &path.display().to_string(), &url]].concat()).succeeds();
        assert!(std::fs::read(&path).unwrap() == bytes, "{way}: changed");
        assert_eq!(dropped(&network) - before, 1, "{way}, {method:?}");
    }
}

const ACTIVE: [&str; 3] = ["PORT", "EPRT", "EPRT over IPv6"];

#[test]
fn of_servers() {
    for (number, method) in
        [Method::Masquerading, Method::FullNat, Method::AcrossFamilies].into_iter().enumerate()
    {
        let name = format!("ftp-syn{number}");
        only_control_connections_are_filtered(&name, method, PacketPath::Daemon, &ACTIVE);
        only_control_connections_are_filtered(&format!("{name}f"), method, PacketPath::Fast, &ACTIVE);
    }
}

/// The program sees in the connection table which of them are expected.
#[test]
fn of_clients_with_the_fast_path_on() {
    const PASSIVE: [&str; 3] = ["PASV", "EPSV", "EPSV over IPv6"];
    for (number, method) in
        [Method::Masquerading, Method::FullNat, Method::AcrossFamilies].into_iter().enumerate()
    {
        let name = format!("ftp-syn{number}p");
        only_control_connections_are_filtered(&name, method, PacketPath::Fast, &PASSIVE);
    }
}
