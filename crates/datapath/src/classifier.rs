//! The program as a classifier (tc): a link at the interface's entry (tcx, Linux 6.6), and one at that of the TAP device by which
//! the daemon sends.

use std::io;

use aya::programs::tc::{SchedClassifierLink, SchedClassifierLinkId, TcAttachOptions};
use aya::programs::{LinkOrder, ProgramError, SchedClassifier, TcAttachType};

use crate::OpenError;
use crate::pins::PinnedLink;
use crate::program::{Link, LinkId, Program, reason};

/// The program at an interface.
pub(crate) const RECEIVES: &str = "ipvsd_tc";
/// The program at a TAP device.
const SENDS: &str = "ipvsd_tap";

impl Program {
    /// Attaches to an interface.
    pub(crate) fn attach_classifier(&mut self, name: &str) -> Result<Link, OpenError> {
        self.classify(RECEIVES, name)
    }

    /// Attaches to the TAP device of an interface, as long as that exists.
    pub(crate) fn attach_to_tap(&mut self, name: &str) -> Result<(), OpenError> {
        self.classify(SENDS, name).map(drop)
    }

    fn classify(&mut self, program: &'static str, name: &str) -> Result<Link, OpenError> {
        let attached = self.classifier(program).and_then(|classifier| {
            let last = TcAttachOptions::TcxOrder(LinkOrder::default());
            classifier.attach_with_options(name, TcAttachType::Ingress, last)
        });
        match attached {
            Ok(id) => Ok(Link { program, id: LinkId::Tc(id) }),
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
                remedy: "Linux 6.6 or later is needed for it; use --attach xdp",
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

    /// The link of the classifier, taken from it.
    pub(crate) fn take_classifier_link(
        &mut self,
        id: SchedClassifierLinkId,
    ) -> Result<SchedClassifierLink, ProgramError> {
        self.classifier(RECEIVES)?.take_link(id)
    }
}
