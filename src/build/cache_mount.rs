//! Folders of `RUN --mount=type=cache`: kept from build to build, in no image.
//!
//! ```text
//! data/caches/<digest of the id>/                the folder
//! data/caches/<digest of the id>.lock            held by a step that shares it with nobody
//! data/caches/<digest of the id>.private.<n>/    others, of steps that wanted one for themselves at the same time
//! ```

use super::run::own;
use crate::base::digest::Digest;
use crate::base::dirs::Dirs;
use crate::base::fs::ensure_private_dir;
use crate::base::lock::{Lock, Share};
use crate::dockerfile::mount::{Owner, Sharing};
use crate::store::copy_layers;
use crate::store::overlay::OverlayPlan;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// Where a cache is. An id can be any text, a path with `..` too: its digest is the name (CVE-2024-9675).
pub fn folder(dirs: &Dirs, id: &str) -> PathBuf {
    dirs.data.join("caches").join(Digest::of(id.as_bytes()).digits())
}

/// Take a cache for a step, with what keeps others out.
pub fn take(folder: &Path, sharing: Sharing) -> Result<(PathBuf, Option<Lock>)> {
    ensure_private_dir(folder.parent().unwrap_or(Path::new("/")))?;
    let lock = |folder: &Path| folder.with_extension("lock");
    match sharing {
        Sharing::Shared => Ok((folder.to_owned(), Some(Lock::acquire(&lock(folder), Share::Shared)?))),
        Sharing::Locked => Ok((folder.to_owned(), Some(Lock::acquire(&lock(folder), Share::Exclusive)?))),
        Sharing::Private => {
            for number in 0.. {
                let folder = match number {
                    0 => folder.to_owned(),
                    number => folder.with_extension(format!("private.{number}")),
                };
                let path = PathBuf::from(format!("{}.lock", folder.display()));
                let path = if number == 0 { lock(&folder) } else { path };
                if let Some(lock) = Lock::try_acquire(&path, Share::Exclusive)? {
                    return Ok((folder, Some(lock)));
                }
            }
            unreachable!("the loop ends with a folder")
        }
    }
}

/// Make a cache, with the files that it begins with.
pub fn make(folder: &Path, initial: Option<&Path>, owner: Owner) -> Result<()> {
    let fresh = folder.with_extension(format!("new.{}", std::process::id()));
    crate::base::fs::remove_tree(&fresh)?;
    std::fs::create_dir(&fresh).with_context(|| format!("cannot make folder `{}`", fresh.display()))?;
    if let Some(initial) = initial {
        let lower = vec![initial.to_owned()];
        let plan = OverlayPlan { lower, ..OverlayPlan::default() };
        copy_layers(&plan, &fresh).context("cannot fill the cache")?;
    }
    own(&fresh, owner)?;
    match std::fs::rename(&fresh, folder) {
        // Somebody who shares it was quicker.
        Err(_) if folder.is_dir() => crate::base::fs::remove_tree(&fresh),
        result => result.with_context(|| format!("cannot make folder `{}`", folder.display())),
    }
}
