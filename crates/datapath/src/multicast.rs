//! Whether datagrams for a multicast group can leave from an interface: the kernel is asked, by connecting a socket.

use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use nix::sys::socket::{setsockopt, sockopt::BindToDevice};

/// Any port: connecting sends nothing.
const PORT: u16 = 8848;

/// Connects a socket that is bound to `interface` with `group`, and closes it.
pub(crate) fn can_leave(interface: &str, group: IpAddr) -> io::Result<()> {
    let any: IpAddr =
        if group.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    setsockopt(&socket, BindToDevice, &OsString::from(interface))?;
    socket.connect((group, PORT))
}
