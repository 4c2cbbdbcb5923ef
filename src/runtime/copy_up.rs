//! `tmpcopyup`: what a tmpfs covers is copied into it first.
//!
//! Everything goes through descriptors of the two trees; links are copied as links and never followed.

use crate::sys::root::Root;
use anyhow::Result;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Deeper trees are not copied: each level holds two descriptors open.
const MAX_DEPTH: u32 = 100;

/// Copy the folder `path` of the root into `into`.
pub(super) fn copy_up(root: &Root, path: &Path, into: BorrowedFd<'_>) -> Result<()> {
    match root.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()) {
        Ok(from) => copy_folder(&from, into, 0),
        Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn copy_folder(from: &OwnedFd, into: BorrowedFd<'_>, depth: u32) -> Result<()> {
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    for entry in Dir::read_from(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory if depth < MAX_DEPTH => {
                rustix::fs::mkdirat(into, name, Mode::from_raw_mode(0o700))?;
                let source = rustix::fs::openat(from, name, flags | OFlags::DIRECTORY, Mode::empty())?;
                let target = rustix::fs::openat(into, name, flags | OFlags::DIRECTORY, Mode::empty())?;
                copy_folder(&source, target.as_fd(), depth + 1)?;
                copy_owner(target.as_fd(), &stat)?;
            }
            FileType::RegularFile => {
                let source = rustix::fs::openat(from, name, flags, Mode::empty())?;
                let create = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
                let target = rustix::fs::openat(into, name, flags | create, Mode::from_raw_mode(0o600))?;
                while rustix::fs::sendfile(&target, &source, None, 1 << 20)? > 0 {}
                copy_owner(target.as_fd(), &stat)?;
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(from, name, Vec::new())?;
                rustix::fs::symlinkat(&target, into, name)?;
                let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
                rustix::fs::chownat(into, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
            }
            // Sockets, FIFOs and devices belong to who made them.
            _ => {}
        }
    }
    Ok(())
}

/// Owner first: a change of owner clears the setuid bit.
fn copy_owner(target: BorrowedFd<'_>, stat: &Stat) -> Result<()> {
    rustix::fs::fchown(target, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    Ok(rustix::fs::fchmod(target, Mode::from_raw_mode(stat.st_mode & 0o7777))?)
}
