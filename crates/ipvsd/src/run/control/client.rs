//! One client of the control socket.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ipvs_abi::genetlink::{MAX_REQUEST, Session};
use ipvs_core::{Command, Error, Instant, Reply};
use rustix::io::Errno;
use rustix::net::{RecvFlags, ReturnFlags, SendFlags, recvmsg, send};

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It has, or may have, more to do.
    Again,
    /// It waits for the client's next request.
    WaitForRequest,
    /// It waits until the client takes its answers.
    WaitForRoom,
    /// The client is gone or sent what cannot be taken.
    Close,
}

/// A connected client. It holds at most one request datagram and the answers of one step.
#[derive(Debug)]
pub(super) struct Client {
    socket: OwnedFd,
    session: Session,
    /// Whether it may give commands.
    pub(super) privileged: bool,
    /// Answers not yet taken.
    answers: VecDeque<Vec<u8>>,
    /// When it last sent or took something.
    pub(super) active: Instant,
    /// Whether it stands in the queue of those with something to do.
    pub(super) queued: bool,
}

impl Client {
    pub(super) fn new(socket: OwnedFd, privileged: bool, now: Instant) -> Self {
        Self {
            socket,
            session: Session::new(),
            privileged,
            answers: VecDeque::new(),
            active: now,
            queued: false,
        }
    }

    /// Whether answers wait for the client to take them.
    pub(super) fn is_blocked(&self) -> bool {
        !self.answers.is_empty()
    }

    /// Sends what waits, else takes a request, else does the next piece of one: a bounded piece of work.
    pub(super) fn step(
        &mut self,
        now: Instant,
        buffer: &mut [u8],
        execute: &mut dyn FnMut(Command) -> Result<Reply, Error>,
    ) -> Step {
        if self.is_blocked() {
            return self.flush(now);
        }
        if !self.session.is_idle() {
            self.session.step(self.privileged, execute, &mut |answer| self.answers.push_back(answer));
            return self.flush(now);
        }
        match self.receive(buffer) {
            // An empty datagram cannot be told from the end, and asks nothing.
            Ok(0) => Step::Close,
            Ok(length) => {
                self.active = now;
                self.session.receive(buffer.get(..length).unwrap_or_default());
                Step::Again
            }
            Err(Errno::INTR) => Step::Again,
            Err(Errno::AGAIN) => Step::WaitForRequest,
            Err(_) => Step::Close,
        }
    }

    /// Receives a datagram. One that does not fit is answered by the end of the connection: no client that means well
    /// sends it, and a part of it must not be executed.
    fn receive(&self, buffer: &mut [u8]) -> rustix::io::Result<usize> {
        let mut slices = [std::io::IoSliceMut::new(buffer)];
        let mut control = rustix::net::RecvAncillaryBuffer::default();
        let received = recvmsg(&self.socket, &mut slices, &mut control, RecvFlags::DONTWAIT)?;
        if received.flags.contains(ReturnFlags::TRUNC) {
            tracing::warn!(
                limit = MAX_REQUEST,
                "a client sent a request that is too long; closing its connection"
            );
            return Ok(0);
        }
        Ok(received.bytes)
    }

    fn flush(&mut self, now: Instant) -> Step {
        while let Some(answer) = self.answers.front() {
            match send(&self.socket, answer, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(_) => {
                    self.active = now;
                    self.answers.pop_front();
                }
                Err(Errno::AGAIN) => return Step::WaitForRoom,
                Err(Errno::INTR) => return Step::Again,
                Err(_) => return Step::Close,
            }
        }
        Step::Again
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
