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
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// A file of a memory larger than this is of somebody else.
const MAX_MEMORY: u64 = 1 << 30;
/// A file that changed so short a time before it was looked at may have changed again since, within the same tick of
/// the kernel's clock: nanoseconds.
const RACY: i64 = 50_000_000;

/// Files up to this size are kept in memory once they were read, bytes: opening a file costs more than copying it.
const SMALL: u64 = 64 << 10;
/// No more are kept than this together, bytes.
const ROOM: u64 = 64 << 20;
/// So few files are not worth another thread.
const FEW: usize = 8;

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

/// Find the digest of each file's content, several at once. Small files are kept as they are read.
pub fn hash(picture: &mut Picture<'_>, trees: &[&Tree], memory: Option<&Memory>) -> Result<()> {
    let mut left: Vec<&mut Item> = Vec::new();
    for item in picture.items.values_mut() {
        let ItemKind::File { from, digest, .. } = &mut item.kind else { continue };
        if digest.is_some() {
            continue;
        }
        let known = match from {
            Content::Bytes(bytes) => Some(Digest::of(bytes)),
            Content::Tree { ours: true, .. } => None,
            Content::Tree { seen, .. } => memory.and_then(|memory| memory.known.get(seen).cloned()),
        };
        match known {
            Some(_) => *digest = known,
            None => left.push(item),
        }
    }
    read(left, trees)
}

/// What was read of files before it was known where they go, by their paths in the first tree.
#[derive(Debug, Default)]
pub struct Ahead(HashMap<PathBuf, Item>);

impl Ahead {
    /// Of a picture that was hashed.
    pub fn of(picture: Picture<'_>) -> Self {
        let path = |item: Item| match &item.kind {
            ItemKind::File { from: Content::Tree { tree: 0, path, .. }, .. } => Some((path.clone(), item)),
            _ => None,
        };
        Self(picture.items.into_values().filter_map(path).collect())
    }

    /// Tell a picture of the same files what is known of those that are still as they were.
    pub fn tell(mut self, picture: &mut Picture<'_>) {
        for item in picture.items.values_mut() {
            let ItemKind::File { from: Content::Tree { tree: 0, path, seen, kept, .. }, digest, .. } = &mut item.kind
            else {
                continue;
            };
            let Some(known) = self.0.remove(path) else { continue };
            if let ItemKind::File { from: Content::Tree { seen: then, kept: all, .. }, digest: found, .. } = known.kind
                && then == *seen
            {
                (*kept, *digest, item.meta.records) = (all, found, known.meta.records);
            }
        }
    }
}

/// Read the small files that are not here yet, several at once, so that an archive of them is written from memory.
pub fn fetch_small(picture: &mut Picture<'_>, trees: &[&Tree]) -> Result<()> {
    let small = |item: &&mut Item| match &item.kind {
        ItemKind::File { from: Content::Tree { kept: None, .. }, size, .. } => *size <= SMALL,
        _ => false,
    };
    read(picture.items.values_mut().filter(small).collect(), trees)
}

fn read(items: Vec<&mut Item>, trees: &[&Tree]) -> Result<()> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(items.len() / FEW + 1);
    let next = AtomicUsize::new(0);
    let slots: Vec<std::sync::Mutex<&mut Item>> = items.into_iter().map(std::sync::Mutex::new).collect();
    let room = AtomicU64::new(ROOM);
    let work = || -> Result<()> {
        let mut piece = vec![0; 256 << 10];
        while let Some(slot) = slots.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut item = slot.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            read_one(&mut item, trees, &mut piece, &room)?;
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

/// Read one file: its digest, all of it if it is small and there is room, and what it has of extended attributes.
fn read_one(item: &mut Item, trees: &[&Tree], piece: &mut [u8], room: &AtomicU64) -> Result<()> {
    let Item { kind, meta } = item;
    let ItemKind::File { from: Content::Tree { tree, path, ours, kept, .. }, digest, size } = kind else {
        return Ok(());
    };
    let deed = || format!("cannot read `{}`", path.display());
    let file = OwnedFd::from(open(trees, *tree, path)?);
    if *ours {
        meta.records = crate::store::records_of(&file).with_context(deed)?;
    }
    let mut file = File::from(file);
    let take = |left: u64| left.checked_sub(*size);
    let keep = *size <= SMALL && room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok();
    let mut all = Vec::with_capacity(if keep { *size as usize } else { 0 });
    let mut hasher = Hasher::new(Algorithm::Sha256);
    loop {
        let count = file.read(piece).with_context(deed)?;
        let bytes = piece.get(..count).unwrap_or_default();
        if bytes.is_empty() {
            break;
        }
        hasher.update(bytes);
        if keep {
            all.extend_from_slice(bytes);
        }
    }
    let found = hasher.finish();
    if digest.as_ref().is_some_and(|digest| *digest != found) {
        return Err(fault(Kind::Other, format!("`{}` changed while it was copied", path.display())));
    }
    *digest = Some(found);
    *kept = keep.then_some(all);
    Ok(())
}

/// Open a file of a tree for reading: a regular file that no link leads to, or an error.
pub fn open(trees: &[&Tree], tree: usize, path: &Path) -> Result<File> {
    let deed = || format!("cannot open `{}`", path.display());
    let tree = trees.get(tree).context("there is no such tree").with_context(deed)?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    tree.root.open_without_links(path, flags).map(File::from).with_context(deed)
}
