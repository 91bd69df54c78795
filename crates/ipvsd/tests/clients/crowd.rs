//! Clients in hundreds, and clients that are killed in the middle of their calls.

use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ipvs_client::ControlClient;
use ipvs_core::Command as Order;

use crate::program::Director;
use crate::wait_for;

/// By how much the daemon may grow, KiB: far less than what the clients asked for, had it been kept.
const GROWTH: u64 = 32 * 1024;

fn director(test: &str) -> Director {
    let mut director = Director::new(test, "director");
    director.namespace.ip("link add one up type veth peer name two");
    director.start_daemon(&["--interface", "one"]);
    director
}

/// Runs `what` while a client of its own asks the daemon all the time; every question must be answered.
fn with_bystander<T>(director: &Director, what: impl FnOnce() -> T) -> T {
    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let bystander = scope.spawn(|| {
            let mut client = ControlClient::connect(&director.socket()).unwrap();
            while !stop.load(Ordering::SeqCst) {
                client.request(Order::GetInfo).expect("an answer, whatever others do");
                answered.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(what));
        let seen = answered.load(Ordering::SeqCst);
        wait_for("an answer afterwards", || {
            answered.load(Ordering::SeqCst) > seen || bystander.is_finished()
        });
        stop.store(true, Ordering::SeqCst);
        bystander.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[test]
fn killed_clients_leave_nothing_behind() {
    let director = director("killed");
    let mut rules = String::new();
    for port in 1..=2000 {
        rules += &format!("-A -t 10.86.0.1:{port} -s rr\n-a -t 10.86.0.1:{port} -r 10.86.1.1:{port} -m\n");
    }
    let file = director.socket().with_extension("rules");
    std::fs::write(&file, &rules).unwrap();
    let before = director.daemon_memory();
    let mut interrupted = 0;
    with_bystander(&director, || {
        for round in 0..40u64 {
            director.ipvsadm(&["-C"]).unwrap();
            let mode = if round % 2 == 0 { "netlink" } else { "sockopt" };
            let mut command = director.exec(mode, &["ipvsadm", "-R"]);
            command.stdin(std::fs::File::open(&file).unwrap()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = command.spawn().unwrap();
            // Once it has begun, and then a little later each time: anywhere in a call.
            wait_for("the first of its rules", || !director.rules().is_empty());
            std::thread::sleep(Duration::from_micros(round * 731));
            child.kill().unwrap();
            let status = child.wait().unwrap();
            interrupted += u32::from(status.code().is_none());
        }
    });
    assert!(interrupted > 20, "only {interrupted} of 40 were killed in the middle");
    director.wait_for_no_clients();
    // What was restored until then is whole rules, and the daemon takes new ones.
    director.ipvsadm(&["-C"]).unwrap();
    let mut command = director.exec("auto", &["ipvsadm", "-R"]);
    let output = command.stdin(std::fs::File::open(&file).unwrap()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(director.rules().lines().count(), 4000);
    director.ipvsadm(&["-C"]).unwrap();
    let after = director.daemon_memory();
    assert!(after < before + GROWTH, "{before} KiB before, {after} KiB after");
    eprintln!("{interrupted} of 40 killed in the middle; daemon {before} KiB before, {after} KiB after");
}

#[test]
fn two_hundred_clients_at_once() {
    let director = director("crowd");
    director.ipvsadm(&["-A", "-t", "10.86.0.1:80", "-s", "rr"]).unwrap();
    director.ipvsadm(&["-a", "-t", "10.86.0.1:80", "-r", "10.86.1.1:80", "-m"]).unwrap();
    let expected = director.ipvsadm(&["-Ln"]).unwrap();
    let before = director.daemon_memory();
    let clients = with_bystander(&director, || {
        let mut clients: Vec<Child> = (0..200)
            .map(|number| {
                let mode = ["auto", "netlink", "sockopt"][number % 3];
                // Waits for the end of its input, so that all are there when the first one asks.
                let mut command = director.exec(mode, &["bash", "-c", "read; exec ipvsadm -Ln"]);
                command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        let waiting = || director.clients().iter().filter(|name| name.trim() == "bash").count();
        wait_for("two hundred clients", || waiting() == 200);
        let all = director.clients().len();
        for client in &mut clients {
            drop(client.stdin.take());
        }
        for client in clients {
            let output = client.wait_with_output().unwrap();
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && error.is_empty(), "{}: {error}", output.status);
            assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
        }
        all
    });
    director.wait_for_no_clients();
    let after = director.daemon_memory();
    assert!(after < before + GROWTH, "{before} KiB before, {after} KiB after");
    eprintln!("{clients} processes of clients at a time; daemon {before} KiB before, {after} KiB after");
}
