//! What trees take on the disk: allocated blocks, each file once, as du(1) counts.
//!
//! Trees may be hostile: no link is followed, and a tree may be as deep as it likes, since only the folder at hand is
//! open.

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, Stat};
use rustix::io::Errno;
use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::path::Path;

/// The bytes that a file or a tree has allocated; 0 for one that is not there. The caller may read all its folders.
///
/// Errors: an I/O error. What vanishes meanwhile is passed over.
pub fn disk_usage(path: &Path) -> rustix::io::Result<u64> {
    let top = match rustix::fs::lstat(path) {
        Err(Errno::NOENT) => return Ok(0),
        top => top?,
    };
    if FileType::from_raw_mode(top.st_mode) != FileType::Directory {
        return Ok(allocated(&top));
    }
    let mut tally = Tally { bytes: allocated(&top), linked: HashSet::new() };
    match tally.walk(path) {
        // Somebody removes it: a folder that is gone has no way up or down.
        Ok(()) | Err(Errno::NOENT) => Ok(tally.bytes),
        Err(error) => Err(error),
    }
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

struct Tally {
    bytes: u64,
    /// Files with several links that were counted.
    linked: HashSet<u64>,
}

impl Tally {
    fn walk(&mut self, path: &Path) -> rustix::io::Result<()> {
        let mut folder = rustix::fs::open(path, FOLDER, Mode::empty())?;
        // The folders that are left to visit, of each level on the way down.
        let mut levels = vec![self.take(&folder)?];
        while let Some(level) = levels.last_mut() {
            let Some(name) = level.pop() else {
                levels.pop();
                if !levels.is_empty() {
                    folder = rustix::fs::openat(&folder, "..", FOLDER, Mode::empty())?;
                }
                continue;
            };
            match rustix::fs::openat(&folder, name.as_slice(), FOLDER, Mode::empty()) {
                Ok(next) => {
                    folder = next;
                    levels.push(self.take(&folder)?);
                }
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Count what is in a folder; returns the folders in it.
    fn take(&mut self, folder: &OwnedFd) -> rustix::io::Result<Vec<Vec<u8>>> {
        let mut folders = Vec::new();
        let mut buffer = Vec::with_capacity(1 << 15);
        let mut entries = RawDir::new(folder, buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let stat = match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => continue,
                stat => stat?,
            };
            let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            if is_folder || stat.st_nlink < 2 || self.linked.insert(stat.st_ino) {
                self.bytes = self.bytes.saturating_add(allocated(&stat));
            }
            if is_folder {
                folders.push(name.to_vec());
            }
        }
        Ok(folders)
    }
}

/// The bytes of a file's blocks (stat(2): `st_blocks` counts 512 each, whatever the file system's own).
pub(super) fn allocated(stat: &Stat) -> u64 {
    (stat.st_blocks as u64).saturating_mul(512)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::Scratch;

    #[test]
    fn as_du_counts() {
        let scratch = Scratch::new();
        let top = scratch.dirs.data.join("tree");
        std::fs::create_dir_all(top.join("a/b")).unwrap();
        std::fs::write(top.join("a/file"), vec![1; 300_000]).unwrap();
        std::fs::hard_link(top.join("a/file"), top.join("a/b/again")).unwrap();
        std::os::unix::fs::symlink("/usr", top.join("link")).unwrap();
        let mut deep = top.join("deep");
        for _ in 0..200 {
            std::fs::create_dir(&deep).unwrap();
            deep.push("d");
        }
        let du = std::process::Command::new("du").args(["-s", "-B1"]).arg(&top).output().unwrap();
        let du: u64 = String::from_utf8_lossy(&du.stdout).split_whitespace().next().unwrap().parse().unwrap();
        assert_eq!(disk_usage(&top).unwrap(), du);
        assert!(du > 300_000 && du < 3_000_000, "{du}");
        assert_eq!(disk_usage(&top.join("nonesuch")).unwrap(), 0);
    }
}
