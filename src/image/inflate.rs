//! Unpacking gzip, zstd, xz and bzip2 streams piece by piece, as they come.
//!
//! How a stream is packed is told by its first bytes: registries hold layers whose media type is wrong, and a wrong
//! guess cannot do harm, as the result is checked against the diff id.

use crate::base::error::{Kind, fault};
use anyhow::Result;
use bzip2::Decompress;
use liblzma::stream::{Action, CONCATENATED, Stream};
use zlib_rs::{Inflate, InflateFlush, Status};
use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};

/// Unpacked bytes are handed on in pieces of at most this size.
pub const PIECE: usize = 256 << 10;

/// A gzip header with a 32 KiB window, and nothing else.
const GZIP_WINDOW: u8 = 16 + 15;

/// What `xz -9` asks for is 65 MiB.
const XZ_MEMORY: u64 = 128 << 20;

/// Takes packed pieces, gives unpacked ones.
pub struct Inflater {
    state: State,
    out: Vec<u8>,
    filled: usize,
}

enum State {
    /// No byte seen yet.
    Start(Vec<u8>),
    Plain,
    /// In a gzip member.
    Gzip(Box<Inflate>),
    /// Behind a member of gzip or bzip2: another one or padding may follow.
    Between,
    /// Only zeros may follow.
    Padding,
    /// In zstd frames; true at the end of one.
    Zstd(Decoder<'static>, bool),
    /// In xz streams.
    Xz(Stream),
    /// In a bzip2 stream.
    Bzip2(Decompress),
}

/// What a step has done: the bytes taken and made, and whether there is more to do at once.
type Step = (usize, usize, bool);

/// Where unpacked pieces go: takes a full buffer, gives one to fill of [`PIECE`] bytes. An error ends the unpacking.
pub trait Sink {
    /// Take `filled` bytes of `buffer`.
    fn put(&mut self, buffer: Vec<u8>, filled: usize) -> Result<Vec<u8>>;
}

impl Inflater {
    /// Begin a stream; `buffer` has [`PIECE`] bytes.
    pub fn new(buffer: Vec<u8>) -> Self {
        Self { state: State::Start(Vec::new()), out: buffer, filled: 0 }
    }

    /// Unpack a piece.
    pub fn push(&mut self, piece: &[u8], sink: &mut dyn Sink) -> Result<()> {
        if let State::Start(seen) = &mut self.state {
            seen.extend_from_slice(piece);
            if seen.len() < 4 {
                return Ok(());
            }
            let seen = std::mem::take(seen);
            self.state = begin(&seen)?;
            return self.run(&seen, sink);
        }
        self.run(piece, sink)
    }

    /// The stream has ended: hand on what is left. Errors: it ended too early.
    pub fn finish(mut self, sink: &mut dyn Sink) -> Result<()> {
        if let State::Start(seen) = &mut self.state {
            let seen = std::mem::take(seen);
            self.state = State::Plain;
            self.run(&seen, sink)?;
        }
        let is_whole = match &mut self.state {
            State::Gzip(_) | State::Zstd(_, false) | State::Bzip2(_) => false,
            // Only the end tells it from one to which another stream is joined.
            State::Xz(stream) => {
                matches!(stream.process(&[], &mut [0], Action::Finish), Ok(liblzma::stream::Status::StreamEnd))
            }
            _ => true,
        };
        if !is_whole {
            return Err(fault(Kind::BadData, "the compressed data ends too early"));
        }
        if self.filled > 0 {
            sink.put(std::mem::take(&mut self.out), self.filled)?;
        }
        Ok(())
    }

    fn run(&mut self, mut input: &[u8], sink: &mut dyn Sink) -> Result<()> {
        loop {
            if self.filled == self.out.len() {
                self.out = sink.put(std::mem::take(&mut self.out), self.filled)?;
                self.filled = 0;
            }
            let room = self.out.get_mut(self.filled..).unwrap_or_default();
            let (taken, made, again) = match &mut self.state {
                State::Start(_) | State::Plain => {
                    let count = input.len().min(room.len());
                    if let (Some(to), Some(from)) = (room.get_mut(..count), input.get(..count)) {
                        to.copy_from_slice(from);
                    }
                    (count, count, count < input.len())
                }
                State::Gzip(inflate) => {
                    let (step, ended) = gunzip(inflate, input, room)?;
                    if ended {
                        self.state = State::Between;
                    }
                    step
                }
                State::Xz(stream) => unxz(stream, input, room)?,
                State::Bzip2(decoder) => {
                    let (step, ended) = bunzip2(decoder, input, room)?;
                    if ended {
                        self.state = State::Between;
                    }
                    step
                }
                State::Between => {
                    match input.first() {
                        None => {}
                        Some(0x1f) => self.state = State::Gzip(Box::new(Inflate::new(true, GZIP_WINDOW))),
                        Some(b'B') => self.state = State::Bzip2(Decompress::new(false)),
                        Some(_) => self.state = State::Padding,
                    }
                    (0, 0, !input.is_empty())
                }
                State::Padding => {
                    if input.iter().any(|byte| *byte != 0) {
                        return Err(fault(Kind::BadData, "there is something else behind the compressed data"));
                    }
                    (input.len(), 0, false)
                }
                State::Zstd(decoder, at_end) => {
                    let mut from = InBuffer::around(input);
                    let mut to = OutBuffer::around(room);
                    let space = to.capacity();
                    let left = decoder
                        .run(&mut from, &mut to)
                        .map_err(|error| fault(Kind::BadData, format!("the zstd data is damaged: {error}")))?;
                    if from.pos() > 0 || to.pos() > 0 {
                        *at_end = left == 0;
                    }
                    (from.pos(), to.pos(), to.pos() == space || from.pos() < input.len())
                }
            };
            self.filled += made;
            input = input.get(taken..).unwrap_or_default();
            if !again {
                return Ok(());
            }
        }
    }
}

/// A step of a gzip member, and whether it was the last.
fn gunzip(inflate: &mut Inflate, input: &[u8], room: &mut [u8]) -> Result<(Step, bool)> {
    let before = (inflate.total_in(), inflate.total_out());
    let status = inflate
        .decompress(input, room, InflateFlush::NoFlush)
        .map_err(|error| fault(Kind::BadData, format!("the gzip data is damaged: {}", error.as_str())))?;
    let (taken, made) = ((inflate.total_in() - before.0) as usize, (inflate.total_out() - before.1) as usize);
    member("gzip", (taken, made), status == Status::StreamEnd, input, room)
}

/// A step of a bzip2 stream, and whether it was the last.
fn bunzip2(decoder: &mut Decompress, input: &[u8], room: &mut [u8]) -> Result<(Step, bool)> {
    let before = (decoder.total_in(), decoder.total_out());
    let status = decoder
        .decompress(input, room)
        .map_err(|error| fault(Kind::BadData, format!("the bzip2 data is damaged: {error}")))?;
    let (taken, made) = ((decoder.total_in() - before.0) as usize, (decoder.total_out() - before.1) as usize);
    member("bzip2", (taken, made), status == bzip2::Status::StreamEnd, input, room)
}

fn member(what: &str, (taken, made): (usize, usize), ended: bool, input: &[u8], room: &[u8]) -> Result<(Step, bool)> {
    if !ended && taken == 0 && made == 0 && !input.is_empty() {
        return Err(fault(Kind::BadData, format!("the {what} data is damaged")));
    }
    let again = taken < input.len() || (!ended && made == room.len());
    Ok(((taken, made, again), ended))
}

/// A step of xz streams.
fn unxz(stream: &mut Stream, input: &[u8], room: &mut [u8]) -> Result<Step> {
    let before = (stream.total_in(), stream.total_out());
    stream.process(input, room, Action::Run).map_err(|error| match error {
        liblzma::stream::Error::MemLimit => fault(
            Kind::BadData,
            format!("unpacking the xz data would take more than {} MiB of memory", XZ_MEMORY >> 20),
        ),
        error => fault(Kind::BadData, format!("the xz data is damaged: {error}")),
    })?;
    let (taken, made) = ((stream.total_in() - before.0) as usize, (stream.total_out() - before.1) as usize);
    if taken == 0 && made == 0 && !input.is_empty() {
        return Err(fault(Kind::BadData, "the xz data is damaged"));
    }
    Ok((taken, made, made == room.len() || taken < input.len()))
}

/// Whether data that begins so is packed in a form that is only read, never kept: registries take no layers in it.
pub fn is_only_read(start: &[u8]) -> bool {
    start.starts_with(b"BZh") || start.starts_with(b"\xfd7zX")
}

/// Tell the packing by the first four bytes.
fn begin(seen: &[u8]) -> Result<State> {
    Ok(match seen {
        [0x1f, 0x8b, ..] => State::Gzip(Box::new(Inflate::new(true, GZIP_WINDOW))),
        // A frame, or a skippable frame in front of it.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => State::Zstd(Decoder::new()?, false),
        [0xfd, 0x37, 0x7a, 0x58, ..] => State::Xz(Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED)?),
        [0x42, 0x5a, 0x68, ..] => State::Bzip2(Decompress::new(false)),
        _ => State::Plain,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    struct Gather(Vec<u8>);

    impl Sink for Gather {
        fn put(&mut self, buffer: Vec<u8>, filled: usize) -> Result<Vec<u8>> {
            self.0.extend_from_slice(&buffer[..filled]);
            Ok(buffer)
        }
    }

    fn inflate(packed: &[u8], piece: usize, buffer: usize) -> Result<Vec<u8>> {
        let mut gather = Gather(Vec::new());
        let mut inflater = Inflater::new(vec![0; buffer]);
        for piece in packed.chunks(piece) {
            inflater.push(piece, &mut gather)?;
        }
        inflater.finish(&mut gather)?;
        Ok(gather.0)
    }

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn xz(plain: &[u8]) -> Vec<u8> {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn bz(plain: &[u8]) -> Vec<u8> {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn streams_in_all_pieces() {
        let plain: Vec<u8> = (0..100_000u32).flat_map(|i| (i % 977).to_le_bytes()).collect();
        let (gz, zst) = (gzip(&plain), zstd::bulk::compress(&plain, 3).unwrap());
        let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9], zst.as_slice()].concat();
        let twice = [plain.as_slice(), &plain].concat();
        for (packed, expected) in [
            (plain.clone(), &plain),
            (gz.clone(), &plain),
            ([gz.as_slice(), &gz].concat(), &twice),
            ([gz.as_slice(), &[0; 700]].concat(), &plain),
            (zst.clone(), &plain),
            ([zst.as_slice(), &zst].concat(), &twice),
            (skippable, &plain),
            (xz(&plain), &plain),
            ([xz(&plain), xz(&plain)].concat(), &twice),
            (bz(&plain), &plain),
            ([bz(&plain), bz(&plain)].concat(), &twice),
            (vec![], &vec![]),
            (vec![1, 2], &vec![1, 2]),
            (gzip(b""), &vec![]),
        ] {
            for (piece, buffer) in [(1, 7), (100, 4096), (1 << 20, PIECE), (3, 1 << 20)] {
                assert!(inflate(&packed, piece, buffer).unwrap() == *expected, "{piece} {buffer}");
            }
        }
    }

    #[test]
    fn xz_has_bounded_memory() {
        // A dictionary of 4 GiB, in a header whose sum is right.
        let mut packed = xz(&[7; 1000]);
        assert_eq!((packed[12], packed[14], packed[15]), (2, 0x21, 1), "a block with LZMA2 alone");
        packed[16] = 40;
        let mut sum = flate2::Crc::new();
        sum.update(&packed[12..20]);
        packed[20..24].copy_from_slice(&sum.sum().to_le_bytes());
        let error = inflate(&packed, 64, 4096).unwrap_err().to_string();
        assert!(error.contains("more than 128 MiB of memory"), "{error}");
    }

    #[test]
    fn damage_is_an_error() {
        let plain = vec![7; 10_000];
        let (gz, zst) = (gzip(&plain), zstd::bulk::compress(&plain, 3).unwrap());
        let mut flipped = gz.clone();
        let middle = flipped.len() - 6;
        flipped[middle] ^= 1;
        for packed in [
            &gz[..gz.len() - 1],
            &gz[..20],
            &zst[..zst.len() - 1],
            &flipped,
            &[gz.as_slice(), b"garbage"].concat(),
            &xz(&plain)[..30],
            &bz(&plain)[..20],
            &[xz(&plain).as_slice(), b"garbage!"].concat(),
            b"BZh91AY",
            b"\xfd7zXZ\0",
        ] {
            assert!(inflate(packed, 64, 4096).is_err());
        }
    }
}
