//! What the datapath counts.

/// Declares [`Counter`] with each counter's name, in one place.
macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// What the datapath counts, in packets; see [`crate::Datapath::counter`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Counter {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Counter {
            /// All, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name as shown to users and in metrics.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// Whether it counts what was dropped, and not because the director said so: those that follow that one.
            pub const fn is_drop(self) -> bool {
                self as usize > Self::DroppedByDirector as usize
            }
        }
    };
}

counters! {
    /// Received from the interfaces.
    Received = "received",
    /// Received from the host's stack: answers of a local real server.
    ReceivedFromHost = "received-from-host",
    /// Received from netfilter: with a mark, or from a client on this host.
    ReceivedFromNetfilter = "received-from-netfilter",
    /// Given to an interface to send.
    Sent = "sent",
    /// Given to the host's stack.
    ToHost = "to-host",
    /// ARP requests answered.
    ArpAnswered = "arp-answered",
    /// Neighbour solicitations answered.
    SolicitationAnswered = "solicitation-answered",
    /// Echo requests answered.
    EchoAnswered = "echo-answered",
    /// Partial checksums completed.
    ChecksumCompleted = "checksum-completed",
    /// Large packets of segmentation offload cut to the MTU.
    Segmented = "segmented",
    /// Large packets of segmentation offload sent as they are.
    Unsegmented = "unsegmented",
    /// Judged by their headers, while they waited in the kernel.
    Parked = "parked",
    /// Brought whole after that: they could not go on by their headers alone.
    BroughtWhole = "brought-whole",
    /// Datagrams put together from fragments.
    Reassembled = "reassembled",
    /// Packets sent in fragments.
    Fragmented = "fragmented",
    /// Kept until a neighbour is resolved.
    Queued = "queued",
    /// Dropped by the director, which has the reason.
    DroppedByDirector = "dropped-by-director",
    /// Dropped: for another host's hardware address.
    OtherHost = "other-host",
    /// Dropped: not IP, or a header that cannot be read.
    Malformed = "malformed",
    /// Dropped: fragments that overlap, or contradict each other.
    FragmentsConflict = "fragments-conflict",
    /// Dropped: datagrams whose fragments did not all come in time.
    FragmentsOverdue = "fragments-overdue",
    /// Dropped: the oldest datagrams of which fragments were missing, when they needed too much memory.
    FragmentsTooMany = "fragments-too-many",
    /// Dropped: an echo request for a virtual address that cannot be answered (bad checksum, options).
    EchoIgnored = "echo-ignored",
    /// Dropped: neighbour discovery or ARP that asks for no virtual address.
    SolicitationIgnored = "solicitation-ignored",
    /// Dropped: no route, or one by an interface that is not attached.
    NoRoute = "no-route",
    /// Dropped: larger than the MTU and not to be fragmented.
    TooBig = "too-big",
    /// Dropped: the neighbour does not answer.
    NeighbourFailed = "neighbour-failed",
    /// Dropped: too many packets wait for neighbours, or this one waited too long.
    NeighbourQueueFull = "neighbour-queue-full",
    /// Dropped: the interface's transmit ring is full.
    TransmitFull = "transmit-full",
    /// Dropped: no free frame.
    NoFrame = "no-frame",
    /// Dropped: the host's stack did not take it.
    HostPortFailed = "host-port-failed",
    /// Dropped: from an interface, for the host, but with an address of the host as its source.
    ForgedSource = "forged-source",
}

/// The counters' values.
#[derive(Clone, Debug)]
pub(crate) struct Counters([u64; Counter::ALL.len()]);

impl Counters {
    /// All zero.
    pub(crate) fn new() -> Self {
        Self([0; Counter::ALL.len()])
    }

    /// Counts one.
    pub(crate) fn count(&mut self, counter: Counter) {
        self.add(counter, 1);
    }

    /// Counts `number`.
    pub(crate) fn add(&mut self, counter: Counter, number: u64) {
        if let Some(value) = self.0.get_mut(counter as usize) {
            *value += number;
        }
    }

    /// A counter's value.
    pub(crate) fn get(&self, counter: Counter) -> u64 {
        self.0.get(counter as usize).copied().unwrap_or(0)
    }
}
