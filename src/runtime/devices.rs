//! `/dev`: the nodes that every program expects, their links, and the devices of the specification.
//!
//! In a user namespace mknod(2) is not possible, so the host's nodes are bound. Everything is made below a descriptor
//! of the container's own `/dev` (CVE-2026-41579: a link in the image was followed out of the root).

use super::mounts::attach;
use super::naming::Naming;
use super::terminal::Terminal;
use crate::base::error::{Kind, fault};
use crate::sys::root::Root;
use anyhow::{Context, Result};
use oci_spec::runtime::{LinuxDevice, LinuxDeviceType, Spec};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// The nodes that are always there, with the device's numbers (Documentation/admin-guide/devices.txt).
const NODES: [(&str, u32, u32); 6] =
    [("full", 1, 7), ("null", 1, 3), ("random", 1, 8), ("tty", 5, 0), ("urandom", 1, 9), ("zero", 1, 5)];

/// The links that are always there.
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// Fill `/dev`. Returns it, if it is the container's own.
pub(super) fn populate(spec: &Spec, root: &Root, naming: Naming) -> Result<Option<OwnedFd>> {
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let dev = match root.open_without_links(Path::new("/dev"), flags) {
        Err(Errno::NOENT) => root.make_dir_all(Path::new("/dev"), Mode::from_raw_mode(0o755))?,
        Err(Errno::LOOP) => return Err(fault(Kind::BadData, "`/dev` in the image is a symbolic link")),
        Err(Errno::NOTDIR) => return Err(fault(Kind::BadData, "`/dev` in the image is not a folder")),
        result => result.context("cannot open `/dev` in the container")?,
    };
    // The host's whole /dev, or one that the user has brought: complete, and not ours to change.
    let borrowed = spec.mounts().iter().flatten().any(|mount| {
        mount.destination() == Path::new("/dev") && mount.typ().as_deref().is_none_or(|kind| kind != "tmpfs")
    });
    if !borrowed {
        let mut may_mknod = true;
        for (name, major, minor) in NODES {
            make_node(&dev, name, (major, minor), &mut may_mknod)
                .with_context(|| format!("cannot make `/dev/{name}` in the container"))?;
        }
        for (name, target) in LINKS {
            match rustix::fs::symlinkat(target, &dev, name) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error).with_context(|| format!("cannot make `/dev/{name}`")),
            }
        }
    }
    for (index, device) in spec.linux().iter().filter_map(|linux| linux.devices().as_ref()).flatten().enumerate() {
        let added = add_device(root, device)
            .with_context(|| format!("cannot make device `{}` in the container", device.path().display()));
        naming.name(|| format!("linux.devices[{index}]"), added)?;
    }
    Ok((!borrowed).then_some(dev))
}

/// One of the standard nodes: made, or in a user namespace bound.
fn make_node(dev: &OwnedFd, name: &str, numbers: (u32, u32), may_mknod: &mut bool) -> Result<()> {
    if *may_mknod {
        let device = rustix::fs::makedev(numbers.0, numbers.1);
        match rustix::fs::mknodat(dev, name, FileType::CharacterDevice, Mode::from_raw_mode(0o666), device) {
            Ok(()) => return Ok(()),
            Err(Errno::EXIST) => return bind_over(dev, name, numbers),
            Err(Errno::PERM) => *may_mknod = false,
            Err(error) => return Err(error.into()),
        }
    }
    bind_over(dev, name, numbers)
}

fn bind_over(dev: &OwnedFd, name: &str, numbers: (u32, u32)) -> Result<()> {
    let target = mount_point(dev, name)?;
    let source = host_device(Path::new(&format!("/dev/{name}")), Some(numbers), FileType::CharacterDevice)?;
    Ok(attach(source.as_fd(), target.as_fd())?)
}

/// An empty file in `/dev` to mount on. A link is refused: what it names is not in `/dev`.
fn mount_point(dev: &OwnedFd, name: &str) -> Result<OwnedFd> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(dev, name, flags, Mode::from_raw_mode(0o666)) {
        Ok(file) => Ok(file),
        Err(Errno::EXIST) => {
            let found =
                rustix::fs::openat(dev, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
            if FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode) == FileType::Symlink {
                return Err(fault(Kind::BadData, "it is a symbolic link in the image"));
            }
            Ok(found)
        }
        Err(error) => Err(error.into()),
    }
}

/// A mount of one node of the host's, checked to be that device.
fn host_device(path: &Path, numbers: Option<(u32, u32)>, kind: FileType) -> Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = rustix::mount::open_tree(CWD, path, flags)
        .with_context(|| format!("cannot take `{}` of the host", path.display()))?;
    let found = rustix::fs::fstat(&tree)?;
    let actual = (rustix::fs::major(found.st_rdev), rustix::fs::minor(found.st_rdev));
    if FileType::from_raw_mode(found.st_mode) != kind || numbers.is_some_and(|expected| expected != actual) {
        return Err(fault(Kind::Host, format!("`{}` of the host is not the device it should be", path.display())));
    }
    Ok(tree)
}

/// The host's `/dev/null`, checked, as a mount that can be cloned.
pub(super) fn host_null() -> Result<OwnedFd> {
    let null = rustix::fs::open("/dev/null", OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let found = rustix::fs::fstat(&null)?;
    if FileType::from_raw_mode(found.st_mode) != FileType::CharacterDevice || found.st_rdev != rustix::fs::makedev(1, 3)
    {
        return Err(fault(Kind::Host, "`/dev/null` of the host is not the null device"));
    }
    Ok(null)
}

/// A device of the specification: made where we may, else the host's node of the same path.
fn add_device(root: &Root, device: &LinuxDevice) -> Result<()> {
    let kind = match device.typ() {
        LinuxDeviceType::B => FileType::BlockDevice,
        LinuxDeviceType::C | LinuxDeviceType::U => FileType::CharacterDevice,
        LinuxDeviceType::P => FileType::Fifo,
        LinuxDeviceType::A => return Err(fault(Kind::Usage, "a device is of type `b`, `c`, `u` or `p`")),
    };
    let path = device.path();
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(fault(Kind::Usage, "a device needs an absolute path"));
    };
    let numbers = (u32::try_from(device.major())?, u32::try_from(device.minor())?);
    let folder = root.make_dir_all(parent, Mode::from_raw_mode(0o755))?;
    let mode = Mode::from_raw_mode(device.file_mode().unwrap_or(0o666) & 0o7777);
    match rustix::fs::mknodat(&folder, name, kind, mode, rustix::fs::makedev(numbers.0, numbers.1)) {
        Ok(()) => {
            let (uid, gid) = (device.uid().unwrap_or(0), device.gid().unwrap_or(0));
            if (uid, gid) != (0, 0) {
                let (uid, gid) = (rustix::process::Uid::from_raw(uid), rustix::process::Gid::from_raw(gid));
                rustix::fs::chownat(&folder, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
            }
            Ok(())
        }
        // One of the standard nodes, named again; or one of the image's.
        Err(Errno::EXIST) => {
            let found = rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
            let is_other = FileType::from_raw_mode(found.st_mode) != kind
                || kind != FileType::Fifo && found.st_rdev != rustix::fs::makedev(numbers.0, numbers.1);
            if is_other {
                return Err(fault(Kind::BadData, "something else is there already"));
            }
            Ok(())
        }
        Err(Errno::PERM) if kind != FileType::Fifo => {
            let source = host_device(path, Some(numbers), kind)?;
            let target = root.make_file(path, Mode::from_raw_mode(0o666))?;
            Ok(attach(source.as_fd(), target.as_fd())?)
        }
        Err(error) => Err(error.into()),
    }
}

/// Put the terminal over `/dev/console`, by descriptor (CVE-2025-52565: never by the name of the slave).
pub(super) fn bind_console(dev: &OwnedFd, terminal: &Terminal) -> Result<()> {
    let deed = "cannot make `/dev/console` in the container";
    let target = mount_point(dev, "console").context(deed)?;
    let tree = clone_of(terminal.slave.as_fd()).context(deed)?;
    attach(tree.as_fd(), target.as_fd()).context(deed)
}

fn clone_of(file: BorrowedFd<'_>) -> rustix::io::Result<OwnedFd> {
    let empty_path = OpenTreeFlags::from_bits_retain(0x1000); // AT_EMPTY_PATH
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | empty_path;
    rustix::mount::open_tree(file, "", flags)
}
