//! `--userns keep-id`: an image's files as another map sees them.
//!
//! In the user's namespace U0 an image's root-owned files belong to id 0, which is the caller. Under keep-id the
//! caller is an ordinary id inside and root is a subordinate one, so each file's owner moves to the id that the
//! container's map gives the same meaning.

use super::host::CallerIds;
use anyhow::{Context, Result};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};
use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Where container id `id` lies in U0, when the caller keeps `own`.
fn place(id: u32, own: u32) -> u32 {
    match id {
        _ if id == own => 0,
        _ if id < own => id + 1,
        _ => id,
    }
}

/// Give every file below `root` (which nobody uses yet) the owner that keep-id means, keeping set-id bits.
pub fn shift(root: &Path, ids: &CallerIds) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd =
        rustix::fs::open(root, flags, Mode::empty()).with_context(|| format!("cannot open `{}`", root.display()))?;
    let mut seen = HashSet::new();
    own(&fd, c".", ids, &mut seen)?;
    let mut pending = vec![fd];
    while let Some(dir) = pending.pop() {
        let mut entries = rustix::fs::Dir::read_from(&dir)?;
        while let Some(entry) = entries.read() {
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            own(&dir, name, ids, &mut seen)?;
            if entry.file_type() == FileType::Directory {
                pending.push(rustix::fs::openat(&dir, name, flags, Mode::empty())?);
            }
        }
    }
    Ok(())
}

/// `seen` are the inodes of several names that have been moved: each is met once a name.
fn own(dir: &OwnedFd, name: &std::ffi::CStr, ids: &CallerIds, seen: &mut HashSet<u64>) -> Result<()> {
    let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    if stat.st_nlink > 1 && kind != FileType::Directory && !seen.insert(stat.st_ino) {
        return Ok(());
    }
    let uid = place(stat.st_uid, ids.caller.0);
    let gid = place(stat.st_gid, ids.caller.1);
    rustix::fs::chownat(dir, name, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), AtFlags::SYMLINK_NOFOLLOW)?;
    if stat.st_mode & 0o6000 != 0 && kind != FileType::Symlink {
        rustix::fs::chmodat(dir, name, Mode::from_raw_mode(stat.st_mode & 0o7777), AtFlags::empty())?;
    }
    Ok(())
}
