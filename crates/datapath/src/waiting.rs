//! Packets that wait until a neighbour is resolved.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use ipvs_core::Instant;

use crate::network::Way;
use crate::xsk::Frame;

/// Most packets that wait in all, and for one neighbour (the kernel's own queue holds about as many).
const IN_ALL: usize = 512;
const PER_NEIGHBOUR: usize = 64;

/// How long a packet waits: three probes a second apart, as the kernel makes them, fail after that.
const PATIENCE: Duration = Duration::from_secs(3);

/// A packet that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// The frame.
    pub(crate) frame: Frame,
    /// Where the packet starts.
    pub(crate) start: usize,
    /// Its length.
    pub(crate) len: usize,
    /// Where it goes.
    pub(crate) way: Way,
    since: Instant,
}

impl Waiting {
    fn is_for(&self, interface: u32, neighbour: IpAddr) -> bool {
        self.way.interface == interface && self.way.neighbour == neighbour
    }
}

/// The queue, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Queue(VecDeque<Waiting>);

impl Queue {
    /// Adds a packet. Returns the frame of one that has to make room: the oldest for that neighbour, or of all.
    pub(crate) fn add(
        &mut self,
        now: Instant,
        frame: Frame,
        start: usize,
        len: usize,
        way: Way,
    ) -> Option<Frame> {
        let mut same = self.0.iter().filter(|waiting| waiting.is_for(way.interface, way.neighbour));
        let dropped = if same.by_ref().count() >= PER_NEIGHBOUR {
            let oldest = self.0.iter().position(|waiting| waiting.is_for(way.interface, way.neighbour));
            oldest.and_then(|position| self.0.remove(position))
        } else if self.0.len() >= IN_ALL {
            self.0.pop_front()
        } else {
            None
        };
        self.0.push_back(Waiting { frame, start, len, way, since: now });
        dropped.map(|waiting| waiting.frame)
    }

    /// Takes out what waits for a neighbour, in order.
    pub(crate) fn take(&mut self, interface: u32, neighbour: IpAddr) -> Vec<Waiting> {
        if !self.0.iter().any(|waiting| waiting.is_for(interface, neighbour)) {
            return Vec::new();
        }
        let (taken, left): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.0).into_iter().partition(|waiting| waiting.is_for(interface, neighbour));
        self.0 = left;
        taken.into()
    }

    /// Takes out one packet that waited too long.
    pub(crate) fn expired(&mut self, now: Instant) -> Option<Frame> {
        let oldest = self.0.front()?;
        if now.saturating_since(oldest.since) < PATIENCE {
            return None;
        }
        self.0.pop_front().map(|waiting| waiting.frame)
    }

    /// When the oldest packet will have waited too long.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.0.front().map(|waiting| waiting.since + PATIENCE)
    }

    /// What waits for each neighbour (those may have been resolved unheard).
    pub(crate) fn neighbours(&self) -> Vec<Way> {
        let mut ways: Vec<Way> = Vec::new();
        for waiting in &self.0 {
            if !ways.iter().any(|way| waiting.is_for(way.interface, way.neighbour)) {
                ways.push(waiting.way);
            }
        }
        ways
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::xsk::Umem;

    fn way(host: u8) -> Way {
        Way {
            interface: 1,
            carrier: 1,
            vlan: None,
            source: [0; 6],
            neighbour: IpAddr::V4(Ipv4Addr::new(10, 0, 0, host)),
            mtu: 1500,
        }
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut umem = Umem::new(1024).unwrap();
        let mut queue = Queue::default();
        let now = Instant::default();
        for len in 0..PER_NEIGHBOUR {
            assert!(queue.add(now, umem.take().unwrap(), 0, len, way(1)).is_none());
        }
        let frame = umem.take().unwrap();
        umem.put(queue.add(now, frame, 0, 1000, way(1)).unwrap());
        let taken = queue.take(1, way(1).neighbour);
        assert_eq!(taken.len(), PER_NEIGHBOUR);
        assert_eq!((taken[0].len, taken[PER_NEIGHBOUR - 1].len), (1, 1000));
        taken.into_iter().for_each(|waiting| umem.put(waiting.frame));

        for number in 0..=IN_ALL {
            let dropped = queue.add(now, umem.take().unwrap(), 0, 0, way((number / 32) as u8));
            assert_eq!(dropped.is_some(), number == IN_ALL);
            dropped.into_iter().for_each(|frame| umem.put(frame));
        }
    }

    #[test]
    fn patience_ends() {
        let mut umem = Umem::new(4).unwrap();
        let mut queue = Queue::default();
        let start = Instant::from_nanos(5);
        assert!(queue.add(start, umem.take().unwrap(), 0, 0, way(1)).is_none());
        assert_eq!(queue.deadline(), Some(start + PATIENCE));
        assert!(queue.expired(start + (PATIENCE - Duration::from_nanos(1))).is_none());
        assert!(queue.expired(start + PATIENCE).is_some());
        assert!(queue.take(1, way(1).neighbour).is_empty());
    }
}
