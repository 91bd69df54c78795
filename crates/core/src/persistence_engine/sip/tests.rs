//! What the kernel took for the Call-ID, as `conformance/experiments/sip_header.py` printed it.

use proptest::prelude::*;

use super::*;

/// In a message with one header, whose `#` is the number of its line here.
fn in_header(header: &[u8]) -> Option<Vec<u8>> {
    let message = [b"OPTIONS sip:a@b SIP/2.0\r\n", header, b"CSeq: 1 OPTIONS\r\n\r\n"].concat();
    call_id(&message).map(<[u8]>::to_vec)
}

#[track_caller]
fn assert_found(header: &[u8], id: &[u8]) {
    assert_eq!(in_header(header).as_deref(), Some(id), "{}", header.escape_ascii());
}

#[track_caller]
fn assert_none(header: &[u8]) {
    assert_eq!(in_header(header), None, "{}", header.escape_ascii());
}

#[test]
fn forms_of_the_name() {
    for name in
        ["Call-ID:", "call-id: ", "CALL-ID: ", "cAlL-Id:\t ", "i: ", "I:", "i \t: ", "Call-ID  \t :   "]
    {
        assert_found(format!("{name}a@h\r\n").as_bytes(), b"a@h");
    }
    for name in [
        " Call-ID: ",
        "X-Call-ID: ",
        "Call-IDs: ",
        "ii: ",
        "Call-ID ",
        "Call-ID= ",
        "Call-ID\x0b:",
        "Call-ID:\x0c",
    ] {
        assert_none(format!("{name}a@h\r\n").as_bytes());
    }
    for begun in ["Subject: x\r\n ", "Subject: ", "Call-ID\0", "Call-ID:", "x "] {
        assert_none(format!("{begun}Call-ID: a@h\r\n").as_bytes());
    }
}

#[test]
fn one_end_of_a_line_among_blanks() {
    for blanks in [":\r\n ", "\r\n :", ":\r\n\t", ":\n ", ":\r ", "\n :", "\r :", ": \t\r\n\t ", ":\r\n  \t "]
    {
        assert_found(format!("Call-ID{blanks}a\r\n").as_bytes(), b"a");
    }
    for blanks in [
        ":\r\n",
        "\r\n:",
        ":\r\n\r\n ",
        ":\n\n ",
        ":\n\r ",
        ":\r\r ",
        "\r\n\r\n:",
        " \r\n \r\n :",
        ":  \r\n  \r\n ",
        ": \r\n\tCall-ID: ",
    ] {
        assert_none(format!("Call-ID{blanks}a\r\n").as_bytes());
    }
}

#[test]
fn an_end_of_a_line_must_follow() {
    for end in ["\r\n", "\n", "\r", "\r\n more\r\n"] {
        assert_found(format!("Call-ID: a@h{end}").as_bytes(), b"a@h");
    }
    for end in [" \r\n", ";x=1\r\n", " x\r\n", "@k\r\n", "\0\r\n", "\r\n"] {
        assert_eq!(in_header(format!("Call-ID: a@h{end}").as_bytes()).is_some(), end == "\r\n", "{end:?}");
    }
    for message in
        [&b"x\r\nCall-ID: a@h"[..], b"x\r\ni: a", b"x\r\ni:", b"x\r\ni", b"x\r\nCall-ID: a@", b"\n", b""]
    {
        assert_eq!(call_id(message), None, "{}", message.escape_ascii());
    }
    assert_eq!(call_id(b"x\r\nCall-ID: a@h\r"), Some(&b"a@h"[..]));
}

/// Where nothing stands that could be one, the search goes on; at other mistakes it ends.
#[test]
fn the_first_of_several() {
    for first in [";\r\n", "@x\r\n", "x@\r\n", "x@ \r\n", "x@;\r\n"] {
        assert_found(format!("Call-ID: {first}Call-ID: second\r\n").as_bytes(), b"second");
        assert_found(format!("Call-ID: {first}i: second\r\n").as_bytes(), b"second");
    }
    for first in [
        "Call-ID: ",
        "Call-ID: x ",
        "Call-ID: x@h;",
        "Call-ID: x@h@h",
        "Call-IDx",
        "i-: a",
        "i;: a",
        "i",
        "i :",
        "i1: a",
    ] {
        assert_none(format!("{first}\r\nCall-ID: second\r\n").as_bytes());
    }
    for first in [
        "Via: x\r\n",
        "\r\n",
        "Via: x\r\n\r\n",
        "Via: \0\r\n",
        "ix: a\r\n",
        "Call-I\r\n",
        "Subject:\r\n\r\n\r\n",
    ] {
        assert_found(format!("{first}Call-ID: second\r\n").as_bytes(), b"second");
    }
    assert_found(b"i: first@h\r\nCall-ID: second@h\r\n", b"first@h");
    assert_found(b"i\xe9: x\r\ni: second\r\n", b"second");
    assert_none(b"i\xd7: x\r\ni: second\r\n");
}

#[test]
fn lines() {
    let found: [(&[u8], &[u8]); 17] = [
        (b"\r\nCall-ID: a\r\n\r\n", b"a"),
        (b"\r\n\r\nCall-ID: a\r\n\r\n", b"a"),
        (b"\nCall-ID: a\r\n\r\n", b"a"),
        (b"x\nCall-ID: a\r\n\r\n", b"a"),
        (b"\0\0\0\r\nCall-ID: a\r\n", b"a"),
        (b"\x80\x81\r\nCall-ID: a\r\n", b"a"),
        (b"\ni:a\n", b"a"),
        (b"\n\n\ni:a\n", b"a"),
        (b"\n\r\ni:a\n", b"a"),
        (b"\r\n\n\ni:a\n", b"a"),
        (b"\r\r\ni:a\n", b"a"),
        (b"\r\r\r\ni:a\n", b"a"),
        (b"\ni: \n \ni:a\n", b"a"),
        (b"\ni: \r\n \r\ni:a\n", b"a"),
        (b"\ni: ;\rx\ni:a\n", b"a"),
        (b"\ni:v@\ni:a\n", b"a"),
        (b"\ni:\n a\n", b"a"),
    ];
    for (message, id) in found {
        assert_eq!(call_id(message), Some(id), "{}", message.escape_ascii());
    }
    let none: [&[u8]; 9] = [
        b"Call-ID: a\r\n\r\n",
        b"\n\ni:a\n",
        b"\r\ri:a\n",
        b"\n\ri:a\n",
        b"\r\n\ni:a\n",
        b"\n\n\n\n\n\ni:a\n",
        b"\ni:v@\n\ni:a\n",
        b"\ni:\n;\ni:a\n",
        b"\ni:\na\n",
    ];
    for message in none {
        assert_eq!(call_id(message), None, "{}", message.escape_ascii());
    }
}

/// Letters of Latin-1, digits and the marks of RFC 3261's `word`, before and behind one @.
#[test]
fn bytes_of_a_word() {
    let marks = br#"-.!%*_+`'~()<>:\"/[]?{}"#;
    for byte in 0..=255_u8 {
        let letter = byte >= 0xc0 && byte != 0xd7 && byte != 0xf7;
        let good = byte.is_ascii_alphanumeric() || marks.contains(&byte) || letter;
        for id in [[b"n-", &[byte][..], b"y"].concat(), [b"n@-", &[byte][..], b"y"].concat()] {
            let header = [b"Call-ID: ", &id[..], b"\r\n"].concat();
            match byte {
                b'\r' | b'\n' => assert_found(&header, &id[..id.len() - 2]),
                b'@' if !id.starts_with(b"n@") => assert_found(&header, &id),
                _ if good => assert_found(&header, &id),
                _ => assert_none(&header),
            }
        }
    }
}

#[test]
fn lengths() {
    for (length, good) in [(1, true), (254, true), (255, true), (256, false), (1000, false)] {
        let id = "x".repeat(length);
        let found = in_header(format!("Call-ID: {id}\r\nCall-ID: second\r\n").as_bytes());
        assert_eq!(found, good.then(|| id.into_bytes()), "{length}");
    }
    let domain = |length: usize| format!("i:{}@yyy\r\n", "z".repeat(length - 4));
    assert!(in_header(domain(255).as_bytes()).is_some());
    assert_none(domain(256).as_bytes());
}

#[test]
fn of_udp_alone() {
    let message = b"x\r\ni: a\r\n";
    assert_eq!(Sip.data(17, message), Some(&b"a"[..]));
    assert_eq!([Sip.data(6, message), Sip.data(132, message)], [None, None]);
}

proptest! {
    /// Whatever the bytes: what is found stands in them before an end of a line, and is not too long.
    #[test]
    fn any_bytes(message in prop::collection::vec(prop_oneof![
        prop::sample::select(b"\r\n \t:;@aiI".to_vec()).prop_map(|byte| vec![byte]),
        Just(b"\r\nCall-ID:".to_vec()),
        Just(vec![b'x'; 100]),
        any::<u8>().prop_map(|byte| vec![byte]),
    ], 0..40)) {
        let message = message.concat();
        if let Some(id) = call_id(&message) {
            prop_assert!((1..=LONGEST).contains(&id.len()));
            let offset = id.as_ptr() as usize - message.as_ptr() as usize;
            prop_assert!(matches!(message[offset + id.len()], b'\r' | b'\n'));
            prop_assert!(message[..offset].contains(&b':'));
        }
    }
}
