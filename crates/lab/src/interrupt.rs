//! SIGINT and SIGTERM as a flag that every wait looks at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::Error;

/// A wait looks again after this time at first, then after twice the time before, up to the longest step.
const FIRST_STEP: Duration = Duration::from_millis(1);
const LONGEST_STEP: Duration = Duration::from_millis(200);

/// Whether the lab has been asked to stop.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Catches SIGINT, SIGTERM and SIGHUP from now on. A second signal ends the process at once; even then the kernel
    /// removes the namespaces and the daemon.
    ///
    /// # Errors
    /// [`Error`], if the system refuses.
    pub fn install() -> Result<Self, Error> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&flag))
                .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&flag)))
                .map_err(|error| Error::setup("catch signals", error))?;
        }
        Ok(Self(flag))
    }

    /// Whether it has been asked to stop.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Fails if the lab has been asked to stop.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub fn check(&self) -> Result<(), Error> {
        if self.is_set() { Err(Error::Interrupted) } else { Ok(()) }
    }

    /// Waits until `condition` gives a value, for at most `limit`; none when the time is over.
    ///
    /// # Errors
    /// [`Error::Interrupted`], and those of `condition`.
    pub fn wait<T>(
        &self,
        limit: Duration,
        mut condition: impl FnMut() -> Result<Option<T>, Error>,
    ) -> Result<Option<T>, Error> {
        let end = Instant::now() + limit;
        let mut step = FIRST_STEP;
        loop {
            if let Some(value) = condition()? {
                return Ok(Some(value));
            }
            self.check()?;
            if Instant::now() >= end {
                return Ok(None);
            }
            std::thread::sleep(step);
            step = (step * 2).min(LONGEST_STEP);
        }
    }
}
