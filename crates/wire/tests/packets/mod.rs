//! Random valid packets, made by etherparse, an independent implementation.
// Each test binary uses its part.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{
    IpAuthHeader, IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv6Extensions, Ipv6FragmentHeader,
    Ipv6Header, Ipv6RawExtHeader, Ipv6RoutingExtensions, TcpHeader, UdpHeader,
};
use proptest::{collection::vec, option, prelude::*};

/// Extension headers of an IPv6 packet: payloads of the raw ones, lengths by etherparse's rules.
#[derive(Clone, Debug, Default)]
pub struct Extensions {
    pub hop_by_hop: Option<Vec<u8>>,
    pub destination: Option<Vec<u8>>,
    pub routing: Option<(Vec<u8>, Option<Vec<u8>>)>,
    pub fragment: Option<u32>,
    pub auth: Option<Vec<u8>>,
}

#[derive(Clone, Debug)]
pub enum Upper {
    Tcp { sequence: u32, acknowledgment: u32, flags: u8, window: u16, urgent: u16, options: Vec<u8> },
    Udp,
    Sctp { tag: u32 },
    Icmp { kind: u8, code: u8, rest: [u8; 4] },
    Other(u8),
}

/// A packet to be built.
#[derive(Clone, Debug)]
pub struct Spec {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub source_port: u16,
    pub destination_port: u16,
    pub hop_limit: u8,
    pub traffic_class: u8,
    pub identification: u16,
    pub dont_fragment: bool,
    pub more_fragments: bool,
    /// In units of eight bytes.
    pub fragment_offset: u16,
    pub flow_label: u32,
    pub options: Vec<u8>,
    pub extensions: Extensions,
    pub upper: Upper,
    pub payload: Vec<u8>,
}

/// CRC32c bit by bit, as RFC 9260 appendix A defines it.
pub fn crc32c(data: &[u8]) -> [u8; 4] {
    let mut crc = !0u32;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    (!crc).to_le_bytes()
}

/// RFC 1071, word by word.
pub fn internet_sum(data: &[u8]) -> u16 {
    let mut sum = 0u32;
    for word in data.chunks(2) {
        sum += u32::from(u16::from_be_bytes([word[0], word.get(1).copied().unwrap_or(0)]));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

fn raw(next: u8, payload: &[u8]) -> Ipv6RawExtHeader {
    Ipv6RawExtHeader::new_raw(IpNumber(next), payload).unwrap()
}

impl Spec {
    pub fn is_ipv6(&self) -> bool {
        self.source.is_ipv6()
    }

    pub fn protocol(&self) -> u8 {
        match self.upper {
            Upper::Tcp { .. } => 6,
            Upper::Udp => 17,
            Upper::Sctp { .. } => 132,
            Upper::Icmp { .. } if self.is_ipv6() => 58,
            Upper::Icmp { .. } => 1,
            Upper::Other(protocol) => protocol,
        }
    }

    pub fn has_ports(&self) -> bool {
        matches!(self.upper, Upper::Tcp { .. } | Upper::Udp | Upper::Sctp { .. })
    }

    pub fn is_later(&self) -> bool {
        self.fragment_offset != 0 && (!self.is_ipv6() || self.extensions.fragment.is_some())
    }

    pub fn is_whole(&self) -> bool {
        (self.fragment_offset == 0 && !self.more_fragments)
            || (self.is_ipv6() && self.extensions.fragment.is_none())
    }

    /// The transport header with its payload, the checksum right as if it were a whole packet.
    pub fn transport(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match &self.upper {
            Upper::Tcp { sequence, acknowledgment, flags, window, urgent, options } => {
                let mut tcp = TcpHeader::new(self.source_port, self.destination_port, *sequence, *window);
                tcp.acknowledgment_number = *acknowledgment;
                [tcp.fin, tcp.syn, tcp.rst, tcp.psh] = [1, 2, 4, 8].map(|bit| flags & bit != 0);
                [tcp.ack, tcp.urg, tcp.ece, tcp.cwr] = [16, 32, 64, 128].map(|bit| flags & bit != 0);
                tcp.urgent_pointer = *urgent;
                tcp.set_options_raw(options).unwrap();
                tcp.checksum = match (self.source, self.destination) {
                    (IpAddr::V4(s), IpAddr::V4(d)) => {
                        tcp.calc_checksum_ipv4_raw(s.octets(), d.octets(), &self.payload).unwrap()
                    }
                    (IpAddr::V6(s), IpAddr::V6(d)) => {
                        tcp.calc_checksum_ipv6_raw(s.octets(), d.octets(), &self.payload).unwrap()
                    }
                    _ => unreachable!(),
                };
                tcp.write(&mut out).unwrap();
            }
            Upper::Udp => {
                let mut udp = UdpHeader {
                    source_port: self.source_port,
                    destination_port: self.destination_port,
                    length: (8 + self.payload.len()) as u16,
                    checksum: 0,
                };
                udp.checksum = match (self.source, self.destination) {
                    (IpAddr::V4(s), IpAddr::V4(d)) => {
                        udp.calc_checksum_ipv4_raw(s.octets(), d.octets(), &self.payload).unwrap()
                    }
                    (IpAddr::V6(s), IpAddr::V6(d)) => {
                        udp.calc_checksum_ipv6_raw(s.octets(), d.octets(), &self.payload).unwrap()
                    }
                    _ => unreachable!(),
                };
                udp.write(&mut out).unwrap();
            }
            Upper::Sctp { tag } => {
                out.extend(self.source_port.to_be_bytes());
                out.extend(self.destination_port.to_be_bytes());
                out.extend(tag.to_be_bytes());
                out.extend([0; 4]);
                let crc = crc32c(&[&out, &self.payload[..]].concat());
                out[8..].copy_from_slice(&crc);
            }
            Upper::Icmp { kind, code, rest } => {
                let head = [&[*kind, *code, 0, 0], &rest[..]].concat();
                let pseudo = match (self.source, self.destination) {
                    (IpAddr::V6(s), IpAddr::V6(d)) => {
                        let len = (8 + self.payload.len() as u32).to_be_bytes();
                        [&s.octets()[..], &d.octets(), &len, &[0, 0, 0, 58]].concat()
                    }
                    _ => vec![],
                };
                let checksum = !internet_sum(&[&pseudo, &head, &self.payload[..]].concat());
                out.extend(head);
                out[2..4].copy_from_slice(&checksum.to_be_bytes());
            }
            Upper::Other(_) => {}
        }
        out.extend(&self.payload);
        out
    }

    /// IP header with extension headers. Returns also the protocol that the engine should see.
    pub fn ip(&self) -> (IpHeaders, u8) {
        let len = self.transport().len();
        let mut ip = match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let header = Ipv4Header {
                    dscp: (self.traffic_class >> 2).try_into().unwrap(),
                    ecn: (self.traffic_class & 3).try_into().unwrap(),
                    identification: self.identification,
                    dont_fragment: self.dont_fragment,
                    more_fragments: self.more_fragments,
                    fragment_offset: self.fragment_offset.try_into().unwrap(),
                    time_to_live: self.hop_limit,
                    protocol: IpNumber(self.protocol()),
                    source: source.octets(),
                    destination: destination.octets(),
                    options: self.options[..].try_into().unwrap(),
                    ..Default::default()
                };
                IpHeaders::Ipv4(header, Ipv4Extensions::default())
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let header = Ipv6Header {
                    traffic_class: self.traffic_class,
                    flow_label: self.flow_label.try_into().unwrap(),
                    payload_length: 0,
                    next_header: IpNumber(0),
                    hop_limit: self.hop_limit,
                    source: source.octets(),
                    destination: destination.octets(),
                };
                let e = &self.extensions;
                let extensions = Ipv6Extensions {
                    hop_by_hop_options: e.hop_by_hop.as_ref().map(|p| raw(0, p)),
                    destination_options: e.destination.as_ref().map(|p| raw(0, p)),
                    routing: e.routing.as_ref().map(|(routing, last)| Ipv6RoutingExtensions {
                        routing: raw(0, routing),
                        final_destination_options: last.as_ref().map(|p| raw(0, p)),
                    }),
                    fragment: e.fragment.map(|identification| {
                        Ipv6FragmentHeader::new(
                            IpNumber(0),
                            self.fragment_offset.try_into().unwrap(),
                            self.more_fragments,
                            identification,
                        )
                    }),
                    auth: e.auth.as_ref().map(|icv| IpAuthHeader::new(IpNumber(0), 1, 2, icv).unwrap()),
                };
                IpHeaders::Ipv6(header, extensions)
            }
            _ => unreachable!(),
        };
        ip.set_next_headers(IpNumber(self.protocol()));
        ip.set_payload_len(len).unwrap();
        let seen = match &mut ip {
            IpHeaders::Ipv4(header, _) => {
                header.header_checksum = header.calc_header_checksum();
                self.protocol()
            }
            // After a later fragment's header nothing more is read.
            IpHeaders::Ipv6(_, extensions) => match &extensions.fragment {
                Some(fragment) if self.fragment_offset != 0 => fragment.next_header.0,
                _ => self.protocol(),
            },
        };
        (ip, seen)
    }

    /// Offset of the transport header, or of a later fragment's payload.
    pub fn transport_offset(&self) -> usize {
        let (ip, _) = self.ip();
        match &ip {
            IpHeaders::Ipv6(_, extensions) if self.is_later() => {
                let after = extensions.auth.as_ref().map_or(0, IpAuthHeader::header_len)
                    + extensions
                        .routing
                        .as_ref()
                        .and_then(|r| r.final_destination_options.as_ref())
                        .map_or(0, Ipv6RawExtHeader::header_len);
                ip.header_len() - after
            }
            _ => ip.header_len(),
        }
    }

    pub fn build(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.ip().0.write(&mut out).unwrap();
        out.extend(self.transport());
        out
    }
}

fn raw_payload() -> impl Strategy<Value = Vec<u8>> {
    (0usize..4).prop_flat_map(|words| vec(any::<u8>(), words * 8 + 6))
}

fn extensions() -> impl Strategy<Value = Extensions> {
    (
        option::weighted(0.3, raw_payload()),
        option::weighted(0.3, raw_payload()),
        option::weighted(0.3, (raw_payload(), option::of(raw_payload()))),
        option::weighted(0.3, any::<u32>()),
        option::weighted(0.2, (0usize..5).prop_flat_map(|words| vec(any::<u8>(), words * 4))),
    )
        .prop_map(|(hop_by_hop, destination, routing, fragment, auth)| Extensions {
            hop_by_hop,
            destination,
            routing,
            fragment,
            auth,
        })
}

fn upper() -> impl Strategy<Value = Upper> {
    prop_oneof![
        3 => (any::<(u32, u32, u8, u16, u16)>(), (0usize..=10).prop_flat_map(|w| vec(any::<u8>(), w * 4)))
            .prop_map(|((sequence, acknowledgment, flags, window, urgent), options)| Upper::Tcp {
                sequence, acknowledgment, flags, window, urgent, options
            }),
        3 => Just(Upper::Udp),
        2 => any::<u32>().prop_map(|tag| Upper::Sctp { tag }),
        2 => any::<(u8, u8, [u8; 4])>().prop_map(|(kind, code, rest)| Upper::Icmp { kind, code, rest }),
        1 => Just(Upper::Other(50)),
    ]
}

/// Addresses, with those whose words are extreme in ones' complement among them.
pub fn address(ipv6: bool) -> impl Strategy<Value = IpAddr> {
    let word = prop_oneof![4 => any::<u16>(), 1 => Just(0), 1 => Just(0xffff)];
    vec(word, 8).prop_map(move |w| {
        if ipv6 {
            let words: [u16; 8] = w.try_into().unwrap();
            IpAddr::V6(Ipv6Addr::from(words))
        } else {
            IpAddr::V4(Ipv4Addr::from(u32::from(w[0]) << 16 | u32::from(w[1])))
        }
    })
}

fn port() -> impl Strategy<Value = u16> {
    prop_oneof![4 => any::<u16>(), 1 => Just(0), 1 => Just(0xffff)]
}

pub fn spec() -> impl Strategy<Value = Spec> {
    any::<bool>().prop_flat_map(spec_of)
}

pub fn spec_of(ipv6: bool) -> impl Strategy<Value = Spec> {
    let fragment = prop_oneof![
        5 => Just((false, 0u16)),
        1 => Just((true, 0)),
        1 => (any::<bool>(), 1u16..0x1f00)
    ];
    (
        (address(ipv6), address(ipv6), port(), port()),
        (any::<u8>(), any::<u8>(), any::<u16>(), any::<bool>(), fragment, 0u32..1 << 20),
        (0usize..=10).prop_flat_map(|words| vec(any::<u8>(), words * 4)),
        extensions(),
        upper(),
        // Often zeros or ones: the extremes of sums.
        prop_oneof![
            3 => vec(any::<u8>(), 0..200),
            1 => (0usize..50).prop_map(|n| vec![0; n]),
            1 => (0usize..50).prop_map(|n| vec![0xff; n])
        ],
    )
        .prop_map(
            |(
                (source, destination, source_port, destination_port),
                (hop_limit, traffic_class, identification, dont_fragment, fragment, flow_label),
                options,
                extensions,
                upper,
                payload,
            )| Spec {
                source,
                destination,
                source_port,
                destination_port,
                hop_limit,
                traffic_class,
                identification,
                dont_fragment,
                more_fragments: fragment.0,
                fragment_offset: fragment.1,
                flow_label,
                options,
                extensions,
                upper,
                payload,
            },
        )
}

/// A packet and another end for it, of the same family.
pub fn spec_and_end() -> impl Strategy<Value = (Spec, IpAddr, u16)> {
    any::<bool>().prop_flat_map(|ipv6| (spec_of(ipv6), address(ipv6), port()))
}
