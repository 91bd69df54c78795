//! Network interfaces.

use std::collections::HashMap;
use std::io;

use foldhash::fast::RandomState;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVlan, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage,
    VlanProtocol,
};

use super::{HardwareAddress, Requests};
use crate::ethernet::{self, Tag};

/// A network interface.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// Its name.
    pub(crate) name: String,
    /// Its hardware address, if it is Ethernet.
    pub(crate) address: Option<HardwareAddress>,
    /// Most bytes of an IP packet.
    pub(crate) mtu: u32,
    /// Receive queues that it can have.
    pub(crate) queues: u32,
    /// Administratively up.
    pub(crate) up: bool,
    /// The loopback interface.
    pub(crate) loopback: bool,
    /// A port of a bridge, bond or team.
    pub(crate) enslaved: bool,
    /// For a VLAN device: the interface under it and the tag.
    pub(crate) vlan: Option<(u32, Tag)>,
    /// A virtual cable (veth), or a TUN or TAP device: its other end is on this machine.
    pub(crate) is_cable: bool,
}

/// All interfaces of the network namespace, by index.
#[derive(Debug, Default)]
pub(crate) struct Links(HashMap<u32, Link, RandomState>);

impl Links {
    /// Reads all from the kernel.
    pub(crate) fn load(&mut self, requests: &mut Requests) -> io::Result<()> {
        self.0.clear();
        for message in requests.dump(RouteNetlinkMessage::GetLink(LinkMessage::default()))? {
            if let RouteNetlinkMessage::NewLink(message) = message {
                self.set(&message);
            }
        }
        Ok(())
    }

    /// Takes a new or changed interface.
    pub(crate) fn set(&mut self, message: &LinkMessage) {
        // Notifications of bridges about their ports have that family, and not all attributes.
        if u8::from(message.header.interface_family) != 0 {
            return;
        }
        let flags = message.header.flags;
        let mut link = Link {
            name: String::new(),
            address: None,
            mtu: 0,
            queues: 1,
            up: flags.contains(LinkFlags::Up),
            loopback: flags.contains(LinkFlags::Loopback),
            enslaved: flags.contains(LinkFlags::Port),
            vlan: None,
            is_cable: false,
        };
        let (mut under, mut tag) = (None, None);
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name.clone_from(name),
                LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
                LinkAttribute::Address(bytes) if message.header.link_layer_type == LinkLayerType::Ether => {
                    link.address = bytes.as_slice().try_into().ok();
                }
                LinkAttribute::NumRxQueues(queues) => link.queues = *queues,
                LinkAttribute::Link(index) => under = Some(*index),
                LinkAttribute::LinkInfo(infos) => {
                    for info in infos {
                        match info {
                            LinkInfo::Data(InfoData::Vlan(values)) => {
                                tag = vlan_tag(values);
                            }
                            LinkInfo::Kind(InfoKind::Veth | InfoKind::Tun) => link.is_cable = true,
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        link.vlan = under.zip(tag);
        self.0.insert(message.header.index, link);
    }

    /// Takes an interface for a VLAN device, until a message says what it is.
    pub(crate) fn take_for_vlan(&mut self, index: u32, under: u32, tag: Tag) {
        if let Some(link) = self.0.get_mut(&index) {
            link.vlan = Some((under, tag));
        }
    }

    /// Forgets an interface.
    pub(crate) fn remove(&mut self, message: &LinkMessage) {
        if u8::from(message.header.interface_family) == 0 {
            self.0.remove(&message.header.index);
        }
    }

    /// The interface of that index.
    pub(crate) fn get(&self, index: u32) -> Option<&Link> {
        self.0.get(&index)
    }

    /// The index and interface of that name.
    pub(crate) fn by_name(&self, name: &str) -> Option<(u32, &Link)> {
        self.iter().find(|(_, link)| link.name == name)
    }

    /// All, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Link)> {
        self.0.iter().map(|(index, link)| (*index, link))
    }
}

/// The tag that a VLAN device puts on.
fn vlan_tag(values: &[InfoVlan]) -> Option<Tag> {
    let service = values.contains(&InfoVlan::Protocol(VlanProtocol::Ieee8021Ad));
    values.iter().find_map(|value| match value {
        InfoVlan::Id(id) => Some(ethernet::tag(service, *id)),
        _ => None,
    })
}

/// How many packets could not be sent by an interface.
pub(crate) fn not_sent(requests: &mut Requests, interface: u32) -> io::Result<u64> {
    let mut message = LinkMessage::default();
    message.header.index = interface;
    let Some(RouteNetlinkMessage::NewLink(link)) = requests.get(RouteNetlinkMessage::GetLink(message))?
    else {
        return Err(io::ErrorKind::NotFound.into());
    };
    let dropped = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Stats64(stats) => Some(stats.tx_dropped),
        _ => None,
    });
    dropped.ok_or(io::ErrorKind::InvalidData.into())
}

/// Brings an interface up, with this MTU and this many packets that may wait to be sent; its index.
pub(crate) fn bring_up(requests: &mut Requests, name: &str, mtu: u32, queue: Option<u32>) -> io::Result<u32> {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::IfName(name.into()));
    let Some(RouteNetlinkMessage::NewLink(link)) = requests.get(RouteNetlinkMessage::GetLink(message))?
    else {
        return Err(io::ErrorKind::NotFound.into());
    };
    let mut message = LinkMessage::default();
    message.header.index = link.header.index;
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    message.attributes.push(LinkAttribute::Mtu(mtu));
    message.attributes.extend(queue.map(LinkAttribute::TxQueueLen));
    requests.change(RouteNetlinkMessage::SetLink(message), 0)?;
    Ok(link.header.index)
}
