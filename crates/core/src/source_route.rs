//! Packets with a source route, which a host that does not accept them drops before IPVS sees them.

use ipvs_wire::Headers;

/// Length of an IPv4 header without options, in bytes.
const PLAIN: usize = 20;
/// Option types (RFC 791): the end of the options, padding, loose and strict source routes.
const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const LOOSE: u8 = 131;
const STRICT: u8 = 137;

/// Whether an IPv4 packet has a source route, even one that is used up (kernel behaviour, source-route in
/// `conformance/packets/headers.table`).
pub(crate) fn is_source_routed(packet: &[u8], headers: &Headers) -> bool {
    if headers.is_ipv6() || headers.transport <= PLAIN {
        return false;
    }
    let mut rest = packet.get(PLAIN..headers.transport).unwrap_or_default();
    loop {
        match *rest {
            [] | [END, ..] => return false,
            [LOOSE | STRICT, ..] => return true,
            [NO_OPERATION, ..] => rest = rest.get(1..).unwrap_or_default(),
            // A length below 2 is malformed.
            [_, length, ..] if length >= 2 => rest = rest.get(usize::from(length)..).unwrap_or_default(),
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet of a header with these options alone.
    fn packet(options: &[u8]) -> Vec<u8> {
        let length = 20 + options.len();
        let mut packet = vec![0; 20];
        packet[0] = 0x40 + (length / 4) as u8;
        packet[3] = length as u8;
        packet[9] = 17;
        packet.extend_from_slice(options);
        packet
    }

    #[test]
    fn a_source_route_is_found_behind_other_options() {
        for (options, want) in [
            (&[][..], false),
            (&[1, 1, 1, 0], false),
            (&[131, 3, 4, 0], true),
            (&[1, 137, 3, 4], true),
            (&[7, 3, 4, 137, 3, 4, 0, 0], true),
            (&[7, 7, 131, 3, 4, 0, 0, 0], false),
            (&[0, 131, 3, 4], false),
            (&[7, 0, 131, 3], false),
            (&[7, 255, 131, 3], false),
            (&[1, 1, 1, 7], false),
        ] {
            let packet = packet(options);
            let headers = Headers::parse(&packet).unwrap();
            assert_eq!(is_source_routed(&packet, &headers), want, "{options:?}");
        }
    }
}
