//! Blobs that have come in part, so that no pull begins again: kept over errors, signals and restarts of the host.
//!
//! ```text
//! data/partial/<algorithm>-<digits>     the beginning of a blob; locked (flock) by whoever adds to it
//! data/partial/<digits>.pull            what a pull that is not finished will name: `Wanted`, as JSON
//! ```
//!
//! What is here is not trusted: bytes are hashed anew when they are taken up, and a blob gets its name only if all of
//! it is what its digest says. After a power loss a file may hold zeros; then the blob is fetched from its beginning.
//!
//! Collections leave what is younger than a week, up to a bound; a prune takes all of it.

use super::Store;
use super::blobs::BlobWriter;
use crate::base::digest::{Algorithm, Digest};
use crate::base::fs::{Durability, read_limited, replace};
use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How long what is left of a pull is kept by itself.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// How much of it, in bytes on the disk.
const MOST_KEPT: u64 = 10 << 30;
/// A list of what a pull wants is never larger than this.
const MAX_WANTED: u64 = 1 << 20;

/// What a pull that is not finished will name: complete blobs and layers among it are no garbage yet.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Wanted {
    /// Blobs.
    pub blobs: Vec<Digest>,
    /// Diff ids.
    pub layers: Vec<Digest>,
}

/// Which partial blobs a collection takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Partials {
    /// Those that were left for a week, and those beyond the bound.
    #[default]
    Old,
    /// All.
    All,
}

impl Store {
    /// Go on with a blob where it was left. Waits while another process adds to it; `None` if that has made it whole.
    ///
    /// What is there already must be taken in first ([`BlobWriter::replay`]). Dropped unfinished, it stays as it is.
    /// The caller holds a lease.
    pub fn partial_blob(&self, digest: &Digest, size: u64) -> Result<Option<BlobWriter>> {
        let path = self.partial_path(digest);
        let deed = || format!("cannot keep blob `{digest}`");
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(deed)?;
        }
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        loop {
            let file = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR).with_context(deed)?;
            rustix::io::retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::LockExclusive)).with_context(deed)?;
            if self.has_blob(digest, Some(size)) {
                return Ok(None);
            }
            let file = File::from(file);
            let meta = file.metadata().with_context(deed)?;
            // Whoever had it before may have thrown it away.
            if std::fs::symlink_metadata(&path).is_ok_and(|there| there.ino() == meta.ino()) {
                let left = Some(meta.len()).filter(|left| *left <= size);
                if left.is_none() {
                    file.set_len(0).with_context(deed)?;
                }
                return Ok(Some(BlobWriter::of_partial(self, path, file, left.unwrap_or(0), digest.algorithm())));
            }
        }
    }

    /// Do not go on with this blob: what came of it is wrong.
    pub fn discard_partial(&self, digest: &Digest) {
        let _ = std::fs::remove_file(self.partial_path(digest));
    }

    /// Note what a pull is about to bring, under its manifest; [`Store::forget_wanted`] when it is named.
    pub fn note_wanted(&self, manifest: &Digest, wanted: &Wanted) -> Result<()> {
        let path = self.wanted_path(manifest);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make folder `{}`", folder.display()))?;
        }
        replace(&path, &serde_json::to_vec(wanted)?, Durability::Cached)
    }

    /// The pull is finished.
    pub fn forget_wanted(&self, manifest: &Digest) {
        let _ = std::fs::remove_file(self.wanted_path(manifest));
    }

    /// What is left of pulls: the bytes on the disk and the number of blobs.
    pub fn partial_usage(&self) -> (u64, usize) {
        let sizes = self.partials().into_iter().filter(|path| path.extension().is_none());
        let sizes: Vec<u64> = sizes.map(|path| super::disk_usage(&path).unwrap_or(0)).collect();
        (sizes.iter().sum(), sizes.len())
    }

    /// How much has come of a blob.
    pub fn partial_size(&self, digest: &Digest) -> u64 {
        std::fs::symlink_metadata(self.partial_path(digest)).map_or(0, |meta| meta.len())
    }

    /// What unfinished pulls still want.
    pub(super) fn wanted(&self) -> Vec<Wanted> {
        let lists = self.partials().into_iter().filter(|path| is_list(path) && !is_old(path));
        lists.filter_map(|path| serde_json::from_slice(&read_limited(&path, MAX_WANTED).ok()?).ok()).collect()
    }

    /// The files that a collection takes; nobody adds to any of them, as no lease is held.
    pub(super) fn unwanted_partials(&self, which: Partials) -> Vec<PathBuf> {
        let mut all = self.partials();
        if which == Partials::All {
            return all;
        }
        // The youngest first: what is beyond the bound is the oldest.
        all.sort_by_key(|path| std::cmp::Reverse(modified(path)));
        let mut kept = 0;
        all.retain(|path| {
            kept += super::disk_usage(path).unwrap_or(0);
            is_old(path) || kept > MOST_KEPT
        });
        all
    }

    fn partials(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.partial_folder()).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    }

    fn partial_folder(&self) -> PathBuf {
        self.dirs.data.join("partial")
    }

    fn partial_path(&self, digest: &Digest) -> PathBuf {
        let algorithm = match digest.algorithm() {
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha512 => "sha512",
        };
        self.partial_folder().join(format!("{algorithm}-{}", digest.digits()))
    }

    fn wanted_path(&self, manifest: &Digest) -> PathBuf {
        self.partial_folder().join(format!("{}.pull", manifest.digits()))
    }
}

fn is_list(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "pull")
}

fn modified(path: &Path) -> SystemTime {
    std::fs::symlink_metadata(path).and_then(|meta| meta.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn is_old(path: &Path) -> bool {
    // A time in the future is no age.
    modified(path).elapsed().is_ok_and(|age| age > KEPT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::Scratch;
    use std::collections::HashSet;
    use std::io::Write;

    #[test]
    fn a_blob_goes_on_where_it_was_left() {
        let scratch = Scratch::new();
        let store = &scratch.store;
        let digest = Digest::of(b"hello world");
        let begin = || store.partial_blob(&digest, 11).unwrap().unwrap();
        begin().write_all(b"hello ").unwrap();
        let mut writer = begin();
        let mut seen = Vec::new();
        writer.replay(&mut |piece| seen.extend_from_slice(piece)).unwrap();
        assert_eq!((seen.as_slice(), writer.size()), (&b"hello "[..], 6));
        writer.write_all(b"world").unwrap();
        writer.finish(&digest, Some(11)).unwrap();
        assert_eq!(store.read_blob(&digest, 11).unwrap(), b"hello world");
        assert!(store.partial_blob(&digest, 11).unwrap().is_none() && store.partial_usage().1 <= 1);
    }

    #[test]
    fn what_turns_out_wrong_is_thrown_away() {
        let scratch = Scratch::new();
        let store = &scratch.store;
        let digest = Digest::of(b"right");
        let mut writer = store.partial_blob(&digest, 5).unwrap().unwrap();
        writer.write_all(b"wrong").unwrap();
        assert!(writer.finish(&digest, Some(5)).is_err());
        assert_eq!(store.partial_usage(), (0, 0));
        store.partial_blob(&digest, 5).unwrap().unwrap().write_all(b"too long for it").unwrap();
        assert_eq!(store.partial_blob(&digest, 5).unwrap().unwrap().replay(&mut |_| {}).unwrap(), 0);
    }

    #[test]
    fn collections_leave_what_a_pull_will_want() {
        let scratch = Scratch::new();
        let store = &scratch.store;
        let whole = store.put_blob(b"whole").unwrap();
        let part = Digest::of(b"part");
        store.partial_blob(&part, 4).unwrap().unwrap().write_all(b"pa").unwrap();
        let manifest = Digest::of(b"manifest");
        store.note_wanted(&manifest, &Wanted { blobs: vec![whole.clone()], layers: vec![] }).unwrap();
        let none = HashSet::new();
        store.collect_garbage(&none).unwrap();
        assert!(store.has_blob(&whole, None) && store.partial_usage().1 == 1);
        let long_ago = SystemTime::now() - 2 * KEPT;
        File::open(store.partial_path(&part)).unwrap().set_modified(long_ago).unwrap();
        store.collect_garbage(&none).unwrap();
        assert!(store.has_blob(&whole, None) && store.partial_usage().1 == 0);
        let measured = store.garbage().unwrap().unwrap().measure(&none, &none).unwrap();
        assert_eq!(store.garbage().unwrap().unwrap().collect(&none, Partials::All).unwrap(), measured);
        assert!(!store.has_blob(&whole, None) && measured > 0);
        store.forget_wanted(&manifest);
    }
}
