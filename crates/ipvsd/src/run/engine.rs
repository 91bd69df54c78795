//! The event loop: one thread that owns the director, the datapath and the control socket.

use std::os::fd::AsFd;
use std::time::Duration;

use ipvs_core::{Command, Director, DropCount, Error, Instant, Reply};

use super::Failure;
use super::clock::now;
use super::control::Control;
use super::front::{Due, Front, Readable, Source};
use super::fullness::Fullness;
use super::limitation::{self, Limitations};
use super::memory::Memory;
use super::poller::{Poller, Readiness};
use super::report::{self, ReportSignal};
use super::settings_file::{self, SettingsFile};
use super::state::State;

/// Token of what ends the loop.
const STOP: u64 = 0;
/// First token of all that the datapath waits for: one for each source.
const FRONT: u64 = 1;
/// Token of what asks for the counters; the control socket's are counted from below.
const REPORT: u64 = u64::MAX;

/// Longest sleep; nothing depends on it.
const LONGEST: Duration = Duration::from_secs(60);

/// Everything that the daemon's thread owns.
#[derive(Debug)]
pub struct Engine<F> {
    director: Director,
    front: F,
    control: Control,
    poller: Poller,
    /// When the datapath wants its next turn.
    due: Due,
    limitations: Limitations,
    fullness: Fullness,
    memory: Memory,
    report: Option<ReportSignal>,
    settings: Option<SettingsFile>,
    state: Option<State>,
}

impl<F: Front> Engine<F> {
    /// Puts the parts together.
    ///
    /// # Errors
    /// [`Failure`], if the kernel refuses an epoll instance.
    pub fn new(director: Director, front: F, control: Control) -> Result<Self, Failure> {
        let failed = |errno| Failure::new("wait for events", errno);
        let poller = Poller::new().map_err(failed)?;
        for (fd, source) in front.fds() {
            poller.add(fd, FRONT + source as u64, Readiness::Readable).map_err(failed)?;
        }
        control.register(&poller).map_err(failed)?;
        Ok(Self {
            director,
            front,
            control,
            poller,
            due: Due::Now,
            limitations: Limitations::default(),
            fullness: Fullness::default(),
            memory: Memory::default(),
            report: None,
            settings: None,
            state: None,
        })
    }

    /// Logs the counters whenever `signal` comes, and when the loop ends.
    ///
    /// # Errors
    /// [`Failure`], if the signal cannot be waited for.
    pub fn report_on(&mut self, signal: ReportSignal) -> Result<(), Failure> {
        let failed = |errno| Failure::new("wait for events", errno);
        self.poller.add(&signal, REPORT, Readiness::Readable).map_err(failed)?;
        self.report = Some(signal);
        Ok(())
    }

    /// Saves in `file` what is set from now on.
    pub fn save_settings_in(&mut self, file: SettingsFile) {
        self.settings = Some(file);
    }

    /// Keeps in `state` what is to outlive the daemon.
    pub fn keep_state_in(&mut self, state: State) {
        self.state = Some(state);
    }

    /// Works until `stop` is readable.
    ///
    /// Each turn handles one burst of packets and a few steps of the control socket, so neither keeps the other
    /// waiting for longer than that.
    ///
    /// # Errors
    /// [`Failure`], if waiting for events fails.
    pub fn run(&mut self, stop: impl AsFd) -> Result<(), Failure> {
        let failed = |errno| Failure::new("wait for events", errno);
        self.poller.add(&stop, STOP, Readiness::Readable).map_err(failed)?;
        let mut more = false;
        loop {
            let timeout = if more { Duration::ZERO } else { self.timeout(now()) };
            let (mut stopped, mut readable) = (false, Readable::default());
            for token in self.poller.wait(timeout).map_err(failed)? {
                match *token {
                    STOP => stopped = true,
                    REPORT => {
                        self.report.iter().for_each(ReportSignal::take);
                        report::log(&mut self.director, &self.front);
                    }
                    token => match source(token) {
                        Some(source) => readable.add(source),
                        None => self.control.note(token),
                    },
                }
            }
            if stopped {
                if self.report.is_some() {
                    report::log(&mut self.director, &self.front);
                }
                if let Some(state) = &mut self.state {
                    self.director.collect();
                    state.count(&mut self.director);
                }
                return self.poller.remove(&stop).map_err(failed);
            }
            more = self.turn(now(), readable);
        }
    }

    /// How long nothing needs to be done, unless something comes in.
    fn timeout(&self, now: Instant) -> Duration {
        let front = if let Due::At(due) = self.due { Some(due) } else { None };
        let due = [self.director.poll_timeout(), self.control.timeout(), front].into_iter().flatten().min();
        due.map_or(LONGEST, |due| due.saturating_since(now).min(LONGEST))
    }

    /// Does a bounded piece of everything; returns whether there is more.
    fn turn(&mut self, now: Instant, readable: Readable) -> bool {
        let Self {
            director,
            front,
            control,
            poller,
            due,
            limitations,
            fullness,
            memory,
            settings,
            state,
            ..
        } = self;
        *due = front.turn(now, director, readable);
        director.settle();
        if director.poll_timeout().is_some_and(|due| due <= now) {
            memory.refresh(now, director);
            director.poll(now);
            fullness.look(now, director, director.capacity());
        }
        // What a client is shown below is never more than what is kept.
        let mut renewing = false;
        if let Some(state) = state {
            state.count(director);
            state.save(now, director);
            renewing = state.go_on(now, director);
        }
        let execute = &mut |command: Command| -> Result<Reply, Error> {
            let zeroes = matches!(command, Command::Zero(_));
            let limits = limitation::of(&command);
            if matches!(command, Command::SetSysctl(..)) {
                memory.tell(now, director);
            }
            let kept = settings_file::kept(&command);
            let mut outcome = director.execute(now, front.host(), command);
            if let Ok(Reply::Drops(drops)) = &mut outcome {
                drops.extend(front.drops().into_iter().map(|drop| DropCount {
                    by: "datapath".into(),
                    reason: drop.reason.into(),
                    packets: drop.packets,
                    active: drop.active,
                }));
            }
            if outcome.is_ok() {
                limitations.tell(limits);
                if let (Some(file), Some(what)) = (&mut *settings, kept) {
                    file.save(what, now, front.host(), director);
                }
            }
            if let Some(state) = state {
                state.save(now, director);
                if zeroes {
                    state.count(director);
                }
            }
            // Before the client learns that it is done, so that its next packet meets the new state.
            follow(director, front);
            outcome
        };
        let busy = control.turn(now, poller, execute);
        // Polling and packets may end what a deleted destination still needed.
        follow(director, front);
        // Until then the program begins no connections of services that were changed.
        director.publish_choices();
        busy || renewing || self.due == Due::Now || self.director.is_unsettled()
    }
}

/// The datapath's source of that token.
fn source(token: u64) -> Option<Source> {
    let place = usize::try_from(token.checked_sub(FRONT)?).ok()?;
    Source::ALL.get(place).copied()
}

/// Tells the datapath what has changed of the director.
pub(super) fn follow(director: &mut Director, front: &mut impl Front) {
    let changes = director.take_interest_changes();
    if !changes.is_empty() {
        front.apply_interest(&changes);
    }
    front.follow_director(&director.take_destination_changes(), &director.state_timeouts());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_has_a_token_of_its_own() {
        for known in Source::ALL {
            let token = FRONT + known as u64;
            assert_eq!(source(token), Some(known));
            assert!(token != STOP && token < Control::LISTENER);
        }
        let others = [STOP, FRONT + Source::ALL.len() as u64, Control::LISTENER, REPORT];
        assert!(others.into_iter().all(|token| source(token).is_none()));
    }
}
