//! IPv4 options that keep a packet from IPVS: the host judges it before.

use ipvs_wire::Headers;

/// Length of an IPv4 header without options, in bytes.
const PLAIN: usize = 20;
/// Option types (RFC 791): the end of the options, padding, loose and strict source routes.
const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const LOOSE: u8 = 131;
const STRICT: u8 = 137;

/// Whether an IPv4 packet's options are the host's to judge: it has a source route, even one that is used up, which few hosts
/// accept, or they cannot be read to their end, which the host reports to the sender (kernel behaviour, source-route and
/// options-bad in `conformance/packets/headers.table`).
pub(crate) fn are_for_the_host(packet: &[u8], headers: &Headers) -> bool {
    if headers.is_ipv6() || headers.transport <= PLAIN {
        return false;
    }
    let mut rest = packet.get(PLAIN..headers.transport).unwrap_or_default();
    loop {
        match *rest {
            [] | [END, ..] => return false,
            [LOOSE | STRICT, ..] => return true,
            [NO_OPERATION, ..] => rest = rest.get(1..).unwrap_or_default(),
            [_, length, ..] if length >= 2 => match rest.get(usize::from(length)..) {
                Some(others) => rest = others,
                None => return true,
            },
            _ => return true,
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
    fn source_routes_and_what_cannot_be_read() {
        for (options, want) in [
            (&[][..], false),
            (&[1, 1, 1, 0], false),
            (&[131, 3, 4, 0], true),
            (&[1, 137, 3, 4], true),
            (&[7, 3, 4, 137, 3, 4, 0, 0], true),
            (&[7, 7, 131, 3, 4, 0, 0, 0], false),
            (&[0, 131, 3, 4], false),
            (&[7, 0, 1, 1], true),
            (&[7, 255, 1, 1], true),
            (&[7, 4, 4, 0], false),
            (&[7, 5, 4, 0], true),
            (&[1, 1, 1, 7], true),
        ] {
            let packet = packet(options);
            let headers = Headers::parse(&packet).unwrap();
            assert_eq!(are_for_the_host(&packet, &headers), want, "{options:?}");
        }
    }
}
