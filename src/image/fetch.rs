//! Layers from somewhere into the store: several side by side, each a pipeline.
//!
//! ```text
//! network task: keep the blob ─pieces→ worker's reader thread: inflate ─pieces→ worker: hash, unpack
//! ```
//! What comes over the network is in its file at once, however slow the unpacking is: whoever kills us loses nothing of
//! it, and pieces that memory has no room for are read from there. Two processes that fetch the same layer do it once:
//! each layer has a lock, and is looked for again once it is held. Should the first die, the other has the lock and
//! goes on with what has come.

use super::inflate::{Inflater, PIECE, Sink};
use super::{ImageLayer, LayerState, Progress};
use crate::base::digest::Digest;
use crate::base::error::{Kind, kind};
use crate::store::{BlobWriter, Store};
use anyhow::{Context, Result, anyhow};
use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};

/// Unpacked pieces on their way between two threads.
const QUEUE: usize = 4;
/// Layers fetched side by side, at most.
const MOST_WORKERS: usize = 6;

/// Packed bytes, a piece at a time; `None` at the end.
pub trait Pieces {
    /// The next piece.
    fn next(&mut self) -> Result<Option<Vec<u8>>>;

    /// Whether they come from several places that may not fit together.
    fn is_assembled(&self) -> bool {
        false
    }

    /// Whether the blob's file holds each of them already.
    fn are_kept(&self) -> bool {
        false
    }
}

/// Where blobs come from. Asked by several threads.
pub trait Blobs: Sync {
    /// Begin to read the blob of a layer, at this byte. What is kept of it goes to `writer`; whoever writes it there
    /// by himself says so ([`Pieces::are_kept`]).
    fn open(&self, layer: &ImageLayer, from: u64, writer: &BlobWriter) -> Result<Box<dyn Pieces + Send>>;

    /// Whether it comes from far, so that the part that has come is kept when it breaks off.
    fn is_remote(&self) -> bool {
        false
    }
}

/// Pieces of a file.
pub struct FilePieces(pub File);

impl Pieces for FilePieces {
    fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let mut piece = Vec::with_capacity(PIECE);
        (&self.0).take(PIECE as u64).read_to_end(&mut piece)?;
        Ok(Some(piece).filter(|piece| !piece.is_empty()))
    }
}

/// Bring all layers into the store, blobs and trees. The caller holds a lease.
pub fn layers(store: &Store, layers: &[ImageLayer], blobs: &dyn Blobs, progress: &dyn Progress) -> Result<()> {
    let mut seen = HashSet::new();
    let mut queue: Vec<&ImageLayer> =
        layers.iter().filter(|layer| seen.insert((&layer.diff_id, &layer.digest))).collect();
    let mut told = HashSet::new();
    for layer in &queue {
        if told.insert(&layer.digest) {
            progress.layer(&layer.digest, Some(layer.size));
            progress.state(&layer.digest, LayerState::Waiting);
        }
    }
    // The largest first, so that none is left over at the end with the other workers idle.
    queue.sort_by_key(|layer| std::cmp::Reverse(layer.size));
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let workers = (cores + 2).min(MOST_WORKERS).min(queue.len());
    let next = AtomicUsize::new(0);
    let failure: Mutex<Option<anyhow::Error>> = Mutex::new(None);
    let work = || {
        while let Some(layer) = queue.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = one(store, layer, blobs, progress) {
                // The first failure is told; nobody begins anything after it.
                next.store(queue.len(), Ordering::Relaxed);
                failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        }
    };
    std::thread::scope(|scope| -> Result<()> {
        for _ in 1..workers {
            std::thread::Builder::new().spawn_scoped(scope, work).context("cannot start a thread")?;
        }
        work();
        Ok(())
    })?;
    failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

/// Bring one layer into the store.
fn one(store: &Store, layer: &ImageLayer, blobs: &dyn Blobs, progress: &dyn Progress) -> Result<()> {
    let _lock = store.lock_layer(&layer.diff_id)?;
    if store.has_blob(&layer.digest, Some(layer.size)) && store.has_layer(&layer.diff_id) {
        progress.state(&layer.digest, LayerState::AlreadyExists);
        return Ok(());
    }
    match attempt(store, layer, blobs, progress) {
        // What was there from before was not what it should be, as after a power loss: once more, from the beginning.
        Err((error, Begun::Resumed)) if kind(&error) == Kind::BadData => {
            progress.message(&format!("what was kept of {} is damaged: it is fetched again", layer.digest));
            attempt(store, layer, blobs, progress)
        }
        result => result,
    }
    .map_err(|(error, _)| error)?;
    progress.state(&layer.digest, LayerState::Done);
    Ok(())
}

/// How an attempt at a layer began.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Begun {
    Fresh,
    /// With what an earlier attempt or another layer had left.
    Resumed,
}

/// One attempt. On an error, what came of the blob stays, unless it is damaged.
fn attempt(
    store: &Store,
    layer: &ImageLayer,
    blobs: &dyn Blobs,
    progress: &dyn Progress,
) -> Result<(), (anyhow::Error, Begun)> {
    let fresh = |error| (error, Begun::Fresh);
    let mut from = 0;
    let writer = match (store.has_blob(&layer.digest, Some(layer.size)), blobs.is_remote()) {
        (true, _) => None,
        (false, false) => Some(store.blob_writer().map_err(fresh)?.with_algorithm(layer.digest.algorithm())),
        (false, true) => store.partial_blob(&layer.digest, layer.size).map_err(fresh)?,
    };
    let pieces: Box<dyn Pieces + Send> = match &writer {
        None => {
            progress.state(&layer.digest, LayerState::Unpacking);
            Box::new(FilePieces(store.open_blob(&layer.digest).map_err(fresh)?))
        }
        Some(writer) => {
            from = writer.waiting();
            progress.state(&layer.digest, LayerState::Downloading);
            if from > 0 {
                progress.resumed(&layer.digest, from);
            }
            blobs.open(layer, from, writer).map_err(fresh)?
        }
    };
    let begun = if from > 0 || pieces.is_assembled() { Begun::Resumed } else { Begun::Fresh };
    let took = |bytes: u64| progress.advance(&layer.digest, bytes);
    let came = || progress.state(&layer.digest, LayerState::Unpacking);
    let expect = Some((&layer.digest, layer.size));
    let reader = Reader { name: layer.digest.as_str(), pieces, writer, expect, took: &took, came: &came };
    let result = if store.has_layer(&layer.diff_id) {
        reader.run(None).map(drop)
    } else {
        side_by_side(reader, |tar| store.unpack_layer(&layer.diff_id, tar))
            .map(|(_, stats)| store.note_layer_size(&layer.diff_id, stats.bytes))
    };
    if result.as_ref().is_err_and(|error| kind(error) == Kind::BadData) {
        store.discard_partial(&layer.digest);
    }
    result.map_err(|error| (error, begun))
}

/// A layer of which nothing was known before.
#[derive(Debug)]
pub struct NewLayer {
    /// The digest of the tar archive.
    pub diff_id: Digest,
    /// The digest of the blob, as it came.
    pub digest: Digest,
    /// Its size.
    pub size: u64,
}

/// Bring a layer into the store that is whatever comes: packed or not, it is kept as it is. The caller holds a lease
/// and is in the user's namespace.
pub fn new_layer(
    store: &Store,
    name: &str,
    pieces: Box<dyn Pieces + Send>,
    took: &(dyn Fn(u64) + Sync),
) -> Result<NewLayer> {
    let writer = Some(store.blob_writer()?);
    let reader = Reader { name, pieces, writer, expect: None, took, came: &|| {} };
    let (kept, diff_id) = side_by_side(reader, |tar| store.unpack_new_layer(tar))?;
    let writer = kept.context("the layer was not kept")?;
    let size = writer.size();
    let digest = writer.finish_as_found()?;
    Ok(NewLayer { diff_id, digest, size })
}

/// As [`new_layer`], of an archive that is not packed: it is hashed only once.
pub fn new_plain_layer(store: &Store, name: &str, pieces: Box<dyn Pieces + Send>) -> Result<NewLayer> {
    let writer = Some(store.blob_writer()?);
    let reader = Reader { name, pieces, writer, expect: None, took: &|_| {}, came: &|| {} };
    let (kept, unpacked) = side_by_side(reader, |tar| store.unpack_unnamed(tar))?;
    let writer = kept.context("the layer was not kept")?;
    let size = writer.size();
    let digest = writer.finish_as_found()?;
    store.publish_new_layer(&digest, unpacked)?;
    Ok(NewLayer { diff_id: digest.clone(), digest, size })
}

/// Read a layer's blob from the store, unpacked.
pub fn unpacked<T>(store: &Store, layer: &ImageLayer, take: impl FnOnce(&mut dyn Read) -> Result<T>) -> Result<T> {
    let pieces = Box::new(FilePieces(store.open_blob(&layer.digest)?));
    let name = layer.digest.as_str();
    let reader = Reader { name, pieces, writer: None, expect: None, took: &|_| {}, came: &|| {} };
    side_by_side(reader, |tar| take(tar)).map(|(_, taken)| taken)
}

/// Read in a thread of its own, unpack in this one.
fn side_by_side<T>(reader: Reader<'_>, unpack: impl FnOnce(&mut Tar) -> Result<T>) -> Result<(Option<BlobWriter>, T)> {
    let (to, from) = sync_channel(QUEUE);
    let (give_back, empty) = channel();
    let mut tar = Tar { from, give_back, current: Vec::new(), filled: 0, taken: 0 };
    let name = reader.name;
    std::thread::scope(|scope| {
        let outlet = Outlet { to, empty };
        let thread = std::thread::Builder::new().spawn_scoped(scope, move || reader.run(Some(outlet)));
        let thread = thread.context("cannot start a thread")?;
        let unpacked = unpack(&mut tar);
        drop(tar);
        let read = thread.join().map_err(|_| anyhow!("the reader of a layer failed"))?;
        // What arrived decides first: damage found while unpacking may only follow from it.
        let kept = read?;
        Ok((kept, unpacked.with_context(|| format!("cannot unpack layer {name}"))?))
    })
}

/// The first half of a pipeline.
struct Reader<'a> {
    /// What the layer is called in errors.
    name: &'a str,
    pieces: Box<dyn Pieces + Send>,
    /// Where the blob is kept, if it is to be.
    writer: Option<BlobWriter>,
    /// What it must be, if that is known.
    expect: Option<(&'a Digest, u64)>,
    /// Told of each piece.
    took: &'a (dyn Fn(u64) + Sync),
    /// Told when all of it is there.
    came: &'a (dyn Fn() + Sync),
}

impl Reader<'_> {
    /// Read to the end: keep, and inflate into the outlet if there is one. What is kept and was not known before comes
    /// back, to be finished when it has proved to be a layer.
    ///
    /// When unpacking has failed, reading goes on: whether the blob is what its digest says is the better answer.
    fn run(mut self, outlet: Option<Outlet>) -> Result<Option<BlobWriter>> {
        let mut outlet = outlet.map(|outlet| (Inflater::new(vec![0; PIECE]), outlet));
        let mut damage = None;
        if let Some(writer) = &mut self.writer {
            writer.replay(&mut |piece| {
                unpacking(&mut outlet, &mut damage, piece);
            })?;
        }
        // What was kept is no good: no need to fetch the rest.
        if let Some(error) = damage.take() {
            return if error.is::<Closed>() { Ok(None) } else { Err(error) };
        }
        while let Some(piece) = self.pieces.next()? {
            (self.took)(piece.len() as u64);
            match &mut self.writer {
                Some(writer) if self.pieces.are_kept() => writer.take_in(&piece),
                Some(writer) => writer.write_all(&piece).with_context(|| format!("cannot keep blob {}", self.name))?,
                None => {}
            }
            if !unpacking(&mut outlet, &mut damage, &piece) && (self.writer.is_none() || self.expect.is_none()) {
                break;
            }
        }
        if let Some((inflater, mut sink)) = outlet
            && let Err(error) = inflater.finish(&mut sink)
        {
            sink.tell(&error);
            damage = Some(error);
        }
        (self.came)();
        let kept = match (self.writer, self.expect) {
            (Some(writer), Some((digest, size))) => {
                writer.finish(digest, Some(size))?;
                None
            }
            (writer, _) => writer,
        };
        match damage {
            // The unpacking half has stopped and says why.
            Some(error) if error.is::<Closed>() => Ok(kept),
            Some(error) => Err(error.context(format!("cannot unpack layer {}", self.name))),
            None => Ok(kept),
        }
    }
}

/// Unpack a piece, as long as there is somebody to take it; false if not.
fn unpacking(outlet: &mut Option<(Inflater, Outlet)>, damage: &mut Option<anyhow::Error>, piece: &[u8]) -> bool {
    if let Some((inflater, sink)) = outlet
        && let Err(error) = inflater.push(piece, sink)
    {
        sink.tell(&error);
        *damage = Some(error);
        *outlet = None;
    }
    outlet.is_some()
}

/// Nobody takes unpacked pieces any more.
#[derive(Debug)]
struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the unpacking has ended")
    }
}

impl std::error::Error for Closed {}

/// The sending end of the queue between the halves; buffers come back to be filled again.
struct Outlet {
    to: SyncSender<Result<(Vec<u8>, usize), String>>,
    empty: Receiver<Vec<u8>>,
}

impl Outlet {
    /// Tell the other half that the stream is damaged, so that it does not take this for its end.
    fn tell(&self, error: &anyhow::Error) {
        let _ = self.to.send(Err(error.to_string()));
    }
}

impl Sink for Outlet {
    fn put(&mut self, buffer: Vec<u8>, filled: usize) -> Result<Vec<u8>> {
        self.to.send(Ok((buffer, filled))).map_err(|_| Closed)?;
        Ok(self.empty.try_recv().unwrap_or_else(|_| vec![0; PIECE]))
    }
}

/// The receiving end, as the unpacker reads it.
struct Tar {
    from: Receiver<Result<(Vec<u8>, usize), String>>,
    give_back: std::sync::mpsc::Sender<Vec<u8>>,
    current: Vec<u8>,
    filled: usize,
    taken: usize,
}

impl Read for Tar {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        while self.taken == self.filled {
            let Ok(next) = self.from.recv() else { return Ok(0) };
            let (buffer, filled) = next.map_err(std::io::Error::other)?;
            let old = std::mem::replace(&mut self.current, buffer);
            if !old.is_empty() {
                let _ = self.give_back.send(old);
            }
            (self.filled, self.taken) = (filled, 0);
        }
        let rest = self.current.get(self.taken..self.filled).unwrap_or_default();
        let count = rest.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        self.taken += count;
        Ok(count)
    }
}

/// Keep a document under the digest it was fetched by, whatever the algorithm.
pub fn keep_document(store: &Store, bytes: &[u8], digest: &Digest) -> Result<()> {
    if store.has_blob(digest, Some(bytes.len() as u64)) && store.read_blob(digest, bytes.len() as u64).is_ok() {
        return Ok(());
    }
    let mut writer = store.blob_writer()?.with_algorithm(digest.algorithm());
    writer.write_all(bytes)?;
    writer.finish(digest, Some(bytes.len() as u64))
}
