//! Micro benchmark of lookups.
fn main() {}
