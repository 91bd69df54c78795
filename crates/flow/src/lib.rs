//! The connection table.
#![no_std]
