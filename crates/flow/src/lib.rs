//! The connection table of ipvsd: entries, keyed hash, lock-free lookup, expiry wheel, and the state machines of TCP,
//! UDP and SCTP.
//!
//! One source serves two programs. The daemon inserts, changes and removes connections; the XDP program later looks
//! them up in the same memory. So the table is built of aligned 32-bit atomic words ([`Line`]), its loops are bounded,
//! it cannot panic, and its memory comes from outside ([`Memory`]).
//!
//! ```
//! use ipvs_flow::{Address, HeapTable, Key, NewConnection, Tick};
//!
//! let table = HeapTable::allocate(1024, [1, 2])?;
//! let key = Key {
//!     ipv6: false,
//!     template: false,
//!     protocol: 6,
//!     client: Address::from([192, 0, 2, 1]),
//!     client_port: 40000,
//!     virtual_address: Address::from([198, 51, 100, 1]),
//!     virtual_port: 80,
//! };
//! let new = NewConnection { key, destination: 7, destination_port: 8080, flags: 0, state: 3, timeout: 100 };
//! let index = table.insert(&new, Tick(5))?;
//! assert_eq!(table.find_in(&key), Some(index));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![cfg_attr(not(loom), no_std)]
#![cfg_attr(not(any(loom, target_arch = "bpf")), forbid(unsafe_code))]
#![cfg_attr(target_arch = "bpf", feature(core_intrinsics, asm_experimental_arch), allow(internal_features))]

#[cfg(feature = "alloc")]
extern crate alloc;

mod address;
mod ahead;
mod allocation;
mod beside;
mod branchless;
mod cache;
mod chain;
mod copy;
mod directory;
mod entry;
pub mod event;
pub mod flag;
mod granted;
mod hash;
mod joining;
mod key;
mod layout;
pub mod least;
mod line;
mod load;
pub mod pick;
pub mod repeats;
mod ring;
pub mod sctp;
mod siphash;
mod source_port;
mod splitting;
mod status;
pub mod steady;
mod sync;
mod table;
pub mod tcp;
mod tick;
pub mod udp;
pub mod way;
#[cfg(feature = "alloc")]
mod wheel;
mod writer;

pub use address::Address;
pub use ahead::Place;
pub use cache::{Bucket, Change, Ipv4End, Known, Recalled, other_bucket};
pub use chain::Glimpse;
pub use entry::{Connection, EntryIndex, EntryRef};
pub use granted::Gap;
pub use hash::TableHash;
pub use key::{Key, NewConnection};
pub use layout::{CapacityError, Layout, MAX_CAPACITY};
pub use line::{Line, Memory};
pub use load::{LOADS, Load};
pub use ring::{RING_LINES, Ring};
pub use source_port::source_port;
pub use status::{Moved, Status};
#[cfg(feature = "alloc")]
pub use table::HeapTable;
pub use table::{Entries, MemoryError, Table};
pub use tick::{Tick, nanos, seconds, ticks};
#[cfg(feature = "alloc")]
pub use wheel::Wheel;
pub use writer::{InsertError, RehashError};
