//! Running the XDP program on a frame of one's own, without any interface: for tests and measurements.

use std::io;
use std::time::Duration;

use aya::programs::{TestRun, TestRunOptions};

use crate::program::Program;

/// What the program made of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Its verdict (XDP_PASS is 2, XDP_TX 3, XDP_REDIRECT 4). Nothing is sent.
    pub action: u32,
    /// The frame afterwards.
    pub frame: Vec<u8>,
    /// Mean time of a run.
    pub time: Duration,
}

/// Runs the program on `frame` as if it came by `interface`, `repeat` times over.
pub(crate) fn run(program: &Program, interface: u32, frame: &[u8], repeat: u32) -> io::Result<Trial> {
    // struct xdp_md: data, data_end, data_meta, ingress interface and queue, egress interface.
    let words = [0, frame.len() as u32, 0, interface, 0, 0];
    let context: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
    let mut out = vec![0; frame.len() + 256];
    let options = TestRunOptions {
        data_in: Some(frame),
        data_out: Some(&mut out),
        ctx_in: Some(&context),
        repeat,
        ..TestRunOptions::new()
    };
    let result = program.plain().map_err(io::Error::other)?.test_run(options).map_err(io::Error::other)?;
    out.truncate(result.data_size_out as usize);
    Ok(Trial { action: result.return_value, frame: out, time: result.duration })
}
