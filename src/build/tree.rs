//! Files to be looked at: layers laid over each other, or a folder.

use crate::base::digest::Digest;
use crate::base::temp::TempDir;
use crate::store::overlay::{OverlayPlan, mount_read_only};
use crate::store::{Store, copy_layers};
use crate::sys::root::Root;
use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};
use rustix::thread::UnshareFlags;
use std::path::{Component, Path, PathBuf};

/// A tree of files that nobody changes meanwhile, or whose changes can do no harm: paths are resolved below its root.
pub struct Tree {
    /// Its `/`.
    pub root: Root,
    /// Where that is.
    pub path: PathBuf,
    /// It is mounted there, by us.
    is_mounted: bool,
}

impl Drop for Tree {
    fn drop(&mut self) {
        if self.is_mounted {
            // Else the folder that it is mounted on could not be removed.
            let _ = unmount(&self.path, UnmountFlags::DETACH);
        }
    }
}

impl Tree {
    /// A folder.
    pub fn folder(path: &Path) -> Result<Self> {
        let deed = || format!("cannot open `{}`", path.display());
        let path = std::fs::canonicalize(path).with_context(deed)?;
        Ok(Self { root: Root::open(&path).with_context(deed)?, path, is_mounted: false })
    }

    /// Layers, lowest first, unpacked, as a container of them would begin. They are mounted below `temp`, in the mount
    /// namespace of this process, which is its own ([`own_mounts`]).
    pub fn layers(store: &Store, layers: &[Digest], temp: &TempDir, name: &str) -> Result<Self> {
        let target = temp.path().join(name);
        std::fs::create_dir(&target).with_context(|| format!("cannot make folder `{}`", target.display()))?;
        let is_mounted = lay(store, layers, &target)?;
        let mut tree = Self::folder(&target)?;
        tree.is_mounted = is_mounted;
        Ok(tree)
    }

    /// Where a path leads, below `/`, with all links followed as far as it exists; what does not exist is appended.
    /// A `..` that follows something missing takes that away.
    pub fn real_path(&self, path: &Path) -> PathBuf {
        let mut real = PathBuf::from("/");
        let mut exists = true;
        for part in path.components() {
            match part {
                Component::ParentDir => {
                    real.pop();
                    exists = true;
                }
                Component::Normal(name) => {
                    let next = real.join(name);
                    match self.resolved(&next).filter(|_| exists) {
                        Some(found) => real = found,
                        None => (real, exists) = (next, false),
                    }
                }
                _ => {}
            }
        }
        real
    }

    /// Where an existing path leads.
    fn resolved(&self, path: &Path) -> Option<PathBuf> {
        let found = self.root.open_at(path, OFlags::PATH, Mode::empty()).ok()?;
        // The kernel's own answer, of a descriptor that it has resolved below our root.
        let shown = crate::sys::proc::path_of(&found).ok()?;
        let below = shown.strip_prefix(&self.path).ok()?;
        Some(Path::new("/").join(below))
    }
}

/// Lay layers, lowest first, over each other at an empty folder; whether they are mounted there, in the mount namespace
/// of this process.
pub fn lay(store: &Store, layers: &[Digest], target: &Path) -> Result<bool> {
    let lower: Vec<PathBuf> = layers.iter().rev().map(|layer| store.layer_path(layer)).collect();
    if lower.is_empty() {
        return Ok(false);
    }
    if mount_read_only(&lower, None, target).is_ok() {
        return Ok(true);
    }
    // A kernel that cannot lay them over each other: a copy, then.
    let plan = OverlayPlan { lower, ..OverlayPlan::default() };
    copy_layers(&plan, target).context("cannot copy layers")?;
    Ok(false)
}

/// Give the process a mount namespace of its own, in which it may mount what it wants to look at.
pub fn own_mounts() -> Result<()> {
    crate::sys::namespace::unshare(UnshareFlags::NEWNS.bits() as i32).context("cannot make a mount namespace")?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).context("cannot keep mounts private")
}
