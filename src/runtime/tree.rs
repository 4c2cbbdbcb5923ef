//! Mounts that are handed from one container to another, as descriptors: open_tree(2) and move_mount(2).
//!
//! A container's mounts are in its own mount namespace only, where no path of ours leads.

use super::Tree;
use super::mounts::{self, attach};
use super::naming::Naming;
use super::options::Bind;
use super::report::{self, Message};
use crate::base::error::{Kind, fault};
use crate::sys::process::{self, Fork};
use crate::sys::root::Root;
use anyhow::{Context, Result};
use oci_spec::runtime::{LinuxIdMapping, LinuxNamespace, LinuxNamespaceType, Mount, Spec};
use rustix::fs::{Mode, OFlags};
use rustix::mount::OpenTreeFlags;
use rustix::thread::ThreadNameSpaceType;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// A copy of the mount at `path` in the mount namespace of a process, which is attached nowhere.
///
/// Nothing in that namespace is trusted: links are not followed, and `path` must be a tmpfs. The caller is
/// single-threaded.
pub fn tree_of(pidfd: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd> {
    let (ours, theirs) = report::pair()?;
    // Whoever enters another's mount namespace has no way back into ours.
    let pid = match process::fork().context("cannot enter the other container")? {
        Fork::Child => {
            drop(ours);
            let sent = open(pidfd, path).and_then(|tree| report::send_network(theirs.as_fd(), tree.as_fd()));
            if let Err(error) = sent {
                report::send_failed(theirs.as_fd(), &error);
            }
            process::exit_now(0)
        }
        Fork::Parent(pid) => pid,
    };
    drop(theirs);
    let answer = report::receive(ours.as_fd());
    let _ = process::wait(pid);
    match answer? {
        Message::Network(tree) => Ok(tree),
        Message::Failed(error) => Err(error),
        _ => Err(fault(Kind::Other, "the helper that entered the other container died")),
    }
}

fn open(pidfd: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd> {
    let mounts = ThreadNameSpaceType::from_bits_retain(rustix::thread::UnshareFlags::NEWNS.bits());
    rustix::thread::move_into_thread_name_spaces(pidfd, mounts).context("cannot enter the other container")?;
    let root = Root::open(Path::new("/"))?;
    let folder = root.open_without_links(path, OFlags::PATH | OFlags::DIRECTORY)?;
    const TMPFS_MAGIC: i64 = 0x0102_1994;
    if rustix::fs::fstatfs(&folder)?.f_type != TMPFS_MAGIC {
        return Err(fault(Kind::Usage, format!("`{}` of the other container is not memory", path.display())));
    }
    let empty_path = OpenTreeFlags::from_bits_retain(0x1000); // AT_EMPTY_PATH
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | empty_path;
    Ok(rustix::mount::open_tree(&folder, "", flags)?)
}

/// The sources of binds that init could not reach: where it has a user namespace of its own in which the caller is
/// nobody, it may not walk the caller's folders. By their index; the caller may.
pub(super) fn out_of_reach(spec: &Spec, done: &[(usize, OwnedFd)], naming: Naming) -> Result<Vec<(usize, OwnedFd)>> {
    if !is_strange(spec) {
        return Ok(Vec::new());
    }
    let mounts = spec.mounts().iter().flatten().enumerate();
    let wanted: Vec<(usize, &Mount, Bind)> = mounts
        .filter(|(index, _)| done.iter().all(|(known, _)| known != index))
        .filter_map(|(index, mount)| Some((index, mount, mounts::options(mount).ok()?.bind?)))
        .collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let (ours, theirs) = report::pair()?;
    // A mount is cloned in a mount namespace that one is root of, and ours is the host's.
    let pid = match process::fork().context("cannot look for what is mounted")? {
        Fork::Child => {
            drop(ours);
            let send = || -> Result<()> {
                let own = rustix::thread::UnshareFlags::NEWNS.bits() as i32;
                crate::sys::namespace::unshare(own).context("cannot make a mount namespace")?;
                for (index, mount, depth) in &wanted {
                    let tree = mounts::bind_source(mount, *depth).with_context(|| mounts::deed(mount));
                    let tree = naming.name(|| mounts::property(*index), tree)?;
                    report::send_network(theirs.as_fd(), tree.as_fd())?;
                }
                Ok(())
            };
            if let Err(error) = send() {
                report::send_failed(theirs.as_fd(), &error);
            }
            process::exit_now(0)
        }
        Fork::Parent(pid) => pid,
    };
    drop(theirs);
    let received: Result<Vec<(usize, OwnedFd)>> = wanted
        .iter()
        .map(|(index, ..)| match report::receive(ours.as_fd())? {
            Message::Network(tree) => Ok((*index, tree)),
            Message::Failed(error) => Err(error),
            _ => Err(fault(Kind::Other, "the helper that looks for what is mounted died")),
        })
        .collect();
    drop(ours);
    let _ = process::wait(pid);
    received
}

/// Whether the specification makes a user namespace in which our own user is nobody.
fn is_strange(spec: &Spec) -> bool {
    let Some(linux) = spec.linux() else { return false };
    let is_new = |namespace: &LinuxNamespace| namespace.typ() == LinuxNamespaceType::User && namespace.path().is_none();
    let own = rustix::process::geteuid().as_raw();
    let has = |map: &LinuxIdMapping| own >= map.host_id() && own - map.host_id() < map.size();
    linux.namespaces().iter().flatten().any(is_new) && !linux.uid_mappings().iter().flatten().any(has)
}

/// Attach what was handed over.
pub(super) fn attach_all(trees: &[Tree], root: &Root) -> Result<()> {
    for tree in trees {
        let deed = || format!("cannot mount on `{}`", tree.destination.display());
        let target = root.make_dir_all(&tree.destination, Mode::from_raw_mode(0o755)).with_context(deed)?;
        attach(tree.mount.as_fd(), target.as_fd()).with_context(deed)?;
    }
    Ok(())
}
