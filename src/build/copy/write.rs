//! The layer that a copy becomes.

use super::picture::{Content, ItemKind, MADE, Picture};
use crate::base::digest::{Algorithm, Digest, Hasher};
use crate::base::error::{Kind, fault};
use crate::build::tree::Tree;
use crate::store::{ArchiveWriter, EntryKind, EntryMeta};
use anyhow::Result;
use std::io::{Read, Write};

/// Write all entries as an archive. What was made on the way gets the time `epoch`, and nothing is younger than
/// `latest`.
///
/// Errors: a file is not what it was when it was hashed.
pub fn write(
    picture: &Picture<'_>,
    trees: &[&Tree],
    epoch: i64,
    latest: Option<i64>,
    out: &mut dyn Write,
) -> Result<()> {
    let mut archive = ArchiveWriter::new(out);
    for (path, item) in &picture.items {
        let time = if item.meta.mtime == MADE { epoch } else { item.meta.mtime };
        let meta = EntryMeta { mtime: latest.map_or(time, |latest| time.min(latest)), ..item.meta.clone() };
        match &item.kind {
            ItemKind::Folder => archive.entry(&[path, b"/".as_slice()].concat(), EntryKind::Folder, &meta)?,
            ItemKind::Symlink(target) => archive.entry(path, EntryKind::Symlink(target), &meta)?,
            ItemKind::Link(first) => archive.entry(path, EntryKind::Link(first), &meta)?,
            ItemKind::Device(true, major, minor) => archive.entry(path, EntryKind::Block(*major, *minor), &meta)?,
            ItemKind::Device(false, major, minor) => archive.entry(path, EntryKind::Char(*major, *minor), &meta)?,
            ItemKind::Fifo => archive.entry(path, EntryKind::Fifo, &meta)?,
            ItemKind::File { from, size, digest } => {
                archive.entry(path, EntryKind::File(*size), &meta)?;
                let changed = || fault(Kind::Other, format!("`{}` changed while it was copied", path.escape_ascii()));
                match from {
                    Content::Bytes(bytes) | Content::Tree { kept: Some(bytes), .. } => {
                        if bytes.len() as u64 != *size {
                            return Err(changed());
                        }
                        archive.content(&mut bytes.as_slice(), *size)?;
                    }
                    Content::Tree { tree, path, ours: true, .. } => {
                        archive.content(&mut super::hash::open(trees, *tree, path)?, *size)?;
                    }
                    Content::Tree { tree, path, .. } => {
                        let mut file = super::hash::open(trees, *tree, path)?;
                        let mut hashed = Hashing { file: &mut file, hasher: Hasher::new(Algorithm::Sha256) };
                        archive.content(&mut hashed, *size)?;
                        let found: Digest = hashed.hasher.finish();
                        // The result goes by what was hashed: another content must not be found under that.
                        if digest.as_ref().is_some_and(|digest| *digest != found) {
                            return Err(changed());
                        }
                    }
                }
            }
        }
    }
    archive.finish()
}

/// Hashes what is read.
struct Hashing<'a> {
    file: &'a mut dyn Read,
    hasher: Hasher,
}

impl Read for Hashing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.hasher.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}
