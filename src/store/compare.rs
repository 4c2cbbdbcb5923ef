//! Whether an unpacked layer still is what its blob says: two trees, compared to the last attribute.

use anyhow::{Context, Result};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, Stat};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Attribute names and values are at most 64 KiB, which is the kernel's limit.
const MAX_XATTR: usize = 1 << 16;
/// Content is compared in pieces of this size.
const PIECE: usize = 256 << 10;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The first difference between two trees, as a sentence; `None` if there is none.
///
/// Compared are names, kinds, owners, modes, times of change, devices, targets of links, extended attributes, and
/// content. The caller is root in its namespace.
pub fn difference(found: &Path, expected: &Path) -> Result<Option<String>> {
    let open = |path: &Path| {
        rustix::fs::open(path, FOLDER, Mode::empty()).with_context(|| format!("cannot open `{}`", path.display()))
    };
    let (mut found, mut expected) = (open(found)?, open(expected)?);
    if let Some(what) = attributes(found.as_fd(), expected.as_fd())? {
        return Ok(Some(format!("`/` has {what}")));
    }
    let mut path: Vec<Vec<u8>> = Vec::new();
    let mut levels = vec![names(&expected)?];
    if names(&found)? != names(&expected)? {
        return Ok(Some("`/` has other entries".into()));
    }
    while let Some(level) = levels.last_mut() {
        let Some(name) = level.pop_first() else {
            levels.pop();
            path.pop();
            if !levels.is_empty() {
                found = rustix::fs::openat(&found, "..", FOLDER, Mode::empty())?;
                expected = rustix::fs::openat(&expected, "..", FOLDER, Mode::empty())?;
            }
            continue;
        };
        path.push(name.clone());
        let shown = || path.iter().map(|part| format!("/{}", part.escape_ascii())).collect::<String>();
        if let Some(what) = entry(&found, &expected, &name).with_context(|| format!("cannot look at `{}`", shown()))? {
            return Ok(Some(format!("`{}` has {what}", shown())));
        }
        let stat = rustix::fs::statat(&expected, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            path.pop();
            continue;
        }
        found = rustix::fs::openat(&found, name.as_slice(), FOLDER, Mode::empty())?;
        expected = rustix::fs::openat(&expected, name.as_slice(), FOLDER, Mode::empty())?;
        let below = names(&expected)?;
        if names(&found)? != below {
            return Ok(Some(format!("`{}` has other entries", shown())));
        }
        levels.push(below);
    }
    Ok(None)
}

fn names(folder: &OwnedFd) -> Result<BTreeSet<Vec<u8>>> {
    let mut found = BTreeSet::new();
    let mut buffer = Vec::with_capacity(1 << 15);
    rustix::fs::seek(folder, rustix::fs::SeekFrom::Start(0))?;
    let mut entries = RawDir::new(folder, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            found.insert(name);
        }
    }
    Ok(found)
}

/// What differs in one entry that both have.
fn entry(found: &OwnedFd, expected: &OwnedFd, name: &[u8]) -> Result<Option<&'static str>> {
    let stat = |folder: &OwnedFd| rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
    let (is, should) = (stat(found)?, stat(expected)?);
    if let Some(what) = stats(&is, &should) {
        return Ok(Some(what));
    }
    match FileType::from_raw_mode(should.st_mode) {
        FileType::Symlink => {
            let target = |folder: &OwnedFd| rustix::fs::readlinkat(folder, name, Vec::new());
            Ok((target(found)? != target(expected)?).then_some("another target"))
        }
        kind @ (FileType::RegularFile | FileType::Directory) => {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let open = |folder: &OwnedFd| rustix::fs::openat(folder, name, flags, Mode::empty());
            let (is, should) = (open(found)?, open(expected)?);
            match attributes(is.as_fd(), should.as_fd())? {
                None if kind == FileType::RegularFile => {
                    Ok((!same_content(File::from(is), File::from(should))?).then_some("other content"))
                }
                what => Ok(what),
            }
        }
        _ => Ok(None),
    }
}

fn stats(is: &Stat, should: &Stat) -> Option<&'static str> {
    let kind = |stat: &Stat| FileType::from_raw_mode(stat.st_mode);
    let is_folder = kind(should) == FileType::Directory;
    match () {
        () if kind(is) != kind(should) => Some("another kind"),
        () if is.st_mode != should.st_mode => Some("another mode"),
        () if (is.st_uid, is.st_gid) != (should.st_uid, should.st_gid) => Some("another owner"),
        () if is.st_rdev != should.st_rdev => Some("another device number"),
        () if !is_folder && is.st_size != should.st_size => Some("another size"),
        () if !is_folder && is.st_nlink != should.st_nlink => Some("another number of links"),
        _ => None,
    }
}

/// What differs in the extended attributes of two open files.
fn attributes(is: BorrowedFd<'_>, should: BorrowedFd<'_>) -> Result<Option<&'static str>> {
    let all = |file: BorrowedFd<'_>| -> Result<BTreeSet<(Vec<u8>, Vec<u8>)>> {
        let mut names = vec![0; MAX_XATTR];
        // A file system without them has none.
        let length = rustix::fs::flistxattr(file, &mut names).unwrap_or(0);
        let names = names.get(..length).unwrap_or_default().split(|byte| *byte == 0).filter(|name| !name.is_empty());
        names
            .map(|name| {
                let mut value = vec![0; MAX_XATTR];
                let length = rustix::fs::fgetxattr(file, name, &mut value)?;
                value.truncate(length);
                Ok((name.to_vec(), value))
            })
            .collect()
    };
    // Most files have none, and asking twice costs little beside reading them.
    Ok((all(is)? != all(should)?).then_some("other attributes"))
}

fn same_content(mut one: File, mut other: File) -> Result<bool> {
    let (mut a, mut b) = (vec![0; PIECE], vec![0; PIECE]);
    loop {
        let count = one.read(&mut a)?;
        let expected = b.get_mut(..count).unwrap_or_default();
        if count == 0 {
            return Ok(other.read(&mut b)? == 0);
        }
        if other.read_exact(expected).is_err() || a.get(..count) != Some(&*expected) {
            return Ok(false);
        }
    }
}
