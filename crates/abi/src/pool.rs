//! Pools and their addresses as text: single ones, ranges (`10.0.0.8-10.0.0.15`) and prefixes (`10.0.0.8/29`); a pool is a line of its
//! name and such words, `web 10.0.0.8-10.0.0.15 2001:db8::8`.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipvs_core::{MOST_POOL_ADDRESSES, PoolName};

/// Why a text names no addresses, for whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolTextError {
    /// Neither an address nor several.
    #[error(
        "no addresses {0:?}: write an address, as 10.0.0.8 or 2001:db8::8, a range, as 10.0.0.8-10.0.0.15, or a prefix, as \
         10.0.0.8/29"
    )]
    Addresses(String),
    /// A prefix of an address that has bits behind it.
    #[error(
        "{0} is within {1}/{2}: write {1}/{2} for all addresses of that network, or {0} for this one alone"
    )]
    HostBits(IpAddr, IpAddr, u8),
    /// Too many.
    #[error(
        "{0:?} are more than the {MOST_POOL_ADDRESSES} addresses that a pool may have: name fewer, each serves 64512 connections to each server"
    )]
    TooMany(String),
    /// Not a name.
    #[error(
        "no pool {0:?}: a name has 1 to 15 letters, digits, '-', '_' and '.', and no '-' at its beginning"
    )]
    Name(String),
    /// A pool without addresses.
    #[error("a pool has a name and at least one address")]
    Words,
}

/// A pool as a line, without the newline.
pub fn line(name: PoolName, addresses: &[IpAddr]) -> String {
    format!("{name} {}", ranges(addresses).join(" "))
}

/// Reads a pool as [`line()`] writes it: its name, and all addresses that its words name.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &str) -> Result<(PoolName, Vec<IpAddr>), PoolTextError> {
    let mut words = text.split_ascii_whitespace();
    let name = words.next().ok_or(PoolTextError::Words)?;
    let name = name.parse().map_err(|_| PoolTextError::Name(name.to_owned()))?;
    let mut addresses = Vec::new();
    for word in words {
        addresses.extend(parse_addresses(word)?);
    }
    if addresses.is_empty() { Err(PoolTextError::Words) } else { Ok((name, addresses)) }
}

/// Reads an address, a range or a prefix: all addresses in it, in order. A prefix has all its addresses, the first and the last too:
/// what of them the network may not use is for who writes it to know.
///
/// # Errors
/// [`PoolTextError`].
pub fn parse_addresses(text: &str) -> Result<Vec<IpAddr>, PoolTextError> {
    let malformed = || PoolTextError::Addresses(text.to_owned());
    let address = |text: &str| text.trim().parse::<IpAddr>().map_err(|_| malformed());
    let (first, last) = if let Some((base, prefix)) = text.split_once('/') {
        let base = address(base)?;
        let prefix = prefix.parse::<u8>().map_err(|_| malformed())?;
        let width = width(base);
        let free = width.checked_sub(prefix).ok_or_else(malformed)?;
        let mask = if free == 128 { u128::MAX } else { (1 << free) - 1 };
        if bits(base) & mask != 0 {
            return Err(PoolTextError::HostBits(base, from_bits(bits(base) & !mask, width), prefix));
        }
        (base, from_bits(bits(base) | mask, width))
    } else if let Some((first, last)) = text.split_once('-') {
        (address(first)?, address(last)?)
    } else {
        let single = address(text)?;
        (single, single)
    };
    if first.is_ipv4() != last.is_ipv4() || first > last {
        return Err(malformed());
    }
    let (from, to) = (bits(first), bits(last));
    if to - from >= MOST_POOL_ADDRESSES as u128 {
        return Err(PoolTextError::TooMany(text.to_owned()));
    }
    Ok((from..=to).map(|bits| from_bits(bits, width(first))).collect())
}

/// Addresses for people: neighbours in order as ranges.
pub fn ranges(addresses: &[IpAddr]) -> Vec<String> {
    let follows =
        |a: &IpAddr, b: &IpAddr| a.is_ipv4() == b.is_ipv4() && bits(*a).checked_add(1) == Some(bits(*b));
    let range = |run: &[IpAddr]| match run {
        [single] => single.to_string(),
        // Two are as short one by one, but one word is one column.
        [first, .., last] => format!("{first}-{last}"),
        [] => String::new(),
    };
    addresses.chunk_by(follows).map(range).collect()
}

/// Bits of an address of this family.
const fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The address of these bits, the lower 32 alone in a family of 32.
fn from_bits(bits: u128, width: u8) -> IpAddr {
    if width == 32 { Ipv4Addr::from_bits(bits as u32).into() } else { Ipv6Addr::from_bits(bits).into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_prefixes_are_all_their_addresses() {
        for (text, count, shown) in [
            ("10.0.0.8", 1, "10.0.0.8"),
            ("10.0.0.8-10.0.0.15", 8, "10.0.0.8-10.0.0.15"),
            ("10.0.0.8/29", 8, "10.0.0.8-10.0.0.15"),
            ("10.0.0.255-10.0.1.0", 2, "10.0.0.255-10.0.1.0"),
            ("255.255.255.255/32", 1, "255.255.255.255"),
            ("2001:db8::/121", 128, "2001:db8::-2001:db8::7f"),
            ("2001:db8::8", 1, "2001:db8::8"),
        ] {
            let addresses = parse_addresses(text).unwrap();
            assert_eq!((addresses.len(), ranges(&addresses).join(" ").as_str()), (count, shown), "{text}");
        }
        let scattered: Vec<IpAddr> =
            ["10.0.0.9", "10.0.0.10", "10.0.0.8", "::1", "::2"].map(|it| it.parse().unwrap()).into();
        assert_eq!(ranges(&scattered), ["10.0.0.9-10.0.0.10", "10.0.0.8", "::1-::2"]);
    }

    #[test]
    fn pools_are_written_as_they_are_read() {
        for text in ["web 10.0.0.8-10.0.0.15 2001:db8::8", "a.b-c_9 10.0.0.9 10.0.0.8"] {
            let (name, addresses) = parse(text).unwrap();
            assert_eq!(line(name, &addresses), text);
        }
        let (name, addresses) = parse(" web\t10.0.0.8/31  10.0.0.10 ").unwrap();
        assert_eq!(line(name, &addresses), "web 10.0.0.8-10.0.0.10");
        for (text, named) in [
            ("web", "at least one address"),
            ("", "a name"),
            ("-web 10.0.0.8", "no pool \"-web\""),
            ("web 10.0.0.8,10.0.0.9", "no addresses \"10.0.0.8,10.0.0.9\""),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(named), "{text:?}: {error}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, named) in [
            ("example.org", "no addresses \"example.org\""),
            ("10.0.0.1/33", "10.0.0.1/33"),
            ("10.0.0.1/", "no addresses"),
            ("10.0.0.9-10.0.0.8", "no addresses"),
            ("10.0.0.9-::1", "no addresses"),
            ("10.0.0.9/29", "10.0.0.9 is within 10.0.0.8/29"),
            ("10.0.0.0/8", "more than the 128"),
            ("::/0", "more than the 128"),
            ("0.0.0.0-255.255.255.255", "more than the 128"),
            ("", "no addresses"),
        ] {
            let error = parse_addresses(text).unwrap_err().to_string();
            assert!(error.contains(named), "{text:?}: {error}");
        }
    }
}
