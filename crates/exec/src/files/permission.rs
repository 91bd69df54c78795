//! Who may do what. The kernel's rules, as `conformance/experiments/files.py` showed them:
//!
//! * A setting is written by root and by who has CAP_NET_ADMIN, and read by all. CAP_DAC_OVERRIDE does not help.
//! * A table is read by all. Nobody opens it for writing, though access(2) says that CAP_DAC_OVERRIDE may.

use fuser::{AccessFlags, OpenAccMode};

use super::caller::{CAP_DAC_OVERRIDE, CAP_NET_ADMIN, Caller};
use super::name::Name;

/// Whether `caller` may open `name` so.
pub(super) fn may_open(name: Name, mode: OpenAccMode, caller: Caller) -> bool {
    match (name, mode) {
        (_, OpenAccMode::O_RDONLY) => true,
        (Name::Setting(_), _) => may_set(caller),
        (Name::Table(_), _) => false,
    }
}

/// What access(2) answers about `name`.
pub(super) fn may_access(name: Name, mask: AccessFlags, caller: Caller) -> bool {
    if mask.contains(AccessFlags::X_OK) {
        return false;
    }
    !mask.contains(AccessFlags::W_OK)
        || match name {
            Name::Setting(_) => may_set(caller),
            Name::Table(_) => caller.has_capability(CAP_DAC_OVERRIDE),
        }
}

/// Whether `caller` may write settings.
pub(super) fn may_set(caller: Caller) -> bool {
    caller.uid == 0 || caller.has_capability(CAP_NET_ADMIN)
}
