//! The QUESTION and STEP nests, extensions of ours: a packet to be explained, and what is decided about it.

use core::net::SocketAddr;

use ipvs_core::{Fact, Question, Step};

use crate::errno::Errno;

use super::attribute::{Attributes, Policy, Table, Writer, family_of};
use super::number::{family, question, step};

/// Reads a question.
///
/// # Errors
/// EINVAL if something is missing or malformed; whether there can be such a packet is for the director to judge.
pub(super) fn read_question(nest: Option<&[u8]>) -> Result<Question, Errno> {
    let table = Table::<10>::parse(nest.ok_or(Errno::EINVAL)?, |_| Policy::Any).map_err(|_| Errno::EINVAL)?;
    let read = || {
        let ipv6 = match table.u16(question::AF)? {
            family::INET => false,
            family::INET6 => true,
            _ => return None,
        };
        let end = |address, port| Some(SocketAddr::new(table.address(address, ipv6)?, table.be16(port)?));
        Some(Question {
            protocol: u8::try_from(table.u16(question::PROTOCOL)?).ok()?,
            source: end(question::SOURCE_ADDR, question::SOURCE_PORT)?,
            destination: end(question::DEST_ADDR, question::DEST_PORT)?,
            flags: table.u8(question::FLAGS)?,
            size: table.u16(question::SIZE)?,
            mark: table.u32(question::MARK),
        })
    };
    read().ok_or(Errno::EINVAL)
}

/// Appends a question.
pub(super) fn write_question(writer: &mut Writer<'_>, it: &Question) {
    writer.u16(question::AF, family_of(it.source.ip()));
    writer.u16(question::PROTOCOL, it.protocol.into());
    writer.address(question::SOURCE_ADDR, it.source.ip());
    writer.be16(question::SOURCE_PORT, it.source.port());
    writer.address(question::DEST_ADDR, it.destination.ip());
    writer.be16(question::DEST_PORT, it.destination.port());
    writer.u8(question::FLAGS, it.flags);
    writer.u16(question::SIZE, it.size);
    if let Some(mark) = it.mark {
        writer.u32(question::MARK, mark);
    }
}

/// Appends a step.
pub(super) fn write_step(writer: &mut Writer<'_>, it: &Step) {
    writer.text(step::NAME, &it.name);
    writer.text(step::TEXT, &it.text);
    for (name, fact) in &it.facts {
        writer.nest(step::FACT, |inner| {
            inner.text(step::fact::NAME, name);
            match fact {
                Fact::Text(text) => inner.text(step::fact::TEXT, text),
                Fact::Number(number) => inner.u64(step::fact::NUMBER, *number),
                Fact::Flag(flag) => inner.u8(step::fact::FLAG, (*flag).into()),
            }
        });
    }
}

/// Reads a step; `None` if something is missing.
pub(super) fn read_step(nest: &[u8]) -> Option<Step> {
    let table = Table::<4>::parse(nest, |_| Policy::Any).ok()?;
    let facts = Attributes(nest).filter(|(kind, _)| *kind == step::FACT).map(|(_, fact)| read_fact(fact));
    Some(Step {
        name: table.text(step::NAME)?,
        text: table.text(step::TEXT)?,
        facts: facts.collect::<Option<_>>()?,
    })
}

fn read_fact(nest: &[u8]) -> Option<(String, Fact)> {
    let table = Table::<5>::parse(nest, |_| Policy::Any).ok()?;
    let text = table.text(step::fact::TEXT).map(Fact::Text);
    let number = || table.u64(step::fact::NUMBER).map(Fact::Number);
    let flag = || table.u8(step::fact::FLAG).map(|flag| Fact::Flag(flag != 0));
    Some((table.text(step::fact::NAME)?, text.or_else(number).or_else(flag)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nest(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&mut Writer(&mut bytes));
        bytes
    }

    #[test]
    fn questions_and_steps_survive_their_bytes() {
        for (source, mark) in [("10.0.0.1:4000", Some(0)), ("[2001:db8::1]:0", None)] {
            let source: SocketAddr = source.parse().unwrap();
            let question =
                Question { protocol: 132, source, destination: source, flags: 0x12, size: 1500, mark };
            assert_eq!(read_question(Some(&nest(|to| write_question(to, &question)))), Ok(question));
        }
        let fact = |name: &str, fact| (name.to_owned(), fact);
        let facts = vec![
            fact("a", Fact::Text(String::new())),
            fact("b", Fact::Number(u64::MAX)),
            fact("c", Fact::Flag(false)),
            fact("d", Fact::Flag(true)),
        ];
        for facts in [Vec::new(), facts] {
            let step = Step { name: "verdict".into(), text: "it passes".into(), facts };
            assert_eq!(read_step(&nest(|to| write_step(to, &step))), Some(step));
        }
    }

    #[test]
    fn what_is_missing_is_refused() {
        assert_eq!(read_question(None), Err(Errno::EINVAL));
        assert_eq!(read_question(Some(&[])), Err(Errno::EINVAL));
        let without_name = nest(|to| to.nest(step::FACT, |inner| inner.u8(step::fact::FLAG, 1)));
        assert_eq!(read_step(&without_name), None);
    }
}
