//! Attaching the program to interfaces, in the place of a former one too, and having it stay.

use aya::programs::links::FdLink;
use aya::programs::tc::SchedClassifierLinkId;
use aya::programs::xdp::{XdpLink, XdpLinkId};
use aya::programs::{ProgramError, Xdp};

use super::{Program, reason};
use crate::filter::Filter;
use crate::pins::PinnedLink;
use crate::{Mode, OpenError, Pins, XdpMode, classifier};

/// The program for frames in one buffer.
const PLAIN: &str = "ipvsd";
/// The program for frames in several buffers.
const FRAGS: &str = "ipvsd_frags";

/// An attachment of the program, until it is kept or the program is dropped.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) program: &'static str,
    pub(crate) id: LinkId,
}

/// Its name in the program.
#[derive(Debug)]
pub(crate) enum LinkId {
    Xdp(XdpLinkId),
    Tc(SchedClassifierLinkId),
    Filter(Filter),
}

impl Program {
    /// Attaches to an interface. Returns in which mode, and what keeps it attached.
    ///
    /// Native mode takes the program for single buffers first: a driver that knows its peer's offloads (veth) then
    /// keeps packets of segmentation offload away; with large MTUs only the other program is taken.
    pub(crate) fn attach(
        &mut self,
        interface: u32,
        name: &str,
        mode: XdpMode,
        multi_buffer: bool,
    ) -> Result<(Mode, Link), OpenError> {
        use aya::programs::XdpMode::{Driver, Skb};
        let attempts = [
            (XdpMode::Native, PLAIN, Driver),
            (XdpMode::Native, FRAGS, Driver),
            (XdpMode::Generic, FRAGS, Skb),
            (XdpMode::Generic, PLAIN, Skb),
        ];
        let mut refusal = String::from("no way to try");
        for (kind, program, aya_mode) in attempts {
            let wanted = mode == XdpMode::Auto || mode == kind;
            if !wanted || program == FRAGS && !multi_buffer {
                continue;
            }
            match self.try_attach(program, interface, aya_mode) {
                Ok(id) => {
                    let attached = if kind == XdpMode::Generic { Mode::Generic } else { Mode::Native };
                    return Ok((attached, Link { program, id: LinkId::Xdp(id) }));
                }
                Err(ProgramError::LoadError { io_error, verifier_log }) => {
                    tracing::debug!(%verifier_log, "the verifier's log");
                    if io_error.kind() == std::io::ErrorKind::PermissionDenied
                        && verifier_log.to_string().is_empty()
                    {
                        return Err(OpenError::NotPermitted { what: "load an XDP program" });
                    }
                    if program == PLAIN {
                        return Err(OpenError::Load { reason: io_error.to_string() });
                    }
                    refusal = io_error.to_string();
                }
                Err(error) => refusal = reason(&error),
            }
            tracing::debug!(interface = name, program, mode = ?kind, reason = refusal, "could not attach");
        }
        Err(OpenError::Attach {
            name: name.into(),
            mode: match mode {
                XdpMode::Native => "native",
                XdpMode::Generic => "generic",
                XdpMode::Auto => "any",
            },
            reason: refusal,
            remedy: match mode {
                XdpMode::Native => "use --xdp generic, or a smaller MTU",
                _ => "detach another XDP program with `ip link set dev NAME xdp off`, if there is one",
            },
        })
    }

    fn try_attach(
        &mut self,
        program: &str,
        interface: u32,
        mode: aya::programs::XdpMode,
    ) -> Result<XdpLinkId, ProgramError> {
        let program = self.ebpf.program_mut(program).ok_or(ProgramError::NotLoaded)?;
        let program: &mut Xdp = program.try_into()?;
        if program.fd().is_err() {
            program.load()?;
        }
        program.attach_to_if_index(interface, mode)
    }

    /// Takes the place of the program that a link keeps attached, in one step, so no packet is without a program. The pin
    /// stays. `false`: the kernel does not let us.
    pub(crate) fn replace(&mut self, link: &PinnedLink, multi_buffer: bool) -> bool {
        let order: &[&str] = match link.mode {
            Mode::Generic => &[FRAGS, PLAIN],
            Mode::Native => &[PLAIN, FRAGS],
            Mode::Tc => &[classifier::RECEIVES],
        };
        order.iter().filter(|name| **name != FRAGS || multi_buffer).any(|name| {
            let result = match link.mode {
                Mode::Tc => self.replace_classifier(link).map(drop),
                Mode::Native | Mode::Generic => self.try_replace(name, link).map(drop),
            };
            if let Err(error) = &result {
                let (path, error) = (link.path.display(), reason(&**error));
                tracing::debug!(name, %path, error, "could not replace the program of a link");
            }
            result.is_ok()
        })
    }

    fn try_replace(
        &mut self,
        name: &str,
        link: &PinnedLink,
    ) -> Result<XdpLinkId, Box<dyn std::error::Error>> {
        let program: &mut Xdp = self.ebpf.program_mut(name).ok_or(ProgramError::NotLoaded)?.try_into()?;
        if program.fd().is_err() {
            program.load()?;
        }
        let link = XdpLink::try_from(link.open()?)?;
        Ok(program.attach_to_link(link)?)
    }

    /// Has the link of this program outlive the daemon.
    pub(crate) fn keep(
        &mut self,
        link: Link,
        pins: &Pins,
        interface: u32,
        mode: Mode,
    ) -> std::io::Result<()> {
        let failed = std::io::Error::other::<ProgramError>;
        let link = match link.id {
            // It stays by itself.
            LinkId::Filter(_) => return Ok(()),
            LinkId::Tc(id) => FdLink::try_from(self.take_classifier_link(id).map_err(failed)?),
            LinkId::Xdp(id) => {
                let program = self.ebpf.program_mut(link.program).ok_or(ProgramError::NotLoaded);
                let program: &mut Xdp = program.and_then(|program| program.try_into()).map_err(failed)?;
                FdLink::try_from(program.take_link(id).map_err(failed)?)
            }
        };
        pins.keep_link(link.map_err(std::io::Error::other)?, interface, mode)
    }

    /// Whether some frames come in several buffers.
    pub(super) fn has_frags(&self) -> bool {
        let program = self.ebpf.program(FRAGS).and_then(|program| <&Xdp>::try_from(program).ok());
        program.is_some_and(|program| program.fd().is_ok())
    }

    /// The program for frames in one buffer.
    pub(crate) fn plain(&self) -> Result<&Xdp, ProgramError> {
        self.ebpf.program(PLAIN).ok_or(ProgramError::NotLoaded)?.try_into()
    }
}
