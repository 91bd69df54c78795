//! `ipvsd mark`: which packets have a firewall mark, for services by mark.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use ipvs_abi::errno::Errno;
use ipvs_abi::mark::{parse, parse_mark, parse_network, parse_ports, parse_protocol, words};
use ipvs_client::{ClientError, ControlClient, DEFAULT_SOCKET, SOCKET_VARIABLE};
use ipvs_core::{Command, MarkRule, PortRange, Reply};
use serde_json::json;

use crate::lines;
use crate::show::print;

/// Give packets a firewall mark, for services by mark (`ipvsadm -A -f MARK`).
///
/// A service by mark takes several ports, protocols or addresses together: with persistence a client then reaches the same
/// server on all of them. Netfilter can mark the packets, as with kernel IPVS (iptables -t mangle -j MARK, and a route that makes
/// marked packets local); these rules do without netfilter, and are faster. The first rule that matches a packet's protocol, destination address and destination port
/// gives its mark, and the service of this mark goes before one by address.
///
/// Rules stay until they are deleted, whatever happens to services, and survive a restart of the daemon, but not of the host.
#[derive(Debug, Args)]
#[command(after_long_help = "\
EXAMPLES
  HTTP and HTTPS of one address, a client's both at the same server for 5 minutes:
    ipvsd mark add --proto tcp --dst 192.0.2.10 --dport 80,443 --mark 5
    ipvsadm -A -f 5 -s wlc -p 300
    ipvsadm -a -f 5 -r 10.0.0.1 -m
    ipvsadm -a -f 5 -r 10.0.0.2 -m

  ipvsd mark add --proto udp --dst 2001:db8::10 --dport 5060,10000-20000 --mark 6    its service: ipvsadm -A -f 6 -6
  ipvsd mark add --proto tcp --dst 192.0.2.10 --dport 22 --mark 0                    the later rules spare this port
  ipvsd mark list
  ipvsd mark del --proto tcp --dst 192.0.2.10 --dport 80,443 --mark 5

  ipvsd mark save > marks; ipvsadm -Sn > rules        everything, as text
  ipvsd mark restore < marks; ipvsadm -R < rules      back again

A single address is virtual, as that of a service: ipvsd answers ARP and neighbour discovery for it if it is not the host's. For the
addresses of a network nobody is answered: their packets must come to this host by routes, as to a transparent proxy.

EXIT CODES
  0  done
  1  refused, or there is no such rule
  2  wrong usage, or no daemon")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,

    /// Control socket of the daemon
    #[arg(long, global = true, value_name = "PATH", env = SOCKET_VARIABLE, default_value = DEFAULT_SOCKET)]
    socket: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add a rule behind the others
    Add(Rule),
    /// Delete the rule that says the same
    Del(Rule),
    /// Show the rules, in their order
    List {
        /// As a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Print the rules for `restore`: a line each, as `tcp 192.0.2.10/32 80,443 5`
    Save,
    /// Add the rules on standard input behind the others, in their order; what is there already stays where it is
    ///
    /// Empty lines and those that begin with '#' are passed over. If a line is malformed nothing is done; if one is refused the others
    /// are done.
    Restore,
}

#[derive(Debug, Args)]
struct Rule {
    /// Protocol: tcp, udp or sctp
    #[arg(long, value_name = "PROTOCOL", value_parser = parse_protocol)]
    proto: u16,

    /// Destination address or network of the packets, as 192.0.2.10 or 192.0.2.0/24
    #[arg(long, value_name = "ADDRESS[/PREFIX]", value_parser = parse_network)]
    dst: (IpAddr, u8),

    /// Destination ports and ranges of them, as 80,443,8000-8010; default: all
    #[arg(long, value_name = "PORTS", value_parser = Ports::read)]
    dport: Option<Ports>,

    /// The mark, decimal or as 0x5; 0 is none
    #[arg(long, value_name = "MARK", value_parser = parse_mark)]
    mark: u32,
}

/// What `--dport` names: of one value, for clap takes a list as several.
#[derive(Clone, Debug)]
struct Ports(Vec<PortRange>);

impl Ports {
    fn read(text: &str) -> Result<Self, ipvs_abi::mark::MarkTextError> {
        parse_ports(text).map(Self)
    }
}

impl Rule {
    fn rule(&self) -> MarkRule {
        let ((network, prefix), ports) = (self.dst, self.dport.as_ref().map(|ports| ports.0.clone()));
        MarkRule { protocol: self.proto, network, prefix, ports: ports.unwrap_or_default(), mark: self.mark }
    }
}

/// Does it.
pub(crate) fn mark(arguments: &Arguments) -> ExitCode {
    match act(arguments) {
        Ok(code) => code,
        Err(error) => {
            let said = error.errno().and_then(|errno| refusal(&arguments.action, errno));
            eprintln!("ipvsd: {}", said.map_or_else(|| error.to_string(), str::to_owned));
            ExitCode::from(if error.errno().is_some() { 1 } else { 2 })
        }
    }
}

fn act(arguments: &Arguments) -> Result<ExitCode, ClientError> {
    let mut client = ControlClient::connect(&arguments.socket)?;
    match &arguments.action {
        Action::Add(rule) => client.request(Command::AddMark(rule.rule()))?,
        Action::Del(rule) => client.request(Command::DeleteMark(rule.rule()))?,
        Action::List { json } => {
            let rules = list(&mut client)?;
            return Ok(print(if *json { as_json(&rules) } else { as_table(&rules) }.as_bytes()));
        }
        Action::Save => {
            let lines: String = list(&mut client)?.iter().map(|rule| words(rule).join(" ") + "\n").collect();
            return Ok(print(lines.as_bytes()));
        }
        Action::Restore => {
            let there = list(&mut client)?;
            let add = |rule| match there.contains(&rule) {
                true => Ok(()),
                false => client.request(Command::AddMark(rule)).map(drop),
            };
            let refusal = |error: &ClientError| refusal(&arguments.action, error.errno()?).map(str::to_owned);
            return lines::restore(lines::read(parse), add, refusal);
        }
    };
    Ok(ExitCode::SUCCESS)
}

fn list(client: &mut ControlClient) -> Result<Vec<MarkRule>, ClientError> {
    Ok(match client.request(Command::ListMarks { cursor: 0, limit: usize::MAX })? {
        Reply::Marks { items, .. } => items,
        _ => Vec::new(),
    })
}

/// What an error number says about a rule.
fn refusal(action: &Action, errno: Errno) -> Option<&'static str> {
    Some(match (action, errno) {
        (Action::Add(_) | Action::Restore, Errno::EEXIST) => "there is such a rule already",
        (Action::Add(_) | Action::Restore, Errno::ENOMEM) => "there are as many rules as there may be",
        (Action::Add(_) | Action::Del(_) | Action::Restore, Errno::EINVAL) => {
            "a rule has at most 64 ports and ranges of ports"
        }
        (Action::Del(_), Errno::ENOENT) => "there is no such rule; `ipvsd mark list` shows all",
        _ => return None,
    })
}

fn as_table(rules: &[MarkRule]) -> String {
    let title = ["PROTO", "DESTINATION", "PORTS", "MARK"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(title).chain(rules.iter().map(words)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
    let (protocol, network, ports) = (width(0), width(1), width(2));
    let line = |[a, b, c, d]: &[String; 4]| format!("{a:protocol$}  {b:network$}  {c:ports$}  {d}\n");
    rows.iter().map(line).collect()
}

fn as_json(rules: &[MarkRule]) -> String {
    let rule = |rule: &MarkRule| {
        let [protocol, destination, ..] = words(rule);
        let ports: Vec<_> = rule.ports.iter().map(|it| json!({"first": it.first, "last": it.last})).collect();
        json!({"protocol": protocol, "destination": destination, "ports": ports, "mark": rule.mark})
    };
    let rules: Vec<_> = rules.iter().map(rule).collect();
    serde_json::to_string_pretty(&rules).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Vec<MarkRule> {
        ["tcp 192.0.2.10/32 80,443,8000-8010 5", "udp 2001:db8::10/128 * 16"]
            .map(|text| ipvs_abi::mark::parse(text).unwrap())
            .into()
    }

    #[test]
    fn listings() {
        let table = "\
PROTO  DESTINATION       PORTS             MARK
tcp    192.0.2.10/32     80,443,8000-8010  5
udp    2001:db8::10/128  *                 16
";
        assert_eq!(as_table(&rules()), table);
        let json: serde_json::Value = serde_json::from_str(&as_json(&rules())).unwrap();
        assert_eq!(json[0]["ports"][2], json!({"first": 8000, "last": 8010}));
        assert_eq!(
            json[1],
            json!({"protocol": "udp", "destination": "2001:db8::10/128", "ports": [], "mark": 16})
        );
    }
}
