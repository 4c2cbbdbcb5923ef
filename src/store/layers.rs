//! Layers, unpacked: each once, by diff id, shared by all images.
//!
//! Three threads share the work: the caller's reads (and decompresses), one hashes, one unpacks. The last gives up all
//! of the file system but the new folder (landlock(7)), so that even a mistake of ours writes nowhere else.

use super::Store;
use super::additional::is_whole;
use super::unpack::{IdsAtHand, LayerStats, Limits, unpack_buffered};
use crate::base::digest::{Algorithm, Digest, Hasher};
use crate::base::error::{Kind, fault};
use crate::base::fs::{Durability, replace};
use crate::base::lock::{Lock, Share};
use crate::base::temp::TempDir;
use crate::sys::landlock;
use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags};
use std::io::{self, BufRead, ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// Large enough that handing over a piece costs nothing beside hashing it.
const PIECE: usize = 1 << 18;
/// Pieces on their way to a thread.
const QUEUE: usize = 4;

impl Store {
    /// Whether the layer is unpacked and whole. A caller that goes on to use it holds a lease.
    pub fn has_layer(&self, diff_id: &Digest) -> bool {
        is_whole(&self.layer_path(diff_id))
    }

    /// Where the layer's tree is in our own store, or would be: a name without colons, as overlay's options need it.
    pub(super) fn own_layer(&self, diff_id: &Digest) -> PathBuf {
        self.dirs.layers().join(diff_id.digits())
    }

    /// Wait for the right to unpack this layer: look with [`Store::has_layer`] again once you have it.
    ///
    /// The caller holds a lease.
    pub fn lock_layer(&self, diff_id: &Digest) -> Result<Lock> {
        Lock::acquire(&self.own_layer(diff_id).with_extension("lock"), Share::Exclusive)
    }

    /// Unpack a tar stream and publish it as the layer of that diff id, if it is that. The caller holds a lease and
    /// the layer's lock, and is root in its namespace; it calls [`Store::sync`] before it names an image of the layer.
    ///
    /// Reads the stream to its end. Several threads may unpack different layers at once. On an error, nothing is left.
    pub fn unpack_layer(&self, diff_id: &Digest, tar: &mut dyn Read) -> Result<LayerStats> {
        let made = self.unpack_aside(diff_id, tar)?;
        let stats = made.stats;
        self.publish_aside(diff_id, made)?;
        Ok(stats)
    }

    /// Unpack those of these layers that are here only as an archive, not packed, under their own digest. Uses threads.
    /// The caller holds a lease and is root in its namespace.
    pub fn unpack_kept(&self, layers: &[Digest]) -> Result<()> {
        for layer in layers.iter().filter(|layer| !self.has_layer(layer)) {
            let _lock = self.lock_layer(layer)?;
            if !self.has_layer(layer) {
                let stats = self.unpack_layer(layer, &mut self.open_blob(layer)?)?;
                self.note_layer_size(layer, stats.bytes);
            }
        }
        Ok(())
    }

    /// Unpack a layer that must be the one of that diff id, without giving it its name.
    pub(super) fn unpack_aside(&self, diff_id: &Digest, tar: &mut dyn Read) -> Result<Unpacked> {
        let made =
            self.unpack(tar, Some(diff_id.algorithm())).with_context(|| format!("cannot unpack layer `{diff_id}`"))?;
        if let Some(found) = made.diff_id.as_ref().filter(|found| *found != diff_id) {
            return Err(fault(Kind::BadData, format!("layer `{diff_id}` has other content, `{found}`")));
        }
        Ok(made)
    }

    /// Give what was unpacked its name, in place of what has it.
    pub(super) fn publish_aside(&self, diff_id: &Digest, made: Unpacked) -> Result<()> {
        // Whatever was made of the one that it replaces.
        self.forget_mapped(diff_id);
        self.publish(&made.root, &self.own_layer(diff_id)).with_context(|| format!("cannot keep layer `{diff_id}`"))
    }

    /// As [`Store::unpack_layer`], of a stream whose diff id is not known before; the caller does not hold its lock.
    pub fn unpack_new_layer(&self, tar: &mut dyn Read) -> Result<Digest> {
        let made = self.unpack(tar, Some(Algorithm::Sha256)).context("cannot unpack the layer")?;
        let diff_id = made.diff_id.clone().context("the layer was not hashed")?;
        self.publish_new_layer(&diff_id, made)?;
        Ok(diff_id)
    }

    /// Unpack a layer whose digest somebody else computes meanwhile: for [`Store::publish_new_layer`].
    pub fn unpack_unnamed(&self, tar: &mut dyn Read) -> Result<Unpacked> {
        self.unpack(tar, None).context("cannot unpack the layer")
    }

    /// Give what was unpacked the name of its diff id, unless the layer is there already.
    pub fn publish_new_layer(&self, diff_id: &Digest, made: Unpacked) -> Result<()> {
        let _lock = self.lock_layer(diff_id)?;
        if !self.has_layer(diff_id) {
            let content = made.stats.bytes;
            self.publish_aside(diff_id, made)?;
            self.note_layer_size(diff_id, content);
        }
        Ok(())
    }

    /// Make a folder the layer of this diff id, unless the layer is there already: it is what unpacking the archive
    /// of that digest would give. Of the same file system; the caller holds a lease. `content` is in bytes.
    pub fn adopt_layer(&self, diff_id: &Digest, folder: &Path, content: u64) -> Result<()> {
        let _lock = self.lock_layer(diff_id)?;
        if !self.has_layer(diff_id) {
            self.publish(folder, &self.own_layer(diff_id)).with_context(|| format!("cannot keep layer `{diff_id}`"))?;
            self.note_layer_size(diff_id, content);
        }
        Ok(())
    }

    /// Unpack into a folder of our own.
    fn unpack(&self, tar: &mut dyn Read, algorithm: Option<Algorithm>) -> Result<Unpacked> {
        let temp = TempDir::new(&self.dirs)?;
        let root = temp.path().join("root");
        std::fs::create_dir(&root).with_context(|| format!("cannot make folder `{}`", root.display()))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(&root, flags, Mode::empty())
            .with_context(|| format!("cannot open `{}`", root.display()))?;
        let (stats, diff_id) = unpack_hashed(tar, folder.as_fd(), algorithm)?;
        Ok(Unpacked { _temp: temp, root, stats, diff_id })
    }

    /// Give an unpacked tree its name, with the mark that it may not be on the disk yet.
    pub(super) fn publish(&self, root: &Path, target: &Path) -> Result<()> {
        let mark = mark(target);
        // The mark first: without it, a layer is taken to be on the disk.
        replace(&mark, boot_id().as_bytes(), Durability::Cached)?;
        match std::fs::rename(root, target) {
            // One from before a power loss, or somebody did not take the lock: ours is whole, so it takes the place.
            Err(error) if matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists) => {
                crate::base::fs::remove_tree(&dead(target))?;
                std::fs::rename(target, dead(target))?;
                std::fs::rename(root, target)?;
                crate::base::fs::remove_tree(&dead(target))
            }
            result => Ok(result?),
        }
    }

    /// The marks of layers that may not be on the disk yet.
    pub(super) fn unsynced_layers(&self) -> Vec<PathBuf> {
        let folders = [self.dirs.layers(), self.dirs.mapped()];
        let entries = folders.iter().flat_map(std::fs::read_dir).flatten().flatten();
        let mut marks: Vec<PathBuf> = entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|e| e == "unsynced"))
            .collect();
        // Those of an earlier boot stay: what they mark was never synced, and never will be.
        marks.retain(|mark| survived(mark));
        marks
    }
}

/// A tree without a name; it goes when this is dropped.
#[derive(Debug)]
pub struct Unpacked {
    _temp: TempDir,
    root: PathBuf,
    stats: LayerStats,
    /// If it was hashed.
    diff_id: Option<Digest>,
}

impl Unpacked {
    /// Where it is.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }
}

/// The mark of a layer that may not be on the disk yet.
pub(super) fn mark(layer: &Path) -> PathBuf {
    layer.with_extension("unsynced")
}

/// The name of a layer that is being removed.
pub(super) fn dead(layer: &Path) -> PathBuf {
    layer.with_extension("dead")
}

/// Whether what has this mark is whole: there is none, or it was made since the last boot.
pub(super) fn survived(mark: &Path) -> bool {
    match std::fs::read_to_string(mark) {
        Err(error) => error.kind() == ErrorKind::NotFound,
        Ok(id) => !id.is_empty() && id == boot_id(),
    }
}

/// A random id of this boot of the kernel.
fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Read the stream once, to its end: unpacked and, if that is wanted, hashed side by side.
fn unpack_hashed(
    tar: &mut dyn Read,
    folder: BorrowedFd<'_>,
    algorithm: Option<Algorithm>,
) -> Result<(LayerStats, Option<Digest>)> {
    let limits = Limits::for_folder(folder)?;
    // Read from /proc while this thread is not confined; the unpacking one will be.
    let ids = IdsAtHand::find();
    let mut hasher = algorithm.map(Hasher::new);
    let (to_hash, hash_queue) = sync_channel::<Piece>(QUEUE);
    let (to_unpack, unpack_queue) = sync_channel::<Piece>(QUEUE);
    thread::scope(|scope| {
        let hashing = thread::Builder::new().name("hash".into()).spawn_scoped(scope, move || {
            for piece in hash_queue {
                if let Some(hasher) = &mut hasher {
                    hasher.update(piece.bytes());
                }
            }
            hasher.map(Hasher::finish)
        });
        let unpacking = thread::Builder::new().name("unpack".into()).spawn_scoped(scope, move || {
            match landlock::restrict_thread_to(folder) {
                Err(error) if !landlock::is_unavailable(&error) => {
                    return Err(error).context("cannot confine ourselves");
                }
                _ => {}
            }
            let mut source = Pieces { queue: unpack_queue, now: None, at: 0 };
            let stats = unpack_buffered(&mut source, folder, &limits, ids)?;
            // What follows the archive's end is hashed, and nothing else.
            source.drain();
            Ok(stats)
        });
        let (hashing, unpacking) =
            (hashing.context("cannot start a thread")?, unpacking.context("cannot start a thread")?);
        let read = feed(tar, to_hash, to_unpack);
        let (stats, found) = (unpacking.join(), hashing.join());
        read.context("cannot read the layer")?;
        let stats = stats.map_err(|_| fault(Kind::Other, "the unpacking thread ended unexpectedly"))??;
        let found = found.map_err(|_| fault(Kind::Other, "the hashing thread ended unexpectedly"))?;
        Ok((stats, found))
    })
}

/// A part of the stream, shared by both threads.
#[derive(Clone)]
struct Piece {
    buffer: Arc<Vec<u8>>,
    length: usize,
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or_default()
    }
}

/// Read to the end, handing every piece to both; ends early when one has given up, which has the reason.
fn feed(tar: &mut dyn Read, to_hash: SyncSender<Piece>, to_unpack: SyncSender<Piece>) -> io::Result<()> {
    // One being filled; besides, each queue's and the one in its reader's hands.
    let mut buffers: Vec<Arc<Vec<u8>>> = Vec::new();
    let mut turn = 0usize;
    loop {
        let place = turn % (QUEUE + 2);
        if place >= buffers.len() {
            buffers.push(Arc::new(vec![0; PIECE]));
        }
        let Some(slot) = buffers.get_mut(place) else { return Ok(()) };
        if Arc::get_mut(slot).is_none() {
            *slot = Arc::new(vec![0; PIECE]);
        }
        let Some(buffer) = Arc::get_mut(slot) else { return Ok(()) };
        let length = fill(tar, buffer)?;
        if length == 0 {
            return Ok(());
        }
        let piece = Piece { buffer: Arc::clone(slot), length };
        if to_unpack.send(piece.clone()).is_err() || to_hash.send(piece).is_err() {
            return Ok(());
        }
        turn += 1;
    }
}

/// Read until the buffer is full or the stream ends.
fn fill(tar: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while let Some(rest) = buffer.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match tar.read(rest) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// The unpacking thread's end of the stream.
struct Pieces {
    queue: Receiver<Piece>,
    now: Option<Piece>,
    at: usize,
}

impl Pieces {
    fn drain(mut self) {
        self.now = None;
        for piece in self.queue {
            drop(piece);
        }
    }
}

impl BufRead for Pieces {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.now.as_ref().is_none_or(|piece| self.at >= piece.length) {
            // Let go of the last one first: its buffer is wanted for another.
            self.now = None;
            self.now = self.queue.recv().ok();
            self.at = 0;
        }
        Ok(self.now.as_ref().and_then(|piece| piece.bytes().get(self.at..)).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut piece = self.fill_buf()?;
        let read = piece.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::Scratch;

    fn tar(content: &[u8]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000);
        builder.append_data(&mut header, "dir/file", content).unwrap();
        builder.into_inner().unwrap()
    }

    #[test]
    fn a_layer_is_published_only_if_it_is_what_its_name_says() {
        let scratch = Scratch::new();
        let store = &scratch.store;
        // Larger than all queues, and followed by zeros that count for the digest.
        let mut bytes = tar(&vec![7; 3 << 20]);
        bytes.resize(bytes.len() + (5 << 20), 0);
        let diff_id = Digest::of(&bytes);
        for _ in 0..2 {
            assert_eq!(store.unpack_layer(&diff_id, &mut bytes.as_slice()).unwrap().bytes, 3 << 20);
            assert!(store.has_layer(&diff_id));
        }
        assert_eq!(std::fs::read(store.layer_path(&diff_id).join("dir/file")).unwrap(), vec![7; 3 << 20]);
        let other = Digest::of(b"other");
        assert!(store.unpack_layer(&other, &mut bytes.as_slice()).is_err());
        assert!(store.unpack_layer(&other, &mut &bytes[..2 << 20]).is_err());
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the line is dead"))
            }
        }
        let error = store.unpack_layer(&other, &mut Broken).unwrap_err();
        assert!(format!("{error:#}").contains("the line is dead"), "{error:#}");
        assert!(!store.has_layer(&other));
        assert_eq!(std::fs::read_dir(scratch.dirs.tmp()).unwrap().count(), 0);
    }

    #[test]
    fn what_was_not_synced_before_a_boot_is_not_trusted() {
        let scratch = Scratch::new();
        let store = &scratch.store;
        let bytes = tar(b"x");
        let diff_id = Digest::of(&bytes);
        store.unpack_layer(&diff_id, &mut bytes.as_slice()).unwrap();
        let mark = mark(&store.layer_path(&diff_id));
        assert!(mark.exists() && store.has_layer(&diff_id));
        std::fs::write(&mark, "another boot").unwrap();
        assert!(!store.has_layer(&diff_id));
        store.sync().unwrap();
        assert!(!store.has_layer(&diff_id), "a sync does not bring back what was lost");
        store.unpack_layer(&diff_id, &mut bytes.as_slice()).unwrap();
        store.sync().unwrap();
        assert!(!mark.exists() && store.has_layer(&diff_id));
    }
}
