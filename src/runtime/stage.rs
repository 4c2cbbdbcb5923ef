//! A process between the maker and init, for namespaces that init cannot be cloned straight into.
//!
//! It joins what exists and then clones init as the maker's child (`CLONE_PARENT`), and ends. Needed where the container
//! joins a user namespace, which has to own the namespaces that are made; where it makes one of its own and joins
//! others, which it may only before; and for clocks, whose offsets are set before the first process is there
//! (time_namespaces(7)). And where a process that comes into a container is to be there before it is seen in it
//! ([`super::exec`]).

use super::create::Namespaces;
use super::process as steps;
use super::report::{self, Message};
use crate::base::error::{Kind, fault};
use crate::base::signal::SIGKILL;
use crate::sys::process::{self, Cloned};
use anyhow::{Context, Result};
use oci_spec::runtime::{LinuxNamespaceType, Spec};
use rustix::io::Errno;
use rustix::thread::LinkNameSpaceType;
use std::fmt::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// `CLONE_PARENT`.
pub(super) const CLONE_PARENT: u64 = 0x8000;

/// Whether these namespaces need it.
pub(super) fn is_needed(namespaces: &Namespaces, spec: &Spec) -> bool {
    let makes_user = namespaces.is_new(LinuxNamespaceType::User);
    namespaces.user.is_some() || makes_user && !namespaces.join.is_empty() || offsets(spec).is_some()
}

/// Clone init; `None` in init.
pub(super) fn clone_init(
    spec: &Spec,
    namespaces: &mut Namespaces,
    cgroup: Option<BorrowedFd<'_>>,
) -> Result<Option<Cloned>> {
    clone_by(|_| between(spec, namespaces, cgroup))
}

/// Have a process between clone our child with [`CLONE_PARENT`]; `None` in the child.
///
/// The process between is given the descriptors that it needs to tell us of it.
pub(super) fn clone_by(clone: impl FnOnce([BorrowedFd<'_>; 2]) -> Result<Option<Cloned>>) -> Result<Option<Cloned>> {
    let (ours, theirs) = report::pair()?;
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let Some(stage) = process::clone3(0, None)? else {
        drop((reader, ours));
        return match clone([theirs.as_fd(), writer.as_fd()]) {
            Ok(None) => Ok(None),
            Ok(Some(init)) => {
                let _ = rustix::io::write(&writer, &init.pid.to_ne_bytes());
                process::exit_now(0)
            }
            Err(error) => {
                report::send_failed(theirs.as_fd(), &error);
                process::exit_now(125)
            }
        };
    };
    drop((writer, theirs));
    let mut bytes = [0; 4];
    let length = rustix::io::retry_on_intr(|| rustix::io::read(&reader, &mut bytes))?;
    let _ = process::wait(stage.pid);
    if length < bytes.len() {
        return match report::receive(ours.as_fd())? {
            Message::Failed(error) => Err(error),
            _ => Err(fault(Kind::Other, "the process that joins the container's namespaces was killed")),
        };
    }
    let pid = i32::from_ne_bytes(bytes);
    let number = rustix::process::Pid::from_raw(pid).context("a child has a number")?;
    // It is our child, so that its number stays its own until we collect it.
    let pidfd = rustix::process::pidfd_open(number, rustix::process::PidfdFlags::empty())?;
    Ok(Some(Cloned { pid, pidfd }))
}

/// What the process between does; returns `None` in init.
fn between(spec: &Spec, namespaces: &mut Namespaces, cgroup: Option<BorrowedFd<'_>>) -> Result<Option<Cloned>> {
    process::set_parent_death_signal(SIGKILL)?;
    let mut waiting = std::mem::take(&mut namespaces.join);
    waiting.extend(namespaces.pid.take().map(|pid| (LinkNameSpaceType::ProcessID, pid)));
    if let Some(user) = namespaces.user.take() {
        // Those that our own user namespace may join come first, the others are the new one's.
        waiting = join(waiting, true)?;
        rustix::thread::move_into_link_name_space(user.as_fd(), Some(LinkNameSpaceType::User))
            .context("cannot join the user namespace")?;
        steps::become_root()?;
    }
    join(waiting, false)?;
    if let Some(offsets) = offsets(spec) {
        namespaces.new &= !(LinuxNamespaceType::Time as u64);
        crate::sys::namespace::unshare(LinuxNamespaceType::Time as i32).context("cannot make a time namespace")?;
        process::set_dumpable(true)?;
        std::fs::write("/proc/self/timens_offsets", &offsets)
            .with_context(|| format!("cannot set `linux.timeOffsets` to `{}`", offsets.trim().replace('\n', ", ")))?;
    }
    // As a user namespace of init's own wants it: its id maps are written by the maker.
    process::set_dumpable(true)?;
    let init = process::clone3(namespaces.to_clone(cgroup.is_some()) | CLONE_PARENT, cgroup);
    init.context("cannot make the container's namespaces")
}

/// Join namespaces; those that refuse us are given back, if that is allowed.
fn join(list: Vec<(LinkNameSpaceType, OwnedFd)>, may_refuse: bool) -> Result<Vec<(LinkNameSpaceType, OwnedFd)>> {
    let mut refused = Vec::new();
    for (kind, fd) in list {
        match rustix::thread::move_into_link_name_space(fd.as_fd(), Some(kind)) {
            Ok(()) => {}
            Err(Errno::PERM) if may_refuse => refused.push((kind, fd)),
            Err(error) => return Err(error).with_context(|| format!("cannot join a namespace ({kind:?})")),
        }
    }
    Ok(refused)
}

/// The lines of `timens_offsets`; `None` if the specification has no offsets.
fn offsets(spec: &Spec) -> Option<String> {
    let offsets = spec.linux().as_ref()?.time_offsets().as_ref()?;
    let mut text = String::new();
    for (clock, offset) in offsets {
        let _ = writeln!(text, "{clock} {} {}", offset.secs().unwrap_or(0), offset.nanosecs().unwrap_or(0));
    }
    (!text.is_empty()).then_some(text)
}
