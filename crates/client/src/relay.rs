//! Requests of others, passed on as they are.

use std::ops::ControlFlow;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::{ClientError, ControlClient, retry};

impl ControlClient {
    /// Sends a request message and gives each answer datagram to `take`, until that breaks off.
    ///
    /// The message must ask for an answer that `take` can recognise as the last (a dump, or one with NLM_F_ACK).
    ///
    /// # Errors
    /// As for [`request`](Self::request), less Refused: refusals are answers. After an error the connection may hold
    /// answers that nobody waits for: drop it.
    pub fn relay(
        &mut self,
        request: &[u8],
        take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), ClientError> {
        retry(|| send(&self.socket, request, SendFlags::NOSIGNAL))?;
        loop {
            let (length, _) = retry(|| recv(&self.socket, &mut self.buffer[..], RecvFlags::empty()))?;
            if length == 0 {
                return Err(ClientError::Closed);
            }
            if take(self.buffer.get(..length).unwrap_or_default()).is_break() {
                return Ok(());
            }
        }
    }

    /// Whether the daemon still holds its end, and nothing that nobody asked for has come.
    pub fn is_quiet(&self) -> bool {
        let mut fds = [PollFd::new(&self.socket, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) == Ok(0)
    }
}
