//! Files: replacing them at once, reading them with a bound, making folders that are ours.
//!
//! Nothing here follows a path into a container's root; that is `sys::root`.

use super::error::{Kind, fault};
use anyhow::{Context, Result};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Whether a write must survive a power loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Synced before it is published, and the folder after.
    Synced,
    /// Left to the kernel: seen by other processes at once, lost with the power.
    Cached,
}

/// Make `path` a folder of mode 0700 with its parents, or check that it is one of ours.
///
/// A folder of another owner or one that is a symbolic link is refused: others could change what is in it.
pub fn ensure_private_dir(path: &Path) -> Result<()> {
    if let Err(error) = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path) {
        return Err(error).with_context(|| format!("cannot make folder `{}`", path.display()));
    }
    let meta = std::fs::symlink_metadata(path).with_context(|| format!("cannot look at `{}`", path.display()))?;
    let uid = rustix::process::geteuid().as_raw();
    // In a joined user namespace we are 0, and so is our own folder.
    if !meta.is_dir() && !path.is_dir() {
        return Err(fault(Kind::Host, format!("`{}` is not a folder", path.display())));
    }
    let real = if meta.is_symlink() { std::fs::metadata(path)? } else { meta };
    if real.uid() != uid {
        return Err(fault(Kind::Host, format!("`{}` belongs to user id {}, not to you", path.display(), real.uid())));
    }
    if real.mode() & 0o077 != 0 && path.starts_with("/tmp") {
        return Err(fault(Kind::Host, format!("`{}` is open to other users", path.display())));
    }
    Ok(())
}

/// Replace `path` by `bytes` at once: readers see the old or the new content, never a part.
pub fn replace(path: &Path, bytes: &[u8], durability: Durability) -> Result<()> {
    let deed = || format!("cannot write `{}`", path.display());
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.tmp", rustix::process::getpid().as_raw_nonzero()));
    let temporary = path.with_file_name(name);
    let result = (|| -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        if durability == Durability::Synced {
            file.sync_all()?;
        }
        std::fs::rename(&temporary, path)?;
        if durability == Durability::Synced {
            sync_dir(path.parent().unwrap_or(Path::new("/")))?;
        }
        Ok(())
    })();
    if result.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    result.with_context(deed)
}

/// Write a file that must not exist yet.
pub fn create_new(path: &Path, bytes: &[u8]) -> Result<()> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(bytes))
        .with_context(|| format!("cannot write `{}`", path.display()))
}

/// Read a regular file of at most `limit` bytes.
///
/// Errors: more bytes than that (a hostile or damaged file), a file that is not regular, any I/O error.
/// Opening never blocks, so a FIFO is refused rather than waited for.
pub fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let deed = || format!("cannot read `{}`", path.display());
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32)
        .open(path)
        .with_context(deed)?;
    read_file_limited(file, limit).with_context(deed)
}

/// As [`read_limited`], where whatever cannot be read is as if it was not there: that costs no error, with its text and,
/// for who asks for them, its backtrace.
pub fn read_if_there(path: &Path, limit: u64) -> Option<Vec<u8>> {
    let mut options = OpenOptions::new();
    let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    options.read(true).custom_flags(flags).open(path).ok().and_then(|file| read_file_limited(file, limit).ok())
}

/// As [`read_limited`], of an open file.
pub fn read_file_limited(file: File, limit: u64) -> Result<Vec<u8>> {
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(fault(Kind::BadData, "it is not a regular file"));
    }
    let mut bytes = Vec::with_capacity(meta.len().min(limit) as usize + 1);
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(fault(Kind::BadData, format!("it is larger than {limit} bytes")));
    }
    Ok(bytes)
}

/// Make the entries of a folder survive a power loss.
pub fn sync_dir(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
}

/// Remove a tree, however deep, that may hold folders without permissions; a missing one is no error.
///
/// For trees that only the caller can write to. Folders are opened for the owner first, as an overlay's work folder
/// has mode 0 and a single-id user has no capability to look past that.
pub fn remove_tree(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(_) => {}
    }
    open_folders(path);
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove `{}`", path.display()))
        }
        _ => Ok(()),
    }
}

/// As [`remove_tree`], but no more than so many files. Returns whether all of it is gone.
pub fn remove_tree_within(path: &Path, mut files: usize) -> Result<bool> {
    let mut pending = vec![path.to_path_buf()];
    while let Some(folder) = pending.last().cloned() {
        let mut deeper = Vec::new();
        let entries = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(true),
            // One without permissions, or no folder: the long way knows.
            Err(_) => return remove_tree(path).map(|()| true),
            Ok(entries) => entries,
        };
        for entry in entries.flatten() {
            if files == 0 {
                return Ok(false);
            }
            files -= 1;
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => deeper.push(entry.path()),
                _ => drop(std::fs::remove_file(entry.path())),
            }
        }
        if deeper.is_empty() {
            if std::fs::remove_dir(folder).is_err() {
                return remove_tree(path).map(|()| true);
            }
            pending.pop();
        }
        pending.append(&mut deeper);
    }
    Ok(true)
}

/// Give the owner all rights on every folder below, without following links. Errors are left to the removal.
fn open_folders(path: &Path) {
    let mut pending = vec![path.to_path_buf()];
    while let Some(dir) = pending.pop() {
        if std::fs::symlink_metadata(&dir).is_ok_and(|meta| meta.is_dir()) {
            let _ = std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o700));
            let entries = std::fs::read_dir(&dir).into_iter().flatten().flatten();
            pending.extend(entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch() -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("box-fs-{}", crate::base::id::ContainerId::random()));
        std::fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
        path
    }

    #[test]
    fn replacing_a_long_file_by_a_short_one_leaves_the_short_one() {
        let dir = scratch();
        let path = dir.join("state");
        replace(&path, b"long long long", Durability::Synced).unwrap();
        replace(&path, b"short", Durability::Cached).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"short");
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
        remove_tree(&dir).unwrap();
    }

    #[test]
    fn a_fifo_or_a_large_file_is_not_read() {
        let dir = scratch();
        let fifo = dir.join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(read_limited(&fifo, 10).is_err());
        std::fs::write(dir.join("large"), [0; 11]).unwrap();
        assert!(read_limited(&dir.join("large"), 10).is_err());
        assert_eq!(read_limited(&dir.join("large"), 11).unwrap().len(), 11);
        remove_tree(&dir).unwrap();
    }

    #[test]
    fn a_tree_with_closed_folders_is_removed() {
        let dir = scratch();
        std::fs::create_dir_all(dir.join("work/work/x")).unwrap();
        std::fs::set_permissions(dir.join("work/work"), std::fs::Permissions::from_mode(0o0)).unwrap();
        remove_tree(&dir).unwrap();
        assert!(!dir.exists());
        remove_tree(&dir).unwrap();
    }
}
