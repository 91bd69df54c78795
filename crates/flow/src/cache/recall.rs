//! Reading records: what the XDP program does for each packet.

use super::{BACK, Bucket, DATAGRAMS, EMPTY, FLAGS, FLAGS_SHIFT, MOST, PHASE, RECORDS, STATE_SHIFT, VALID};
use crate::{
    Address, Memory, Status, Table, Tick,
    branchless::is_zero,
    key::client_hash_of_ipv4,
    sync::{Ordering, fence},
};
use ipvs_wire::protocol::UDP;

/// A connection as the flow cache has it. Getters read its words one by one: what was read is the connection's if
/// [`Recalled::is_current`] says so afterwards.
#[derive(Clone, Copy, Debug)]
pub struct Recalled<'t> {
    bucket: Bucket<'t>,
    place: usize,
    info: u32,
}

/// The number of the other bucket of the same line.
#[inline(always)]
pub const fn other_bucket(number: u32) -> u32 {
    number ^ 1
}

/// One end of a flow of IPv4: the last word of its [`Address`], and the port.
pub type Ipv4End = (u32, u16);

impl<M: Memory> Table<M> {
    /// Where the flow cache has the connections of a client: what a packet of IPv4 comes from or goes to. A number below 2^27.
    #[inline(always)]
    pub fn bucket_of_client(&self, protocol: u8, client: Ipv4End) -> Option<u32> {
        self.bucket_number(self.hash_of_client(protocol, client))
    }

    /// The buckets that may have a client's connections, its own first.
    pub fn buckets_of_client(&self, protocol: u8, client: Ipv4End) -> Option<[Bucket<'_>; 2]> {
        self.buckets(self.hash_of_client(protocol, client))
    }

    #[inline(always)]
    fn hash_of_client(&self, protocol: u8, client: Ipv4End) -> u64 {
        client_hash_of_ipv4(self.table_hash(), protocol, client)
    }

    /// The bucket of that number. The loads have begun then, which may take long: so the sooner it is asked for the better.
    #[inline(always)]
    pub fn bucket_at(&self, number: u32) -> Option<Bucket<'_>> {
        let bucket = self.bucket_of(number >> 1, number & 1)?;
        // No compiler leaves an Acquire load out.
        let _ = bucket.info(0).load(Ordering::Acquire);
        let _ = bucket.seen(0).load(Ordering::Acquire);
        Some(bucket)
    }

    /// What was recalled from that bucket, and told by [`Recalled::to_words`]. Whether it is still that [`Recalled::is_current`] says.
    #[inline(always)]
    pub fn recalled(&self, number: u32, [place, info]: [u32; 2]) -> Option<Recalled<'_>> {
        let place = place as usize % RECORDS;
        Some(Recalled { bucket: self.bucket_of(number >> 1, number & 1)?, place, info })
    }
}

impl<'t> Bucket<'t> {
    /// Whether connections for which it had no place are to be looked for in the [`other_bucket`]. (Those that are there though it is no
    /// longer full come back with their next packet, which goes the long way.)
    #[inline(always)]
    pub fn is_full(self) -> bool {
        (0..RECORDS).all(|place| self.info(place).load(Ordering::Relaxed) & PHASE != EMPTY)
    }

    /// The connection that a packet from the bucket's client belongs to, if it is there: protocol, source and destination. `None` says
    /// nothing. `through` gives back the number that it is given: in the XDP program by way of memory, for the verifier then follows one
    /// way and not one for each number.
    #[inline(always)]
    pub fn recall_in(
        self,
        protocol: u8,
        client: Ipv4End,
        to: Ipv4End,
        through: impl FnOnce(u32) -> u32,
    ) -> Option<Recalled<'t>> {
        let ports = u32::from(client.1) | u32::from(to.1) << 16;
        self.recall(protocol, through, |place| {
            self.client(place).load(Ordering::Relaxed) ^ client.0
                | self.virtual_address(place).load(Ordering::Relaxed) ^ to.0
                | self.ports(place).load(Ordering::Relaxed) ^ ports
        })
    }

    /// The connection that a packet to the bucket's client belongs to, if it is there and masqueraded and no packet from this
    /// server can be that of another connection's client: protocol, destination, and the port it comes from. The server's address
    /// remains to be compared. `through` as with [`Bucket::recall_in`].
    #[inline(always)]
    pub fn recall_out(
        self,
        protocol: u8,
        client: Ipv4End,
        port: u16,
        through: impl FnOnce(u32) -> u32,
    ) -> Option<Recalled<'t>> {
        let recalled = self.recall(protocol, through, |place| {
            self.client(place).load(Ordering::Relaxed) ^ client.0
                | (self.ports(place).load(Ordering::Relaxed) ^ u32::from(client.1)) & 0xffff
                | self.destination(place).load(Ordering::Relaxed) >> 16 ^ u32::from(port)
        });
        recalled.filter(|it| it.info & BACK != 0)
    }

    /// The valid record of which `difference` gives 0.
    #[inline(always)]
    fn recall(
        self,
        protocol: u8,
        through: impl FnOnce(u32) -> u32,
        difference: impl Fn(usize) -> u32,
    ) -> Option<Recalled<'t>> {
        // Without branches: which place it is nobody can foresee, and a wrong guess would show only once memory has come.
        let mut found = 0;
        for place in 1..RECORDS {
            found |= place as u32 * is_zero(difference(place));
        }
        let found = found as usize % RECORDS;
        let _ = through;
        // Acquire: of a valid record the words are there that were written before. So the key is looked at again.
        let info = self.info(found).load(Ordering::Acquire);
        let datagrams = if protocol == UDP { DATAGRAMS } else { 0 };
        let is_it = info & (PHASE | DATAGRAMS) == VALID | datagrams && difference(found) == 0;
        is_it.then_some(Recalled { bucket: self, place: found, info })
    }
}

impl Recalled<'_> {
    /// Its place in the bucket, below 4, and its first word.
    #[inline(always)]
    pub const fn to_words(&self) -> [u32; 2] {
        [self.place as u32, self.info]
    }

    /// Flags, state and marks: the packet goes by them.
    #[inline(always)]
    pub const fn status(&self) -> Status {
        Status::new((self.info >> FLAGS_SHIFT) as u16 & FLAGS, (self.info >> STATE_SHIFT) as u8, 0)
    }

    /// Index of the destination.
    #[inline(always)]
    pub fn destination(&self) -> u32 {
        self.bucket.destination(self.place).load(Ordering::Relaxed) & 0xffff
    }

    /// The destination's port.
    #[inline(always)]
    pub fn destination_port(&self) -> u16 {
        (self.bucket.destination(self.place).load(Ordering::Relaxed) >> 16) as u16
    }

    /// The address and the port that the client sends to.
    #[inline(always)]
    pub fn virtual_end(&self) -> (Address, u16) {
        let address = self.bucket.virtual_address(self.place).load(Ordering::Relaxed);
        let ports = self.bucket.ports(self.place).load(Ordering::Relaxed);
        (Address::of_ipv4_word(address), (ports >> 16) as u16)
    }

    /// Whether its timeout is that of its state: `timeouts` is the number of the timeouts that are set, see
    /// [`crate::steady::TIMEOUTS_NUMBER`].
    #[inline(always)]
    pub fn has_timeout_of(&self, timeouts: u32) -> bool {
        self.bucket.packets(self.place).load(Ordering::Relaxed) >> 16 == timeouts & 0xffff
    }

    /// Whether one more packet can be counted.
    #[inline(always)]
    pub fn counts_on(&self) -> bool {
        self.bucket.packets(self.place).load(Ordering::Relaxed) & MOST != MOST
    }

    /// Whether the record is what it was when it was found.
    #[inline(always)]
    pub fn is_current(&self) -> bool {
        fence(Ordering::Acquire);
        self.bucket.info(self.place).load(Ordering::Relaxed) == self.info
    }

    /// Notes that a packet came at `now`. Of a record that goes in this very moment it is lost, or noted at the next one, which is
    /// just being written.
    #[inline(always)]
    pub fn touch(&self, now: Tick) {
        let word = self.bucket.seen(self.place);
        if !Tick(word.load(Ordering::Relaxed)).reached(now) {
            word.store(now.0, Ordering::Relaxed);
        }
    }

    /// Counts a packet from the client, as [`crate::EntryRef::note_packet_in`]. If the record goes in this very moment, and its place is
    /// taken by another, that one gets this one's count, and a number of timeouts that are no longer set, so that it is written anew.
    #[inline(always)]
    pub fn note_packet_in(&self) {
        let word = self.bucket.packets(self.place);
        word.store(word.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
}
