//! Paths inside a container's root, resolved by the kernel so that no link leads out of it: openat2(2), Linux 5.6.
//!
//! Never hands out a path; everything is a descriptor. `..` and absolute links stay below the root
//! (`RESOLVE_IN_ROOT`), and magic links as in `/proc/self/fd` are refused (CVE-2024-21626 and its kin).

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

/// A folder that stands for `/`.
#[derive(Debug)]
pub struct Root {
    fd: OwnedFd,
}

/// Regular files inside a root are only read up to this many bytes (CVE-2024-9676: endless `/etc/passwd`).
pub const MAX_FILE: u64 = 1 << 20;

impl Root {
    /// Take a folder as root.
    pub fn open(path: &Path) -> rustix::io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(path, flags, Mode::empty()).map(Self::from)
    }

    /// Open `path` below the root, following links inside it.
    ///
    /// EAGAIN (a rename raced with `..`) is retried, as openat2(2) asks.
    pub fn open_at(&self, path: &Path, flags: OFlags, mode: Mode) -> rustix::io::Result<OwnedFd> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        for _ in 0..128 {
            match rustix::fs::openat2(&self.fd, path, flags | OFlags::CLOEXEC, mode, resolve) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                result => return result,
            }
        }
        Err(Errno::AGAIN)
    }

    /// Open `path` below the root, following no link at all: one on the way is ELOOP.
    pub fn open_without_links(&self, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
        for _ in 0..128 {
            match rustix::fs::openat2(&self.fd, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                result => return result,
            }
        }
        Err(Errno::AGAIN)
    }

    /// The content of a regular file of at most [`MAX_FILE`] bytes; FIFOs, devices and folders are refused.
    pub fn read(&self, path: &Path) -> anyhow::Result<Vec<u8>> {
        // Looked at before it is opened for reading, so that opening has no effect on a device or FIFO.
        let found = self.open_at(path, OFlags::PATH, Mode::empty())?;
        if rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode) != rustix::fs::FileType::RegularFile
        {
            return Err(crate::base::error::fault(
                crate::base::error::Kind::BadData,
                format!("`{}` in the container is not a regular file", path.display()),
            ));
        }
        let file = self.open_at(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY, Mode::empty())?;
        crate::base::fs::read_file_limited(std::fs::File::from(file), MAX_FILE)
    }

    /// Open the folder `path`, making what is missing of it with `mode` (owner: the caller).
    pub fn make_dir_all(&self, path: &Path, mode: Mode) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        // Mostly it is there.
        match self.open_at(path, flags, Mode::empty()) {
            Err(Errno::NOENT) => {}
            other => return other,
        }
        let mut done = PathBuf::from("/");
        let mut current = self.open_at(&done, flags, Mode::empty())?;
        for part in parts(path) {
            let next = done.join(part);
            current = match self.open_at(&next, flags, Mode::empty()) {
                Err(Errno::NOENT) => match rustix::fs::mkdirat(&current, part, mode) {
                    Ok(()) | Err(Errno::EXIST) => self.open_at(&next, flags, Mode::empty())?,
                    Err(error) => return Err(error),
                },
                other => other?,
            };
            done = next;
        }
        Ok(current)
    }

    /// Open the file `path`, making it empty with `mode` if missing, its folders with 0755.
    ///
    /// An existing one of any kind but a folder is opened as it is (`O_PATH`): this is for mount points.
    pub fn make_file(&self, path: &Path, mode: Mode) -> rustix::io::Result<OwnedFd> {
        match self.open_at(path, OFlags::PATH, Mode::empty()) {
            Err(Errno::NOENT) => {}
            other => return other,
        }
        let parent = self.make_dir_all(path.parent().unwrap_or(Path::new("/")), Mode::from_raw_mode(0o755))?;
        let name = path.file_name().ok_or(Errno::INVAL)?;
        // A dangling link at the end is left to O_EXCL: it is an error, never a file elsewhere.
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        drop(rustix::fs::openat(&parent, name, flags, mode)?);
        rustix::fs::openat(&parent, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
    }
}

impl From<OwnedFd> for Root {
    fn from(fd: OwnedFd) -> Self {
        Self { fd }
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The named parts of a path; `..` is left to the kernel by refusing to split there.
fn parts(path: &Path) -> impl Iterator<Item = &std::ffi::OsStr> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name),
        Component::ParentDir => Some(std::ffi::OsStr::new("..")),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_inside() {
        let dir = std::env::temp_dir().join(format!("box-root-{}", crate::base::id::ContainerId::random()));
        std::fs::create_dir_all(dir.join("in")).unwrap();
        std::os::unix::fs::symlink("/usr", dir.join("etc")).unwrap();
        std::os::unix::fs::symlink("../../../../etc/passwd", dir.join("up")).unwrap();
        let root = Root::open(&dir).unwrap();
        assert_eq!(root.open_at(Path::new("etc/passwd"), OFlags::PATH, Mode::empty()).unwrap_err(), Errno::NOENT);
        assert!(root.read(Path::new("/up")).is_err());
        root.make_dir_all(Path::new("/a/b/../c"), Mode::from_raw_mode(0o755)).unwrap();
        root.make_file(Path::new("/a/x/file"), Mode::from_raw_mode(0o644)).unwrap();
        assert!(dir.join("a/x/file").is_file());
        std::fs::write(dir.join("in/f"), b"hello").unwrap();
        assert_eq!(root.read(Path::new("in/f")).unwrap(), b"hello");
        crate::base::fs::remove_tree(&dir).unwrap();
    }
}
