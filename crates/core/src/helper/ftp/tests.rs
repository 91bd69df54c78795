mod local;

use super::*;

const CLIENT: &str = "10.0.1.2";
const VIRTUAL: &str = "10.0.1.100";

fn read(side: Side, text: &[u8], ended: bool, memory: &mut u8, ends: (&str, &str)) -> Reading {
    let client = (ends.0.parse().unwrap(), 3000);
    let virtual_end = (ends.1.parse().unwrap(), 21);
    let saying = Saying { side, text, ended, client, virtual_end, local: None };
    Ftp.read(&saying, memory, &mut |_| panic!("a local port without full NAT"))
}

/// What the line becomes, and which port is expected; asked byte by byte too, which must make no difference.
fn answered(question: u8, line: &[u8], ends: (&str, &str)) -> Option<(String, u16)> {
    let mut memory = question;
    let whole = read(Side::Server, line, true, &mut memory, ends);
    let mut kept = None;
    for length in 1..=line.len() {
        let mut memory = question;
        let reading = read(Side::Server, &line[..length], length == line.len(), &mut memory, ends);
        if let Reading::More { keep } = reading {
            let keep = keep.min(length);
            assert!(kept.is_none_or(|kept| kept == keep || keep == length), "{keep} of {length}");
            kept = (keep < length).then_some(keep);
            assert_eq!(memory, question);
            continue;
        }
        if let Reading::Expect { edit: Some((range, _)), .. } = &reading {
            assert!(kept.is_none_or(|kept| range.start >= kept));
        }
        assert_eq!(reading, whole, "after {length} bytes of {:?}", line.escape_ascii().to_string());
        break;
    }
    match whole {
        Reading::Expect { expectation: Expectation::Client { port }, edit: Some((range, text)) } => {
            assert_eq!(memory, NOTHING);
            let line = [&line[..range.start], &text, &line[range.end..]].concat();
            Some((String::from_utf8_lossy(&line).into_owned(), port))
        }
        Reading::Nothing => None,
        other => panic!("{other:?}"),
    }
}

/// As the reference kernel did (`conformance/experiments/ftp_lines.py` and `ftp_forms.py`).
#[test]
fn answers_to_pasv() {
    for (line, wanted) in [
        (
            "227 Entering Passive Mode (10,0,2,11,156,65).\r\n",
            "227 Entering Passive Mode (10,0,1,100,156,65).\r\n",
        ),
        (
            "227 Entering Passive Mode (10,0,2,11,156,65)\r\n",
            "227 Entering Passive Mode (10,0,1,100,156,65)\r\n",
        ),
        ("227 =10,0,2,11,156,65\r\n", "227 =10,0,1,100,156,65\r\n"),
        ("227 10,0,2,11,156,65\r\n", "227 10,0,1,100,156,65\r\n"),
        ("227 x (10,0,2,11,156,65\r\n", "227 x (10,0,1,100,156,65\r\n"),
        ("227 x (10,0,2,11,156,65)\n", "227 x (10,0,1,100,156,65)\n"),
        ("227 x (10,0,2,11,156,65)", "227 x (10,0,1,100,156,65)"),
        ("227 x (10,0,2,99,156,65)\r\n", "227 x (10,0,1,100,156,65)\r\n"),
        ("227 x (010,000,002,011,156,65)\r\n", "227 x (10,0,1,100,156,65)\r\n"),
        ("227 x (00000000010,0,2,11,156,65)\r\n", "227 x (10,0,1,100,156,65)\r\n"),
        ("227 x (10,0,2,11,156,65x)\r\n", "227 x (10,0,1,100,156,65x)\r\n"),
        ("227 x ((10,0,2,11,156,65))\r\n", "227 x ((10,0,1,100,156,65))\r\n"),
        ("227 x [10,0,2,11,156,65]\r\n", "227 x [10,0,1,100,156,65]\r\n"),
        ("227 x (10,0,2,11,156,65,1)\r\n", "227 x (10,0,1,100,156,65,1)\r\n"),
        ("227 x\0(10,0,2,11,156,65)\0\r\n", "227 x\0(10,0,1,100,156,65)\0\r\n"),
    ] {
        let answered = answered(PASSIVE, line.as_bytes(), (CLIENT, VIRTUAL));
        assert_eq!(answered, Some((wanted.to_owned(), 40_001)), "{line:?}");
    }
    for line in [
        "227-Entering Passive Mode (10,0,2,11,156,65)\r\n",
        "227Entering Passive Mode (10,0,2,11,156,65)\r\n",
        "150 Entering Passive Mode (10,0,2,11,156,65)\r\n",
        "227 x ( 10, 0, 2, 11, 156,65 )\r\n",
        "227 x (10.0.2.11:156,65)\r\n",
        "227 5 x (10,0,2,11,156,65)\r\n",
        "227 x (x10,0,2,11,156,65)\r\n",
        "227 x (10,0,2,256,156,65)\r\n",
        "227 x (10,0,2,11,300,65)\r\n",
        "227 x (4294967306,0,2,11,156,65)\r\n",
        // No byte tells that the number has ended.
        "227 x (10,0,2,11,156,65",
        "227 x 10,0,2,11,156,65",
        "227 ",
        "22",
        "",
    ] {
        assert_eq!(answered(PASSIVE, line.as_bytes(), (CLIENT, VIRTUAL)), None, "{line:?}");
    }
    // The answer to another question, or to none.
    let line = b"227 x (10,0,2,11,156,65)\r\n";
    assert_eq!(answered(EXTENDED, line, (CLIENT, VIRTUAL)), None);
    assert_eq!(answered(NOTHING, line, (CLIENT, VIRTUAL)), None);
}

#[test]
fn answers_to_epsv() {
    let (v4, v6) = ((CLIENT, VIRTUAL), ("2001:db8:1::2", "2001:db8:1::100"));
    for (line, wanted, ends) in [
        ("229 x (|||40001|)\r\n", "229 x (|||40001|)\r\n", v4),
        ("229 x (|||40001|).\r\n", "229 x (|||40001|).\r\n", v6),
        ("229 x (!!!40001!)\r\n", "229 x (|||40001|)\r\n", v6),
        ("229 x (|2|2001:db8:2::11|40001|)\r\n", "229 x (|||40001|)\r\n", v6),
        ("229 x (|||40001|x\r\n", "229 x (|||40001|x\r\n", v6),
        ("229 x (|||40001|", "229 x (|||40001|", v6),
        ("229 x (|||040001|)\r\n", "229 x (|||40001|)\r\n", v6),
    ] {
        let answered = answered(EXTENDED, line.as_bytes(), ends);
        assert_eq!(answered, Some((wanted.to_owned(), 40_001)), "{line:?}");
    }
    for line in [
        "229 x (|||40001)\r\n",
        "229 x |||40001|\r\n",
        "229 x (1|||40001|)\r\n",
        "229 x (|1||40001|)\r\n",
        "229 x (|1|10.0.2.11|40001|)\r\n",
        "229 x (|||940001|)\r\n",
        "229-x (|||40001|)\r\n",
        "229 x (|||40001!)\r\n",
        "229 x (|2|nonsense|40001|)\r\n",
        "227 x (10,0,2,11,156,65)\r\n",
    ] {
        assert_eq!(answered(EXTENDED, line.as_bytes(), v6), None, "{line:?}");
    }
}

#[test]
fn commands_that_name_an_end() {
    let (v4, v6) = ((CLIENT, VIRTUAL), ("2001:db8:1::2", "2001:db8:1::100"));
    let named = |line: &str, ends| {
        let mut memory = NOTHING;
        match read(Side::Client, line.as_bytes(), true, &mut memory, ends) {
            Reading::Expect {
                expectation:
                    Expectation::Server { client: (address, port), port_below: true, local_port: None },
                edit: None,
            } => Some((address.to_string(), port)),
            Reading::Nothing => None,
            other => panic!("{other:?}"),
        }
    };
    for (line, address, ends) in [
        ("PORT 10,0,1,2,156,65\r\n", "10.0.1.2", v4),
        ("port 10,0,1,2,156,65\r\n", "10.0.1.2", v4),
        ("Port  10,0,1,2,156,65 \r\n", "10.0.1.2", v4),
        ("PORT\t10,0,1,2,156,65\n", "10.0.1.2", v4),
        ("PORT10,0,1,3,156,65x\r\n", "10.0.1.3", v4),
        ("EPRT |1|10.0.1.2|40001|\r\n", "10.0.1.2", v4),
        ("eprt  !1!010.0.1.2!040001!x\r\n", "10.0.1.2", v4),
        ("EPRT |2|2001:DB8:1:0:0:0:0:2|40001|\r\n", "2001:db8:1::2", v6),
        ("EPRT |2|::ffff:10.0.1.2|40001|\r\n", "::ffff:10.0.1.2", v6),
    ] {
        assert_eq!(named(line, ends), Some((address.to_owned(), 40_001)), "{line:?}");
    }
    for (line, ends) in [
        ("PORT 10,0,1,2,156,65", v4),
        ("PORT x 10,0,1,2,156,65\r\n", v4),
        ("PORT (10,0,1,2,156,65)\r\n", v4),
        ("XPORT 10,0,1,2,156,65\r\n", v4),
        ("PORT 10,0,1,2,156,65\r\n", v6),
        ("EPRT |2|2001:db8:1::2|40001|\r\n", v4),
        ("EPRT |1|10.0.1.2|40001|\r\n", v6),
        ("EPRT |1|10.0.1.2|40001\r\n", v4),
        ("EPRT |1||40001|\r\n", v4),
        ("EPRT |||40001|\r\n", v4),
        ("EPRT x|1|10.0.1.2|40001|\r\n", v4),
        ("EPRT |2|[2001:db8:1::2]|40001|\r\n", v6),
        ("RETR x\r\n", v4),
        ("\0\0\0\0\r\n", v4),
        ("P\r\n", v4),
    ] {
        assert_eq!(named(line, ends), None, "{line:?}");
    }
}

#[test]
fn questions() {
    let asked = |line: &str, ended, ends| {
        let mut memory = NOTHING;
        let reading = read(Side::Client, line.as_bytes(), ended, &mut memory, ends);
        assert!(!matches!(reading, Reading::Expect { .. }));
        memory
    };
    let (v4, v6) = ((CLIENT, VIRTUAL), ("2001:db8:1::2", "2001:db8:1::100"));
    for line in ["PASV\r\n", "pasv\r\n", "PASV\n", "Pasv \r\n"] {
        assert_eq!([asked(line, true, v4), asked(line, false, v4)], [PASSIVE, NOTHING], "{line:?}");
        assert_eq!(asked(line, true, v6), NOTHING);
    }
    for line in ["EPSV\r\n", "epsv\n", "EPSV 1\r\n", "EPSV 2\r\n"] {
        assert_eq!([asked(line, true, v4), asked(line, true, v6)], [EXTENDED; 2], "{line:?}");
    }
    for line in ["PASVX\r\n", "PAS\r\n", "EPSV ALL\r\n", "NOOP\r\n", "XPASV\r\n"] {
        assert_eq!(asked(line, true, v4), NOTHING, "{line:?}");
    }
}
