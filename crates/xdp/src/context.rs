//! What a program sees of a frame: as an XDP program before the host's stack has it ([`xdp_md`]), as a classifier (tc) when it
//! is the stack's packet ([`__sk_buff`]), which may be one that is yet to be cut into segments, and as the program that a frame meets
//! on its way out by an interface (`leaving.rs`).

use core::ptr::read_volatile;

use aya_ebpf::{
    bindings::{__sk_buff, BPF_F_MARK_MANGLED_0, BPF_F_PSEUDO_HDR, TC_ACT_SHOT, xdp_action, xdp_md},
    helpers::generated::{bpf_l4_csum_replace, bpf_skb_pull_data},
};

/// A change to a transport checksum, in the byte order of the packet.
pub struct Difference {
    /// Of the addresses, which the pseudo-header has.
    pub addresses: u16,
    /// The port before and afterwards.
    pub ports: [u16; 2],
}

/// Which tunnels a kind of program can put a packet into.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tunnels {
    None = 0,
    /// Those that need no look at what is inside: without a checksum of the whole, since the packet's own may be yet to be made, unseen; and no
    /// TCP in GRE, which the kernel may not know how to cut. (All of it, lest short segments overtake those that the daemon cuts.)
    Opaque = 1,
    All = 2,
}

/// Where the VLAN tag of a frame is that can get one, or lose the one it has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tags {
    /// It stays as it is.
    Untouched,
    /// Among its bytes.
    Inside,
    /// The kernel keeps it beside them.
    Beside,
}

/// The kernel's description of the frame at hand. (`*mut Self`: what it leads to is not memory but what the verifier makes of it.)
pub trait Context: Sized {
    /// Whether checksums that the sender left to the card must be told by their look.
    const GUESSES_CHECKSUMS: bool;
    /// Whether [`Context::adjust_checksum`] does it.
    const ADJUSTS_CHECKSUMS: bool;
    /// Where its VLAN tag is.
    const TAGS: Tags;
    /// The tunnels that it can go into.
    const TUNNELS: Tunnels;
    /// Whether a function that forwards it on the short way sends it, too: that is some nanoseconds less. By [`EXITS`](crate::exit::EXITS),
    /// which not all programs may use.
    const SENDS: bool = false;
    /// Whether it can be looked up on its way out instead (`bulk.rs`).
    const PUTS_OFF: bool = false;
    /// Whether it is on its way out: what concerns more than this frame and that interface is not done, and the kernel is not asked for
    /// routes (some do not know there by which interface a frame came).
    const LEAVES: bool = false;
    /// The action that drops the frame.
    const DROP: u32;

    /// Start and end of the bytes that can be read.
    fn bytes(this: *mut Self) -> (usize, usize);
    /// The hardware address that it was sent to, as it stands at its beginning.
    #[inline(always)]
    fn receiver(written: (u32, u16)) -> (u32, u16) {
        written
    }
    /// Length of the frame, of which there may be more than can be read.
    fn length(this: *mut Self) -> usize;
    /// The interface that it came by.
    fn interface(this: *mut Self) -> u32;
    /// The VLAN tag that it has beside its bytes, as it would stand among them; 0: none.
    fn tag_beside(this: *mut Self) -> u32;
    /// Payload of the segments that it will be cut into; 0: it will not.
    fn segment(this: *mut Self) -> u32;
    /// Follows a change in the checksum at `offset` of the frame, as it is complete or left to the card; `zero`: it may not become
    /// zero. `false`: it could not be done. The frame's bytes must be looked for anew.
    fn adjust_checksum(this: *mut Self, offset: u32, difference: &Difference, zero: bool) -> bool;
}

impl Context for xdp_md {
    const GUESSES_CHECKSUMS: bool = true;
    const ADJUSTS_CHECKSUMS: bool = false;
    const TAGS: Tags = Tags::Inside;
    const TUNNELS: Tunnels = Tunnels::All;
    const SENDS: bool = true;
    const PUTS_OFF: bool = true;
    const DROP: u32 = xdp_action::XDP_DROP;

    #[inline(always)]
    fn bytes(this: *mut Self) -> (usize, usize) {
        // SAFETY: the kernel's context. Volatile, so that no function is made to take what is read in place of the context: the
        // verifier would not know it for pointers.
        unsafe {
            let start = read_volatile(&raw const (*this).data);
            (start as usize, read_volatile(&raw const (*this).data_end) as usize)
        }
    }

    #[inline(always)]
    fn length(this: *mut Self) -> usize {
        let (start, end) = Self::bytes(this);
        end - start
    }

    #[inline(always)]
    fn interface(this: *mut Self) -> u32 {
        // SAFETY: the kernel's context.
        unsafe { (*this).ingress_ifindex }
    }

    #[inline(always)]
    fn tag_beside(_: *mut Self) -> u32 {
        0
    }

    #[inline(always)]
    fn segment(_: *mut Self) -> u32 {
        0
    }

    #[inline(always)]
    fn adjust_checksum(_: *mut Self, _: u32, _: &Difference, _: bool) -> bool {
        false
    }
}

impl Context for __sk_buff {
    const GUESSES_CHECKSUMS: bool = false;
    const ADJUSTS_CHECKSUMS: bool = true;
    const TAGS: Tags = Tags::Beside;
    const TUNNELS: Tunnels = Tunnels::Opaque;
    const DROP: u32 = TC_ACT_SHOT as u32;

    #[inline(always)]
    fn bytes(this: *mut Self) -> (usize, usize) {
        // SAFETY: the kernel's context. Volatile, so that no function is made to take what is read in place of the context: the
        // verifier would not know it for pointers.
        unsafe {
            let start = read_volatile(&raw const (*this).data);
            (start as usize, read_volatile(&raw const (*this).data_end) as usize)
        }
    }

    #[inline(always)]
    fn length(this: *mut Self) -> usize {
        // SAFETY: the kernel's context.
        unsafe { (*this).len as usize }
    }

    #[inline(always)]
    fn interface(this: *mut Self) -> u32 {
        // SAFETY: the kernel's context.
        unsafe { (*this).ifindex }
    }

    #[inline(always)]
    fn tag_beside(this: *mut Self) -> u32 {
        // SAFETY: the kernel's context.
        let (present, ethertype, tag) =
            unsafe { ((*this).vlan_present, (*this).vlan_proto, (*this).vlan_tci as u16) };
        if present == 0 { 0 } else { ethertype & 0xffff | u32::from(tag.to_be()) << 16 }
    }

    #[inline(always)]
    fn segment(this: *mut Self) -> u32 {
        // SAFETY: the kernel's context.
        unsafe { (*this).gso_size }
    }

    #[inline(always)]
    fn adjust_checksum(this: *mut Self, offset: u32, difference: &Difference, zero: bool) -> bool {
        let zero = if zero { u64::from(BPF_F_MARK_MANGLED_0) } else { 0 };
        let Difference { addresses, ports: [before, after] } = difference;
        // A checksum that is left to the card has the sum of the pseudo-header, so only the addresses' part concerns it.
        // SAFETY: plain helper calls.
        unsafe {
            let pseudo = u64::from(BPF_F_PSEUDO_HDR) | zero;
            bpf_l4_csum_replace(this, offset, 0, u64::from(*addresses), pseudo) == 0
                && bpf_l4_csum_replace(this, offset, u64::from(*before), u64::from(*after), zero | 2) == 0
        }
    }
}

/// Has at least `length` bytes of the packet, or all, where they can be read.
#[inline(always)]
pub fn gather(packet: *mut __sk_buff, length: usize) {
    let (start, end) = Context::bytes(packet);
    let length = length.min(Context::length(packet));
    if end - start < length {
        // What cannot be gathered will be found missing.
        // SAFETY: a plain helper call.
        let _ = unsafe { bpf_skb_pull_data(packet, length as u32) };
    }
}

/// The methods of a [`Context`] that is the XDP program's in another role.
#[allow(unused_macros, reason = "the bench's object has but one role")]
macro_rules! as_xdp_program {
    () => {
        #[inline(always)]
        fn bytes(this: *mut Self) -> (usize, usize) {
            xdp_md::bytes(this.cast())
        }

        #[inline(always)]
        fn length(this: *mut Self) -> usize {
            xdp_md::length(this.cast())
        }

        #[inline(always)]
        fn tag_beside(this: *mut Self) -> u32 {
            xdp_md::tag_beside(this.cast())
        }

        #[inline(always)]
        fn segment(this: *mut Self) -> u32 {
            xdp_md::segment(this.cast())
        }

        #[inline(always)]
        fn adjust_checksum(this: *mut Self, offset: u32, difference: &Difference, zero: bool) -> bool {
            xdp_md::adjust_checksum(this.cast(), offset, difference, zero)
        }
    };
}

#[allow(unused_imports, reason = "the bench's object has but one role")]
pub(crate) use as_xdp_program;
