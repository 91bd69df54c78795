//! `ipvsd pool`: local addresses for full NAT.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use ipvs_abi::errno::Errno;
use ipvs_abi::pool::{line, parse, parse_addresses, ranges};
use ipvs_client::{ClientError, ControlClient, DEFAULT_SOCKET, SOCKET_VARIABLE};
use ipvs_core::{Command, MOST_POOL_ADDRESSES, PoolInfo, PoolName, Reply};
use serde_json::json;

use crate::lines;
use crate::show::print;

/// Pools of local addresses, which servers of full NAT see as their clients' (`ipvsadm … --full-nat --local-pool NAME`).
///
/// With full NAT this host puts one of the pool's addresses in the client's place, so the server's answer comes back here wherever the
/// server is: it needs no route to this host and no virtual address, and may be on the client's own segment. Each address serves up to
/// 64512 connections to each server at a time, those included that ended less than two minutes ago.
///
/// The addresses are this host's alone: free ones of a segment on which it is, or others that are routed to it. It answers ARP and
/// neighbour discovery for them; they need not be on an interface. Servers of IPv4 take IPv4 addresses, those of IPv6 IPv6 ones;
/// a pool may have both.
///
/// A pool has up to 128 addresses. Pools survive a restart of the daemon, but not of the host.
#[derive(Debug, Args)]
#[command(after_long_help = "\
EXAMPLES
  ipvsd pool add web 10.0.0.8
  ipvsadm -A -t 192.0.2.10:80 -s wlc
  ipvsadm -a -t 192.0.2.10:80 -r 10.0.0.11:8080 --full-nat --local-pool web
  ipvsadm -a -t 192.0.2.10:80 -r 10.0.0.12:8080 --full-nat --local-pool web

  ipvsd pool add web 10.0.0.9-10.0.0.15 2001:db8::8/125   more of them: ranges, prefixes (all addresses of them)
  ipvsd pool list                                         how many connections use them, and how often they did not suffice
  ipvsadm -Lnc --local                                    and which connection uses which
  ipvsd pool del web 10.0.0.15                            one less; connections that use it go on
  ipvsd pool del web                                      the pool, once no destination names it

  ipvsd pool save > pools; ipvsadm -Sn > rules            everything, as text
  ipvsd pool restore < pools; ipvsadm -R < rules          back again, the pools first: destinations name them

EXIT CODES
  0  done
  1  refused, or there is no such pool or address
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
    /// Add addresses to a pool, which is made if it is not there
    Add {
        /// The pool: 1 to 15 letters, digits, '-', '_' and '.'
        name: PoolName,

        /// An address, a range (10.0.0.8-10.0.0.15) or a prefix (10.0.0.8/29)
        #[arg(required = true, value_name = "ADDRESS", value_parser = Addresses::read)]
        addresses: Vec<Addresses>,
    },
    /// Take addresses out of a pool, or delete it
    Del {
        /// The pool
        name: PoolName,

        /// An address, a range or a prefix; without any, the pool is deleted
        #[arg(value_name = "ADDRESS", value_parser = Addresses::read)]
        addresses: Vec<Addresses>,
    },
    /// Show the pools
    List {
        /// As a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Print the pools for `restore`: a line each, as `web 10.0.0.8-10.0.0.15 2001:db8::8`
    Save,
    /// Add the pools on standard input; what is there already stays
    ///
    /// Empty lines and those that begin with '#' are passed over. If a line is malformed nothing is done; if one is refused the others
    /// are done.
    Restore,
}

/// What one word names: of one value, for clap takes a list as several.
#[derive(Clone, Debug)]
struct Addresses(Vec<IpAddr>);

impl Addresses {
    fn read(text: &str) -> Result<Self, ipvs_abi::pool::PoolTextError> {
        parse_addresses(text).map(Self)
    }

    fn all(words: &[Self]) -> Vec<IpAddr> {
        words.iter().flat_map(|word| word.0.iter().copied()).collect()
    }
}

/// Does it.
pub(crate) fn pool(arguments: &Arguments) -> ExitCode {
    match act(arguments) {
        Ok(code) => code,
        Err(error) => {
            let said = error.errno().and_then(|errno| refusal(&arguments.action, errno));
            eprintln!("ipvsd: {}", said.unwrap_or_else(|| error.to_string()));
            ExitCode::from(if error.errno().is_some() { 1 } else { 2 })
        }
    }
}

fn act(arguments: &Arguments) -> Result<ExitCode, ClientError> {
    let mut client = ControlClient::connect(&arguments.socket)?;
    match &arguments.action {
        Action::Add { name, addresses } => {
            client.request(Command::AddPool(*name, Addresses::all(addresses)))?;
        }
        Action::Del { name, addresses } => {
            client.request(Command::DeletePool(*name, Addresses::all(addresses)))?;
        }
        Action::Save => {
            let pools = list(&mut client)?;
            let lines: String = pools.iter().map(|it| line(it.name, &it.addresses) + "\n").collect();
            return Ok(print(lines.as_bytes()));
        }
        Action::Restore => {
            let add = |pool| add_missing(&mut client, pool);
            let refusal = |error: &ClientError| refusal(&arguments.action, error.errno()?);
            return lines::restore(lines::read(parse), add, refusal);
        }
        Action::List { json } => {
            let pools = list(&mut client)?;
            return Ok(print(if *json { as_json(&pools) } else { as_table(&pools) }.as_bytes()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(client: &mut ControlClient) -> Result<Vec<PoolInfo>, ClientError> {
    Ok(match client.request(Command::ListPools { cursor: 0, limit: usize::MAX })? {
        Reply::Pools { items, .. } => items,
        _ => Vec::new(),
    })
}

/// Adds those of the addresses that the pool does not have.
fn add_missing(
    client: &mut ControlClient,
    (name, mut addresses): (PoolName, Vec<IpAddr>),
) -> Result<(), ClientError> {
    let pools = list(client)?;
    if let Some(pool) = pools.iter().find(|pool| pool.name == name) {
        addresses.retain(|address| !pool.addresses.contains(address));
        if addresses.is_empty() {
            return Ok(());
        }
    }
    client.request(Command::AddPool(name, addresses)).map(drop)
}

/// What an error number says. Of several addresses either all are added or taken out, or none.
fn refusal(action: &Action, errno: Errno) -> Option<String> {
    Some(match (action, errno) {
        (Action::Add { .. } | Action::Restore, Errno::EEXIST) => {
            "an address is in a pool already; `ipvsd pool list` shows all, and nothing was added".to_owned()
        }
        (Action::Add { .. } | Action::Restore, Errno::EADDRINUSE) => {
            "an address is that of a virtual service, and cannot be of a pool too; nothing was added"
                .to_owned()
        }
        (Action::Add { .. } | Action::Restore, Errno::EINVAL) => {
            "an address is no unicast address that packets can come from; nothing was added".to_owned()
        }
        (Action::Add { .. } | Action::Restore, Errno::ENOMEM) => {
            format!("a pool has at most {MOST_POOL_ADDRESSES} addresses; nothing was added")
        }
        (Action::Del { name, .. }, Errno::ENXIO) => {
            format!("there is no pool {name}; `ipvsd pool list` shows all")
        }
        (Action::Del { name, .. }, Errno::ENOENT) => {
            format!(
                "the pool {name} does not have all of these addresses; `ipvsd pool list` shows them, and none was taken out"
            )
        }
        (Action::Del { name, addresses }, Errno::EBUSY) if addresses.is_empty() => {
            format!(
                "destinations take addresses from the pool {name}: delete them first, or give them another (ipvsadm -Ln --json shows which)"
            )
        }
        (Action::Del { name, .. }, Errno::EBUSY) => {
            format!("destinations would be left without an address of the pool {name}: add another one first")
        }
        _ => return None,
    })
}

fn as_table(pools: &[PoolInfo]) -> String {
    let title = ["POOL", "DESTINATIONS", "CONNECTIONS", "EXHAUSTED", "ADDRESSES"].map(str::to_owned);
    let row = |pool: &PoolInfo| {
        let PoolInfo { name, addresses, connections, exhausted, references } = pool;
        let addresses = ranges(addresses).join(",");
        [name.to_string(), references.to_string(), connections.to_string(), exhausted.to_string(), addresses]
    };
    let rows: Vec<_> = std::iter::once(title).chain(pools.iter().map(row)).collect();
    let width = rows.iter().map(|[name, ..]| name.len()).max().unwrap_or_default();
    let line = |[name, references, connections, exhausted, addresses]: &[String; 5]| {
        format!("{name:width$}  {references:>12}  {connections:>11}  {exhausted:>9}  {addresses}\n")
    };
    rows.iter().map(line).collect()
}

fn as_json(pools: &[PoolInfo]) -> String {
    let pool = |pool: &PoolInfo| {
        json!({
            "name": pool.name.as_str(),
            "addresses": pool.addresses,
            "destinations": pool.references,
            "connections": pool.connections,
            "exhausted": pool.exhausted,
        })
    };
    let pools: Vec<_> = pools.iter().map(pool).collect();
    serde_json::to_string_pretty(&pools).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings() {
        let pools = [
            PoolInfo {
                name: PoolName::new("web").unwrap(),
                addresses: [parse_addresses("10.0.0.8/30").unwrap(), parse_addresses("2001:db8::8").unwrap()]
                    .concat(),
                connections: 64512,
                exhausted: 3,
                references: 2,
            },
            PoolInfo {
                name: PoolName::new("mail.example").unwrap(),
                addresses: vec![[10, 0, 1, 1].into()],
                connections: 0,
                exhausted: 0,
                references: 0,
            },
        ];
        let table = "\
POOL          DESTINATIONS  CONNECTIONS  EXHAUSTED  ADDRESSES
web                      2        64512          3  10.0.0.8-10.0.0.11,2001:db8::8
mail.example             0            0          0  10.0.1.1
";
        assert_eq!(as_table(&pools), table);
        let json: serde_json::Value = serde_json::from_str(&as_json(&pools)).unwrap();
        assert_eq!(json[0]["addresses"][4], "2001:db8::8");
        assert_eq!((&json[0]["destinations"], &json[0]["exhausted"]), (&json!(2), &json!(3)));
    }
}
