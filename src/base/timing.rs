//! Where the milliseconds go: phases of one invocation, printed by `box --timing`.
//!
//! The clock is CLOCK_MONOTONIC, which all processes share, so that the monitor's and init's phases fit in.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

static ON: AtomicBool = AtomicBool::new(false);
static PHASES: Mutex<Vec<(String, i64)>> = Mutex::new(Vec::new());

/// Nanoseconds of CLOCK_MONOTONIC.
pub fn now() -> i64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// Begin to record.
pub fn enable() {
    ON.store(true, Ordering::Relaxed);
    phase("start");
}

/// Whether phases are recorded.
pub fn enabled() -> bool {
    ON.load(Ordering::Relaxed)
}

/// A phase ends here. Costs one load when timing is off.
pub fn phase(name: &str) {
    if enabled() {
        record(name, now());
    }
}

/// A phase that ended in another process at that time.
pub fn record(name: &str, at: i64) {
    if let Ok(mut phases) = PHASES.lock() {
        phases.push((name.to_owned(), at));
    }
}

/// All phases so far by time: name and nanoseconds of the monotonic clock.
pub fn take() -> Vec<(String, i64)> {
    let mut phases = PHASES.lock().map(|mut phases| std::mem::take(&mut *phases)).unwrap_or_default();
    phases.sort_by_key(|(_, at)| *at);
    phases
}
