//! Where the bytes of a blob go as they come.

use tokio::sync::mpsc::Sender;

/// What is worth a switch of threads.
const PIECE: usize = 64 << 10;

/// Takes the bytes of a blob in their order.
pub trait Sink: Send {
    /// Take bytes; false: nobody wants more.
    fn take(&mut self, bytes: &[u8]) -> impl Future<Output = bool> + Send;

    /// More will be a while in coming: hand on what was held back. False: nobody wants more.
    fn flush(&mut self) -> impl Future<Output = bool> + Send;
}

/// Bytes for a channel, gathered to pieces of a size that is worth sending.
pub struct Gathered<'a> {
    to: &'a Sender<Vec<u8>>,
    pending: Vec<u8>,
}

impl<'a> Gathered<'a> {
    /// Into this channel.
    pub fn new(to: &'a Sender<Vec<u8>>) -> Self {
        Self { to, pending: Vec::new() }
    }
}

impl Sink for Gathered<'_> {
    async fn take(&mut self, bytes: &[u8]) -> bool {
        self.pending.extend_from_slice(bytes);
        self.pending.len() < PIECE || self.flush().await
    }

    async fn flush(&mut self) -> bool {
        let piece = std::mem::replace(&mut self.pending, Vec::with_capacity(PIECE * 2));
        piece.is_empty() || self.to.send(piece).await.is_ok()
    }
}
