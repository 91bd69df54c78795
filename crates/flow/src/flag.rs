//! Flags of a connection: the kernel's bits (IP_VS_CONN_F_*), as far as they are kept in an entry's 16.

/// Forwarding method.
pub const METHOD: u16 = 0x0007;
/// The server's packets do not pass here.
pub const NO_OUTPUT: u16 = 0x0080;
/// Counted as inactive.
pub const INACTIVE: u16 = 0x0100;
