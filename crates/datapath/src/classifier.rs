//! The program as a classifier (tc): at the interface's entry, and at that of the TAP device by which the daemon sends; by a link
//! (tcx, Linux 6.6) or else a [filter](crate::filter).

use std::io;

use aya::programs::tc::{
    NlOptions, SchedClassifierLink, SchedClassifierLinkId, TcAttachOptions, qdisc_add_clsact,
};
use aya::programs::{LinkOrder, ProgramError, SchedClassifier, TcAttachType};

use crate::OpenError;
use crate::filter::Filter;
use crate::pins::PinnedLink;
use crate::program::{Link, LinkId, Program, reason};
use crate::tap::Tap;

/// The program at an interface.
pub(crate) const RECEIVES: &str = "ipvsd_tc";
/// The program at a TAP device.
const SENDS: &str = "ipvsd_tap";
/// The programs where packets leave the namespace in which they waited, and where they come back.
const TICKET: &str = "ipvsd_ticket";
const RELEASE: &str = "ipvsd_release";

/// Whether the kernel has links for classifiers.
pub(crate) fn has_tcx(name: &str) -> bool {
    SchedClassifier::query_tcx(name, TcAttachType::Ingress).is_ok()
}

impl Program {
    /// Attaches to the interface of that index and name; by a link only with `tcx`.
    pub(crate) fn attach_classifier(
        &mut self,
        interface: u32,
        name: &str,
        tcx: bool,
    ) -> Result<Link, OpenError> {
        self.classify(RECEIVES, interface, name, tcx)
    }

    /// Attaches to the TAP device of an interface, as long as that exists.
    pub(crate) fn attach_to_tap(&mut self, tap: &Tap, tcx: bool) -> Result<(), OpenError> {
        self.classify(SENDS, tap.interface, &tap.name, tcx).map(drop)
    }

    /// Attaches to what comes back by the interface of that index and name, as long as that exists.
    pub(crate) fn attach_release(&mut self, interface: u32, name: &str, tcx: bool) -> Result<(), OpenError> {
        self.classify(RELEASE, interface, name, tcx && has_tcx(name)).map(drop)
    }

    /// Attaches to what leaves by an interface of the calling thread's namespace, which is not the daemon's, as long as that exists.
    pub(crate) fn attach_ticket(&mut self, name: &str, tcx: bool) -> Result<(), ProgramError> {
        let classifier = self.classifier(TICKET)?;
        if tcx && has_tcx(name) {
            let last = TcAttachOptions::TcxOrder(LinkOrder::default());
            return classifier.attach_with_options(name, TcAttachType::Egress, last).map(drop);
        }
        qdisc_add_clsact(name).map_err(|error| ProgramError::IOError(io::Error::other(error)))?;
        let filter = TcAttachOptions::Netlink(NlOptions::default());
        let id = classifier.attach_with_options(name, TcAttachType::Egress, filter)?;
        // Dropping it would take off what has the same place at the interface of the same index in the daemon's namespace.
        std::mem::forget(classifier.take_link(id)?);
        Ok(())
    }

    fn classify(
        &mut self,
        program: &'static str,
        interface: u32,
        name: &str,
        tcx: bool,
    ) -> Result<Link, OpenError> {
        let attached = self.classifier(program).and_then(|classifier| {
            let last = TcAttachOptions::TcxOrder(LinkOrder::default());
            match tcx {
                true => classifier.attach_with_options(name, TcAttachType::Ingress, last).map(LinkId::Tc),
                false => Filter::attach(classifier, interface, name).map(LinkId::Filter),
            }
        });
        match attached {
            Ok(id) => Ok(Link { program, id }),
            Err(ProgramError::LoadError { io_error, verifier_log }) => {
                tracing::debug!(%verifier_log, "the verifier's log");
                Err(match io_error.kind() {
                    io::ErrorKind::PermissionDenied if verifier_log.to_string().is_empty() => {
                        OpenError::NotPermitted { what: "load a classifier" }
                    }
                    _ => OpenError::Load { reason: io_error.to_string() },
                })
            }
            Err(error) => Err(OpenError::Attach {
                name: name.into(),
                mode: "tc",
                reason: reason(&error),
                remedy: "the kernel needs tcx (Linux 6.6) or CONFIG_NET_CLS_BPF and CONFIG_NET_SCH_INGRESS; use --attach xdp",
            }),
        }
    }

    fn classifier(&mut self, program: &str) -> Result<&mut SchedClassifier, ProgramError> {
        let program = self.ebpf.program_mut(program).ok_or(ProgramError::NotLoaded)?;
        let program: &mut SchedClassifier = program.try_into()?;
        if program.fd().is_err() {
            program.load()?;
        }
        Ok(program)
    }

    /// The classifier at interfaces.
    pub(crate) fn receiver(&self) -> Result<&SchedClassifier, ProgramError> {
        self.ebpf.program(RECEIVES).ok_or(ProgramError::NotLoaded)?.try_into()
    }

    /// Takes the place of the classifier of a link, as [`Program::replace`].
    pub(crate) fn replace_classifier(
        &mut self,
        link: &PinnedLink,
    ) -> Result<SchedClassifierLinkId, Box<dyn std::error::Error>> {
        let link = SchedClassifierLink::try_from(link.open()?)?;
        Ok(self.classifier(RECEIVES)?.attach_to_link(link)?)
    }

    /// Takes the place of the classifier of a filter at the interface of that name; whether that could be.
    pub(crate) fn replace_filter(&mut self, filter: Filter, name: &str) -> bool {
        let replaced = self.classifier(RECEIVES).and_then(|classifier| filter.replace(classifier, name));
        if let Err(error) = &replaced {
            tracing::debug!(interface = name, error = reason(error), "could not take the place of a filter");
        }
        replaced.is_ok()
    }

    /// The link of the classifier, taken from it.
    pub(crate) fn take_classifier_link(
        &mut self,
        id: SchedClassifierLinkId,
    ) -> Result<SchedClassifierLink, ProgramError> {
        self.classifier(RECEIVES)?.take_link(id)
    }
}
