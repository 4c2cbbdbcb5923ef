//! Work in progress: folders below `tmp/` whose owner's death is provable, so that the next command removes them.
//!
//! ```text
//! tmp/<random id>.lock     locked by the owner for as long as it lives
//! tmp/<random id>/         what it works on
//! ```

use super::dirs::Dirs;
use super::fs::{remove_tree, remove_tree_within};
use super::id::ContainerId;
use super::lock::{Lock, Share};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// How many files a command removes that have no use any more, before it leaves the rest to a process behind it: some
/// milliseconds' worth.
const PATIENCE: usize = 256;

/// A folder of ours that goes when this is dropped, or when the next command finds us dead.
#[derive(Debug)]
pub struct TempDir {
    path: PathBuf,
    lock_path: PathBuf,
    /// Whoever comes next removes it.
    left: bool,
    _lock: Lock,
}

/// Remove a tree, or what of it cannot be removed soon: that is renamed away, and left to [`reap`]. Returns whether all
/// of it is gone.
pub fn discard(dirs: &Dirs, tree: &Path) -> Result<bool> {
    if remove_tree_within(tree, PATIENCE)? {
        return Ok(true);
    }
    let mut temp = TempDir::new(dirs)?;
    std::fs::rename(tree, temp.path.join("tree")).with_context(|| format!("cannot remove `{}`", tree.display()))?;
    temp.left = true;
    Ok(false)
}

impl TempDir {
    /// A fresh folder below `tmp/`.
    pub fn new(dirs: &Dirs) -> Result<Self> {
        let parent = dirs.tmp();
        std::fs::create_dir_all(&parent).with_context(|| format!("cannot make folder `{}`", parent.display()))?;
        loop {
            let id = ContainerId::random();
            let lock_path = parent.join(format!("{}.lock", id.short()));
            // Locked before the folder exists, so that no reaper takes it in between.
            let lock = Lock::acquire(&lock_path, Share::Exclusive)?;
            // One that came before us has removed the file that we waited for.
            if !lock.is_at(&lock_path) {
                continue;
            }
            let path = parent.join(id.short());
            std::fs::create_dir(&path).with_context(|| format!("cannot make folder `{}`", path.display()))?;
            return Ok(Self { path, lock_path, left: false, _lock: lock });
        }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        if self.left {
            return;
        }
        let _ = remove_tree(&self.path);
        let _ = std::fs::remove_file(&self.lock_path);
    }
}

/// How much time there is for removing what is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Haste {
    /// A command is about to begin.
    Soon,
    /// As long as it takes.
    AllOfIt,
}

/// Remove what dead owners left. Cheap when there is nothing: one directory listing. Returns whether all of it is gone.
///
/// `become_root` is called before the first removal: unpacked files may belong to subordinate ids.
pub fn reap(dirs: &Dirs, haste: Haste, become_root: &mut dyn FnMut() -> Result<()>) -> Result<bool> {
    let parent = dirs.tmp();
    let mut all = true;
    let Ok(entries) = std::fs::read_dir(&parent) else { return Ok(all) };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(id) = name.to_str() else { continue };
        let stem = id.strip_suffix(".lock").unwrap_or(id);
        let lock_path = parent.join(format!("{stem}.lock"));
        if let Ok(Some(lock)) = Lock::try_acquire(&lock_path, Share::Exclusive)
            && lock.is_at(&lock_path)
        {
            become_root()?;
            let tree = parent.join(stem);
            if haste == Haste::Soon && !remove_tree_within(&tree, PATIENCE).unwrap_or(false) {
                all = false;
                continue;
            }
            let _ = remove_tree(&tree);
            let _ = std::fs::remove_file(&lock_path);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dead_are_reaped_and_the_living_are_not() {
        let root = std::env::temp_dir().join(format!("box-temp-{}", ContainerId::random()));
        let dirs = Dirs { data: root.clone(), run: root.clone() };
        let alive = TempDir::new(&dirs).unwrap();
        let dead = dirs.tmp().join("dead");
        std::fs::create_dir_all(dead.join("x")).unwrap();
        std::fs::write(dirs.tmp().join("dead.lock"), b"").unwrap();
        assert!(reap(&dirs, Haste::Soon, &mut || Ok(())).unwrap());
        assert!(alive.path().exists() && !dead.exists());
        drop(alive);
        assert_eq!(std::fs::read_dir(dirs.tmp()).unwrap().count(), 0);
        remove_tree(&root).unwrap();
    }
}
