//! An image's files as another map of ids sees them: `--userns keep-id`, `auto` and their kin.
//!
//! In the user's namespace U0 an image's root-owned files belong to id 0, which is the caller. In a container with a
//! user namespace of its own each file's owner moves to the id that the container's map gives the same meaning. Ids
//! that the map does not have stay, and are nobody's inside.

use super::owners;
use super::rights::idmap::{Maps, place};
use anyhow::{Context, Result};
use std::path::Path;

/// Give every file below `root` (which nobody uses yet) the owner that the maps mean.
pub fn shift(root: &Path, maps: &Maps) -> Result<()> {
    owners::give(root, &|uid, gid| owner(maps, uid, gid))
}

/// Whom a file of the image belongs to under the maps.
pub fn owner(maps: &Maps, uid: u32, gid: u32) -> (u32, u32) {
    (place(&maps.uids, uid).unwrap_or(uid), place(&maps.gids, gid).unwrap_or(gid))
}

/// Give the container's root the folder that is the top of its changes.
pub fn give_root(folder: &Path, maps: &Maps) -> Result<()> {
    let (uid, gid) = owner(maps, 0, 0);
    std::os::unix::fs::lchown(folder, Some(uid), Some(gid))
        .with_context(|| format!("cannot give `{}` to the container", folder.display()))
}

/// Give the container's root the files that box has made for it in a folder, which it may pass through.
pub fn give(dir: &Path, names: &[&str], maps: &Maps) -> Result<()> {
    std::fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o711))
        .with_context(|| format!("cannot open `{}` to the container", dir.display()))?;
    let (Some(uid), Some(gid)) = (place(&maps.uids, 0), place(&maps.gids, 0)) else { return Ok(()) };
    for name in names {
        let path = dir.join(name);
        std::os::unix::fs::lchown(&path, Some(uid), Some(gid))
            .with_context(|| format!("cannot give `{}` to the container", path.display()))?;
    }
    Ok(())
}
