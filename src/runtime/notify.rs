//! `SCMP_ACT_NOTIFY`: the listener of a filter, on its way to the agent at `linux.seccomp.listenerPath` (config-linux.md,
//! Seccomp; seccomp_unotify(2)).
//!
//! Once the filter holds, any system call of ours may wait for the agent's answer, and the agent has the listener only
//! when it was sent. So it is sent by a thread that the filter does not hold for, while we wait without a system call.
//! The exec that follows ends the thread.

use super::hooks::{self, Owner};
use super::report::{self, Message};
use super::seccomp::Loadable;
use crate::base::error::{Fault, Kind, fault};
use crate::sys;
use anyhow::{Context, Result};
use oci_spec::runtime::{ContainerState, Spec};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use serde_json::json;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

/// What the two threads share.
#[derive(Debug, Default)]
struct Handover {
    listener: OnceLock<OwnedFd>,
    /// [`WAITING`], or what became of it.
    outcome: AtomicU8,
}

const WAITING: u8 = 0;
const DELIVERED: u8 = 1;
const FAILED: u8 = 2;

/// Load a filter that has a listener, and go on when the agent has that.
pub(super) fn load(filter: &Loadable, socket: BorrowedFd<'_>) -> Result<()> {
    let shared = Arc::new(Handover::default());
    let (theirs, socket) = (shared.clone(), socket.try_clone_to_owned()?);
    let helper = std::thread::Builder::new().spawn(move || {
        while theirs.listener.get().is_none() && theirs.outcome.load(Ordering::Acquire) == WAITING {
            std::thread::yield_now();
        }
        let delivered = theirs.listener.get().is_some_and(|listener| deliver(socket.as_fd(), listener).is_ok());
        theirs.outcome.store(if delivered { DELIVERED } else { FAILED }, Ordering::Release);
    })?;
    match sys::seccomp::load(&filter.program, filter.flags) {
        Ok(Some(listener)) => {
            let _ = shared.listener.set(listener);
        }
        result => {
            shared.outcome.store(FAILED, Ordering::Release);
            let _ = helper.join();
            result.context("cannot load the seccomp filter")?;
            return Ok(());
        }
    }
    while shared.outcome.load(Ordering::Acquire) == WAITING {
        std::hint::spin_loop();
    }
    let is_delivered = shared.outcome.load(Ordering::Acquire) == DELIVERED;
    // Neither is waited for nor closed: both would be system calls, and exec does both.
    std::mem::forget((helper, shared));
    // The maker has the reason, and has ended us in most cases.
    if is_delivered { Ok(()) } else { Err(fault(Kind::Other, "the seccomp agent does not have the listener")) }
}

fn deliver(socket: BorrowedFd<'_>, listener: &OwnedFd) -> Result<()> {
    report::send_listener(socket, Some(listener.as_fd()))?;
    match report::receive(socket)? {
        Message::Listener(None) => Ok(()),
        _ => Err(fault(Kind::Other, "the maker has not taken the listener")),
    }
}

/// The maker's side: give the listener to the agent, with the state of process `pid`, and tell init so.
pub(super) fn hand_over(
    spec: &Spec,
    owner: Owner<'_>,
    (pid, init): (i32, Option<i32>),
    listener: &OwnedFd,
    socket: BorrowedFd<'_>,
) -> Result<()> {
    let seccomp = spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref());
    let path = seccomp.and_then(|seccomp| seccomp.listener_path().as_ref());
    let path = path.ok_or_else(|| fault(Kind::BadData, "`linux.seccomp.listenerPath` is missing"))?;
    let status = if init == Some(pid) { ContainerState::Creating } else { ContainerState::Running };
    let state: serde_json::Value = serde_json::from_slice(&hooks::state(spec, owner, status, init)?)?;
    let metadata = seccomp.and_then(|seccomp| seccomp.listener_metadata().clone()).unwrap_or_default();
    let message = json!({
        "ociVersion": spec.version(), "fds": ["seccompFd"], "pid": pid, "metadata": metadata, "state": state,
    });
    let deed = || {
        let text = format!("cannot reach the seccomp agent at `{}`", path.display());
        Fault::new(Kind::Host, text).hint("is it running? `linux.seccomp.listenerPath` is its socket")
    };
    let agent = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    let address = SocketAddrUnix::new(path).map_err(|error| deed().because(error))?;
    rustix::net::connect(&agent, &address).map_err(|error| deed().because(error))?;
    report::send_with(agent.as_fd(), &serde_json::to_vec(&message)?, listener.as_fd())
        .map_err(|error| deed().because(error))?;
    report::send_listener(socket, None)
}
