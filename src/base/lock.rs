//! Locks between processes: flock(2) on files, which the kernel drops when the holder dies.

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// A held lock. It ends when this is dropped or the process ends.
///
/// The lock belongs to the open file description: a forked child shares it, exec closes it.
#[derive(Debug)]
pub struct Lock {
    file: OwnedFd,
}

/// Who may hold the lock at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Many holders, none of them exclusive.
    Shared,
    /// One holder.
    Exclusive,
}

impl Lock {
    /// Wait for the lock on `path`, which is made if missing.
    pub fn acquire(path: &Path, share: Share) -> Result<Self> {
        let file = open(path)?;
        let operation = match share {
            Share::Shared => FlockOperation::LockShared,
            Share::Exclusive => FlockOperation::LockExclusive,
        };
        loop {
            match rustix::fs::flock(&file, operation) {
                Ok(()) => return Ok(Self { file }),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error).with_context(|| format!("cannot lock `{}`", path.display())),
            }
        }
    }

    /// Take the lock on `path` if it is free now; `None` if another holds it.
    pub fn try_acquire(path: &Path, share: Share) -> Result<Option<Self>> {
        let file = open(path)?;
        let operation = match share {
            Share::Shared => FlockOperation::NonBlockingLockShared,
            Share::Exclusive => FlockOperation::NonBlockingLockExclusive,
        };
        match rustix::fs::flock(&file, operation) {
            Ok(()) => Ok(Some(Self { file })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot lock `{}`", path.display())),
        }
    }
}

impl Lock {
    /// Whether the file that is locked is still the one at `path`: somebody may have removed it while we waited.
    pub fn is_at(&self, path: &Path) -> bool {
        match (rustix::fs::fstat(&self.file), rustix::fs::stat(path)) {
            (Ok(ours), Ok(there)) => (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino),
            _ => false,
        }
    }
}

impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Whether somebody holds an exclusive lock on this file now. A missing file is held by nobody.
pub fn is_held(path: &Path) -> bool {
    held(path).is_some()
}

/// The file, to be read, if somebody holds an exclusive lock on it now.
pub fn held(path: &Path) -> Option<std::fs::File> {
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let taken = rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared);
    matches!(taken, Err(Errno::WOULDBLOCK)).then(|| file.into())
}

fn open(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::open(path, flags, Mode::from_raw_mode(0o600))
        .with_context(|| format!("cannot open lock `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_excludes_until_dropped() {
        let path = std::env::temp_dir().join(format!("box-lock-{}", crate::base::id::ContainerId::random()));
        assert!(!is_held(&path));
        let lock = Lock::acquire(&path, Share::Exclusive).unwrap();
        assert!(is_held(&path));
        assert!(Lock::try_acquire(&path, Share::Exclusive).unwrap().is_none());
        drop(lock);
        assert!(Lock::try_acquire(&path, Share::Shared).unwrap().is_some());
        std::fs::remove_file(&path).unwrap();
    }
}
