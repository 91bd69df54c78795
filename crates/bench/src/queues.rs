//! What is lost, and where: a cable (a veth pair) has a queue of 256 frames at its end. When the machine lets the receiving side wait, that
//! overflows, whatever the director does, and the kernel counts at the sending side.

use std::fmt;

use crate::Error;
use crate::road::{C0, D1, Road};
use crate::traffic::Offered;

/// Frames for which the queues on the way to the server had no place, so far.
pub(crate) fn refused(road: &Road) -> Result<u64, Error> {
    Ok(road.client.run(|| dropped(C0))?? + road.director.run(|| dropped(D1))??)
}

/// What could not be sent by an interface of the calling thread's namespace.
fn dropped(interface: &str) -> Result<u64, Error> {
    let file = "/proc/thread-self/net/dev";
    let text = std::fs::read_to_string(file).map_err(|error| Error::setup(format!("read {file}"), error))?;
    sent_and_dropped(&text, interface)
        .ok_or_else(|| Error::setup(format!("read {file}"), format!("it says nothing of {interface}")))
}

/// The field "drop" of those of sending, proc_net_dev(5): eight fields tell of receiving, the fourth of sending is it.
fn sent_and_dropped(text: &str, interface: &str) -> Option<u64> {
    let fields =
        text.lines().find_map(|line| line.trim_start().strip_prefix(interface)?.strip_prefix(':'))?;
    fields.split_whitespace().nth(8 + 3)?.parse().ok()
}

/// Says what was lost of what was offered.
pub(crate) struct Lost<'o>(pub(crate) &'o Offered);

impl Lost<'_> {
    /// Packets that did not arrive.
    pub(crate) const fn packets(&self) -> u64 {
        self.0.sent.saturating_sub(self.0.right)
    }
}

impl fmt::Display for Lost<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sent, lost) = (self.0.sent, self.packets());
        write!(formatter, "of {sent} packets {lost} were lost")?;
        match self.0.refused.min(lost) {
            0 => Ok(()),
            refused => write!(formatter, " ({refused} of them for want of room in the cables' queues)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::sent_and_dropped;

    const TEXT: &str = "Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0
    d1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16
   d10:17 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
";

    #[test]
    fn the_interfaces_own_line_is_read() {
        assert_eq!(sent_and_dropped(TEXT, "d1"), Some(12));
        assert_eq!(sent_and_dropped(TEXT, "lo"), Some(0));
        assert_eq!(sent_and_dropped(TEXT, "d"), None);
        assert_eq!(sent_and_dropped("", "d1"), None);
    }
}
