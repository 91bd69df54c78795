//! Where the program is attached: interface by interface, and by filters of clsact where the kernel has no links for classifiers.

use std::process::Command;

use rustix::process::Signal;

use crate::process::{Namespace, Running, outcome};

fn tc(namespace: &Namespace, arguments: &str) -> String {
    let mut command = Command::new("tc");
    let output = command.args(["-n", namespace.name()]).args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "tc {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The kernel's numbers of the classifiers that are filters of an interface.
fn filters(namespace: &Namespace, interface: &str) -> Vec<String> {
    let listed = tc(namespace, &format!("filter show dev {interface} ingress"));
    let ours = listed.lines().filter(|line| line.contains("ipvsd_tc"));
    ours.filter_map(|line| line.split(" id ").nth(1)?.split(' ').next().map(str::to_owned)).collect()
}

fn has_clsact(namespace: &Namespace, interface: &str) -> bool {
    tc(namespace, &format!("qdisc show dev {interface}")).contains("clsact")
}

fn detach(namespace: &Namespace) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ipvsd"));
    let arguments = ["stop", "--detach", "--netns", namespace.name(), "--socket"];
    let output = command.args(arguments).arg(namespace.socket()).output().unwrap();
    assert_eq!(outcome(&output), (Some(0), String::new()));
}

#[test]
fn interfaces_differ() {
    let namespace = Namespace::new("attach");
    let running = Running::start(&namespace, &["--attach", "one=tc", "--attach", "xdp,two=auto"]);
    let how = |name: &str| {
        let line = running.said.lines().find(|line| line.contains(&format!("interface=\"{name}\"")));
        line.unwrap_or_default().to_owned()
    };
    assert!(how("one").contains("mode=Tc") && how("two").contains("mode=Tc"), "{}", running.said);
    running.end(Signal::TERM);
    let running = Running::start(&namespace, &["--attach", "one=tc"]);
    assert!(running.said.contains("mode=Tc") && running.said.contains("mode=Native"), "{}", running.said);
    running.end(Signal::TERM);
    let (code, said) = namespace.refused(&["--attach", "one=tc", "--attach", "one=xdp"]);
    assert_eq!(
        (code, said.trim()),
        (Some(2), "ipvsd: --attach: one is to be attached by tc and by xdp: say one of them")
    );
    let (code, said) = namespace.refused(&["--attach", "three=tc"]);
    assert!(code == Some(1) && said.contains("three"), "{said}");
}

#[test]
fn filters_end_with_the_daemon_unless_it_is_killed() {
    let namespace = Namespace::new("filter");
    tc(&namespace, "qdisc add dev one clsact");
    let arguments = ["--attach", "tc", "--no-tcx"];
    let running = Running::start(&namespace, &arguments);
    let first = [filters(&namespace, "one"), filters(&namespace, "two")].concat();
    assert_eq!(first.len(), 2, "{}", running.said);
    running.end(Signal::KILL);
    assert_eq!([filters(&namespace, "one"), filters(&namespace, "two")].concat(), first);
    // The next one's takes its place.
    let running = Running::start(&namespace, &arguments);
    assert_eq!(running.said.matches("took the place").count(), 2, "{}", running.said);
    let second = [filters(&namespace, "one"), filters(&namespace, "two")].concat();
    assert!(second.len() == 2 && second.iter().all(|id| !first.contains(id)), "{first:?} {second:?}");
    let (code, said) = running.end(Signal::TERM);
    assert_eq!(code, Some(0), "{said}");
    let gone = |namespace: &Namespace| {
        assert!(filters(namespace, "one").is_empty() && filters(namespace, "two").is_empty());
        // One is not of our making.
        assert!(has_clsact(namespace, "one") && !has_clsact(namespace, "two"));
    };
    gone(&namespace);
    // One that was killed is tidied up after, by a daemon that attaches otherwise, and by `stop --detach`.
    Running::start(&namespace, &arguments).end(Signal::KILL);
    let running = Running::start(&namespace, &["--attach", "tc,one=xdp"]);
    gone(&namespace);
    running.end(Signal::TERM);
    Running::start(&namespace, &arguments).end(Signal::KILL);
    assert!(has_clsact(&namespace, "two"));
    detach(&namespace);
    gone(&namespace);
    // A qdisc that somebody else has come to use stays.
    let running = Running::start(&namespace, &arguments);
    tc(&namespace, "filter add dev two egress protocol ip u32 match u32 0 0 classid 1:1");
    running.end(Signal::TERM);
    assert!(filters(&namespace, "two").is_empty() && has_clsact(&namespace, "two"));
}

/// With the fast path they stay until they are told to go, as links do that are pinned.
#[test]
fn filters_are_kept_with_the_fast_path() {
    let namespace = Namespace::new("filterpin");
    let bpf = crate::restart::BpfFilesystem::mount("filterpin");
    let arguments = ["--attach", "tc", "--no-tcx", "--fast-path", "on", "--pin", bpf.path()];
    Running::start(&namespace, &arguments).end(Signal::TERM);
    let first = filters(&namespace, "one");
    assert_eq!(first.len(), 1);
    let running = Running::start(&namespace, &arguments);
    assert_eq!(running.said.matches("took the place").count(), 2, "{}", running.said);
    let second = filters(&namespace, "one");
    assert!(second.len() == 1 && second != first, "{first:?} {second:?}");
    running.end(Signal::KILL);
    assert_eq!(filters(&namespace, "one"), second);
    detach(&namespace);
    assert!(filters(&namespace, "one").is_empty() && !has_clsact(&namespace, "one"));
    assert!(bpf.pins().is_empty());
}
