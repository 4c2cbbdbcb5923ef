//! Unpacking a layer: hostile bytes in, a tree below one folder out, never anything outside it.
//!
//! Every entry is placed through descriptors: its folder is opened by openat2(2) with `RESOLVE_IN_ROOT` (so that a link
//! in the layer leads where it would lead inside a container, as containers/storage has it), and the entry itself is
//! made there by its last name, never through a link. What stands in the way is removed first. No path of an archive
//! is ever given to a function that resolves it from the process's root.
//!
//! Whiteouts become what overlay wants with `userxattr`: `.wh.NAME` a character device 0:0, `.wh..wh..opq` the
//! attribute `user.overlay.opaque=y` of the folder. A layer that brings such devices or `*.overlay.*` attributes
//! itself does not get them: it would forge whiteouts, redirects, metacopies. Whiteouts are about the layers below, so
//! in a layer that has both a name and its whiteout, the name stays (OCI image specification, layer.md).
//!
//! Folders are open to us alone until all is unpacked; then they get their owners, modes and times, deepest first.

pub(super) mod archive;
#[cfg(test)]
mod differential;
mod folders;
#[cfg(test)]
mod hostile;
mod pax;
mod sparse;
mod tree;

use crate::base::error::{Kind, fault};
use anyhow::{Context, Result};
use archive::Archive;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::BorrowedFd;
use tree::Tree;
pub(super) use tree::{IdsAtHand, OWNER};

/// What a layer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of file content written.
    pub bytes: u64,
    /// Entries.
    pub entries: u64,
}

impl Limits {
    /// Ten million entries, and as much as the file system has room for, less a reserve of 1 GiB or a twentieth.
    pub fn for_folder(folder: BorrowedFd<'_>) -> Result<Self> {
        let stat = rustix::fs::fstatvfs(folder).context("cannot see how much space is free")?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        Ok(Self { bytes: free - (free / 20).min(1 << 30), entries: 10_000_000 })
    }
}

/// What was unpacked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LayerStats {
    /// Entries of the archive, whiteouts included.
    pub entries: u64,
    /// Bytes of file content written.
    pub bytes: u64,
    /// Device nodes that were left out, as this user may not make them.
    pub devices_skipped: u64,
    /// Files whose owner could not be set and was recorded in `user.box.owner` instead.
    pub owners_recorded: u64,
}

/// Unpack a tar stream below `target`, which is empty and stays as it is in the end if the layer says nothing of `/`.
///
/// The caller is root in its namespace, or the only id there; it calls this from one thread a target. Reads until the
/// archive's end and no further. On an error `target` holds a part of the layer, for the caller to remove.
///
/// Errors: `BadData` for an archive that is damaged or hostile, or one beyond the limits; I/O errors of either side.
pub fn unpack(tar: &mut dyn Read, target: BorrowedFd<'_>, limits: &Limits) -> Result<LayerStats> {
    unpack_buffered(&mut BufReader::with_capacity(1 << 18, tar), target, limits, IdsAtHand::find())
}

/// As [`unpack`], from an archive that is no layer: names that would be whiteouts are names like others.
pub fn unpack_files(tar: &mut dyn Read, target: BorrowedFd<'_>, limits: &Limits) -> Result<LayerStats> {
    let mut source = BufReader::with_capacity(1 << 18, tar);
    place_all(&mut source, Tree::new(target, limits, IdsAtHand::find())?.without_whiteouts())
}

/// As [`unpack`], from a stream that has a buffer: content is written straight from it.
pub(super) fn unpack_buffered(
    source: &mut dyn BufRead,
    target: BorrowedFd<'_>,
    limits: &Limits,
    ids: IdsAtHand,
) -> Result<LayerStats> {
    place_all(source, Tree::new(target, limits, ids)?)
}

fn place_all(source: &mut dyn BufRead, mut tree: Tree<'_>) -> Result<LayerStats> {
    let mut archive = Archive::new(source);
    while let Some(entry) = archive.next()? {
        tree.place(&entry, &mut archive).with_context(|| format!("cannot unpack `{}`", entry.path.escape_ascii()))?;
    }
    tree.finish()
}

/// An archive that is not to be trusted.
fn bad(text: impl Into<String>) -> anyhow::Error {
    fault(Kind::BadData, text)
}
