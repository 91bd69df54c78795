//! A blocking client of the daemon's control socket.

#![forbid(unsafe_code)]

mod relay;

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipvs_abi::errno::Errno;
use ipvs_abi::genetlink::{Exchange, MAX_REQUEST, OptionExchange, Progress, ProtocolError, refusals};
use ipvs_abi::sockopt::Operation;
use ipvs_core::{Command, Reply};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv, send,
    socket_with,
};

pub use ipvs_abi::genetlink::SockoptAnswer;

/// Where the daemon listens unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/ipvsd.sock";

/// Environment variable that names another control socket.
pub const SOCKET_VARIABLE: &str = "IPVSD_SOCKET";

/// How long an answer may take before the daemon counts as hung.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes from which on a datagram takes no further request: well below [`MAX_REQUEST`], about 200 requests.
const BATCH: usize = 32 * 1024;

/// Why a request got no reply.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing listens at the path.
    #[error("no ipvsd at {}: {source}", path.display())]
    Connect {
        /// The path.
        path: PathBuf,
        /// Why not: usually NotFound or ConnectionRefused, if no daemon runs.
        source: io::Error,
    },
    /// The daemon refused the command.
    #[error("{0}")]
    Refused(Errno),
    /// The daemon closed the connection.
    #[error("ipvsd closed the connection")]
    Closed,
    /// The connection failed; TimedOut after 30 seconds without an answer.
    #[error("control socket: {0}")]
    Io(#[from] io::Error),
    /// The answer makes no sense.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
}

impl ClientError {
    /// The errno with which the daemon refused, if it did.
    pub const fn errno(&self) -> Option<Errno> {
        match self {
            Self::Refused(errno) => Some(*errno),
            _ => None,
        }
    }
}

/// A connection to the daemon.
#[derive(Debug)]
pub struct ControlClient {
    socket: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl ControlClient {
    /// Connects to the control socket at `path`.
    ///
    /// # Errors
    /// [`ClientError::Connect`].
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let open = || -> rustix::io::Result<OwnedFd> {
            let address = SocketAddrUnix::new(path)?;
            let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
            set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
            set_socket_timeout(&socket, Timeout::Send, Some(PATIENCE))?;
            connect(&socket, &address)?;
            Ok(socket)
        };
        let socket =
            open().map_err(|errno| ClientError::Connect { path: path.to_owned(), source: errno.into() })?;
        Ok(Self { socket, sequence: 0, buffer: vec![0; MAX_REQUEST] })
    }

    /// Has the daemon execute `command`.
    ///
    /// Listings come whole, whatever cursor and limit say; what the messages do not carry reads as 0 (the number of
    /// services in `Info`, of destinations in a service).
    ///
    /// # Errors
    /// [`ClientError::Refused`] with the daemon's errno; the others if it could not be asked.
    pub fn request(&mut self, command: Command) -> Result<Reply, ClientError> {
        let exchange = self.send(command)?;
        self.receive(exchange)
    }

    /// Has the daemon execute several commands in order; their outcomes in the same order. None of them may be one that
    /// asks for something: their successes come without a word, so that thousands of commands cost few system calls.
    pub fn request_each(&mut self, commands: Vec<Command>) -> Vec<Result<Reply, ClientError>> {
        let mut outcomes = Vec::with_capacity(commands.len());
        let mut commands = commands.into_iter().peekable();
        while commands.peek().is_some() {
            let mut datagram = Vec::with_capacity(BATCH);
            let first = self.sequence.wrapping_add(1);
            let mut exchange = None;
            while datagram.len() < BATCH
                && let Some(command) = commands.next()
            {
                // The one before is not the last of this datagram.
                if let Some(before) = exchange.take() {
                    Exchange::write_unacknowledged(&before, &mut datagram);
                }
                self.sequence = self.sequence.wrapping_add(1);
                exchange = Some(Exchange::new(command, self.sequence));
            }
            let Some(last) = exchange else { break };
            datagram.extend(last.request());
            self.exchange_batch(first, last, &datagram, &mut outcomes);
        }
        outcomes
    }

    /// Asks the daemon several things (listings among them, whole as with [`request`](Self::request)) in few datagrams, so
    /// that it is not waited for between them; the answers in the same order.
    pub fn ask_each(&mut self, commands: Vec<Command>) -> Vec<Result<Reply, ClientError>> {
        let mut answers = Vec::with_capacity(commands.len());
        let mut commands = commands.into_iter().peekable();
        while commands.peek().is_some() {
            let (mut datagram, mut exchanges) = (Vec::with_capacity(BATCH), Vec::new());
            while datagram.len() < BATCH
                && let Some(command) = commands.next()
            {
                self.sequence = self.sequence.wrapping_add(1);
                let exchange = Exchange::new(command, self.sequence);
                datagram.extend(exchange.request());
                exchanges.push(exchange);
            }
            let mut failed = retry(|| send(&self.socket, &datagram, SendFlags::NOSIGNAL)).err();
            for exchange in exchanges {
                answers.push(match &failed {
                    Some(error) => lost(error),
                    None => self.receive(exchange).or_else(|error| match error {
                        refused @ ClientError::Refused(_) => Err(refused),
                        error => lost(failed.insert(error)),
                    }),
                });
            }
        }
        answers
    }

    /// Sends a datagram of requests with the sequence numbers from `first` on, of which `last` alone is acknowledged;
    /// appends an outcome of each. When the connection fails, those without an answer all get that failure.
    fn exchange_batch(
        &mut self,
        first: u32,
        mut last: Exchange,
        datagram: &[u8],
        outcomes: &mut Vec<Result<Reply, ClientError>>,
    ) {
        let start = outcomes.len();
        let count = last.sequence().wrapping_sub(first) as usize + 1;
        outcomes.extend((0..count).map(|_| Ok(Reply::Done)));
        let mut run = || -> Result<Result<Reply, Errno>, ClientError> {
            retry(|| send(&self.socket, datagram, SendFlags::NOSIGNAL))?;
            loop {
                let (length, _) = retry(|| recv(&self.socket, &mut self.buffer[..], RecvFlags::empty()))?;
                if length == 0 {
                    return Err(ClientError::Closed);
                }
                let answer = self.buffer.get(..length).unwrap_or_default();
                for (sequence, errno) in refusals(answer) {
                    let position = sequence.wrapping_sub(first) as usize;
                    if position + 1 < count
                        && let Some(outcome) = outcomes.get_mut(start + position)
                    {
                        *outcome = Err(ClientError::Refused(errno));
                    }
                }
                if let Progress::Done(outcome) = last.receive(answer)? {
                    return Ok(outcome);
                }
            }
        };
        let outcome = run();
        match outcome {
            Ok(outcome) => {
                if let Some(slot) = outcomes.last_mut() {
                    *slot = outcome.map_err(ClientError::Refused);
                }
            }
            Err(error) => {
                for outcome in outcomes.iter_mut().skip(start).filter(|outcome| outcome.is_ok()) {
                    *outcome = lost(&error);
                }
            }
        }
    }

    /// Sets IPVS's socket option `number` to `data`, as a caller with CAP_NET_ADMIN.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with the errno that setsockopt gives; the others if the daemon could not be asked.
    pub fn set_sockopt(&mut self, number: u32, data: &[u8]) -> Result<(), ClientError> {
        self.exchange_option(Operation::Set, number, 0, data).map(drop)
    }

    /// Reads IPVS's socket option `number` into a buffer of `length` bytes that begins with `head` (as many bytes as
    /// [`ipvs_abi::sockopt::check`] says), as a caller with CAP_NET_ADMIN.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with the errno that getsockopt gives; the others if the daemon could not be asked.
    pub fn get_sockopt(
        &mut self,
        number: u32,
        length: u32,
        head: &[u8],
    ) -> Result<SockoptAnswer, ClientError> {
        self.exchange_option(Operation::Get, number, length, head)
    }

    fn exchange_option(
        &mut self,
        operation: Operation,
        number: u32,
        length: u32,
        data: &[u8],
    ) -> Result<SockoptAnswer, ClientError> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut exchange = OptionExchange::new(self.sequence, length);
        let request = exchange.request(operation, number, data);
        retry(|| send(&self.socket, &request, SendFlags::NOSIGNAL))?;
        loop {
            let datagram = receive_datagram(&self.socket, &mut self.buffer)?;
            if let Some(outcome) = exchange.receive(datagram)? {
                return outcome.map_err(ClientError::Refused);
            }
        }
    }

    fn send(&mut self, command: Command) -> Result<Exchange, ClientError> {
        self.sequence = self.sequence.wrapping_add(1);
        let exchange = Exchange::new(command, self.sequence);
        let request = exchange.request();
        retry(|| send(&self.socket, &request, SendFlags::NOSIGNAL))?;
        Ok(exchange)
    }

    fn receive(&mut self, mut exchange: Exchange) -> Result<Reply, ClientError> {
        loop {
            match exchange.receive(receive_datagram(&self.socket, &mut self.buffer)?)? {
                Progress::Wait => {}
                Progress::Done(outcome) => return outcome.map_err(ClientError::Refused),
            }
        }
    }
}

/// The outcome of one request of many that a failure of the connection left unanswered.
fn lost(error: &ClientError) -> Result<Reply, ClientError> {
    Err(ClientError::Io(io::Error::other(error.to_string())))
}

/// Receives a datagram.
fn receive_datagram<'a>(socket: &OwnedFd, buffer: &'a mut [u8]) -> Result<&'a [u8], ClientError> {
    let (length, _) = retry(|| recv(socket, &mut *buffer, RecvFlags::empty()))?;
    if length == 0 { Err(ClientError::Closed) } else { Ok(buffer.get(..length).unwrap_or_default()) }
}

/// Repeats a system call that a signal interrupted; names a timeout as such.
fn retry<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> Result<T, ClientError> {
    loop {
        match call() {
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => {
                let text = format!("no answer within {} seconds", PATIENCE.as_secs());
                return Err(io::Error::new(io::ErrorKind::TimedOut, text).into());
            }
            outcome => return outcome.map_err(|errno| ClientError::Io(errno.into())),
        }
    }
}
