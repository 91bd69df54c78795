//! UDP's single state: every packet of either direction refreshes its timeout; none counts as active.

/// Default timeout, in seconds.
pub const TIMEOUT: u32 = 300;
/// Number of the state.
pub const STATE: u8 = 0;
/// Name of the state as listings show it.
pub const STATE_NAME: &str = "UDP";
