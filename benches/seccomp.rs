//! What compiling the default seccomp profile costs: it is on the path of every `run`, beside init's own work.
//!
//! `cargo bench` prints the median of a thousand; the prototype with libseccomp took 18 ms.
#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

use boxlib::runtime::{capabilities, seccomp};
use std::time::Instant;

fn main() {
    let bounding = capabilities::bits(&capabilities::DEFAULT);
    let mut length = 0;
    let mut times: Vec<_> = (0..1000)
        .map(|_| {
            let start = Instant::now();
            length = seccomp::compile_default(bounding).map_or(0, |loadable| loadable.program.len());
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!("seccomp default profile: {length} instructions, median {:?}, minimum {:?}", times[500], times[0]);
}
