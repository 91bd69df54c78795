//! Checked, panic-free views of network packets, checksums and in-place rewriting. `no_std`, no allocation.
#![no_std]
#![forbid(unsafe_code)]
