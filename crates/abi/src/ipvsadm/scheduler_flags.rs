//! Names of scheduler flags (`-b`): read and written.

use ipvs_core::ServiceFlags;

use super::error::UsageError;

/// The general names, for schedulers whose flags have none of their own.
const GENERAL: [(&str, u32); 3] =
    [("flag-1", ServiceFlags::SCHED1), ("flag-2", ServiceFlags::SCHED2), ("flag-3", ServiceFlags::SCHED3)];

/// Names that belong to one scheduler each.
const SPECIAL: [(&str, &str, u32); 4] = [
    ("sh-fallback", "sh", ServiceFlags::SCHED1),
    ("sh-port", "sh", ServiceFlags::SCHED2),
    ("mh-fallback", "mh", ServiceFlags::SCHED1),
    ("mh-port", "mh", ServiceFlags::SCHED2),
];

/// The flags that a comma-separated list names. Empty names between commas are skipped; commas alone, on which the
/// original crashes, are refused.
pub(super) fn parse_scheduler_flags(text: &str, scheduler: &str) -> Result<u32, UsageError> {
    if !text.is_empty() && text.bytes().all(|byte| byte == b',') {
        return Err(format!("invalid scheduler flag `{text}'").into());
    }
    let mut flags = 0;
    for name in text.split(',').filter(|name| !name.is_empty()) {
        if let Some((_, bit)) = GENERAL.iter().find(|(known, _)| *known == name) {
            flags |= bit;
        } else if let Some((_, owner, bit)) = SPECIAL.iter().find(|(known, ..)| *known == name) {
            if *owner != scheduler {
                return Err(format!("incompatible scheduler flag `{name}'").into());
            }
            flags |= bit;
        } else {
            return Err(format!("invalid scheduler flag `{name}'").into());
        }
    }
    Ok(flags)
}

/// The list of names for what is set in `flags`; `None` if no scheduler flag is. The third flag of sh and mh has no
/// name and is left out, so the list may be empty.
pub(super) fn scheduler_flag_names(flags: ServiceFlags, scheduler: &str) -> Option<String> {
    let all = ServiceFlags::SCHED1 | ServiceFlags::SCHED2 | ServiceFlags::SCHED3;
    if flags.0 & all == 0 {
        return None;
    }
    let special = SPECIAL.iter().filter(|(_, owner, _)| *owner == scheduler);
    let mut names: Vec<_> =
        special.filter(|(.., bit)| flags.contains(*bit)).map(|(name, ..)| *name).collect();
    if !SPECIAL.iter().any(|(_, owner, _)| *owner == scheduler) {
        names = GENERAL.iter().filter(|(_, bit)| flags.contains(*bit)).map(|(name, _)| *name).collect();
    }
    Some(names.join(","))
}
