//! Classifiers where the kernel has no tcx links (before Linux 6.6): filters of the qdisc `clsact`. They stay when the daemon ends,
//! however it does, until the next one takes their place or they are removed.
//!
//! Ours are told by their handle, in which also stands whether the qdisc was made for them: nothing else need be remembered.

use std::io;

use aya::programs::tc::{NlOptions, SchedClassifierLink, TcAttachOptions, qdisc_add_clsact};
use aya::programs::{ProgramError, SchedClassifier, TcAttachType};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{self, TcAttribute, TcMessage};

use crate::netlink::Requests;

/// Kind of the qdisc.
const CLSACT: &str = "clsact";

/// Its own handle.
const QDISC: tc::TcHandle = tc::TcHandle { major: u16::MAX, minor: 0 };

/// Where its filters of packets that come, and of those that leave, are.
const INGRESS: tc::TcHandle = tc::TcHandle { major: u16::MAX, minor: tc::TcHandle::MIN_INGRESS };
const EGRESS: tc::TcHandle = tc::TcHandle { major: u16::MAX, minor: tc::TcHandle::MIN_EGRESS };

/// After all that others have with priorities that the kernel gave, from 49152 downwards: as a tcx link is the last one.
const PRIORITY: u16 = 50_000;

/// First half of our handles, "ip"; the other one says whose the qdisc is.
const OURS: u16 = 0x6970;
const OTHERS_QDISC: u16 = 1;
const OWN_QDISC: u16 = 2;

/// A filter of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    /// The interface.
    pub(crate) interface: u32,
    /// The qdisc was made for it, and goes with it.
    own_qdisc: bool,
}

impl Filter {
    const fn handle(self) -> tc::TcHandle {
        tc::TcHandle { major: OURS, minor: if self.own_qdisc { OWN_QDISC } else { OTHERS_QDISC } }
    }

    /// Makes `classifier` a filter at the interface of that index and name.
    pub(crate) fn attach(
        classifier: &mut SchedClassifier,
        interface: u32,
        name: &str,
    ) -> Result<Self, ProgramError> {
        // An error means that there is one, or is one that attaching meets as well.
        let own_qdisc = qdisc_add_clsact(name).is_ok();
        let filter = Self { interface, own_qdisc };
        let options =
            NlOptions { priority: PRIORITY, handle: u32::from(filter.handle()).into(), classid: None };
        let ingress = TcAttachType::Ingress;
        let attached = classifier.attach_with_options(name, ingress, TcAttachOptions::Netlink(options));
        match attached.and_then(|id| classifier.take_link(id)) {
            Ok(link) => {
                // Dropping it would detach it.
                std::mem::forget(link);
                Ok(filter)
            }
            Err(error) => {
                if own_qdisc {
                    filter.remove();
                }
                Err(error)
            }
        }
    }

    /// Puts `classifier` in the place of that of the filter, in one step.
    pub(crate) fn replace(self, classifier: &mut SchedClassifier, name: &str) -> Result<(), ProgramError> {
        let ingress = TcAttachType::Ingress;
        let link =
            SchedClassifierLink::attached(name, ingress, PRIORITY, u32::from(self.handle()).into(), None)
                .map_err(ProgramError::IOError)?;
        let id = classifier.attach_to_link(link)?;
        std::mem::forget(classifier.take_link(id)?);
        Ok(())
    }

    /// Removes it, and the qdisc if that was made for it and nobody else has come to use it.
    pub(crate) fn remove(self) {
        if let Err(error) = self.try_remove() {
            tracing::warn!(interface = self.interface, %error, "cannot remove the classifier of clsact");
        }
    }

    fn try_remove(self) -> io::Result<()> {
        let mut requests = Requests::open()?;
        let is_this = |found: &(tc::TcHandle, u16)| *found == (self.handle(), PRIORITY);
        for (handle, _) in of(&mut requests, self.interface, INGRESS)?.into_iter().filter(is_this) {
            let mut message = TcMessage::with_index(self.interface as i32);
            message.header.parent = INGRESS;
            message.header.handle = handle;
            message.header.info = u32::from(PRIORITY) << 16 | u32::from(ALL_PROTOCOLS.to_be());
            requests.change(RouteNetlinkMessage::DelTrafficFilter(message), 0)?;
        }
        let unused = of(&mut requests, self.interface, INGRESS)?.is_empty()
            && of(&mut requests, self.interface, EGRESS)?.is_empty();
        if self.own_qdisc && unused {
            let mut message = TcMessage::with_index(self.interface as i32);
            message.header.parent = tc::TcHandle::CLSACT;
            message.header.handle = QDISC;
            message.attributes.push(TcAttribute::Kind(CLSACT.into()));
            requests.change(RouteNetlinkMessage::DelQueueDiscipline(message), 0)?;
        }
        Ok(())
    }
}

/// ETH_P_ALL.
const ALL_PROTOCOLS: u16 = 3;

/// All of ours in the network namespace of the calling thread.
pub(crate) fn all() -> io::Result<Vec<Filter>> {
    let mut requests = Requests::open()?;
    let mut filters = Vec::new();
    for qdisc in requests.dump(RouteNetlinkMessage::GetQueueDiscipline(TcMessage::default()))? {
        let RouteNetlinkMessage::NewQueueDiscipline(qdisc) = qdisc else { continue };
        if !qdisc.attributes.contains(&TcAttribute::Kind(CLSACT.into())) {
            continue;
        }
        let interface = qdisc.header.index as u32;
        let ours = of(&mut requests, interface, INGRESS)?.into_iter().filter(is_ours);
        filters.extend(ours.map(|(handle, _)| Filter { interface, own_qdisc: handle.minor == OWN_QDISC }));
    }
    Ok(filters)
}

/// Handles and priorities of the filters of an interface's qdisc.
fn of(requests: &mut Requests, interface: u32, parent: tc::TcHandle) -> io::Result<Vec<(tc::TcHandle, u16)>> {
    let mut message = TcMessage::with_index(interface as i32);
    message.header.parent = parent;
    let answers = requests.dump(RouteNetlinkMessage::GetTrafficFilter(message))?;
    let filters = answers.into_iter().filter_map(|answer| match answer {
        // The kernel lists each priority too, with no handle.
        RouteNetlinkMessage::NewTrafficFilter(filter) if filter.header.handle != tc::TcHandle::UNSPEC => {
            Some((filter.header.handle, (filter.header.info >> 16) as u16))
        }
        _ => None,
    });
    Ok(filters.collect())
}

fn is_ours((handle, priority): &(tc::TcHandle, u16)) -> bool {
    *priority == PRIORITY && handle.major == OURS
}

/// Filters that end with the daemon, if it comes to that.
#[derive(Debug, Default)]
pub(crate) struct Temporary(pub(crate) Vec<Filter>);

impl Drop for Temporary {
    fn drop(&mut self) {
        self.0.iter().for_each(|filter| filter.remove());
    }
}
