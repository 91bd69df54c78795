//! What the program knows of interfaces: those that are attached, by which frames come, and the VLAN devices on them, by which they
//! leave.

use std::collections::BTreeMap;

use crate::Attached;
use crate::netlink::{Link, Links};
use crate::program::Port;

/// The ports, by the place where the program looks for them.
pub(crate) type Ports = BTreeMap<u32, Port>;

/// Those of the attached interfaces and of VLAN devices on them. Where two have one place an attached interface has it, or else the
/// VLAN device of the least index: what is for others the daemon sends. `puts_off`: frames that come may be put off.
pub(crate) fn of(
    attached: &[Attached],
    links: &Links,
    is_exit: impl Fn(u32) -> bool,
    puts_off: bool,
    place: impl Fn(u32) -> u32,
) -> Ports {
    let port = |interface, link: &Link| {
        let (carrier, tag) = link.vlan.map_or((interface, None), |(under, tag)| (under, Some(tag)));
        let (hardware, leave) = (link.address?, link.up && is_exit(carrier));
        Some(Port { interface, hardware, leave, carrier, tag, puts_off })
    };
    let is_attached = |index| attached.iter().any(|attached| attached.index == index);
    let mut devices: Vec<_> =
        links.iter().filter(|(_, link)| link.vlan.is_some_and(|(under, _)| is_attached(under))).collect();
    devices.sort_by_key(|(index, _)| std::cmp::Reverse(*index));
    let attached = attached.iter().filter_map(|attached| Some((attached.index, links.get(attached.index)?)));
    devices
        .into_iter()
        .chain(attached)
        .filter_map(|(index, link)| Some((place(index), port(index, link)?)))
        .collect()
}
