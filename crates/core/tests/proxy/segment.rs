//! Segments as the ends of a connection write and read them.

use etherparse::{SlicedPacket, TcpOptionElement, TransportSlice};

use crate::rig::{End, ip, seen};

/// What stands in a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) sequence: u32,
    pub(crate) acknowledgment: Option<u32>,
    pub(crate) syn: bool,
    pub(crate) fin: bool,
    pub(crate) rst: bool,
    pub(crate) window: u16,
    pub(crate) mss: Option<u16>,
    pub(crate) scale: Option<u8>,
    pub(crate) block: Option<(u32, u32)>,
    pub(crate) data: Vec<u8>,
}

impl Segment {
    /// The packet that carries it.
    pub(crate) fn packet(&self, source: End, destination: End) -> Vec<u8> {
        let mut step =
            ip(source.0, destination.0, 64).tcp(source.1, destination.1, self.sequence, self.window);
        if let Some(acknowledgment) = self.acknowledgment {
            step = step.ack(acknowledgment);
        }
        step = if self.syn { step.syn() } else { step };
        step = if self.fin { step.fin() } else { step };
        step = if self.rst { step.rst() } else { step };
        let options = [
            self.mss.map(TcpOptionElement::MaximumSegmentSize),
            self.scale.map(TcpOptionElement::WindowScale),
            self.block.map(|block| TcpOptionElement::SelectiveAcknowledgement(block, [None; 3])),
        ];
        let options: Vec<TcpOptionElement> = options.into_iter().flatten().collect();
        let mut bytes = Vec::new();
        step.options(&options).unwrap().write(&mut bytes, &self.data).unwrap();
        bytes
    }

    /// What a packet carries, which must be whole, and between which ends.
    pub(crate) fn read(packet: &[u8]) -> (Self, End, End) {
        let ends = seen(packet);
        assert!(ends.checksums_ok, "a wrong checksum");
        let sliced = SlicedPacket::from_ip(packet).unwrap();
        let Some(TransportSlice::Tcp(tcp)) = sliced.transport else { panic!("no TCP") };
        let mut segment = Self {
            sequence: tcp.sequence_number(),
            acknowledgment: tcp.ack().then(|| tcp.acknowledgment_number()),
            syn: tcp.syn(),
            fin: tcp.fin(),
            rst: tcp.rst(),
            window: tcp.window_size(),
            data: tcp.payload().to_vec(),
            ..Self::default()
        };
        for option in tcp.options_iterator() {
            match option.unwrap() {
                TcpOptionElement::MaximumSegmentSize(mss) => segment.mss = Some(mss),
                TcpOptionElement::WindowScale(scale) => segment.scale = Some(scale),
                TcpOptionElement::SelectiveAcknowledgement(block, _) => segment.block = Some(block),
                _ => {}
            }
        }
        (segment, ends.source, ends.destination)
    }
}
