//! Blobs: raw bytes that go by their digest. Verified before they get their name, and synced.
//!
//! Not written through `ocidir`: it does not sync, and it links temporary files through a descriptor of
//! `/proc/self/fd` that it keeps for the life of the process, which is another process's after a fork.

use super::Store;
use crate::base::digest::{Algorithm, Digest, Hasher};
use crate::base::error::{Fault, Kind, fault, kind};
use crate::base::fs::read_limited;
use crate::base::temp::TempDir;
use crate::sys::writeback::Writeback;
use anyhow::{Context, Result};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::PathBuf;

impl Store {
    /// Whether the blob is there, with that size if one is given.
    pub fn has_blob(&self, digest: &Digest, size: Option<u64>) -> bool {
        std::fs::symlink_metadata(self.blob_path(digest))
            .is_ok_and(|meta| meta.is_file() && size.is_none_or(|size| meta.len() == size))
    }

    /// The bytes of a document (manifest, config) of at most `limit` bytes, verified against its digest.
    pub fn read_blob(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        let path = self.blob_path(digest);
        let bytes = read_limited(&path, limit).map_err(|error| missing(digest, error))?;
        if hash(digest.algorithm(), &bytes) == *digest {
            return Ok(bytes);
        }
        Err(fault(Kind::BadData, format!("blob `{digest}` is damaged: its content has another digest")))
    }

    /// Open a blob for reading.
    pub fn open_blob(&self, digest: &Digest) -> Result<File> {
        let flags = rustix::fs::OFlags::CLOEXEC | rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        rustix::fs::open(self.blob_path(digest), flags, rustix::fs::Mode::empty())
            .map(File::from)
            .map_err(|error| missing(digest, std::io::Error::from(error)))
    }

    /// Take a blob away that is not what it should be.
    pub fn remove_blob(&self, digest: &Digest) -> Result<()> {
        std::fs::remove_file(self.own_blob(digest)).with_context(|| format!("cannot remove blob `{digest}`"))
    }

    /// Keep a document. It is synced when this returns. The caller holds a lease.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        if self.has_blob(&digest, Some(bytes.len() as u64)) && self.read_blob(&digest, bytes.len() as u64).is_ok() {
            return Ok(digest);
        }
        let mut writer = self.blob_writer()?;
        writer.write_all(bytes).with_context(|| format!("cannot keep blob `{digest}`"))?;
        writer.finish(&digest, Some(bytes.len() as u64))?;
        Ok(digest)
    }

    /// A file without a name, for bytes on their way elsewhere; it is gone when it is closed.
    pub fn scratch_file(&self) -> Result<File> {
        let folder = TempDir::new(&self.dirs)?;
        let path = folder.path().join("scratch");
        let mut options = std::fs::OpenOptions::new();
        options.read(true).write(true).create_new(true);
        // The folder goes with this function, and the name with it; the file stays as long as it is open.
        options.open(&path).with_context(|| format!("cannot write `{}`", path.display()))
    }

    /// Begin a blob whose digest is known when it ends. The caller holds a lease.
    pub fn blob_writer(&self) -> Result<BlobWriter> {
        let folder = TempDir::new(&self.dirs)?;
        let path = folder.path().join("blob");
        let file = File::create_new(&path).with_context(|| format!("cannot write `{}`", path.display()))?;
        let mut writer = BlobWriter::of_partial(self, path, file, 0, Algorithm::Sha256);
        writer.folder = Some(folder);
        Ok(writer)
    }
}

/// A blob in the making. Dropped without [`BlobWriter::finish`], it leaves nothing, or what it is to go on with.
///
/// Written without a buffer of its own: write in large pieces.
pub struct BlobWriter {
    store: Store,
    /// Ours to remove; a partial blob has none.
    folder: Option<TempDir>,
    path: PathBuf,
    file: File,
    /// What an earlier writer left of it.
    left: u64,
    size: u64,
    hasher: Hasher,
    writeback: Writeback,
}

impl BlobWriter {
    /// Expect a digest of this algorithm; to be called before the first write if it is not SHA-256.
    pub fn with_algorithm(mut self, algorithm: Algorithm) -> Self {
        self.hasher = Hasher::new(algorithm);
        self
    }

    /// Go on with a file, of which [`BlobWriter::replay`] takes in what is there.
    pub(super) fn of_partial(store: &Store, path: PathBuf, file: File, left: u64, algorithm: Algorithm) -> Self {
        let (hasher, writeback) = (Hasher::new(algorithm), Writeback::after(left));
        Self { store: store.clone(), folder: None, path, file, left, size: 0, hasher, writeback }
    }

    /// The bytes that an earlier writer left and that were not taken in yet.
    pub fn waiting(&self) -> u64 {
        self.left.saturating_sub(self.size)
    }

    /// The blob's file, for somebody who writes ahead of this writer: what is there is then taken in, not written.
    pub fn file(&self) -> Result<File> {
        self.file.try_clone().with_context(|| format!("cannot keep `{}` open", self.path.display()))
    }

    /// Take in the next bytes of the blob, which are in its file already.
    pub fn take_in(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        self.writeback.written(&self.file, self.size);
    }

    /// Take in what an earlier writer left, and hand it on piece by piece; to be called before the first write.
    /// Returns its length.
    pub fn replay(&mut self, sink: &mut dyn FnMut(&[u8])) -> Result<u64> {
        let mut piece = vec![0; 256 << 10];
        loop {
            let count = (&self.file).take(self.waiting()).read(&mut piece);
            let count = count.with_context(|| format!("cannot read `{}`", self.path.display()))?;
            let bytes = piece.get(..count).unwrap_or_default();
            if bytes.is_empty() {
                return Ok(self.size);
            }
            self.take_in(bytes);
            sink(bytes);
        }
    }

    /// How many bytes were written.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The digest of what was written, without an expectation; publishes under that.
    pub fn finish_as_found(self) -> Result<Digest> {
        let (found, rest) = self.hashed();
        rest.publish(&found)?;
        Ok(found)
    }

    /// Verify digest and size, sync, and give the blob its name. What is not as expected is not gone on with.
    pub fn finish(self, expect: &Digest, size: Option<u64>) -> Result<()> {
        let path = self.path.clone();
        let result = self.finish_verified(expect, size);
        if result.as_ref().is_err_and(|error| kind(error) == Kind::BadData) {
            let _ = std::fs::remove_file(path);
        }
        result
    }

    fn finish_verified(self, expect: &Digest, size: Option<u64>) -> Result<()> {
        if let Some(size) = size.filter(|size| *size != self.size) {
            return Err(fault(
                Kind::BadData,
                format!("blob `{expect}` has {} bytes where {size} were announced", self.size),
            ));
        }
        let (found, rest) = self.hashed();
        if found != *expect {
            return Err(fault(Kind::BadData, format!("blob `{expect}` came with other content, `{found}`")));
        }
        rest.publish(expect)
    }

    fn hashed(self) -> (Digest, Hashed) {
        let Self { store, folder, path, file, hasher, .. } = self;
        (hasher.finish(), Hashed { store, folder, path, file })
    }
}

/// A blob whose digest is known.
struct Hashed {
    store: Store,
    folder: Option<TempDir>,
    path: PathBuf,
    file: File,
}

impl Hashed {
    fn publish(self, digest: &Digest) -> Result<()> {
        let deed = || format!("cannot keep blob `{digest}`");
        self.file.sync_data().with_context(deed)?;
        let target = self.store.own_blob(digest);
        if let Err(error) = std::fs::rename(&self.path, &target) {
            let parent =
                target.parent().filter(|_| error.kind() == ErrorKind::NotFound).context(error).with_context(deed)?;
            std::fs::create_dir_all(parent).with_context(deed)?;
            std::fs::rename(&self.path, &target).with_context(deed)?;
        }
        drop(self.folder);
        Ok(())
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.take_in(bytes.get(..written).unwrap_or(bytes));
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl std::fmt::Debug for BlobWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlobWriter").field("path", &self.path).field("size", &self.size).finish_non_exhaustive()
    }
}

fn hash(algorithm: Algorithm, bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(bytes);
    hasher.finish()
}

/// The error for a blob that cannot be opened: its own kind where it is not there.
fn missing(digest: &Digest, error: impl Into<anyhow::Error>) -> anyhow::Error {
    let error = error.into();
    let absent = error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::NotFound)
        || error.chain().any(|cause| {
            cause.downcast_ref::<std::io::Error>().is_some_and(|cause| cause.kind() == ErrorKind::NotFound)
        });
    let kind = if absent { Kind::NotFound } else { crate::base::error::kind(&error) };
    Fault::new(kind, format!("cannot read blob `{digest}`")).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::Scratch;

    #[test]
    fn documents_are_verified_when_read() {
        let scratch = Scratch::new();
        let store = &scratch.store;
        let digest = store.put_blob(b"{}").unwrap();
        assert_eq!(store.put_blob(b"{}").unwrap(), digest);
        assert_eq!(store.read_blob(&digest, 2).unwrap(), b"{}");
        assert!(store.read_blob(&digest, 1).is_err());
        std::fs::write(store.blob_path(&digest), b"[]").unwrap();
        assert_eq!(crate::base::error::kind(&store.read_blob(&digest, 2).unwrap_err()), Kind::BadData);
        assert_eq!(crate::base::error::kind(&store.read_blob(&Digest::of(b"x"), 2).unwrap_err()), Kind::NotFound);
        // A damaged one is put again.
        store.put_blob(b"{}").unwrap();
        assert_eq!(store.read_blob(&digest, 2).unwrap(), b"{}");
    }

    #[test]
    fn a_writer_publishes_only_what_was_announced() {
        let scratch = Scratch::new();
        let store = &scratch.store;
        let right = Digest::of(b"hello");
        let write = |bytes: &[u8]| {
            let mut writer = store.blob_writer().unwrap();
            writer.write_all(bytes).unwrap();
            writer
        };
        assert!(write(b"hullo").finish(&right, Some(5)).is_err());
        assert!(write(b"hello").finish(&right, Some(6)).is_err());
        drop(write(b"hello"));
        assert!(!store.has_blob(&right, None));
        write(b"hello").finish(&right, Some(5)).unwrap();
        assert!(store.has_blob(&right, Some(5)) && !store.has_blob(&right, Some(4)));
        assert_eq!(std::fs::read_dir(scratch.dirs.tmp()).unwrap().count(), 0);
        let long = hash(Algorithm::Sha512, b"hello");
        let mut writer = store.blob_writer().unwrap().with_algorithm(Algorithm::Sha512);
        writer.write_all(b"hello").unwrap();
        writer.finish(&long, None).unwrap();
        assert_eq!(store.read_blob(&long, 10).unwrap(), b"hello");
    }
}
