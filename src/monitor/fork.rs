//! Forking the monitor away from its caller.

use crate::sys::{detached, process};
use anyhow::{Context, Result};
use std::os::fd::RawFd;
use std::os::unix::net::UnixStream;
use std::panic::AssertUnwindSafe;

/// The monitor's exit code when its work panics, as an abort would show in a shell.
const PANICKED: i32 = 134;

/// Run `f` in a process of its own that outlives the caller; returns the caller's end of a connection to it.
///
/// The process leads a session without a terminal, adopts the orphans below it (subreaper), stands in `/`, has
/// `/dev/null` as its stdio and nothing open that the caller of box left open. It `_exit`s with what `f` returns. The
/// caller must be single-threaded.
///
/// One fork, not the customary two: a forked child leads no group, so it may start a session at once, and it opens no
/// terminal that could become its own. Init adopts it when the invocation ends. A second fork copies the page tables
/// once more and costs a twentieth of a start.
pub fn fork(f: impl FnOnce(UnixStream) -> i32) -> Result<UnixStream> {
    fork_with(&[], f)
}

/// The same, but these of the caller's descriptors stay open.
pub fn fork_with(kept: &[RawFd], f: impl FnOnce(UnixStream) -> i32) -> Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair().context("cannot make a connection to the monitor")?;
    match process::fork().context("cannot fork the monitor")? {
        process::Fork::Parent(_) => Ok(ours),
        process::Fork::Child => {
            drop(ours);
            let code = std::panic::catch_unwind(AssertUnwindSafe(|| {
                stand_alone(kept);
                f(theirs)
            }));
            process::exit_now(code.unwrap_or(PANICKED))
        }
    }
}

/// Let go of what was inherited. Each step is a courtesy to the caller; none is worth not starting a container.
fn stand_alone(kept: &[RawFd]) {
    let _ = rustix::process::setsid();
    let _ = process::set_child_subreaper();
    let _ = detached::null_stdio();
    detached::close_inherited(kept);
    let _ = rustix::process::chdir("/");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn the_monitor_is_in_a_session_of_its_own_and_survives() {
        alone!();
        let mut connection = fork(|mut caller| {
            // The child's session only: the caller's may be led from outside of its process namespace, and has no
            // number then (`getsid` gives 0).
            let leads = rustix::process::getsid(None).unwrap() == rustix::process::getpid();
            let cwd = std::env::current_dir().unwrap();
            let stdin = std::fs::read_link("/proc/self/fd/0").unwrap();
            write!(caller, "{leads} {} {}", cwd.display(), stdin.display()).unwrap();
            0
        })
        .unwrap();
        let mut text = String::new();
        connection.read_to_string(&mut text).unwrap();
        assert_eq!(text, "true / /dev/null");
    }

    #[test]
    fn a_panic_is_a_closed_connection() {
        alone!();
        let mut connection = fork(|_caller| std::panic::resume_unwind(Box::new("quietly"))).unwrap();
        let mut bytes = Vec::new();
        assert_eq!(connection.read_to_end(&mut bytes).unwrap_or(0), 0);
    }
}
