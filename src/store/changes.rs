//! What a tree changes of the layers below it: added, changed, deleted.

use super::archive::Record;
use super::pack::{OPAQUE, records_of};
use anyhow::{Context, Result};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, ResolveFlags};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// What happened to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It was there before, and is another now.
    Changed,
    /// It was not there before.
    Added,
    /// It is not there any more.
    Deleted,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// With a slash in front.
    pub path: Vec<u8>,
    /// What happened.
    pub kind: Kind,
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// What `upper`, the uppermost folder of an overlay, changes of `lower`, topmost first. Sorted by path.
///
/// The caller is root in its namespace.
pub fn changes(upper: &Path, lower: &[PathBuf]) -> Result<Vec<Change>> {
    let open = |path: &Path| {
        rustix::fs::open(path, FOLDER, Mode::empty()).with_context(|| format!("cannot open `{}`", path.display()))
    };
    let lower = lower.iter().map(|path| open(path)).collect::<Result<Vec<_>>>()?;
    let top = open(upper)?;
    let mut found = Vec::new();
    let mut pending = vec![(top, Vec::new())];
    while let Some((folder, path)) = pending.pop() {
        for (name, kind) in entries(&folder)? {
            let path = [path.as_slice(), b"/", &name].concat();
            let before = is_there(&lower, &path)?;
            if kind == Entry::Whiteout {
                found.extend(before.then_some(Change { path, kind: Kind::Deleted }));
                continue;
            }
            let what = if before { Kind::Changed } else { Kind::Added };
            found.push(Change { path: path.clone(), kind: what });
            if kind == Entry::Folder {
                let below = rustix::fs::openat(&folder, name.as_slice(), FOLDER, Mode::empty())?;
                if before && is_opaque(&below) {
                    hidden(&lower, &path, &below, &mut found)?;
                }
                pending.push((below, path));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Folder,
    Whiteout,
    Other,
}

fn entries(folder: &OwnedFd) -> Result<Vec<(Vec<u8>, Entry)>> {
    let mut found = Vec::new();
    let mut buffer = Vec::with_capacity(1 << 15);
    rustix::fs::seek(folder, rustix::fs::SeekFrom::Start(0))?;
    let mut all = RawDir::new(folder, buffer.spare_capacity_mut());
    while let Some(entry) = all.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if matches!(name, b"." | b".." | b".wh..wh..opq") {
            continue;
        }
        // fuse-overlayfs may write whiteouts as files.
        if let Some(hidden) = name.strip_prefix(b".wh.") {
            found.push((hidden.to_vec(), Entry::Whiteout));
            continue;
        }
        let kind = match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => continue,
            Err(error) => return Err(error.into()),
            Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => Entry::Folder,
                FileType::CharacterDevice if stat.st_rdev == 0 => Entry::Whiteout,
                _ => Entry::Other,
            },
        };
        found.push((name.to_vec(), kind));
    }
    Ok(found)
}

/// Whether the layers show something at this path.
fn is_there(lower: &[OwnedFd], path: &[u8]) -> Result<bool> {
    'layers: for layer in lower {
        let mut folder = None;
        let mut hides = false;
        let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect();
        for (at, part) in parts.iter().enumerate() {
            let parent = folder.as_ref().unwrap_or(layer);
            match rustix::fs::statat(parent, *part, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) if hides => return Ok(false),
                Err(Errno::NOENT) => continue 'layers,
                Err(error) => return Err(error.into()),
                Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
                    FileType::CharacterDevice if stat.st_rdev == 0 => return Ok(false),
                    _ if at + 1 == parts.len() => return Ok(true),
                    FileType::Directory => {
                        let flags = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
                        let next = rustix::fs::openat2(parent, *part, FOLDER, Mode::empty(), flags)?;
                        hides |= is_opaque(&next);
                        folder = Some(next);
                    }
                    // A file where a folder would have to be hides all below.
                    _ => return Ok(false),
                },
            }
        }
    }
    Ok(false)
}

fn is_opaque(folder: &OwnedFd) -> bool {
    let mut value = [0; 1];
    OPAQUE.iter().any(|name| rustix::fs::fgetxattr(folder.as_fd(), *name, &mut value) == Ok(1) && value == *b"y")
}

/// What an opaque folder hides: the first level of what the layers have there.
fn hidden(lower: &[OwnedFd], path: &[u8], upper: &OwnedFd, found: &mut Vec<Change>) -> Result<()> {
    let relative = path.strip_prefix(b"/").unwrap_or(path);
    let own: BTreeSet<Vec<u8>> = entries(upper)?.into_iter().map(|(name, _)| name).collect();
    let mut seen = BTreeSet::new();
    for layer in lower {
        let flags = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let Ok(folder) = rustix::fs::openat2(layer, relative, FOLDER, Mode::empty(), flags) else { continue };
        for (name, _) in entries(&folder)? {
            let path = [path, b"/", &name].concat();
            if !own.contains(&name) && seen.insert(name) && is_there(lower, &path)? {
                found.push(Change { path, kind: Kind::Deleted });
            }
        }
    }
    Ok(())
}

/// What `new` changes of `old`, two whole trees. Sorted by path. A file is changed if its size, time of change, owner,
/// mode, kind, target or extended attributes differ; its content is not read.
pub fn changes_between(old: &Path, new: &Path) -> Result<Vec<Change>> {
    let open = |path: &Path| {
        rustix::fs::open(path, FOLDER, Mode::empty()).with_context(|| format!("cannot open `{}`", path.display()))
    };
    let mut found = Vec::new();
    // The old folder is not there below one that was added.
    let mut pending = vec![(Some(open(old)?), open(new)?, Vec::new())];
    while let Some((old, new, path)) = pending.pop() {
        let names = |folder: &OwnedFd| -> Result<BTreeSet<Vec<u8>>> {
            Ok(entries(folder)?.into_iter().map(|(name, _)| name).collect())
        };
        let before = old.as_ref().map(names).transpose()?.unwrap_or_default();
        let now = names(&new)?;
        for name in before.difference(&now) {
            found.push(Change { path: [path.as_slice(), b"/", name].concat(), kind: Kind::Deleted });
        }
        for name in now {
            let path = [path.as_slice(), b"/", &name].concat();
            let Ok(is) = rustix::fs::statat(&new, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let was = old
                .as_ref()
                .filter(|_| before.contains(&name))
                .and_then(|old| rustix::fs::statat(old, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW).ok());
            let folder = |stat: &rustix::fs::Stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            let facts = |stat: &rustix::fs::Stat| {
                // A folder's size and time follow from what is in it.
                let content = (!folder(stat)).then_some((stat.st_size, stat.st_mtime, stat.st_mtime_nsec));
                (stat.st_mode, stat.st_uid, stat.st_gid, stat.st_rdev, content)
            };
            match &was {
                None => found.push(Change { path: path.clone(), kind: Kind::Added }),
                Some(was) if facts(was) == facts(&is) && same_attributes(old.as_ref(), &new, &name, &is)? => {}
                Some(_) => found.push(Change { path: path.clone(), kind: Kind::Changed }),
            }
            if folder(&is) {
                let open = |parent: &OwnedFd| rustix::fs::openat(parent, name.as_slice(), FOLDER, Mode::empty());
                let old = old.as_ref().filter(|_| was.is_some_and(|was| folder(&was))).and_then(|old| open(old).ok());
                pending.push((old, open(&new)?, path));
            }
        }
    }
    with_parents(&mut found);
    Ok(found)
}

/// Whether a file or folder that is in both has the same extended attributes: capabilities change no time that counts.
fn same_attributes(old: Option<&OwnedFd>, new: &OwnedFd, name: &[u8], is: &rustix::fs::Stat) -> Result<bool> {
    let kind = FileType::from_raw_mode(is.st_mode);
    let Some(old) = old.filter(|_| matches!(kind, FileType::RegularFile | FileType::Directory)) else {
        return Ok(true);
    };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let records = |folder: &OwnedFd| -> Result<BTreeSet<Record>> {
        Ok(records_of(&rustix::fs::openat(folder, name, flags, Mode::empty())?)?.into_iter().collect())
    };
    Ok(records(old)? == records(new)?)
}

/// A folder in which something changed has changed, as an overlay has it.
fn with_parents(found: &mut Vec<Change>) {
    let known: BTreeSet<Vec<u8>> = found.iter().map(|change| change.path.clone()).collect();
    let mut parents = BTreeSet::new();
    for path in &known {
        let mut path = path.as_slice();
        while let Some(slash) = path.iter().rposition(|byte| *byte == b'/').filter(|slash| *slash > 0) {
            path = path.get(..slash).unwrap_or_default();
            if !known.contains(path) && !parents.insert(path.to_vec()) {
                break;
            }
        }
    }
    found.extend(parents.into_iter().map(|path| Change { path, kind: Kind::Changed }));
    found.sort_by(|a, b| a.path.cmp(&b.path));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{Scratch, in_namespaces};

    fn shown(changes: &[Change]) -> Vec<String> {
        let letter = |kind| match kind {
            Kind::Added => 'A',
            Kind::Changed => 'C',
            Kind::Deleted => 'D',
        };
        changes.iter().map(|change| format!("{} {}", letter(change.kind), change.path.escape_ascii())).collect()
    }

    #[test]
    fn of_an_overlay_and_of_two_trees() {
        alone!();
        let scratch = Scratch::new();
        let root = scratch.dirs.data.clone();
        in_namespaces(move || {
            let write = |path: &str| {
                let path = root.join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, "x").unwrap();
            };
            ["low/etc/a", "low/etc/b", "low/usr/x", "low/usr/y", "high/etc/c", "high/usr/x"]
                .into_iter()
                .for_each(write);
            let lower = [root.join("high"), root.join("low")];
            ["upper/etc/a", "upper/new/file", "upper/usr/z"].into_iter().for_each(write);
            let device = FileType::CharacterDevice;
            for gone in ["upper/etc/b", "upper/nonesuch"] {
                rustix::fs::mknodat(rustix::fs::CWD, root.join(gone), device, Mode::empty(), 0).unwrap();
            }
            rustix::fs::setxattr(root.join("upper/usr"), OPAQUE[0], b"y", rustix::fs::XattrFlags::empty()).unwrap();
            let expected = [
                "C /etc",
                "C /etc/a",
                "D /etc/b",
                "A /new",
                "A /new/file",
                "C /usr",
                "D /usr/x",
                "D /usr/y",
                "A /usr/z",
            ];
            assert_eq!(shown(&changes(&root.join("upper"), &lower).unwrap()), expected);

            ["old/etc/a", "old/etc/b", "old/usr/x/y"].into_iter().for_each(write);
            ["now/etc/a", "now/etc/c", "now/usr/x/y"].into_iter().for_each(write);
            let time = std::time::SystemTime::UNIX_EPOCH;
            for same in ["old/etc/a", "now/etc/a"] {
                std::fs::File::open(root.join(same)).unwrap().set_modified(time).unwrap();
            }
            std::fs::File::open(root.join("old/usr/x/y")).unwrap().set_modified(time).unwrap();
            let found = changes_between(&root.join("old"), &root.join("now")).unwrap();
            assert_eq!(shown(&found), ["C /etc", "D /etc/b", "A /etc/c", "C /usr", "C /usr/x", "C /usr/x/y"]);
        });
    }
}
