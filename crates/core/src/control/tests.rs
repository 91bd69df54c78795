//! The control plane: each check with its error, in its order; what commands leave behind. Unless said otherwise the
//! outcomes were seen on the reference kernel, by raw generic netlink messages.

mod checks;
mod interests;
mod listing;
mod properties;
mod socket_options;
mod thresholds;
mod trash;
