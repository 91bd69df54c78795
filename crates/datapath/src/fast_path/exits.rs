//! By which interfaces frames may leave from the XDP program.

use std::collections::BTreeSet;

use crate::netlink::XdpFeatures;
use crate::{Attached, Mode};

/// Those of the attached interfaces.
///
/// Whichever program a packet meets must be able to send by them. Where one is attached in native mode, a driver must take frames that another's
/// program redirects to it: it drops them without a word if it cannot (so does a veth whose other end has neither GRO on
/// nor a program), and says since Linux 6.3 whether it can. From generic mode, and from a classifier, every interface can. Native and generic mode do
/// not go together.
pub(crate) fn of(attached: &[Attached], features: &mut Option<XdpFeatures>) -> BTreeSet<u32> {
    let has = |mode| attached.iter().any(|attached| attached.mode == mode);
    let (native, generic) = (has(Mode::Native), has(Mode::Generic));
    let mut takes_frames = |attached: &&Attached| match (native, &mut *features) {
        (false, _) => true,
        (true, Some(features)) => features.takes_frames(attached.index).unwrap_or(false),
        (true, None) => false,
    };
    let able = attached.iter().filter(|attached| !(native && generic) && takes_frames(attached));
    able.map(|attached| attached.index).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exits(modes: &[Mode]) -> Vec<u32> {
        let attached: Vec<_> = (1..)
            .zip(modes)
            .map(|(index, mode)| Attached { name: format!("eth{index}"), index, mode: *mode, queues: 1 })
            .collect();
        // A kernel that does not say which drivers take frames.
        of(&attached, &mut None).into_iter().collect()
    }

    #[test]
    fn every_interface_takes_what_the_stack_sends() {
        assert_eq!(exits(&[Mode::Tc, Mode::Tc]), [1, 2]);
        assert_eq!(exits(&[Mode::Generic, Mode::Generic]), [1, 2]);
        assert_eq!(exits(&[Mode::Tc, Mode::Generic]), [1, 2]);
    }

    #[test]
    fn from_native_mode_drivers_must_take_frames() {
        assert_eq!(exits(&[Mode::Native, Mode::Native]), [0; 0]);
        assert_eq!(exits(&[Mode::Tc, Mode::Native]), [0; 0]);
        assert_eq!(exits(&[Mode::Generic, Mode::Native, Mode::Tc]), [0; 0]);
    }
}
