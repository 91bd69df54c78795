//! IPv6 neighbour discovery: solicitations and advertisements (RFC 4861 sections 4.3, 4.4 and 7.1).

use core::net::{IpAddr, Ipv6Addr};

use crate::{Fragment, Headers, Malformed, bytes, checksum, ethernet::MacAddress, icmpv6::kind, protocol};

/// Length of a message with one link-layer address option, IPv6 header included, bytes: the most that the
/// functions here write.
pub const MAX_LEN: usize = 40 + 24 + 8;

/// Option types.
const SOURCE_LINK_LAYER: u8 = 1;
const TARGET_LINK_LAYER: u8 = 2;

/// A neighbour solicitation: who has `target`?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Solicitation {
    /// Who asks; unspecified in duplicate address detection (RFC 4862).
    pub source: Ipv6Addr,
    /// The address asked for.
    pub target: Ipv6Addr,
    /// Link-layer address of who asks, if given.
    pub source_mac: Option<MacAddress>,
}

/// A neighbour advertisement: `target` is at `target_mac`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advertisement {
    /// The address that is advertised.
    pub target: Ipv6Addr,
    /// Its link-layer address, if given.
    pub target_mac: Option<MacAddress>,
    /// The sender is a router.
    pub router: bool,
    /// It answers a solicitation to a single host.
    pub solicited: bool,
    /// It replaces what was known before.
    pub overriding: bool,
}

/// The multicast address on which the owner of `address` listens for solicitations (RFC 4291 section 2.7.1).
pub fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    let [low, high] = [u16::from_be_bytes([b, c]), 0xff00 | u16::from(a)];
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, high, low)
}

/// Checks common to both messages (RFC 4861 section 7.1.1 and 7.1.2) and returns the ICMPv6 message.
fn message<'a>(packet: &'a [u8], headers: &Headers, wanted: u8) -> Result<&'a [u8], Malformed> {
    let message = headers.payload(packet);
    if !headers.is_ipv6() || headers.protocol != protocol::ICMPV6 || headers.fragment != Fragment::Whole {
        return Err(Malformed::Protocol);
    }
    let &[kind, code] = message.first_chunk().ok_or(Malformed::Truncated)?;
    if kind != wanted {
        return Err(Malformed::Protocol);
    }
    if message.len() < 24 {
        return Err(Malformed::Truncated);
    }
    // Hop limit 255: from this link, not through a router.
    if code != 0 || headers.hop_limit != 255 || !checksum::verify_transport(packet, headers) {
        return Err(Malformed::BadHeader);
    }
    Ok(message)
}

/// The link-layer address in the option `wanted` among `options`; checks them all.
fn link_layer(options: &[u8], wanted: u8) -> Result<Option<MacAddress>, Malformed> {
    let mut found = None;
    let mut rest = options;
    while !rest.is_empty() {
        let &[kind, words] = rest.first_chunk().ok_or(Malformed::Truncated)?;
        if words == 0 {
            return Err(Malformed::BadLength);
        }
        let (option, after) = rest.split_at_checked(usize::from(words) * 8).ok_or(Malformed::Truncated)?;
        if kind == wanted && words == 1 {
            found = bytes::array(option, 2).map(MacAddress);
        }
        rest = after;
    }
    Ok(found)
}

impl Solicitation {
    /// Reads a solicitation and checks it as RFC 4861 section 7.1.1 demands.
    ///
    /// # Errors
    /// [`Malformed::Protocol`] if it is no solicitation; else it is a wrong one, to be ignored.
    pub fn parse(packet: &[u8], headers: &Headers) -> Result<Self, Malformed> {
        let message = message(packet, headers, kind::NEIGHBOR_SOLICITATION)?;
        let IpAddr::V6(source) = headers.source else { return Err(Malformed::Family) };
        let target = Ipv6Addr::from(bytes::octets(message, 8));
        let source_mac = link_layer(message.get(24..).unwrap_or_default(), SOURCE_LINK_LAYER)?;
        if target.is_multicast() {
            return Err(Malformed::BadHeader);
        }
        let to = headers.destination;
        if source.is_unspecified() && (source_mac.is_some() || to != IpAddr::V6(solicited_node(target))) {
            return Err(Malformed::BadHeader);
        }
        Ok(Self { source, target, source_mac })
    }

    /// Where it is sent: to the target's [`solicited_node`] address.
    pub fn destination(&self) -> Ipv6Addr {
        solicited_node(self.target)
    }

    /// Writes the solicitation as an IPv6 packet to the start of `out` and returns its length in bytes, at most
    /// [`MAX_LEN`].
    ///
    /// # Errors
    /// [`Malformed::Truncated`] if it does not fit.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, Malformed> {
        let option = self.source_mac.map(|mac| (SOURCE_LINK_LAYER, mac));
        let kind = kind::NEIGHBOR_SOLICITATION;
        emit(out, self.source, self.destination(), kind, 0, self.target, option)
    }

    /// The advertisement that answers it, from the station `mac`, which has the target, and where it is sent: to
    /// who asked, or to all nodes if that has no address yet (RFC 4861 section 7.2.4). Emit it with the target as
    /// its source.
    pub fn answer(&self, mac: MacAddress) -> (Advertisement, Ipv6Addr) {
        let solicited = !self.source.is_unspecified();
        let advertisement = Advertisement {
            target: self.target,
            target_mac: Some(mac),
            router: false,
            solicited,
            overriding: true,
        };
        let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
        (advertisement, if solicited { self.source } else { all_nodes })
    }
}

impl Advertisement {
    /// Reads an advertisement and checks it as RFC 4861 section 7.1.2 demands.
    ///
    /// # Errors
    /// [`Malformed::Protocol`] if it is no advertisement; else it is a wrong one, to be ignored.
    pub fn parse(packet: &[u8], headers: &Headers) -> Result<Self, Malformed> {
        let message = message(packet, headers, kind::NEIGHBOR_ADVERTISEMENT)?;
        let flags = bytes::byte(message, 4);
        let advertisement = Self {
            target: bytes::octets(message, 8).into(),
            target_mac: link_layer(message.get(24..).unwrap_or_default(), TARGET_LINK_LAYER)?,
            router: flags & 0x80 != 0,
            solicited: flags & 0x40 != 0,
            overriding: flags & 0x20 != 0,
        };
        let to_group = headers.destination.is_multicast();
        if advertisement.target.is_multicast() || (to_group && advertisement.solicited) {
            return Err(Malformed::BadHeader);
        }
        Ok(advertisement)
    }

    /// Writes the advertisement as an IPv6 packet to the start of `out` and returns its length in bytes, at most
    /// [`MAX_LEN`].
    ///
    /// # Errors
    /// [`Malformed::Truncated`] if it does not fit.
    pub fn emit(&self, source: Ipv6Addr, destination: Ipv6Addr, out: &mut [u8]) -> Result<usize, Malformed> {
        let flags =
            u8::from(self.router) << 7 | u8::from(self.solicited) << 6 | u8::from(self.overriding) << 5;
        let option = self.target_mac.map(|mac| (TARGET_LINK_LAYER, mac));
        emit(out, source, destination, kind::NEIGHBOR_ADVERTISEMENT, flags, self.target, option)
    }
}

/// Writes either message.
fn emit(
    out: &mut [u8],
    source: Ipv6Addr,
    destination: Ipv6Addr,
    kind: u8,
    flags: u8,
    target: Ipv6Addr,
    option: Option<(u8, MacAddress)>,
) -> Result<usize, Malformed> {
    let length: u16 = if option.is_some() { 32 } else { 24 };
    let total = 40 + usize::from(length);
    let out = out.get_mut(..total).ok_or(Malformed::Truncated)?;
    bytes::put(out, 0, [0x60, 0, 0, 0])?;
    bytes::put_u16(out, 4, length)?;
    bytes::put(out, 6, [protocol::ICMPV6, 255])?;
    bytes::put(out, 8, source.octets())?;
    bytes::put(out, 24, destination.octets())?;
    bytes::put(out, 40, [kind, 0, 0, 0, flags, 0, 0, 0])?;
    bytes::put(out, 48, target.octets())?;
    if let Some((kind, mac)) = option {
        bytes::put(out, 64, [kind, 1])?;
        bytes::put(out, 66, mac.0)?;
    }
    let headers = Headers::parse(out)?;
    checksum::fill_transport(out, &headers);
    Ok(total)
}
