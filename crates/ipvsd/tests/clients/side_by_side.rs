//! Several daemons, each in a namespace of its own and with clients of its own, at once.

use std::process::Output;

use crate::program::Director;

const DIRECTORS: u8 = 5;
const ROUNDS: usize = 5;

/// The rules of director `number`; none has a service of another's.
fn rules(number: u8) -> String {
    let mut text = String::new();
    for port in 1..=10 {
        text += &format!("-A -t 10.84.{number}.1:{port} -s wrr\n");
        text += &format!("-a -t 10.84.{number}.1:{port} -r 10.85.{number}.1:{port} -m -w {number}\n");
        text += &format!("-a -t 10.84.{number}.1:{port} -r 10.85.{number}.2:{port} -m -w 10\n");
    }
    text
}

/// Restores the rules, looks whether just these are there, empties the table, looks whether nothing is there.
const SCRIPT: &str = r#"
    for round in $(seq "$1"); do
        ipvsadm -R <<<"$2" || exit 10
        [ "$(ipvsadm -Sn)" = "$2" ] || { ipvsadm -Sn; exit 11; }
        ipvsadm -C || exit 12
        [ -z "$(ipvsadm -Sn)" ] || { ipvsadm -Sn; exit 13; }
    done
    ipvsadm -R <<<"$2""#;

fn shown(output: &Output) -> String {
    let texts = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    format!("{}: {}", output.status, texts.concat())
}

#[test]
fn daemons_and_scripts_beside_one_another() {
    let directors: Vec<Director> = (1..=DIRECTORS)
        .map(|number| {
            let mut director = Director::new("side", &number.to_string());
            director.namespace.ip("link add one up type veth peer name two");
            director.start_daemon(&["--interface", "one"]);
            director
        })
        .collect();
    std::thread::scope(|scope| {
        for (number, director) in (1..).zip(&directors) {
            let mode = if number % 2 == 0 { "netlink" } else { "sockopt" };
            scope.spawn(move || {
                // The here-string has an end of line of its own.
                let rules = rules(number);
                let words = ["bash", "-c", SCRIPT, "script", &ROUNDS.to_string(), rules.trim_end()];
                let output = director.exec(mode, &words).output().unwrap();
                assert!(output.status.success(), "director {number}, {mode}: {}", shown(&output));
            });
        }
    });
    for (number, director) in (1..).zip(&directors) {
        assert_eq!(director.rules(), rules(number), "director {number}");
        director.wait_for_no_clients();
    }
}

#[test]
fn a_socket_of_another_namespace_does_not_reach_the_daemon() {
    let [mut here, mut there] = ["here", "there"].map(|role| Director::new("across", role));
    for director in [&mut here, &mut there] {
        director.namespace.ip("link add one up type veth peer name two");
        director.start_daemon(&["--interface", "one"]);
    }
    let name = there.namespace.name().to_owned();
    for mode in ["netlink", "sockopt"] {
        let across = ["ip", "netns", "exec", &name, "ipvsadm", "-A", "-t", "10.84.0.1:80", "-s", "rr"];
        let output = here.exec(mode, &across).output().unwrap();
        // The kernel answers, and has no IPVS: as without `ipvsd exec`.
        let bare = std::process::Command::new(across[0]).args(&across[1..]).output().unwrap();
        assert_eq!(
            (output.status.code(), &output.stdout, &output.stderr),
            (bare.status.code(), &bare.stdout, &bare.stderr)
        );
        assert!(!output.status.success(), "{}", shown(&output));
        assert_eq!(here.rules() + &there.rules(), "");
        // And a daemon's own namespace does, from the same kind of command.
        let inside =
            ["ip", "netns", "exec", here.namespace.name(), "ipvsadm", "-A", "-t", "10.84.0.1:80", "-s", "rr"];
        let output = here.exec(mode, &inside).output().unwrap();
        assert!(output.status.success(), "{}", shown(&output));
        assert_eq!(here.rules(), "-A -t 10.84.0.1:80 -s rr\n");
        here.ipvsadm(&["-C"]).unwrap();
    }
}
