//! Paths that are hidden or read-only in the container.
//!
//! A masked file is covered by our own `/dev/null`, checked to be device 1:3 (CVE-2025-31133: never the image's); a
//! masked folder by one read-only empty tmpfs that all of them share.

use super::mounts::attach;
use super::naming::Naming;
use crate::sys::mount::{Depth, set_attributes};
use crate::sys::root::Root;
use anyhow::{Context, Result};
use oci_spec::runtime::Linux;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags as Attr, OpenTreeFlags};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

const CLONE: OpenTreeFlags = OpenTreeFlags::OPEN_TREE_CLONE
    .union(OpenTreeFlags::OPEN_TREE_CLOEXEC)
    .union(OpenTreeFlags::from_bits_retain(0x1000)); // AT_EMPTY_PATH

/// What is safe for a covered path: nothing can be done there.
const DEAD: Attr =
    Attr::MOUNT_ATTR_RDONLY.union(Attr::MOUNT_ATTR_NOSUID).union(Attr::MOUNT_ATTR_NODEV).union(Attr::MOUNT_ATTR_NOEXEC);

/// Cover the masked paths that exist.
pub(super) fn mask(linux: Option<&Linux>, root: &Root, naming: Naming) -> Result<()> {
    let Some(paths) = linux.and_then(|linux| linux.masked_paths().as_ref()) else { return Ok(()) };
    let mut null: Option<OwnedFd> = None;
    let mut empty: Option<OwnedFd> = None;
    for (index, path) in paths.iter().enumerate() {
        let deed = || format!("cannot mask `{}`", path.escape_debug());
        let found = existing(root, path).with_context(deed);
        let Some(target) = naming.name(|| format!("linux.maskedPaths[{index}]"), found)? else { continue };
        let result = match FileType::from_raw_mode(rustix::fs::fstat(&target).with_context(deed)?.st_mode) {
            FileType::Directory => cover_folder(&mut empty, target.as_fd()),
            _ => cover_file(&mut null, target.as_fd()),
        };
        result.with_context(deed)?;
    }
    Ok(())
}

/// A path that may be missing.
fn existing(root: &Root, path: &str) -> Result<Option<OwnedFd>> {
    match root.open_at(Path::new(path), OFlags::PATH, Mode::empty()) {
        Ok(found) => Ok(Some(found)),
        // EACCES: nobody else in the container can open it either.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn cover_file(null: &mut Option<OwnedFd>, target: BorrowedFd<'_>) -> Result<()> {
    let null = match null {
        Some(null) => null,
        None => null.insert(super::devices::host_null()?),
    };
    let tree = rustix::mount::open_tree(&*null, "", CLONE)?;
    Ok(attach(tree.as_fd(), target)?)
}

fn cover_folder(empty: &mut Option<OwnedFd>, target: BorrowedFd<'_>) -> Result<()> {
    if let Some(empty) = empty {
        let tree = rustix::mount::open_tree(&*empty, "", CLONE)?;
        return Ok(attach(tree.as_fd(), target)?);
    }
    let fs = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_set_string(&fs, "mode", "555")?;
    rustix::mount::fsconfig_set_string(&fs, "nr_inodes", "1")?;
    rustix::mount::fsconfig_set_flag(&fs, "ro")?;
    rustix::mount::fsconfig_create(&fs)?;
    let tree = rustix::mount::fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, DEAD)?;
    // Attached first: a mount can only be cloned once it is in our namespace (until Linux 6.15).
    attach(tree.as_fd(), target)?;
    *empty = Some(tree);
    Ok(())
}

/// Put a read-only copy of each read-only path over itself.
pub(super) fn make_read_only(linux: Option<&Linux>, root: &Root, naming: Naming) -> Result<()> {
    let Some(paths) = linux.and_then(|linux| linux.readonly_paths().as_ref()) else { return Ok(()) };
    for (index, path) in paths.iter().enumerate() {
        let deed = || format!("cannot make `{}` read-only", path.escape_debug());
        let found = existing(root, path).with_context(deed);
        let Some(target) = naming.name(|| format!("linux.readonlyPaths[{index}]"), found)? else { continue };
        cover_read_only(target.as_fd()).with_context(deed)?;
    }
    Ok(())
}

fn cover_read_only(target: BorrowedFd<'_>) -> Result<()> {
    let tree = rustix::mount::open_tree(target, "", CLONE | OpenTreeFlags::AT_RECURSIVE)?;
    // procfs and sysfs, where read-only paths are, hold no devices or programs.
    set_attributes(tree.as_fd(), Depth::Recursive, Attr::MOUNT_ATTR_RDONLY.bits().into(), 0, 0)?;
    Ok(attach(tree.as_fd(), target)?)
}
