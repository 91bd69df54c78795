//! Packets through a datapath in network namespaces. These tests need root and fail without.

#![allow(clippy::unwrap_used)]

mod answers;
mod director;
mod fast_path;
mod forwarding;
mod full_nat;
mod host;
mod namespace;
mod neighbours;
mod parking;
mod topology;
mod trunk;
