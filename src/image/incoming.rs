//! Bytes from the network, on their way to whoever unpacks them.
//!
//! A blob that is kept is written as it comes, by the network's own task: a process that is killed then loses only
//! what the kernel had not handed out yet. The reader behind it may be slow, or still busy with what was kept before;
//! what memory has no room for it reads from the file.

use super::fetch::Pieces;
use super::inflate::PIECE;
use crate::base::digest::Digest;
use crate::base::error::{Kind, fault};
use crate::registry::{self, Client, Gathered, Sink, runtime};
use anyhow::{Context, Result};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;

/// Pieces that wait for their reader: 2 MiB.
const QUEUE: usize = 32;
/// Bytes of a kept blob that wait for their reader in memory; those behind them wait in the file.
const QUEUED: usize = 2 << 20;

/// A worker's wish for a blob.
pub(super) struct Order {
    digest: Digest,
    size: u64,
    /// The bytes that are missing.
    range: Range<u64>,
    to: Destination,
    failure: Failure,
}

/// Where an error is put before the pieces end.
type Failure = Arc<Mutex<Option<anyhow::Error>>>;

/// Where the bytes go.
enum Destination {
    /// To the reader only, which is waited for.
    Reader(mpsc::Sender<Vec<u8>>),
    /// To the file, and the reader is told.
    File(Keeper),
}

/// What a reader is told of.
enum Came {
    Piece(Vec<u8>),
    /// So many bytes are in the file, and nowhere else.
    Kept(u64),
}

impl Order {
    /// Fetch it.
    pub async fn serve(self, client: Arc<Client>) {
        let Self { digest, size, range, to, failure } = self;
        let result = match to {
            Destination::Reader(to) => client.blob(&digest, size, range, &mut Gathered::new(&to)).await,
            Destination::File(mut keeper) => {
                let sent = client.blob(&digest, size, range, &mut keeper).await;
                keeper.broken.map_or(sent, |error| Err(error).with_context(|| format!("cannot keep blob {digest}")))
            }
        };
        if let Err(error) = result {
            *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    }
}

/// Writes bytes to their place in a blob's file, before anything else is done with them.
struct Keeper {
    file: File,
    at: u64,
    told: mpsc::UnboundedSender<Came>,
    /// How many bytes wait in memory.
    queued: Arc<AtomicUsize>,
    /// Why nothing more can be kept.
    broken: Option<std::io::Error>,
}

impl Sink for Keeper {
    async fn take(&mut self, bytes: &[u8]) -> bool {
        if let Err(error) = self.file.write_all_at(bytes, self.at) {
            self.broken = Some(error);
            return false;
        }
        self.at += bytes.len() as u64;
        let has_room = self.queued.load(Ordering::Relaxed) + bytes.len() <= QUEUED;
        let came = if has_room { Came::Piece(bytes.to_vec()) } else { Came::Kept(bytes.len() as u64) };
        if has_room {
            self.queued.fetch_add(bytes.len(), Ordering::Relaxed);
        }
        self.told.send(came).is_ok()
    }

    async fn flush(&mut self) -> bool {
        !self.told.is_closed()
    }
}

/// Order a part of a blob; `file` is where it is kept, unless the reader does that.
pub(super) fn order(
    orders: &mpsc::UnboundedSender<Order>,
    digest: &Digest,
    size: u64,
    range: Range<u64>,
    file: Option<File>,
) -> Result<Box<dyn Pieces + Send>> {
    let failure = Failure::default();
    let place = |to| Order { digest: digest.clone(), size, range: range.clone(), to, failure: Arc::clone(&failure) };
    let stopped = || fault(Kind::Other, "the network has stopped");
    let Some(file) = file else {
        let (to, from) = mpsc::channel(QUEUE);
        orders.send(place(Destination::Reader(to))).map_err(|_| stopped())?;
        return Ok(Box::new(Incoming { from, failure }));
    };
    let (told, from) = mpsc::unbounded_channel();
    let queued = Arc::<AtomicUsize>::default();
    let ours = file.try_clone().context("cannot keep a blob")?;
    let keeper = Keeper { file: ours, at: range.start, told, queued: Arc::clone(&queued), broken: None };
    orders.send(place(Destination::File(keeper))).map_err(|_| stopped())?;
    Ok(Box::new(Following { from, queued, file, at: range.start, owed: 0, failure }))
}

/// The file at a URL, fetched by a thread of its own, which ends with the pieces.
pub(super) fn from_url(url: &str) -> Result<Incoming> {
    let (to, from) = mpsc::channel(QUEUE);
    let failure = Failure::default();
    let (url, told, runtime) = (url.to_owned(), Arc::clone(&failure), runtime()?);
    let fetch = move || {
        if let Err(error) = runtime.block_on(registry::download(&url, &to)) {
            *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    };
    std::thread::Builder::new().spawn(fetch).context("cannot start a thread")?;
    Ok(Incoming { from, failure })
}

/// Pieces from the network.
pub(super) struct Incoming {
    from: mpsc::Receiver<Vec<u8>>,
    failure: Failure,
}

impl Pieces for Incoming {
    fn next(&mut self) -> Result<Option<Vec<u8>>> {
        self.from.blocking_recv().map_or_else(|| end(&self.failure), |piece| Ok(Some(piece)))
    }
}

/// Pieces of a blob whose file grows ahead of the reader.
struct Following {
    from: mpsc::UnboundedReceiver<Came>,
    /// How many bytes wait in memory.
    queued: Arc<AtomicUsize>,
    file: File,
    at: u64,
    /// Bytes that are to be read from the file next.
    owed: u64,
    failure: Failure,
}

impl Pieces for Following {
    fn next(&mut self) -> Result<Option<Vec<u8>>> {
        if self.owed == 0 {
            match self.from.blocking_recv() {
                None => return end(&self.failure),
                Some(Came::Kept(length)) => self.owed = length,
                Some(Came::Piece(piece)) => {
                    self.queued.fetch_sub(piece.len(), Ordering::Relaxed);
                    self.at += piece.len() as u64;
                    return Ok(Some(piece));
                }
            }
        }
        let count = self.owed.min(PIECE as u64);
        let mut piece = vec![0; count as usize];
        self.file.read_exact_at(&mut piece, self.at).context("cannot read what is kept of a blob")?;
        self.at += count;
        self.owed -= count;
        Ok(Some(piece))
    }

    fn are_kept(&self) -> bool {
        true
    }
}

/// The end of the pieces: the failure is written before the channel closes.
fn end(failure: &Failure) -> Result<Option<Vec<u8>>> {
    failure.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(None), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_without_time_loses_nothing() {
        let whole: Vec<u8> = (0..3 * QUEUED as u32).map(|at| (at / 5) as u8).collect();
        let file = File::from(rustix::fs::memfd_create("blob", rustix::fs::MemfdFlags::empty()).unwrap());
        file.write_all_at(&whole[..100], 0).unwrap();
        let (told, from) = mpsc::unbounded_channel();
        let (queued, failure) = (Arc::<AtomicUsize>::default(), Failure::default());
        let ours = file.try_clone().unwrap();
        let mut keeper = Keeper { file: ours, at: 100, told, queued: Arc::clone(&queued), broken: None };
        let runtime = runtime().unwrap();
        for piece in whole[100..].chunks(100_000) {
            assert!(runtime.block_on(keeper.take(piece)));
        }
        // All of it is in the file, and not much in memory, before anything was read.
        assert_eq!(file.metadata().unwrap().len(), whole.len() as u64);
        assert!((QUEUED - 100_000..=QUEUED).contains(&queued.load(Ordering::Relaxed)));
        drop(keeper);
        let mut reader = Following { from, queued, file, at: 100, owed: 0, failure };
        let mut seen = whole[..100].to_vec();
        while let Some(piece) = reader.next().unwrap() {
            assert!(piece.len() <= PIECE);
            seen.extend(piece);
        }
        assert!(seen == whole && reader.queued.load(Ordering::Relaxed) == 0);
    }
}
