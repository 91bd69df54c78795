//! With full NAT: what the server is told, and from which byte on that waits.

use super::*;

const V4: (&str, &str, &str) = ("10.0.1.2", "10.0.1.100", "10.0.2.8");
const V6: (&str, &str, &str) = ("2001:db8:1::2", "2001:db8:1::100", "2001:db8:2::8");

/// Client, virtual and local address: of one family, and of two.
const TO_V6: (&str, &str, &str) = (V4.0, V4.1, V6.2);
const TO_V4: (&str, &str, &str) = (V6.0, V6.1, V4.2);

/// The port that is taken.
const TAKEN: u16 = 5000;

/// What a line becomes, said byte by byte: whatever has gone by is what the whole line begins with. And what is expected, and the
/// helper's memory.
fn said(side: Side, line: &str, question: u8, ends: (&str, &str, &str)) -> (String, Option<Expectation>, u8) {
    let line = line.as_bytes();
    let (client, virtual_end) = ((ends.0.parse().unwrap(), 3000), (ends.1.parse().unwrap(), 21));
    let mut kept = line.len();
    for length in 1..=line.len() {
        let (mut memory, mut taken) = (question, 0);
        let text = &line[..length];
        let ended = length == line.len();
        let saying = Saying { side, text, ended, client, virtual_end, local: Some(ends.2.parse().unwrap()) };
        let reading = Ftp.read(&saying, &mut memory, &mut |port| {
            assert!(port >= 1024);
            taken += 1;
            Some(TAKEN)
        });
        let (expectation, edit) = match reading {
            Reading::More { keep } => {
                assert_eq!((memory, taken, ended), (question, 0, false));
                // What waits once waits on.
                kept = if keep < length { kept.min(keep) } else { kept };
                continue;
            }
            Reading::Nothing => (None, (0..0, Vec::new())),
            Reading::Expect { expectation, edit } => (Some(expectation), edit.unwrap_or_default()),
            Reading::Write(edit) => (None, edit),
        };
        let is_active = matches!(expectation, Some(Expectation::Server { .. }));
        assert_eq!(taken, u32::from(is_active), "a port is taken once, for a command that names an end");
        let (range, text) = edit;
        let has_gone_by = kept.min(length - 1);
        assert!(range.is_empty() || range.start >= has_gone_by, "{range:?} after {has_gone_by} bytes");
        let line = [&line[..range.start], &text, &line[range.end..]].concat();
        return (String::from_utf8(line).unwrap(), expectation, memory);
    }
    panic!("never decided: {}", line.escape_ascii());
}

#[test]
fn commands_name_the_local_end() {
    for (line, wanted, ends) in [
        ("PORT 10,0,1,2,156,65\r\n", "PORT 10,0,2,8,19,136\r\n", V4),
        ("port\t 10,0,1,2,156,65 \r\n", "port\t 10,0,2,8,19,136 \r\n", V4),
        ("EPRT |1|10.0.1.2|40001|\r\n", "EPRT |1|10.0.2.8|5000|\r\n", V4),
        ("EPRT !1!10.0.1.2!40001!\n", "EPRT |1|10.0.2.8|5000|\n", V4),
        ("EPRT |2|2001:db8:1::2|40001|\r\n", "EPRT |2|2001:db8:2::8|5000|\r\n", V6),
        ("PORT 10,0,1,2,156,65\r\n", "EPRT |2|2001:db8:2::8|5000|\r\n", TO_V6),
        ("EPRT |1|10.0.1.2|40001|\r\n", "EPRT |2|2001:db8:2::8|5000|\r\n", TO_V6),
        ("eprt |2|2001:db8:1::2|40001|\r\n", "PORT 10,0,2,8,19,136\r\n", TO_V4),
    ] {
        let client = (ends.0.parse().unwrap(), 40_001);
        let expected = Expectation::Server { client, port_below: true, local_port: Some(TAKEN) };
        assert_eq!(said(Side::Client, line, NOTHING, ends), (wanted.to_owned(), Some(expected), NOTHING));
    }
}

/// The server cannot see whom a rewritten command means: it must be able to refuse another host, or a port of a service.
#[test]
fn commands_that_name_others_go_on_as_they_are() {
    for (line, ends) in [
        ("PORT 10,0,1,3,156,65\r\n", V4),
        ("PORT 10,0,1,2,3,255\r\n", V4),
        ("EPRT |1|10.0.1.3|40001|\r\n", V4),
        ("EPRT |2|2001:db8:1::3|40001|\r\n", V6),
        ("EPRT |2|2001:db8:1::2|1023|\r\n", V6),
        ("EPRT |||40001|\r\n", V4),
        ("PORT 10,0,1,3,156,65\r\n", TO_V6),
        ("RETR x\r\n", TO_V6),
        ("PO\r\n", TO_V6),
        ("PASS secret\r\n", TO_V4),
        ("EPSV ALL\r\n", TO_V4),
    ] {
        assert_eq!(said(Side::Client, line, NOTHING, ends), (line.to_owned(), None, NOTHING));
    }
}

#[test]
fn without_a_port_a_command_goes_on_as_it_is() {
    let (client, virtual_end) = ((V4.0.parse().unwrap(), 3000), (V4.1.parse().unwrap(), 21));
    let text = b"PORT 10,0,1,2,156,65\r\n";
    let local = Some(V4.2.parse().unwrap());
    let saying = Saying { side: Side::Client, text, ended: true, client, virtual_end, local };
    assert_eq!(Ftp.read(&saying, &mut 0, &mut |_| None), Reading::Nothing);
}

#[test]
fn questions_to_a_server_of_the_other_family() {
    for (line, wanted, memory, ends) in [
        ("PASV\r\n", "PASV\r\n", PASSIVE, V4),
        ("PASV\r\n", "EPSV\r\n", EXTENDED_FOR_PASSIVE, TO_V6),
        ("EPSV\r\n", "EPSV\r\n", EXTENDED, TO_V6),
        ("EPSV 1\r\n", "EPSV 1\r\n", EXTENDED, V4),
        ("EPSV 1\r\n", "EPSV 2\r\n", EXTENDED, TO_V6),
        ("epsv 2\r\n", "epsv 1\r\n", EXTENDED, TO_V4),
    ] {
        assert_eq!(said(Side::Client, line, NOTHING, ends), (wanted.to_owned(), None, memory));
    }
}

#[test]
fn answers_of_a_server_of_the_other_family() {
    let expected = Some(Expectation::Client { port: 40_001 });
    for (line, wanted, question, ends) in [
        ("227 Now (10,0,2,11,156,65).\r\n", "227 Now (10,0,1,100,156,65).\r\n", PASSIVE, V4),
        ("229 Now (|||40001|).\r\n", "227 Now (10,0,1,100,156,65).\r\n", EXTENDED_FOR_PASSIVE, TO_V6),
        ("229 Now (|||40001|).\r\n", "229 Now (|||40001|).\r\n", EXTENDED, TO_V6),
        ("229 Now (|1|10.0.2.11|40001|)\r\n", "229 Now (|||40001|)\r\n", EXTENDED, TO_V4),
    ] {
        assert_eq!(said(Side::Server, line, question, ends), (wanted.to_owned(), expected, NOTHING));
    }
    for line in ["500 What?\r\n", "227 x (10,0,2,11,156,65)\r\n", "229 x (40001)\r\n"] {
        let wanted = (line.to_owned(), None, EXTENDED_FOR_PASSIVE);
        assert_eq!(said(Side::Server, line, EXTENDED_FOR_PASSIVE, TO_V6), wanted);
    }
}
