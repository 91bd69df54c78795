//! Connection flags: the kernel's bits (spec section 2.6), as far as they are kept in the table's 16.

/// Forwarding method.
pub const METHOD: u16 = 0x0007;
/// The server's packets do not pass here.
pub const NO_OUTPUT: u16 = 0x0080;
/// Counted as inactive.
pub const INACTIVE: u16 = 0x0100;
