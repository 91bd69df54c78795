//! Running the XDP program on a frame of one's own, without any interface: for tests and measurements.

use std::io;
use std::time::Duration;

use aya::programs::{TestRun, TestRunAttrs, TestRunOptions, TestRunResult};

use crate::program::Program;

/// What the program made of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Its verdict (XDP_PASS is 2, XDP_TX 3, XDP_REDIRECT 4; a classifier's: TC_ACT_UNSPEC -1, TC_ACT_SHOT 2, TC_ACT_REDIRECT 7).
    /// Nothing is sent.
    pub action: u32,
    /// The frame afterwards.
    pub frame: Vec<u8>,
    /// Mean time of a run.
    pub time: Duration,
}

/// Runs the program on `frame` as if it came by `interface`, `repeat` times over.
pub(crate) fn run(program: &Program, interface: u32, frame: &[u8], repeat: u32) -> io::Result<Trial> {
    try_on(program.plain().map_err(io::Error::other)?, &received(frame, interface), frame, repeat)
}

/// Has `frame` come by `interface` so many times, one after the other: what becomes of it does (Linux 5.18).
pub(crate) fn receive(program: &Program, interface: u32, frame: &[u8], times: u32) -> io::Result<()> {
    let context: Vec<u8> = received(frame, interface).into_iter().flat_map(u32::to_ne_bytes).collect();
    let options = TestRunOptions {
        data_in: Some(frame),
        ctx_in: Some(&context),
        repeat: times,
        attrs: TestRunAttrs::new().xdp_live_frames(times),
        ..TestRunOptions::new()
    };
    let program = program.plain().map_err(io::Error::other)?;
    program.test_run(options).map(drop).map_err(io::Error::other)
}

/// struct xdp_md: data, data_end, data_meta, ingress interface and queue, egress interface.
fn received(frame: &[u8], interface: u32) -> [u32; 6] {
    [0, frame.len() as u32, 0, interface, 0, 0]
}

/// Runs the classifier on `frame` as if it came by `interface`, to be cut into segments with `segment` bytes of payload (0: it is not).
pub(crate) fn classify(program: &Program, interface: u32, frame: &[u8], segment: u32) -> io::Result<Trial> {
    // struct __sk_buff, of which all but these must be zero.
    let mut words = [0; 48];
    (words[10], words[44]) = (interface, segment);
    try_on(program.receiver().map_err(io::Error::other)?, &words, frame, 1)
}

fn try_on<P>(program: &P, context: &[u32], frame: &[u8], repeat: u32) -> io::Result<Trial>
where
    P: for<'a> TestRun<Opts<'a> = TestRunOptions<'a>, Result = TestRunResult>,
{
    let context: Vec<u8> = context.iter().copied().flat_map(u32::to_ne_bytes).collect();
    let mut out = vec![0; frame.len() + 256];
    let options = TestRunOptions {
        data_in: Some(frame),
        data_out: Some(&mut out),
        ctx_in: Some(&context),
        repeat,
        ..TestRunOptions::new()
    };
    let result = program.test_run(options).map_err(io::Error::other)?;
    out.truncate(result.data_size_out as usize);
    Ok(Trial { action: result.return_value, frame: out, time: result.duration })
}
