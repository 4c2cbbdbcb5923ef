//! Removing a tree by descriptors, never through a link, however deep it is; counting what that frees.

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Folders below this depth are moved to the top before they are emptied, so that few descriptors are open.
const MAX_DEPTH: usize = 32;

/// A folder on the way down.
struct Level {
    folder: OwnedFd,
    name: Vec<u8>,
    folders: Vec<Vec<u8>>,
    tries: u32,
}

/// Remove `name` in `parent`, whatever it is, with all below it. Returns the bytes that its files had allocated.
///
/// Needs no free space. Folders without permissions are opened to us first.
pub fn remove_tree_at(parent: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<u64> {
    let mut freed = 0;
    if let Some(size) = remove_file(parent, name)? {
        return Ok(size);
    }
    let mut levels = vec![enter(parent, name, &mut freed)?];
    let mut moved = 0u64;
    while let Some(mut level) = levels.pop() {
        if let Some(name) = level.folders.pop() {
            if levels.len() >= MAX_DEPTH
                && let Some(top) = levels.first_mut()
            {
                moved += 1;
                let new = format!(".box-removing-{moved}").into_bytes();
                if rustix::fs::renameat(&level.folder, name.as_slice(), &top.folder, new.as_slice()).is_ok() {
                    top.folders.push(new);
                    levels.push(level);
                    continue;
                }
            }
            let next = enter(level.folder.as_fd(), &name, &mut freed)?;
            levels.push(level);
            levels.push(next);
            continue;
        }
        let above = levels.last().map_or(parent, |level| level.folder.as_fd());
        match rustix::fs::unlinkat(above, level.name.as_slice(), AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {}
            // Some file systems pass over entries when others are removed meanwhile: look again.
            Err(Errno::NOTEMPTY | Errno::EXIST) if level.tries < 8 => {
                level.tries += 1;
                level.folders = empty(level.folder.as_fd(), &mut freed)?;
                levels.push(level);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(freed)
}

/// Remove what is not a folder; `None` for a folder.
fn remove_file(parent: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<Option<u64>> {
    let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        return Ok(None);
    }
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Err(Errno::ACCESS) => {
            rustix::fs::fchmod(parent, Mode::RWXU)?;
            rustix::fs::unlinkat(parent, name, AtFlags::empty())?;
        }
        result => result?,
    }
    // What has other links is freed with the last of them.
    let bytes = if stat.st_nlink > 1 { 0 } else { (stat.st_blocks as u64).saturating_mul(512) };
    Ok(Some(bytes))
}

fn enter(parent: BorrowedFd<'_>, name: &[u8], freed: &mut u64) -> rustix::io::Result<Level> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = match rustix::fs::openat(parent, name, flags, Mode::empty()) {
        Err(Errno::ACCESS) => {
            rustix::fs::chmodat(parent, name, Mode::RWXU, AtFlags::empty())?;
            rustix::fs::openat(parent, name, flags, Mode::empty())?
        }
        folder => folder?,
    };
    let stat = rustix::fs::fstat(&folder)?;
    *freed = freed.saturating_add((stat.st_blocks as u64).saturating_mul(512));
    let folders = empty(folder.as_fd(), freed)?;
    Ok(Level { folder, name: name.to_vec(), folders, tries: 0 })
}

/// Remove all files of a folder; returns its folders.
fn empty(folder: BorrowedFd<'_>, freed: &mut u64) -> rustix::io::Result<Vec<Vec<u8>>> {
    rustix::fs::seek(folder, rustix::fs::SeekFrom::Start(0))?;
    let mut folders = Vec::new();
    let mut buffer = Vec::with_capacity(1 << 15);
    let mut entries = RawDir::new(folder, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if matches!(name, b"." | b"..") {
            continue;
        }
        if entry.file_type() == FileType::Directory {
            folders.push(name.to_vec());
            continue;
        }
        match remove_file(folder, name) {
            Ok(Some(bytes)) => *freed = freed.saturating_add(bytes),
            Ok(None) => folders.push(name.to_vec()),
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::Scratch;
    use rustix::fs::CWD;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn deep_closed_and_linked_trees_go_and_the_rest_stays() {
        let scratch = Scratch::new();
        let root = scratch.dirs.data.join("trees");
        std::fs::create_dir_all(root.join("keep/x")).unwrap();
        std::fs::create_dir_all(root.join("gone/closed/in")).unwrap();
        std::fs::write(root.join("gone/file"), vec![1; 100_000]).unwrap();
        symlink(root.join("keep"), root.join("gone/link")).unwrap();
        std::fs::set_permissions(root.join("gone/closed"), std::fs::Permissions::from_mode(0o0)).unwrap();
        let top = std::fs::File::open(&root).unwrap();
        let mut deep = OwnedFd::from(std::fs::File::open(root.join("gone")).unwrap());
        for _ in 0..5000 {
            rustix::fs::mkdirat(&deep, "d", 0o700.into()).unwrap();
            deep = rustix::fs::openat(&deep, "d", OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        assert!(remove_tree_at(top.as_fd(), b"gone").unwrap() >= 100_000);
        assert!(root.join("keep/x").exists() && !root.join("gone").exists());
        assert_eq!(remove_tree_at(top.as_fd(), b"gone"), Err(Errno::NOENT));
    }

    #[test]
    fn a_folder_that_is_swapped_for_a_link_meanwhile() {
        // CVE-2022-21658: between the look at a folder and the removal of what is in it.
        let tries = crate::base::env::by_name("BOX_TEST_ROUNDS").and_then(|text| text.parse().ok()).unwrap_or(100);
        let scratch = Scratch::new();
        let root = scratch.dirs.data.join("trees");
        std::fs::create_dir_all(root.join("canary/folder")).unwrap();
        std::fs::write(root.join("canary/file"), "stays").unwrap();
        let top = std::fs::File::open(&root).unwrap();
        let ended = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                    let (one, other) = (root.join("gone/a/b"), root.join("gone/a/link"));
                    let _ = rustix::fs::renameat_with(CWD, one, CWD, other, rustix::fs::RenameFlags::EXCHANGE);
                }
            });
            let work = || {
                for _ in 0..tries {
                    std::fs::create_dir_all(root.join("gone/a/b/folder/x"))?;
                    symlink(root.join("canary"), root.join("gone/a/link"))?;
                    // What is swapped meanwhile may stay behind: once more, until all is gone.
                    while remove_tree_at(top.as_fd(), b"gone") != Err(Errno::NOENT) {}
                }
                std::io::Result::Ok(())
            };
            let worked = work();
            ended.store(true, std::sync::atomic::Ordering::Relaxed);
            worked.unwrap();
        });
        assert_eq!(std::fs::read(root.join("canary/file")).unwrap(), b"stays");
        assert!(root.join("canary/folder").exists());
    }
}
