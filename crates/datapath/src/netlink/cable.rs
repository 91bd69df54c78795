//! Virtual cables (veth) between this network namespace and another one.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{InfoData, InfoKind, InfoVeth, LinkAttribute, LinkInfo, LinkMessage};

use super::{HardwareAddress, Requests};

/// Lays a cable from here, with this name and hardware address, to another namespace, where its end has that name. Both are down.
pub(crate) fn lay(
    requests: &mut Requests,
    (name, address): (&str, HardwareAddress),
    (far_name, namespace): (&str, BorrowedFd<'_>),
) -> io::Result<()> {
    let mut far = LinkMessage::default();
    far.attributes =
        vec![LinkAttribute::IfName(far_name.into()), LinkAttribute::NetNsFd(namespace.as_raw_fd())];
    let mut near = LinkMessage::default();
    near.attributes = vec![
        LinkAttribute::IfName(name.into()),
        LinkAttribute::Address(address.to_vec()),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(far))),
        ]),
    ];
    requests.change(RouteNetlinkMessage::NewLink(near), NLM_F_CREATE | NLM_F_EXCL)
}

/// What an interface is called.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Name<'a> {
    Text(&'a str),
    Index(u32),
}

/// Removes an interface, if there is one of that name.
pub(crate) fn remove(requests: &mut Requests, name: Name<'_>) -> io::Result<()> {
    let mut message = LinkMessage::default();
    match name {
        Name::Text(text) => message.attributes.push(LinkAttribute::IfName(text.into())),
        Name::Index(index) => message.header.index = index,
    }
    match requests.change(RouteNetlinkMessage::DelLink(message), 0) {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error()) => Ok(()),
        outcome => outcome,
    }
}
