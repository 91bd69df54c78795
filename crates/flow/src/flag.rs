//! Connection flags: the kernel's bits (spec section 2.6), as far as they are kept in the table's 16.

/// Forwarding method.
pub const METHOD: u16 = 0x0007;
/// The server's packets do not pass here.
pub const NO_OUTPUT: u16 = 0x0080;
/// Counted as inactive.
pub const INACTIVE: u16 = 0x0100;
/// Ours: a helper reads what it carries.
pub const HELPED: u16 = 0x0008;
/// Ours: expected from its server, from whichever port.
pub const ANY_SERVER_PORT: u16 = 0x0010;
/// Ours: its server is told the client's address by a PROXY header ahead of what the client sends.
pub const PROXY: u16 = 0x0400;
/// Ours: that header has arrived.
pub const PROXY_ARRIVED: u16 = 0x0200;
/// Expected from its client, from whichever port: in the key that is 0.
pub const NO_CLIENT_PORT: u16 = 0x0800;
/// Its first packet will tell a port.
pub const WAITS: u16 = NO_CLIENT_PORT | ANY_SERVER_PORT;
/// Any of those of helpers.
pub const CONCERN_HELPERS: u16 = HELPED | WAITS;
/// Ours, of full NAT: its client's address is replaced too, so it has a reply entry.
pub const TRANSLATED: u16 = 0x4000;
/// Ours: with [`TRANSLATED`], no connection but the reply entry of one.
pub const REPLY: u16 = 0x2000;
/// Any of those whose packets the director reads or changes beyond addresses and ports.
pub const READ_ALONG: u16 = CONCERN_HELPERS | PROXY;
/// Ours: of a template, that a persistence engine has part in it.
pub const OF_ENGINE: u16 = 0x8000;
