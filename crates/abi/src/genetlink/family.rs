//! GETFAMILY: how a client learns the family's id (the family "nlctrl").

use crate::errno::Errno;

use super::attribute::{Policy, Table, Writer};
use super::message::Header;
use super::number::{command, kind};
use super::{FAMILY_ID, FAMILY_NAME};

/// Commands of nlctrl.
pub(super) const NEW_FAMILY: u8 = 1;
pub(super) const GET_FAMILY: u8 = 3;

const ID: u16 = 1;
const NAME: u16 = 2;
const VERSION: u16 = 3;
const HEADER_SIZE: u16 = 4;
const MAX_ATTRIBUTE: u16 = 5;
const OPERATIONS: u16 = 6;

/// Longest family name without its NUL.
const NAME_MOST: usize = 15;

/// What nlctrl says of each command: needs CAP_NET_ADMIN (1) and has a policy (8); answers a single request (2),
/// a dump (4).
const ADMIN_POLICY: u32 = 0x09;
const DO: u32 = 0x02;
const DUMP: u32 = 0x04;

/// The forms of a command, [`DO`] and [`DUMP`]; `None` if there is no such command.
fn forms(command: u8) -> Option<u32> {
    match command {
        command::SET_INFO => None,
        command::GET_SERVICE | command::GET_SYSCTL => Some(DO | DUMP),
        command::GET_DEST
        | command::GET_DAEMON
        | command::GET_CONNECTION
        | command::GET_DROP
        | command::GET_MARK
        | command::GET_POOL => Some(DUMP),
        command::SOCKOPT | command::SET_SYSCTL | command::GET_STATS | command::EXPLAIN => Some(DO),
        command::NEW_MARK | command::DEL_MARK | command::NEW_POOL | command::DEL_POOL => Some(DO),
        command::NEW_SERVICE..=command::FLUSH => Some(DO),
        _ => None,
    }
}

/// Whether a command exists.
pub(super) fn exists(command: u8) -> bool {
    forms(command).is_some()
}

/// Whether a command answers dumps (else single requests).
pub(super) fn answers(command: u8, dump: bool) -> bool {
    forms(command).is_some_and(|forms| forms & if dump { DUMP } else { DO } != 0)
}

/// Reads a GETFAMILY request: whether it asks for IPVS.
///
/// # Errors
/// ERANGE or EINVAL for malformed attributes, EINVAL if there is neither name nor id, ENOENT for another family.
pub(super) fn read_get_family(attributes: &[u8]) -> Result<(), Errno> {
    let table = Table::<11>::parse(attributes, |kind| match kind {
        ID => Policy::AtLeast(2),
        NAME => Policy::Text(NAME_MOST),
        _ => Policy::Any,
    })?;
    // The name is looked at last and wins.
    let ours = match (table.text(NAME), table.u16(ID)) {
        (Some(name), _) => name == FAMILY_NAME,
        (None, Some(id)) => id == FAMILY_ID,
        (None, None) => return Err(Errno::EINVAL),
    };
    if ours { Ok(()) } else { Err(Errno::ENOENT) }
}

/// Appends the answer to GETFAMILY.
pub(super) fn write_family(out: &mut Vec<u8>, header: Header) {
    Header { kind: kind::NLCTRL, ..header }.write_generic(out, NEW_FAMILY, 2, |writer| {
        writer.text(NAME, FAMILY_NAME);
        writer.u16(ID, FAMILY_ID);
        writer.u32(VERSION, 1);
        writer.u32(HEADER_SIZE, 0);
        writer.u32(MAX_ATTRIBUTE, 6);
        writer.nest(OPERATIONS, |list| {
            let commands = (command::NEW_SERVICE..=command::FLUSH).filter_map(|c| Some((c, forms(c)?)));
            for (position, (command, forms)) in (1..).zip(commands) {
                list.nest(position, |operation| {
                    operation.u32(1, command.into());
                    operation.u32(2, forms | ADMIN_POLICY);
                });
            }
        });
    });
}

/// Appends the attributes of a request for IPVS by name.
pub(super) fn write_get_family(writer: &mut Writer<'_>) {
    writer.text(NAME, FAMILY_NAME);
}

/// The id in an answer to GETFAMILY.
pub(super) fn read_family(attributes: &[u8]) -> Option<u16> {
    Table::<3>::parse(attributes, |_| Policy::Any).ok()?.u16(ID)
}
