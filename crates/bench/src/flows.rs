//! Packets of so many flows: each flow is made known first, and where a program forwards has another packet before it is measured, after
//! which nothing is begun or noted for the first time.

use std::time::{Duration, Instant};

use crate::Error;
use crate::build::Site;
use crate::choice::MANY;
use crate::path::Path;
use crate::peer::Peer;
use crate::traffic::{Kind, Load, Offered};

/// So many flows are begun in one run, where a program begins them: each run waits for the kernel for some hundredths of a second. What
/// is lost, because the daemon does not set entries aside as fast, is begun anew.
const AT_ONCE: u64 = 1 << 15;
/// The same where a daemon or the kernel does: not more than queues hold.
const AT_ONCE_IN_QUEUES: u64 = 1 << 12;
/// A flow that is still unknown after so long stays so.
const PATIENCE: Duration = Duration::from_secs(60);
/// A frame that starts a run finds caches cold and threads asleep.
const WARM_UP: Duration = Duration::from_millis(30);
/// The same for many flows, with which a daemon has the program do something else than with few: it sees them within a third of a second.
const ADAPTATION: Duration = Duration::from_millis(500);

/// Makes flows known by a packet each, until each packet arrives, and where ipvsd forwards in a program, by that. What was missing in
/// the end, if anything was.
pub(crate) fn make_known(peer: &mut Peer, flows: u32, site: &Site<'_>) -> Result<Option<String>, Error> {
    if peer.flows >= flows || matches!(peer.path, Path::Noop | Path::Forwarding) {
        return Ok(None);
    }
    let mut at_once = if peer.path.is_fast() { AT_ONCE } else { AT_ONCE_IN_QUEUES };
    let start = Instant::now();
    // How often all are to arrive.
    let mut times = if peer.path.is_fast() { 2 } else { 1 };
    loop {
        let before = peer.in_program(site.interrupt)?;
        let (mut sent, mut right) = (0, 0);
        while sent < u64::from(flows) {
            let most = at_once.min(u64::from(flows) - sent);
            let load = Load { kind: Kind::InOrder(flows), time: PATIENCE, most, rate: None };
            let offered = peer.offer(load, site)?;
            sent += offered.sent;
            right += offered.right;
        }
        let by_program = peer.in_program(site.interrupt)?.zip(before).map(|(after, before)| after - before);
        // A few packets look as if their checksum were left to hardware, and are the daemon's each time.
        let enough = sent - sent / 1000;
        if right >= enough && peer.path.is_fast() {
            // Hardly any is still to be begun.
            at_once = u64::from(flows);
        }
        if right >= enough && by_program.is_none_or(|by_program| by_program >= enough) {
            times -= 1;
            if times == 0 {
                peer.flows = flows;
                return Ok(None);
            }
            continue;
        }
        if start.elapsed() > PATIENCE {
            peer.flows = flows;
            return Ok(Some(format!(
                "of {sent} flows {right} were forwarded, {} in the program",
                by_program.map_or_else(|| "none".into(), |count| count.to_string())
            )));
        }
    }
}

/// Sends packets of flows drawn at random.
pub(crate) fn packets(
    peer: &mut Peer,
    flows: u32,
    time: Duration,
    site: &Site<'_>,
) -> Result<Offered, Error> {
    let kind = Kind::Flows(flows);
    let warm_up = if peer.path.is_fast() && flows >= MANY { ADAPTATION } else { WARM_UP };
    peer.offer(Load { kind, time: warm_up, most: u64::MAX, rate: None }, site)?;
    peer.offer(Load { kind, time, most: u64::MAX, rate: None }, site)
}
