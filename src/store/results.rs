//! What steps of builds have made, by a key: the digest of everything that a step depends on.
//!
//! ```text
//! data/results/<key>          a result; its time of change is when it was last used
//! data/results/<key>.lock     held by whoever works on that step now
//! ```
//!
//! A result keeps its layer, unpacked or as a blob, from being collected. Neither is synced before an image is made of
//! it: after a power loss, what did not reach the disk is not there, and the step is executed again.

use super::Store;
use crate::base::digest::Digest;
use crate::base::fs::{Durability, ensure_private_dir, read_limited, replace};
use crate::base::lock::{Lock, Share};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::SystemTime;

/// The version of the files that this program writes.
const VERSION: u32 = 1;
/// A result is a few hundred bytes.
const MAX_RESULT: u64 = 64 << 10;

/// What a step has made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepResult {
    version: u32,
    /// The layer, by diff id; `None` if nothing was changed.
    pub layer: Option<Digest>,
    /// The bytes of file content in it.
    pub size: u64,
    /// The newest time among all that the step depends on, seconds since 1970.
    pub epoch: i64,
    /// When it was made, nanoseconds since 1970.
    pub created: i64,
    /// The step, as it was shown.
    pub name: String,
    /// `regular`, `source.local` or `exec.cachemount`, as buildx calls kinds.
    pub kind: String,
}

impl StepResult {
    /// A result made now.
    pub fn new(layer: Option<Digest>, size: u64, epoch: i64, name: &str) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let created = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX);
        Self { version: VERSION, layer, size, epoch, created, name: name.to_owned(), kind: "regular".to_owned() }
    }

    /// A result that another store has written; `None`: it is none of this version.
    pub fn of_others(value: serde_json::Value) -> Option<Self> {
        serde_json::from_value(value).ok().filter(|result: &Self| result.version == VERSION)
    }
}

/// A result that is kept.
#[derive(Debug, Clone)]
pub struct KeptResult {
    /// Its key.
    pub key: Digest,
    /// What it is.
    pub result: StepResult,
    /// When it was last used.
    pub used: SystemTime,
}

impl Store {
    /// The result of this key, if it is known and its layer is there; it counts as used now. The caller holds a lease.
    pub fn result(&self, key: &Digest) -> Option<StepResult> {
        let path = self.result_path(key);
        let result = read(&path)?;
        if let Some(layer) = &result.layer
            && !self.has_layer(layer)
            && !self.has_blob(layer, None)
        {
            return None;
        }
        let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
        let times = rustix::fs::Timestamps { last_access: now, last_modification: now };
        let _ = rustix::fs::utimensat(rustix::fs::CWD, &path, &times, rustix::fs::AtFlags::empty());
        Some(result)
    }

    /// Keep a result. The caller holds a lease, and its layer is in the store.
    pub fn keep_result(&self, key: &Digest, result: &StepResult) -> Result<()> {
        let folder = self.dirs.data.join("results");
        let path = self.result_path(key);
        if !folder.is_dir() {
            ensure_private_dir(&folder)?;
        }
        let bytes = serde_json::to_vec(result).context("cannot write a result")?;
        replace(&path, &bytes, Durability::Cached)
    }

    /// Wait for the right to work on the step of this key: look with [`Store::result`] again once you have it.
    pub fn lock_result(&self, key: &Digest) -> Result<Lock> {
        let folder = self.dirs.data.join("results");
        if !folder.is_dir() {
            ensure_private_dir(&folder)?;
        }
        let path = self.result_path(key).with_extension("lock");
        loop {
            let lock = Lock::acquire(&path, Share::Exclusive)?;
            // Whoever forgot the result has removed the file that we waited for.
            if lock.is_at(&path) {
                return Ok(lock);
            }
        }
    }

    /// All results that are kept, in no order.
    pub fn results(&self) -> Vec<KeptResult> {
        let entries = std::fs::read_dir(self.dirs.data.join("results")).into_iter().flatten().flatten();
        let kept = |entry: std::fs::DirEntry| {
            let key = Digest::parse(&format!("sha256:{}", entry.file_name().to_str()?))?;
            let used = entry.metadata().ok()?.modified().ok()?;
            Some(KeptResult { key, result: read(&entry.path())?, used })
        };
        entries.filter_map(kept).collect()
    }

    /// Forget a result; its layer becomes garbage. Does nothing, and says so, while somebody works on that step.
    pub fn forget_result(&self, key: &Digest) -> Result<bool> {
        let path = self.result_path(key);
        let lock_path = path.with_extension("lock");
        let Some(_lock) = Lock::try_acquire(&lock_path, Share::Exclusive)? else { return Ok(false) };
        self.note_garbage();
        for path in [&path, &lock_path] {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("cannot remove `{}`", path.display()));
                }
                _ => {}
            }
        }
        Ok(true)
    }

    fn result_path(&self, key: &Digest) -> PathBuf {
        self.dirs.data.join("results").join(key.digits())
    }
}

/// A result that is damaged, or of another version, is none.
fn read(path: &std::path::Path) -> Option<StepResult> {
    let result: StepResult = serde_json::from_slice(&read_limited(path, MAX_RESULT).ok()?).ok()?;
    (result.version == VERSION).then_some(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::Scratch;

    #[test]
    fn results_are_kept_and_forgotten() {
        let scratch = Scratch::new();
        let store = &scratch.store;
        let (one, two) = (Digest::of(b"one"), Digest::of(b"two"));
        assert_eq!(store.result(&one), None);
        let nothing = StepResult::new(None, 0, 7, "RUN true");
        store.keep_result(&one, &nothing).unwrap();
        assert_eq!(store.result(&one), Some(nothing));
        // A layer that is gone is no result; as a blob it is there.
        let layer = StepResult::new(Some(Digest::of(b"tar")), 3, 7, "COPY . .");
        store.keep_result(&two, &layer).unwrap();
        assert_eq!(store.result(&two), None);
        store.put_blob(b"tar").unwrap();
        assert_eq!(store.result(&two), Some(layer));
        assert_eq!(store.results().len(), 2);
        // It keeps the blob.
        store.collect_garbage(&std::collections::HashSet::new()).unwrap();
        assert!(store.has_blob(&Digest::of(b"tar"), None));
        let held = store.lock_result(&two).unwrap();
        assert!(!store.forget_result(&two).unwrap(), "somebody works on it");
        drop(held);
        assert!(store.forget_result(&two).unwrap() && store.has_garbage());
        store.collect_garbage(&std::collections::HashSet::new()).unwrap();
        assert!(!store.has_blob(&Digest::of(b"tar"), None));
        std::fs::write(store.result_path(&one), b"{").unwrap();
        assert_eq!(store.result(&one), None, "damaged");
    }
}
