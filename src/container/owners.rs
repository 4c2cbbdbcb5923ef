//! Giving a tree of files other owners, without following a link.

use anyhow::{Context, Result};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};
use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::path::Path;

/// From the uid and gid that a file has to those that it gets.
pub type Place<'a> = &'a dyn Fn(u32, u32) -> (u32, u32);

/// Give every file of a tree the owner that `place` says, keeping set-id bits. `root` itself may be a file.
pub fn give(root: &Path, place: Place<'_>) -> Result<()> {
    let deed = || format!("cannot give `{}` another owner", root.display());
    let path = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let (parent, name) = (root.parent().unwrap_or(root), root.file_name().unwrap_or_default());
    let parent = rustix::fs::open(parent, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).with_context(deed)?;
    let top = rustix::fs::openat(&parent, name, path, Mode::empty()).with_context(deed)?;
    let name = std::ffi::CString::new(name.as_encoded_bytes()).with_context(deed)?;
    let mut seen = HashSet::new();
    own(&parent, &name, place, &mut seen).with_context(deed)?;
    if FileType::from_raw_mode(rustix::fs::fstat(&top).with_context(deed)?.st_mode) != FileType::Directory {
        return Ok(());
    }
    below(&top, place, &mut seen).with_context(deed)
}

fn below(top: &OwnedFd, place: Place<'_>, seen: &mut HashSet<u64>) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut pending = vec![rustix::fs::openat(top, ".", flags, Mode::empty())?];
    while let Some(dir) = pending.pop() {
        let mut entries = rustix::fs::Dir::read_from(&dir)?;
        while let Some(entry) = entries.read() {
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            own(&dir, name, place, seen)?;
            if entry.file_type() == FileType::Directory {
                pending.push(rustix::fs::openat(&dir, name, flags, Mode::empty())?);
            }
        }
    }
    Ok(())
}

/// `seen` are the inodes of several names that have been moved: each is met once a name.
fn own(dir: &OwnedFd, name: &std::ffi::CStr, place: Place<'_>, seen: &mut HashSet<u64>) -> Result<()> {
    let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    if stat.st_nlink > 1 && kind != FileType::Directory && !seen.insert(stat.st_ino) {
        return Ok(());
    }
    let (uid, gid) = place(stat.st_uid, stat.st_gid);
    if (uid, gid) == (stat.st_uid, stat.st_gid) {
        return Ok(());
    }
    rustix::fs::chownat(dir, name, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), AtFlags::SYMLINK_NOFOLLOW)?;
    if stat.st_mode & 0o6000 != 0 && kind != FileType::Symlink {
        rustix::fs::chmodat(dir, name, Mode::from_raw_mode(stat.st_mode & 0o7777), AtFlags::empty())?;
    }
    Ok(())
}
