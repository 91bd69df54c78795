//! What ipvsadm answers, compared byte for byte with recordings of Debian's ipvsadm 1.31 on a real kernel.
//!
//! `ipvsadm/record/NAME.sh` made `ipvsadm/NAME.rec`. The recorded command lines are replayed here, one after the other,
//! on a director in memory, so what they set up counts too.

#[path = "ipvsadm/names.rs"]
mod names;
#[path = "ipvsadm/recording.rs"]
mod recording;
#[path = "ipvsadm/replay.rs"]
mod replay;

use replay::replay;

#[test]
fn grammar() {
    replay(include_str!("ipvsadm/grammar.rec"), 300);
}

#[test]
fn servers() {
    replay(include_str!("ipvsadm/servers.rec"), 900);
}

#[test]
fn listing() {
    replay(include_str!("ipvsadm/listing.rec"), 250);
}

#[test]
fn restore() {
    replay(include_str!("ipvsadm/restore.rec"), 100);
}

#[test]
fn services() {
    replay(include_str!("ipvsadm/services.rec"), 700);
}

#[test]
fn matrix() {
    replay(include_str!("ipvsadm/matrix.rec"), 900);
}
