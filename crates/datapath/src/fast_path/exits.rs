//! By which interfaces frames may leave from the XDP program.

use std::collections::BTreeSet;

use crate::netlink::XdpFeatures;
use crate::{Attached, Mode};

/// Those of the attached interfaces.
///
/// All must be attached in one mode. In native mode a driver must take frames that another's program redirects to it: it
/// drops them without a word if it cannot (so does a veth whose other end has neither GRO on nor a program), and says
/// since Linux 6.3 whether it can. In generic mode, and from a classifier, every interface can.
pub(crate) fn of(attached: &[Attached], features: &mut Option<XdpFeatures>) -> BTreeSet<u32> {
    let uniform = attached.windows(2).all(|pair| pair[0].mode == pair[1].mode);
    let mut takes_frames = |attached: &&Attached| match (attached.mode, &mut *features) {
        (Mode::Generic | Mode::Tc, _) => true,
        (_, Some(features)) => features.takes_frames(attached.index).unwrap_or(false),
        (_, None) => false,
    };
    let able = attached.iter().filter(|attached| uniform && takes_frames(attached));
    able.map(|attached| attached.index).collect()
}
