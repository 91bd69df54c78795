//! Expressions of nf_tables rules (linux/netfilter/nf_tables.h), as far as they are needed here.

use super::message::Messages;
use super::queue::NUMBER;

/// Registers of four bytes begin at this number; keys are put together in those that follow each other.
const REGISTER: u32 = 8;

const LIST_ELEMENT: u16 = 1;
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;

/// The packet goes on if nobody listens to the queue, in both ways to say it.
const BYPASS: u16 = 1;

/// How a rule gives packets to a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QueueBy {
    /// nf_tables' own expression (CONFIG_NFT_QUEUE).
    Expression,
    /// iptables' target inside nf_tables (CONFIG_NFT_COMPAT, CONFIG_NETFILTER_XT_TARGET_NFQUEUE).
    Target,
}

/// What is known of a packet besides its bytes (NFT_META_…).
#[derive(Clone, Copy, Debug)]
pub(super) enum Meta {
    Mark = 3,
    InputInterface = 4,
    OutputInterface = 5,
    Protocol = 16,
}

/// Where bytes are counted from (NFT_PAYLOAD_…).
#[derive(Clone, Copy, Debug)]
pub(super) enum Base {
    Network = 1,
    Transport = 2,
}

/// A register, counted from the first of four bytes.
pub(super) type Register = u32;

/// Writes the expressions of a rule.
pub(super) struct Rule<'a>(pub(super) &'a mut Messages);

impl Rule<'_> {
    fn expression(&mut self, name: &str, data: impl FnOnce(&mut Messages)) -> &mut Self {
        self.0.nest(LIST_ELEMENT, |it| {
            it.put_text(EXPRESSION_NAME, name);
            it.nest(EXPRESSION_DATA, data);
        });
        self
    }

    /// Loads what is known of the packet.
    pub(super) fn meta(&mut self, meta: Meta, to: Register) -> &mut Self {
        self.expression("meta", |it| {
            it.put_u32(1, REGISTER + to);
            it.put_u32(2, meta as u32);
        })
    }

    /// Loads `len` bytes of the packet; what is too short does not match the rule.
    pub(super) fn payload(&mut self, base: Base, offset: u32, len: u32, to: Register) -> &mut Self {
        self.expression("payload", |it| {
            it.put_u32(1, REGISTER + to);
            it.put_u32(2, base as u32);
            it.put_u32(3, offset);
            it.put_u32(4, len);
        })
    }

    /// Goes on if the first register holds `value`, or with `equal` false if not.
    pub(super) fn compare(&mut self, equal: bool, value: &[u8]) -> &mut Self {
        self.expression("cmp", |it| {
            it.put_u32(1, REGISTER);
            it.put_u32(2, u32::from(!equal));
            it.nest(3, |it| it.put(1, value));
        })
    }

    /// Goes on if the set holds what is in the registers from the first on.
    pub(super) fn is_in(&mut self, set: &str) -> &mut Self {
        self.expression("lookup", |it| {
            it.put_text(1, set);
            it.put_u32(2, REGISTER);
        })
    }

    /// Gives the packet to the queue.
    pub(super) fn queue(&mut self, by: QueueBy) {
        match by {
            QueueBy::Expression => self.expression("queue", |it| {
                it.put(1, &NUMBER.to_be_bytes());
                it.put(2, &1u16.to_be_bytes());
                it.put(3, &BYPASS.to_be_bytes());
            }),
            QueueBy::Target => self.expression("target", |it| {
                it.put_text(1, "NFQUEUE");
                it.put_u32(2, 3);
                // Queue, number of queues, flags, in the machine's byte order; padded to eight bytes.
                let [a, b] = NUMBER.to_ne_bytes();
                let [c, d] = 1u16.to_ne_bytes();
                let [e, f] = BYPASS.to_ne_bytes();
                it.put(3, &[a, b, c, d, e, f, 0, 0]);
            }),
        };
    }
}
