//! Replays recordings on a director in memory.

use std::net::IpAddr;

use ipvs_abi::ipvsadm::{ClientFailure, DirectorClient, Streams, run, understand};
use ipvs_core::{AddressKind, Command, Config, Director, Host, Instant, Reply};

use crate::names::RecordedNames;
use crate::recording::{Outcome, parse};

/// The recording machine: a loopback interface, no route to anywhere else.
struct RecordingHost;

impl Host for RecordingHost {
    fn address_kind(&self, address: IpAddr) -> AddressKind {
        match address {
            _ if address.is_loopback() => AddressKind::Local,
            IpAddr::V4(address)
                if address.is_multicast() || address.is_broadcast() || address.is_unspecified() =>
            {
                AddressKind::Other
            }
            IpAddr::V6(address) if address.is_multicast() || address.is_unspecified() => AddressKind::Other,
            IpAddr::V6(address) if address.is_unicast_link_local() => AddressKind::LinkLocal,
            _ => AddressKind::Unicast,
        }
    }

    fn path_mtu(&self, _address: IpAddr) -> Option<u32> {
        None
    }

    fn source_address(&self, _towards: IpAddr) -> Option<IpAddr> {
        None
    }
}

/// A director that answers in pages of two, so that paging is tried too.
struct MemoryClient {
    director: Director,
}

impl DirectorClient for MemoryClient {
    fn execute(&mut self, mut command: Command) -> Result<Reply, ClientFailure> {
        if let Command::ListServices { limit, .. } | Command::ListDestinations { limit, .. } = &mut command {
            *limit = 2;
        }
        let outcome = self.director.execute(Instant::from_nanos(0), &RecordingHost, command);
        outcome.map_err(|error| ClientFailure::Refused(error.into()))
    }
}

fn outcome_of(words: &[String], input: &str, client: &mut MemoryClient) -> Outcome {
    let line = match understand(words, &RecordedNames) {
        Ok(line) => line,
        Err(failure) => {
            let errors = format!("{}\n", failure.message);
            return Outcome { output: String::new(), errors, exit_code: failure.exit_code };
        }
    };
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let mut streams = Streams { input: &mut input.as_bytes(), output: &mut output, errors: &mut errors };
    let exit_code = run(line.action, client, &RecordedNames, &mut streams);
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Outcome { output: text(output), errors: text(errors), exit_code }
}

/// Replays a recording of at least `least` command lines and panics with all that differ.
pub(crate) fn replay(recording: &str, least: usize) {
    let director = Director::new(Config::default(), Instant::from_nanos(0)).expect("a director");
    let mut client = MemoryClient { director };
    let recorded = parse(recording);
    assert!(recorded.len() >= least, "only {} command lines", recorded.len());
    let mut differences = String::new();
    let mut count = 0;
    for one in &recorded {
        let outcome = outcome_of(&one.words, &one.input, &mut client);
        if outcome != one.outcome {
            count += 1;
            let (words, input) = (&one.words, &one.input);
            differences += &format!("{words:?} {input:?}\n  has {outcome:?}\n  not {:?}\n", one.outcome);
        }
    }
    assert!(differences.is_empty(), "{count} of {} differ:\n{differences}", recorded.len());
}
