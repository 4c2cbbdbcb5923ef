//! What is uploaded: bytes of a file or of memory, in parts that can be sent again, watched while they go.

use futures_core::Stream;
use reqwest::Response;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

/// Bytes are handed to the connection in pieces of this size.
const PIECE: u64 = 256 << 10;
/// A registry may take this many times the stall time to put away what it was sent.
const DIGESTION: u32 = 20;

/// Content to upload.
#[derive(Debug, Clone)]
pub enum Payload {
    /// A file, read at offsets.
    File(Arc<File>),
    /// A document.
    Bytes(Arc<[u8]>),
}

/// Told of bytes that were sent: how many more.
pub type Meter = Arc<dyn Fn(u64) + Send + Sync>;

/// The bytes `from..size` of a payload.
#[derive(Clone)]
pub struct Part {
    payload: Payload,
    from: u64,
    size: u64,
    /// Whether the registry is told which part this is; a first part that is all of it needs no such word.
    ranged: bool,
    /// How many bytes of this part were read by the connection.
    sent: Arc<AtomicU64>,
    meter: Meter,
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Part({}..{})", self.from, self.size)
    }
}

impl Part {
    /// The part from an offset to the end.
    pub fn new(payload: &Payload, from: u64, size: u64, meter: &Meter) -> Self {
        let (payload, meter) = (payload.clone(), Arc::clone(meter));
        Self { payload, from, size, ranged: from > 0, sent: Arc::default(), meter }
    }

    /// How many bytes it has.
    pub fn len(&self) -> u64 {
        self.size - self.from
    }

    /// `Content-Range` as the distribution specification has it, without a unit.
    pub fn range(&self) -> Option<String> {
        (self.ranged && self.len() > 0).then(|| format!("{}-{}", self.from, self.size - 1))
    }

    /// The bytes, from the beginning of the part.
    pub fn stream(&self) -> PartStream {
        self.sent.store(0, Ordering::Relaxed);
        PartStream { part: self.clone(), at: self.from }
    }

    /// Wait for the answer for as long as bytes go out, and a while longer. `None`: the connection has stalled.
    pub async fn watch(
        &self,
        sending: impl Future<Output = reqwest::Result<Response>>,
        stall: Duration,
    ) -> Option<reqwest::Result<Response>> {
        let mut sending = std::pin::pin!(sending);
        let (mut before, mut idle) = (0, 0);
        loop {
            if let Ok(answer) = tokio::time::timeout(stall, &mut sending).await {
                return Some(answer);
            }
            let sent = self.sent.load(Ordering::Relaxed);
            idle = if sent > before { 0 } else { idle + 1 };
            before = sent;
            if idle >= if sent >= self.len() { DIGESTION } else { 1 } {
                return None;
            }
        }
    }
}

/// The bytes of a part as a stream. Reading is done in place: the page cache is faster than a switch of threads.
pub struct PartStream {
    part: Part,
    at: u64,
}

impl Stream for PartStream {
    type Item = std::io::Result<Vec<u8>>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let count = PIECE.min(self.part.size - self.at);
        if count == 0 {
            return Poll::Ready(None);
        }
        let piece = self.part.payload.read(self.at, count as usize);
        if let Ok(piece) = &piece {
            self.at += piece.len() as u64;
            self.part.sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
            (self.part.meter)(piece.len() as u64);
        }
        Poll::Ready(Some(piece))
    }
}

impl Payload {
    /// Bytes at an offset. Errors: the file has become shorter.
    fn read(&self, at: u64, count: usize) -> std::io::Result<Vec<u8>> {
        match self {
            Self::File(file) => {
                let mut piece = vec![0; count];
                file.read_exact_at(&mut piece, at)?;
                Ok(piece)
            }
            Self::Bytes(bytes) => {
                let at = usize::try_from(at).unwrap_or(usize::MAX);
                let piece = bytes.get(at..at.saturating_add(count)).ok_or(std::io::ErrorKind::UnexpectedEof)?;
                Ok(piece.to_vec())
            }
        }
    }
}
