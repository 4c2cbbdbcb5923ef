//! `--userns keep-id`: an image's files as another map sees them.
//!
//! In the user's namespace U0 an image's root-owned files belong to id 0, which is the caller. Under keep-id the
//! caller is an ordinary id inside and root is a subordinate one, so each file's owner moves to the id that the
//! container's map gives the same meaning.

use super::host::CallerIds;
use super::owners;
use anyhow::Result;
use std::path::Path;

/// Where container id `id` lies in U0, when the caller keeps `own`.
fn place(id: u32, own: u32) -> u32 {
    match id {
        _ if id == own => 0,
        _ if id < own => id + 1,
        _ => id,
    }
}

/// Give every file below `root` (which nobody uses yet) the owner that keep-id means.
pub fn shift(root: &Path, ids: &CallerIds) -> Result<()> {
    owners::give(root, &|uid, gid| (place(uid, ids.caller.0), place(gid, ids.caller.1)))
}
