//! The SOCKOPT nest, an extension of ours: a socket option on its way to the director.

use crate::errno::Errno;
use crate::sockopt::{Change, Operation, Page, Reading, check, decode_set};

use super::attribute::{Policy, Table, Writer};
use super::number::sockopt as number;

/// A socket option as a request asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketOption {
    /// setsockopt.
    Set(Change),
    /// getsockopt.
    Get(Reading),
}

const GET: u8 = 0;
const SET: u8 = 1;

fn parse(nest: Option<&[u8]>) -> Result<Table<'_, 6>, Errno> {
    Table::parse(nest.ok_or(Errno::EINVAL)?, |kind| match kind {
        number::OPERATION => Policy::AtLeast(1),
        number::NUMBER | number::LENGTH | number::OFFSET => Policy::AtLeast(4),
        _ => Policy::Any,
    })
    .map_err(|_| Errno::EINVAL)
}

/// Reads a request, with all checks of the option; the caller of the option is taken as privileged.
///
/// # Errors
/// EINVAL if the nest is missing or malformed, or its data shorter than what the option reads; else what the option is
/// refused with.
pub(super) fn read_request(nest: Option<&[u8]>) -> Result<SocketOption, Errno> {
    let table = parse(nest)?;
    let (Some(operation), Some(option), Some(length)) =
        (table.u8(number::OPERATION), table.u32(number::NUMBER), table.u32(number::LENGTH))
    else {
        return Err(Errno::EINVAL);
    };
    let operation = match operation {
        GET => Operation::Get,
        SET => Operation::Set,
        _ => return Err(Errno::EINVAL),
    };
    let copied = check(operation, option, i32::try_from(length).map_err(|_| Errno::EINVAL)?, true)?;
    let data = table.get(number::DATA).unwrap_or_default().get(..copied).ok_or(Errno::EINVAL)?;
    Ok(match operation {
        Operation::Set => SocketOption::Set(decode_set(option, data)?),
        Operation::Get => SocketOption::Get(Reading::new(option, length, data)?),
    })
}

/// Appends a request.
pub(super) fn write_request(
    writer: &mut Writer<'_>,
    operation: Operation,
    option: u32,
    length: u32,
    data: &[u8],
) {
    writer.u8(
        number::OPERATION,
        match operation {
            Operation::Get => GET,
            Operation::Set => SET,
        },
    );
    writer.u32(number::NUMBER, option);
    writer.u32(number::LENGTH, length);
    writer.bytes(number::DATA, data);
}

/// Appends a piece of an answer.
pub(super) fn write_page(writer: &mut Writer<'_>, page: &Page) {
    writer.u32(number::OFFSET, page.offset);
    writer.bytes(number::DATA, &page.data);
    if let Some(length) = page.last {
        writer.u32(number::LENGTH, length);
    }
}

/// Reads a piece of an answer; `None` if it makes no sense.
pub(super) fn read_page(nest: &[u8]) -> Option<Page> {
    let table = parse(Some(nest)).ok()?;
    Some(Page {
        offset: table.u32(number::OFFSET)?,
        data: table.get(number::DATA)?.to_vec(),
        last: table.u32(number::LENGTH),
    })
}
