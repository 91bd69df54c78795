//! Records of the state as lines of text.
//!
//! `CRC32c words`, the checksum of the words in eight hexadecimal digits: a line that was written in part, or by an accident
//! of the medium, is told from a whole one. A line is of no use but to ipvsd itself; it is text so that one can look at it.

use std::net::{IpAddr, Ipv4Addr};
use std::str::{FromStr, SplitWhitespace};

use ipvs_core::{
    ConnectionFlags, DestinationConfig, DestinationId, ForwardingMethod, MarkTarget, PoolName, Saved,
    SavedDestination, SavedService, ServiceConfig, ServiceId, SyncDaemonConfig, SyncRole, Tunnel,
};
use ipvs_wire::crc32c;

/// What ends the line of a destination that is told clients' addresses by the PROXY protocol.
const PROXY: &str = " proxy";

/// A line, its end included.
pub(super) fn line(words: &str) -> String {
    format!("{:08x} {words}\n", crc32c::of(words.as_bytes()))
}

/// The words of a whole line, without its end.
pub(super) fn words(line: &str) -> Option<&str> {
    let (checksum, words) = line.split_once(' ')?;
    (checksum.len() == 8 && u32::from_str_radix(checksum, 16) == Ok(crc32c::of(words.as_bytes())))
        .then_some(words)
}

/// The line of a record.
pub(super) fn encode(saved: &Saved) -> String {
    line(&match saved {
        Saved::Service(it) => {
            let SavedService { index, serial, id, config } = it;
            let engine = config.persistence_engine.as_deref().unwrap_or("-");
            let helper = config.helper.as_deref().unwrap_or("-");
            let MarkTarget { protocol, address, port } = config.target;
            format!(
                "service {index} {serial} {} {} {engine} {helper} {} {} {} {protocol} {address} {port}",
                identity(id),
                config.scheduler,
                config.flags,
                config.timeout,
                config.netmask,
            )
        }
        Saved::NoService(index) => format!("no-service {index}"),
        Saved::Destination(it) => {
            let DestinationConfig { forwarding, flags, weight, tunnel, local_pool, .. } = it.config;
            let DestinationConfig { upper_threshold, lower_threshold, proxy, .. } = it.config;
            // Only where it is set, so that a version without it reads all others.
            let proxy = if proxy == Some(true) { PROXY } else { "" };
            format!(
                "destination {} {} {} {} {} {} {} {} {} {} {} {weight} {} {upper_threshold} {lower_threshold} {} {} {} {}{proxy}",
                it.index,
                it.created,
                u8::from(it.available),
                u8::from(it.all_ports),
                identity(&it.service),
                it.service_serial,
                it.serial,
                it.id.address,
                it.id.port,
                forwarding.0,
                flags.0,
                it.last_weight,
                tunnel.kind,
                tunnel.port,
                tunnel.flags,
                local_pool.as_ref().map_or("-", PoolName::as_str),
            )
        }
        Saved::NoDestination(index) => format!("no-destination {index}"),
        Saved::Pool(name, addresses) => {
            let addresses: String = addresses.iter().map(|address| format!(" {address}")).collect();
            format!("pool {name}{addresses}")
        }
        Saved::SyncDaemon(role, None) => format!("no-sync-daemon {}", role.number()),
        Saved::SyncDaemon(role, Some(it)) => format!(
            "sync-daemon {} {} {} {} {} {} {} {}",
            role.number(),
            it.interface,
            it.sync_id,
            it.max_length,
            it.group.map_or_else(|| "-".to_owned(), |group| group.to_string()),
            it.port,
            it.ttl,
            u8::from(it.mixed),
        ),
    })
}

/// The record of a line's words; `None` if it is none of this version.
pub(super) fn decode(words: &str) -> Option<Saved> {
    let mut words = words.split_whitespace();
    let saved = match words.next()? {
        "service" => Saved::Service(SavedService {
            index: next(&mut words)?,
            serial: next(&mut words)?,
            id: next_identity(&mut words)?,
            config: ServiceConfig {
                scheduler: next(&mut words)?,
                persistence_engine: Some(next::<String>(&mut words)?).filter(|name| name != "-"),
                helper: Some(next::<String>(&mut words)?).filter(|name| name != "-"),
                flags: next(&mut words)?,
                flags_mask: u32::MAX,
                timeout: next(&mut words)?,
                netmask: next(&mut words)?,
                target: MarkTarget {
                    protocol: next(&mut words)?,
                    address: next::<Ipv4Addr>(&mut words)?,
                    port: next(&mut words)?,
                },
            },
        }),
        "no-service" => Saved::NoService(next(&mut words)?),
        "destination" => {
            let (index, created) = (next(&mut words)?, next(&mut words)?);
            let available = next::<u8>(&mut words)? != 0;
            let all_ports = next::<u8>(&mut words)? != 0;
            let service = next_identity(&mut words)?;
            let (service_serial, serial) = (next(&mut words)?, next(&mut words)?);
            let id = DestinationId { address: next(&mut words)?, port: next(&mut words)? };
            let (forwarding, flags) = (next(&mut words)?, next(&mut words)?);
            let (weight, last_weight) = (next(&mut words)?, next(&mut words)?);
            let config = DestinationConfig {
                forwarding: ForwardingMethod(forwarding),
                flags: ConnectionFlags(flags),
                weight,
                upper_threshold: next(&mut words)?,
                lower_threshold: next(&mut words)?,
                tunnel: Tunnel { kind: next(&mut words)?, port: next(&mut words)?, flags: next(&mut words)? },
                // Records of versions without full NAT end before it.
                local_pool: match words.next() {
                    None | Some("-") => None,
                    Some(name) => Some(name.parse().ok()?),
                },
                proxy: match words.next() {
                    None => None,
                    Some(word) if word == PROXY.trim_ascii_start() => Some(true),
                    Some(_) => return None,
                },
            };
            Saved::Destination(SavedDestination {
                index,
                created,
                id,
                config,
                last_weight,
                service,
                service_serial,
                serial,
                available,
                all_ports,
            })
        }
        "no-destination" => Saved::NoDestination(next(&mut words)?),
        "no-sync-daemon" => Saved::SyncDaemon(SyncRole::from_number(next(&mut words)?)?, None),
        "pool" => {
            let name = next(&mut words)?;
            let addresses = words.by_ref().map(|word| word.parse().ok());
            Saved::Pool(name, addresses.collect::<Option<Vec<IpAddr>>>()?)
        }
        "sync-daemon" => {
            let role = SyncRole::from_number(next(&mut words)?)?;
            let config = SyncDaemonConfig {
                interface: next(&mut words)?,
                sync_id: next(&mut words)?,
                max_length: next(&mut words)?,
                group: match words.next()? {
                    "-" => None,
                    group => Some(group.parse().ok()?),
                },
                port: next(&mut words)?,
                ttl: next(&mut words)?,
                mixed: next::<u8>(&mut words)? != 0,
            };
            Saved::SyncDaemon(role, Some(config))
        }
        _ => return None,
    };
    words.next().is_none().then_some(saved)
}

fn identity(id: &ServiceId) -> String {
    match id {
        ServiceId::Address { protocol, address, port } => format!("address {protocol} {address} {port}"),
        ServiceId::Mark { ipv6, mark } => format!("mark {} {mark}", if *ipv6 { 6 } else { 4 }),
    }
}

fn next_identity(words: &mut SplitWhitespace<'_>) -> Option<ServiceId> {
    Some(match words.next()? {
        "address" => {
            ServiceId::Address { protocol: next(words)?, address: next::<IpAddr>(words)?, port: next(words)? }
        }
        "mark" => ServiceId::Mark { ipv6: next::<u8>(words)? == 6, mark: next(words)? },
        _ => return None,
    })
}

fn next<T: FromStr>(words: &mut SplitWhitespace<'_>) -> Option<T> {
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records() -> Vec<Saved> {
        let ids = [
            ServiceId::Address { protocol: 6, address: [192, 0, 2, 1].into(), port: 80 },
            ServiceId::Address { protocol: 17, address: "2001:db8::1".parse().unwrap(), port: 0 },
            ServiceId::Mark { ipv6: true, mark: u32::MAX },
        ];
        let config = ServiceConfig {
            scheduler: "wlc".into(),
            persistence_engine: None,
            helper: None,
            flags: 0x1d,
            flags_mask: u32::MAX,
            timeout: 300,
            netmask: 0xffff_ff00,
            target: MarkTarget { protocol: 17, address: [1, 2, 3, 4].into(), port: 99 },
        };
        let mut records = vec![
            Saved::NoService(7),
            Saved::NoDestination(8),
            Saved::Pool(
                PoolName::new("a.b-c_9").unwrap(),
                vec![[10, 0, 0, 1].into(), "fd00::1".parse().unwrap()],
            ),
            Saved::Pool(PoolName::new("gone").unwrap(), vec![]),
            Saved::SyncDaemon(SyncRole::Master, None),
            Saved::SyncDaemon(
                SyncRole::Backup,
                Some(SyncDaemonConfig {
                    interface: "eth0".into(),
                    sync_id: 3,
                    max_length: 1400,
                    group: Some([224, 0, 0, 81].into()),
                    port: 8848,
                    ttl: 1,
                    mixed: true,
                }),
            ),
        ];
        for (index, id) in (0..).zip(ids) {
            let engine = (index == 1).then(|| "sip".to_owned());
            let helper = (index == 2).then(|| "ftp".to_owned());
            let config = ServiceConfig { persistence_engine: engine, helper, ..config.clone() };
            records.push(Saved::Service(SavedService { index, serial: u64::MAX, id, config }));
            records.push(Saved::Destination(SavedDestination {
                index,
                created: 1 << 40,
                id: DestinationId { address: "fd00::2".parse().unwrap(), port: 8080 },
                config: DestinationConfig {
                    forwarding: ForwardingMethod::TUNNEL,
                    flags: ConnectionFlags(0x1_2000),
                    weight: 0,
                    upper_threshold: 9,
                    lower_threshold: 5,
                    tunnel: Tunnel { kind: 1, port: 5555, flags: 2 },
                    local_pool: (index == 1).then(|| PoolName::new("web").unwrap()),
                    proxy: (index < 2).then_some(true),
                },
                last_weight: 3,
                service: id,
                service_serial: 4,
                serial: 5,
                available: index == 2,
                all_ports: index == 1,
            }));
        }
        records
    }

    #[test]
    fn records_survive_their_lines() {
        for record in records() {
            let line = encode(&record);
            let words = words(line.strip_suffix('\n').unwrap()).unwrap();
            assert_eq!(decode(words).as_ref(), Some(&record), "{line}");
        }
    }

    #[test]
    fn a_part_of_a_line_or_another_byte_is_no_line() {
        for record in records() {
            let line = encode(&record);
            let line = line.strip_suffix('\n').unwrap();
            for end in 0..line.len() {
                assert_eq!(words(&line[..end]), None, "{line}");
                let mut other = line.as_bytes().to_vec();
                other[end] ^= 1;
                assert_eq!(words(&String::from_utf8_lossy(&other)), None, "{line}");
            }
        }
        for nonsense in ["", "service 1", "service 1 2 3", "no-service x", "no-service 1 2", "new-thing 1"] {
            assert_eq!(decode(nonsense), None, "{nonsense}");
        }
    }
}
