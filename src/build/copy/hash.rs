//! The digests of the files that a copy takes. Those of a context are remembered with what the file looked like, so
//! that a context is not read again when nothing in it has changed.
//!
//! ```text
//! data/contexts/<digest of the context's path and what is taken>    what the files looked like, and their digests
//! ```

use super::picture::{Content, Item, ItemKind, Picture};
use crate::base::digest::{Algorithm, Digest, Hasher};
use crate::base::error::{Kind, fault};
use crate::base::fs::{Durability, ensure_private_dir, read_limited, replace};
use crate::build::tree::Tree;
use anyhow::{Context, Result};
use rustix::fs::OFlags;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A file of a memory larger than this is of somebody else.
const MAX_MEMORY: u64 = 1 << 30;
/// A file that changed so short a time before it was looked at may have changed again since, within the same tick of
/// the kernel's clock: nanoseconds.
const RACY: i64 = 50_000_000;

/// Digests of earlier builds.
pub struct Memory {
    path: PathBuf,
    known: HashMap<[i64; 7], Digest>,
    began: i64,
}

impl Memory {
    /// What is known of what `key` names.
    pub fn open(data: &Path, key: &str) -> Self {
        let path = data.join("contexts").join(Digest::of(key.as_bytes()).digits());
        let text = read_limited(&path, MAX_MEMORY).unwrap_or_default();
        let known = String::from_utf8_lossy(&text).lines().filter_map(parse).collect();
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        Self { path, known, began: nanoseconds(now.tv_sec, now.tv_nsec) }
    }

    /// Remember what the picture has, and nothing else. A failure costs time, later.
    pub fn keep(&self, picture: &Picture<'_>) -> Result<()> {
        let mut text = String::new();
        let mut new = false;
        for item in picture.items.values() {
            if let ItemKind::File { from: Content::Tree { seen, .. }, digest: Some(digest), .. } = &item.kind
                && nanoseconds(seen[5], seen[6]) < self.began - RACY
            {
                new |= !self.known.contains_key(seen);
                for number in seen {
                    let _ = write!(text, "{number} ");
                }
                let _ = writeln!(text, "{}", digest.digits());
            }
        }
        if !new {
            return Ok(());
        }
        ensure_private_dir(self.path.parent().unwrap_or(Path::new("/")))?;
        replace(&self.path, text.as_bytes(), Durability::Cached)
    }
}

fn nanoseconds(seconds: i64, nanoseconds: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

fn parse(line: &str) -> Option<([i64; 7], Digest)> {
    let mut words = line.split(' ');
    let mut seen = [0; 7];
    for number in &mut seen {
        *number = words.next()?.parse().ok()?;
    }
    Some((seen, Digest::parse(&format!("sha256:{}", words.next()?))?))
}

/// Find the digest of each file's content, several at once.
pub fn hash(picture: &mut Picture<'_>, trees: &[&Tree], memory: Option<&Memory>) -> Result<()> {
    let mut left: Vec<&mut Item> = Vec::new();
    for item in picture.items.values_mut() {
        let ItemKind::File { from, digest, .. } = &mut item.kind else { continue };
        *digest = match from {
            Content::Bytes(bytes) => Some(Digest::of(bytes)),
            Content::Tree { seen, .. } => memory.and_then(|memory| memory.known.get(seen).cloned()),
        };
        if digest.is_none() {
            left.push(item);
        }
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(left.len());
    let next = AtomicUsize::new(0);
    let slots: Vec<std::sync::Mutex<&mut Item>> = left.into_iter().map(std::sync::Mutex::new).collect();
    let work = || -> Result<()> {
        let mut piece = vec![0; 256 << 10];
        while let Some(slot) = slots.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut item = slot.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let ItemKind::File { from: Content::Tree { tree, path, .. }, digest, .. } = &mut item.kind else {
                continue;
            };
            *digest = Some(digest_of(trees, *tree, path, &mut piece)?);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let own = work();
        for other in others {
            other.join().map_err(|_| fault(Kind::Other, "a hashing thread ended unexpectedly"))??;
        }
        own
    })
}

fn digest_of(trees: &[&Tree], tree: usize, path: &Path, piece: &mut [u8]) -> Result<Digest> {
    let mut file = open(trees, tree, path)?;
    let mut hasher = Hasher::new(Algorithm::Sha256);
    loop {
        let count = file.read(piece).with_context(|| format!("cannot read `{}`", path.display()))?;
        match piece.get(..count).unwrap_or_default() {
            [] => return Ok(hasher.finish()),
            bytes => hasher.update(bytes),
        }
    }
}

/// Open a file of a tree for reading: a regular file that no link leads to, or an error.
pub fn open(trees: &[&Tree], tree: usize, path: &Path) -> Result<File> {
    let deed = || format!("cannot open `{}`", path.display());
    let tree = trees.get(tree).context("there is no such tree").with_context(deed)?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    tree.root.open_without_links(path, flags).map(File::from).with_context(deed)
}
