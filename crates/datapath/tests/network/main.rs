//! Packets through a datapath in network namespaces. These tests need root and fail without.

#![allow(clippy::unwrap_used)]

mod director;
mod forwarding;
mod namespace;
mod topology;
