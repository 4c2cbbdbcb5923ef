//! A layer that is written here, as an archive.

use super::ImageLayer;
use super::fetch::{Pieces, new_plain_layer};
use crate::store::Store;
use anyhow::{Context, Result};
use oci_spec::image::MediaType;
use std::io::{BufWriter, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Bytes are handed to the reader in pieces of this size.
const PIECE: usize = 256 << 10;
/// Pieces on their way.
const QUEUE: usize = 8;

/// How a layer is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// As a blob, and unpacked.
    Unpacked,
    /// As a blob alone; [`Store::unpack_kept`] unpacks it when it is wanted.
    Packed,
}

/// Make a layer of the archive that `write` writes, in a thread of its own. `name` says
/// what it is, in errors. The caller holds a lease and has entered the user's namespace.
///
/// Errors: those of `write`; nothing is kept then.
pub fn write_layer(
    store: &Store,
    name: &str,
    keep: Keep,
    write: impl FnOnce(&mut dyn Write) -> Result<()> + Send,
) -> Result<ImageLayer> {
    let media_type = MediaType::ImageLayer.to_string();
    if keep == Keep::Packed {
        let mut blob = store.blob_writer()?;
        write(&mut BufWriter::with_capacity(PIECE, &mut blob))?;
        let size = blob.size();
        let digest = blob.finish_as_found()?;
        return Ok(ImageLayer { diff_id: digest.clone(), digest, size, media_type });
    }
    std::thread::scope(|scope| {
        let (to, from) = sync_channel(QUEUE);
        let work = move || {
            let mut writer = Pieced { to, piece: Vec::with_capacity(PIECE) };
            let result = write(&mut writer).and_then(|()| Ok(writer.send()?));
            if let Err(error) = result {
                let _ = writer.to.send(Err(error));
            }
        };
        std::thread::Builder::new().spawn_scoped(scope, work).context("cannot start a thread")?;
        let made = new_plain_layer(store, name, Box::new(Written(from)))?;
        Ok(ImageLayer { diff_id: made.diff_id, digest: made.digest, size: made.size, media_type })
    })
}

/// Gathers what is written into pieces.
struct Pieced {
    to: SyncSender<Result<Vec<u8>>>,
    piece: Vec<u8>,
}

impl Pieced {
    fn send(&mut self) -> std::io::Result<()> {
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        // Nobody listens any more: whoever stopped listening has the reason.
        self.to.send(Ok(piece)).map_err(|_| std::io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Pieced {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let room = PIECE - self.piece.len();
        let part = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        self.piece.extend_from_slice(part);
        if self.piece.len() == PIECE {
            self.send()?;
        }
        Ok(part.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The reader's end.
struct Written(Receiver<Result<Vec<u8>>>);

impl Pieces for Written {
    fn next(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            match self.0.recv() {
                Ok(Ok(piece)) if piece.is_empty() => {}
                Ok(piece) => return piece.map(Some),
                Err(_) => return Ok(None),
            }
        }
    }
}
