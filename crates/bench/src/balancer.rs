//! Other balancers: rules of nftables, and HAProxy.

use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::path::{Path as File, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ipvs_lab::parts::{Interrupt, Namespace, set_sysctl, spawn};

use crate::Error;
use crate::address::{SERVER_PORT, SERVERS, SERVICE_PORT, VIRTUAL};

/// Time for HAProxy to listen.
const LIMIT: Duration = Duration::from_secs(10);

/// Where a program is; none if it is not installed. Much of what balances lies in sbin, which is not in everybody's PATH.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Balances by rules: each new flow to a server drawn at random.
pub(crate) fn set_rules(nft: &File, director: &Namespace) -> Result<(), Error> {
    let servers: Vec<String> =
        (0..).zip(SERVERS).map(|(number, server): (u32, Ipv4Addr)| format!("{number} : {server}")).collect();
    let map = format!("numgen random mod {} map {{ {} }}", SERVERS.len(), servers.join(", "));
    let rules = format!(
        "table ip balancer {{ chain prerouting {{ type nat hook prerouting priority dstnat; policy accept;\n\
         ip daddr {VIRTUAL} udp dport {SERVICE_PORT} dnat to {map} : {SERVER_PORT}\n\
         ip daddr {VIRTUAL} tcp dport {SERVICE_PORT} dnat to {map} : {SERVER_PORT}\n}}\n}}\n"
    );
    let output = director.run(|| -> io::Result<std::process::Output> {
        let mut command = Command::new(nft);
        command.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(rules.as_bytes())?;
        }
        child.wait_with_output()
    })?;
    let doing = "set rules of nftables";
    let output = output.map_err(|error| Error::setup(doing, error))?;
    if !output.status.success() {
        return Err(Error::setup(doing, String::from_utf8_lossy(&output.stderr).trim()));
    }
    director.run(|| {
        // Datagrams without an answer are forgotten after 30 s, and flows should last; first segments should not.
        set_sysctl("netfilter/nf_conntrack_udp_timeout", "3600")?;
        set_sysctl("netfilter/nf_conntrack_tcp_timeout_syn_sent", "5")
    })?
}

/// HAProxy, ended when dropped.
#[derive(Debug)]
pub(crate) struct Proxy(Child);

impl Proxy {
    /// Starts it in TCP mode. Must be called from a thread that outlives it. `file` is to be its configuration,
    /// `log` what it says.
    pub(crate) fn start(
        haproxy: &File,
        director: &Namespace,
        file: &File,
        log: &File,
        interrupt: &Interrupt,
    ) -> Result<Self, Error> {
        let failed = |error: io::Error| Error::setup(format!("start {}", haproxy.display()), error);
        let servers: String = (1..)
            .zip(SERVERS)
            .map(|(number, server): (u32, Ipv4Addr)| format!("    server s{number} {server}:{SERVER_PORT}\n"))
            .collect();
        let text = format!(
            "global\n    maxconn 1000\ndefaults\n    mode tcp\n    timeout connect 5s\n    timeout client 60s\n    \
             timeout server 60s\nlisten balancer\n    bind {VIRTUAL}:{SERVICE_PORT}\n    balance roundrobin\n{servers}"
        );
        std::fs::write(file, text).map_err(failed)?;
        // A thread in the namespace would end, and the child with it: so it goes there by itself.
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/run/netns/{}", director.name()))
            .arg(haproxy)
            .args(["-db", "-f"])
            .arg(file);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(log).map_err(failed)?);
        let mut proxy = Self(spawn(&mut command).map_err(failed)?);
        let address = (VIRTUAL, SERVICE_PORT);
        let ready = interrupt.wait(LIMIT, || {
            if let Some(status) = proxy.0.try_wait().map_err(failed)? {
                let said = std::fs::read_to_string(log).unwrap_or_default();
                return Err(failed(io::Error::other(format!(
                    "it ended at once ({status}): {}",
                    said.trim()
                ))));
            }
            Ok(director.run(|| std::net::TcpStream::connect(address).is_ok())?.then_some(()))
        })?;
        ready.map(|()| proxy).ok_or_else(|| failed(io::Error::other("it does not listen after 10 seconds")))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
