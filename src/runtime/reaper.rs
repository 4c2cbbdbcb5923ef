//! `--init`: box's own pid 1. Forks the command, passes signals on, collects orphans, ends with the command's code.
//!
//! It keeps nothing but CAP_KILL, is not dumpable and holds no descriptor but the standard ones.

use super::capabilities::bits;
use crate::sys::process::{self, Ended, Fork};
use crate::sys::signals;
use anyhow::{Context, Result};
use oci_spec::runtime::Capability;
use rustix::thread::{CapabilitySet, CapabilitySets};

/// The signals that are about pid 1 itself, not for the command.
const CHILD_ENDED: i32 = 17;
/// A stop by the terminal is the command's business: it is in the foreground, pid 1 is not.
const TERMINAL_STOPS: [i32; 3] = [20, 21, 22];

/// Fork. Returns in the child, which goes on to be the command; the parent never returns.
pub(super) fn stay_behind() -> Result<()> {
    // Before the fork: a signal that comes in between waits.
    signals::block_all()?;
    match process::fork().context("cannot fork pid 1")? {
        Fork::Child => {
            // While SIGTTOU is still blocked: it would stop us.
            become_foreground();
            Ok(signals::reset()?)
        }
        Fork::Parent(child) => {
            // Our copies would keep readers of the container's output waiting, and the maker for the exec.
            process::close_from(0);
            drop_privileges();
            process::exit_now(serve(child))
        }
    }
}

/// The command leads a process group of its own, in the foreground of the terminal if there is one.
fn become_foreground() {
    let _ = rustix::process::setpgid(None, None);
    let _ = rustix::termios::tcsetpgrp(rustix::stdio::stdin(), rustix::process::getpid());
}

/// CAP_KILL for passing signals on to whatever user; nothing else.
fn drop_privileges() {
    let kill = CapabilitySet::from_bits_retain(bits(&[Capability::Kill]));
    let sets = CapabilitySets { effective: kill, permitted: kill, inheritable: CapabilitySet::empty() };
    let _ = rustix::thread::set_capabilities(None, sets);
    let _ = rustix::thread::set_name(c"box-init");
    process::set_title("box-init");
}

/// Until the command ends: its code.
fn serve(child: i32) -> i32 {
    loop {
        match signals::wait() {
            Ok(CHILD_ENDED) => {
                if let Some(ended) = collect(child) {
                    return ended.code();
                }
            }
            Ok(number) if TERMINAL_STOPS.contains(&number) => {}
            Ok(number) => {
                let _ = signals::kill(child, number);
            }
            Err(_) => return 125,
        }
    }
}

/// Collect every child that has ended; how the command ended, if it was among them.
fn collect(command: i32) -> Option<Ended> {
    let mut found = None;
    while let Ok(Some((pid, ended))) = process::reap(-1) {
        if pid == command {
            found = Some(ended);
        }
    }
    found
}
