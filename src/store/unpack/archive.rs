//! Entries of a tar stream, one after the other: ustar, pax, GNU.
//!
//! The layout of a header is the `tar` crate's. Reading on from there is our own, as that crate passes over malformed
//! pax records, splits their values at newlines (capabilities hold such bytes), does not bound long names, cuts large
//! numbers, and does not know pax sparse files. Where programs disagree on what an archive says, it is refused.

use super::bad;
use super::pax::{self, Pax, decimal};
use super::sparse::{self, Sparse};
use anyhow::{Context, Result};
use std::io::BufRead;
use tar::{EntryType, GnuExtSparseHeader, Header};

const BLOCK: u64 = 512;
/// The most that a long name or a pax header may take: xattrs are at most 64 KiB each.
const MAX_EXTENSION: u64 = 1 << 20;
/// Paths longer than the kernel's PATH_MAX cannot be made.
const MAX_PATH: usize = 4095;

/// What an entry makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Kind {
    File,
    HardLink,
    SymbolicLink,
    CharacterDevice,
    BlockDevice,
    Folder,
    Fifo,
}

/// An entry, with everything that headers before it say.
#[derive(Debug)]
pub(in crate::store) struct Entry {
    pub kind: Kind,
    /// As it stands in the archive.
    pub path: Vec<u8>,
    /// The target of a link.
    pub link: Vec<u8>,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: (i64, u32),
    pub device: (u32, u32),
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Bytes of content that follow in the archive.
    pub size: u64,
    /// Where the content goes in a file with holes.
    pub sparse: Option<Sparse>,
}

/// A tar stream.
pub(in crate::store) struct Archive<'a> {
    source: &'a mut dyn BufRead,
    /// Content of the current entry that was not read yet, and the padding after it.
    left: u64,
    padding: u64,
}

/// What the headers before an entry have said.
#[derive(Default)]
struct Before {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    pax: Option<Pax>,
}

impl Before {
    fn is_empty(&self) -> bool {
        self.name.is_none() && self.link.is_none() && self.pax.is_none()
    }
}

impl<'a> Archive<'a> {
    pub fn new(source: &'a mut dyn BufRead) -> Self {
        Self { source, left: 0, padding: 0 }
    }

    /// The next entry; `None` at the end of the archive.
    pub fn next(&mut self) -> Result<Option<Entry>> {
        let mut before = Before::default();
        loop {
            self.skip(self.left)?;
            self.skip_padding()?;
            (self.left, self.padding) = (0, 0);
            let Some(header) = self.header()? else {
                if before.is_empty() {
                    return Ok(None);
                }
                return Err(bad("the archive ends where an entry was announced"));
            };
            let size = number(field(&header, 124, 12), "size")?;
            match header.as_bytes()[156] {
                b'x' if before.pax.is_none() => before.pax = Some(pax::parse(&self.extension(size)?)?),
                b'g' => pax::check_global(&self.extension(size)?)?,
                b'L' if before.name.is_none() => before.name = Some(until_nul(self.extension(size)?)),
                b'K' if before.link.is_none() => before.link = Some(until_nul(self.extension(size)?)),
                b'x' | b'L' | b'K' => return Err(bad("two headers describe the same entry")),
                _ => return self.entry(&header, size, before).map(Some),
            }
        }
    }

    /// Hand `count` bytes of the entry's content to `sink`, in pieces as they come.
    pub fn content(&mut self, count: u64, sink: &mut dyn FnMut(&[u8]) -> std::io::Result<()>) -> Result<()> {
        if count > self.left {
            return Err(bad("an entry has less content than it announces"));
        }
        let mut missing = count;
        while missing > 0 {
            let piece = self.source.fill_buf().context("cannot read the layer")?;
            if piece.is_empty() {
                return Err(truncated());
            }
            let piece = piece.get(..missing.min(piece.len() as u64) as usize).unwrap_or(piece);
            sink(piece)?;
            let length = piece.len();
            self.source.consume(length);
            missing -= length as u64;
            self.left -= length as u64;
        }
        Ok(())
    }

    fn entry(&mut self, header: &Header, size: u64, before: Before) -> Result<Entry> {
        let mut pax = before.pax.unwrap_or_default();
        let path = before
            .name
            .or_else(|| pax.sparse.name.take())
            .or_else(|| pax.path.take())
            .unwrap_or_else(|| header.path_bytes().into_owned());
        let kind = kind(header.as_bytes()[156], &path)?;
        let mut size = match kind {
            Kind::File => pax.size.unwrap_or(size),
            // The field of a hard link may hold the file's size; nothing follows. All programs agree on that, but not
            // on any other way to say it.
            Kind::HardLink if pax.size.unwrap_or(0) == 0 => 0,
            _ if pax.size.unwrap_or(size) == 0 => 0,
            _ => return Err(bad(format!("`{}` is no file, but has content", path.escape_ascii()))),
        };
        let link = before.link.or_else(|| pax.link.take());
        let link = link.unwrap_or_else(|| header.link_name_bytes().map(|link| link.into_owned()).unwrap_or_default());
        for text in [&path, &link] {
            if text.contains(&0) || text.len() > MAX_PATH {
                return Err(bad(format!("the name `{}` is too long or holds a NUL", text.escape_ascii())));
            }
        }
        let sparse = self.sparse(header, &pax, &mut size)?;
        self.left = size;
        self.padding = padding(size)?;
        let id = |record: Option<u64>, at: usize, name: &str| -> Result<u32> {
            let id = record.map_or_else(|| number(field(header, at, 8), name), Ok)?;
            // The largest number means none (chown(2)).
            let fits = u32::try_from(id).ok().filter(|id| *id != u32::MAX);
            fits.ok_or_else(|| bad(format!("the {name} {id} is out of range")))
        };
        Ok(Entry {
            kind,
            link,
            mode: (number(field(header, 100, 8), "mode")? & 0o7777) as u32,
            uid: id(pax.uid, 108, "uid")?,
            gid: id(pax.gid, 116, "gid")?,
            mtime: pax.mtime.map_or_else(|| time(field(header, 136, 12)).map(|s| (s, 0)), Ok)?,
            device: match kind {
                Kind::CharacterDevice | Kind::BlockDevice => device(header)?,
                _ => (0, 0),
            },
            xattrs: std::mem::take(&mut pax.xattrs),
            path,
            size,
            sparse,
        })
    }

    /// The map of a sparse file; takes its part out of `size` if it stands before the content.
    fn sparse(&mut self, header: &Header, pax: &Pax, size: &mut u64) -> Result<Option<Sparse>> {
        if header.as_bytes()[156] == b'S' {
            let mut blocks = Vec::new();
            let gnu = header.as_gnu().ok_or_else(|| bad("a sparse file has no GNU header"))?;
            let mut take = |offset: &[u8], length: &[u8]| -> Result<()> {
                if offset.first().is_some_and(|byte| *byte != 0) {
                    blocks.push((number(offset, "offset")?, number(length, "length")?));
                }
                sparse::check_count(blocks.len() as u64)
            };
            for part in &gnu.sparse {
                take(&part.offset, &part.numbytes)?;
            }
            let mut more = gnu.is_extended();
            while more {
                let mut extension = GnuExtSparseHeader::new();
                if self.read_exact(extension.as_mut_bytes())? < BLOCK {
                    return Err(truncated());
                }
                for part in &extension.sparse {
                    take(&part.offset, &part.numbytes)?;
                }
                more = extension.is_extended();
            }
            return Sparse::new(number(&gnu.realsize, "size")?, blocks, *size).map(Some);
        }
        if !pax.sparse.is_present() {
            return Ok(None);
        }
        if !matches!(EntryType::new(header.as_bytes()[156]), EntryType::Regular | EntryType::Continuous) {
            return Err(bad("something else than a file is sparse"));
        }
        let real = pax.sparse.real_size.or(pax.sparse.size).ok_or_else(|| bad("a sparse file has no size"))?;
        let blocks = match pax.sparse.version {
            (Some(1), Some(0)) => {
                let (map, taken) = self.map_before_content(*size)?;
                *size -= taken;
                map
            }
            (None | Some(0), _) => sparse::pairs(&pax.sparse.map)?,
            _ => return Err(bad("a sparse file is of an unknown version")),
        };
        Sparse::new(real, blocks, *size).map(Some)
    }

    /// Version 1.0: decimal numbers, a line each, in blocks of their own before the content.
    fn map_before_content(&mut self, size: u64) -> Result<(Vec<(u64, u64)>, u64)> {
        let mut block = [0u8; BLOCK as usize];
        let mut at = block.len();
        let mut taken = 0;
        let mut line = || -> Result<u64> {
            let mut digits = Vec::new();
            loop {
                if at == block.len() {
                    taken += BLOCK;
                    if taken > size || self.read_exact(&mut block)? < BLOCK {
                        return Err(truncated());
                    }
                    at = 0;
                }
                let byte = block.get(at).copied().unwrap_or_default();
                at += 1;
                if byte == b'\n' {
                    return decimal(&digits).ok_or_else(|| bad("the map of a sparse file is malformed"));
                }
                digits.push(byte);
                if digits.len() > 20 {
                    return Err(bad("the map of a sparse file is malformed"));
                }
            }
        };
        let count = line()?;
        sparse::check_count(count)?;
        let mut blocks = Vec::new();
        for _ in 0..count {
            blocks.push((line()?, line()?));
        }
        Ok((blocks, taken))
    }

    /// A header block with a right checksum; `None` at the end: two blocks of zeros, or the end of the stream.
    fn header(&mut self) -> Result<Option<Header>> {
        let mut header = Header::new_old();
        match self.read_exact(header.as_mut_bytes())? {
            0 => return Ok(None),
            BLOCK => {}
            _ => return Err(truncated()),
        }
        let bytes = header.as_bytes();
        if bytes.iter().all(|byte| *byte == 0) {
            let mut second = [0; BLOCK as usize];
            return match self.read_exact(&mut second)? {
                0 => Ok(None),
                BLOCK if second.iter().all(|byte| *byte == 0) => Ok(None),
                _ => Err(bad("the archive goes on after a block of zeros")),
            };
        }
        let sum: u64 = bytes
            .iter()
            .enumerate()
            .map(|(i, byte)| u64::from(if (148..156).contains(&i) { b' ' } else { *byte }))
            .sum();
        if number(field(&header, 148, 8), "checksum")? != sum {
            return Err(bad("a header of the archive has a wrong checksum"));
        }
        Ok(Some(header))
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>> {
        if size > MAX_EXTENSION {
            return Err(bad(format!("a header of {size} bytes is too large")));
        }
        let mut bytes = Vec::with_capacity(size as usize);
        (self.left, self.padding) = (size, padding(size)?);
        self.content(size, &mut |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(bytes)
    }

    fn skip(&mut self, mut count: u64) -> Result<()> {
        while count > 0 {
            let piece = self.source.fill_buf().context("cannot read the layer")?.len();
            if piece == 0 {
                return Err(truncated());
            }
            let taken = (piece as u64).min(count);
            self.source.consume(taken as usize);
            count -= taken;
        }
        Ok(())
    }

    /// Skip what fills the last block of a file. The end of the stream will do: umoci writes no padding behind the last
    /// file and no end, and all Go programs take that.
    fn skip_padding(&mut self) -> Result<()> {
        let mut padding = [0; BLOCK as usize];
        self.read_exact(padding.get_mut(..self.padding as usize).unwrap_or_default()).map(drop)
    }

    /// Fill the buffer; fewer bytes only at the end of the stream.
    fn read_exact(&mut self, mut buffer: &mut [u8]) -> Result<u64> {
        let wanted = buffer.len();
        while !buffer.is_empty() {
            let piece = self.source.fill_buf().context("cannot read the layer")?;
            if piece.is_empty() {
                break;
            }
            let taken = piece.len().min(buffer.len());
            let (now, later) = buffer.split_at_mut(taken);
            now.copy_from_slice(piece.get(..taken).unwrap_or_default());
            buffer = later;
            self.source.consume(taken);
        }
        Ok((wanted - buffer.len()) as u64)
    }
}

fn truncated() -> anyhow::Error {
    bad("the archive ends too early")
}

fn padding(size: u64) -> Result<u64> {
    let padded = size.checked_next_multiple_of(BLOCK).filter(|size| *size <= i64::MAX as u64);
    padded.map(|padded| padded - size).ok_or_else(|| bad("an entry is larger than any file can be"))
}

fn kind(flag: u8, path: &[u8]) -> Result<Kind> {
    Ok(match flag {
        // A V7 archive has no flag for folders.
        b'\0' if path.ends_with(b"/") => Kind::Folder,
        b'0' | b'\0' | b'7' | b'S' => Kind::File,
        b'1' => Kind::HardLink,
        b'2' => Kind::SymbolicLink,
        b'3' => Kind::CharacterDevice,
        b'4' => Kind::BlockDevice,
        b'5' => Kind::Folder,
        b'6' => Kind::Fifo,
        _ => return Err(bad(format!("`{}` is of the unknown type `{}`", path.escape_ascii(), flag.escape_ascii()))),
    })
}

fn device(header: &Header) -> Result<(u32, u32)> {
    let part = |at| -> Result<u32> {
        u32::try_from(number(field(header, at, 8), "device")?).map_err(|_| bad("a device number is out of range"))
    };
    Ok((part(329)?, part(337)?))
}

fn field(header: &Header, at: usize, length: usize) -> &[u8] {
    header.as_bytes().get(at..at + length).unwrap_or_default()
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    bytes.truncate(end);
    bytes
}

/// A number of a header: octal digits, or GNU's big-endian form. An empty field is 0, as in Go.
fn number(field: &[u8], name: &str) -> Result<u64> {
    let wrong = || bad(format!("a header's {name} is not a number"));
    match field.first() {
        Some(0x80) => big_endian(field).and_then(|n| u64::try_from(n).ok()).ok_or_else(wrong),
        Some(first) if first & 0x80 != 0 => Err(wrong()),
        _ => octal(field).ok_or_else(wrong),
    }
}

/// A time of a header, which may be negative in GNU's form.
fn time(field: &[u8]) -> Result<i64> {
    let wrong = || bad("a header's time is not a number");
    match field.first() {
        Some(first) if first & 0x80 != 0 => big_endian(field).and_then(|n| i64::try_from(n).ok()).ok_or_else(wrong),
        _ => octal(field).and_then(|n| i64::try_from(n).ok()).ok_or_else(wrong),
    }
}

fn octal(field: &[u8]) -> Option<u64> {
    let start = field.iter().position(|byte| *byte != b' ').unwrap_or(field.len());
    let digits = field.get(start..)?;
    let end = digits.iter().position(|byte| matches!(byte, 0 | b' ')).unwrap_or(digits.len());
    digits.get(..end)?.iter().try_fold(0u64, |number, byte| {
        let digit = (b'0'..=b'7').contains(byte).then(|| u64::from(byte - b'0'))?;
        number.checked_mul(8)?.checked_add(digit)
    })
}

/// 0x80, then a number; or 0xff, then one below zero in two's complement.
fn big_endian(field: &[u8]) -> Option<i128> {
    let (first, rest) = field.split_first()?;
    let start: i128 = match first {
        0x80 => 0,
        0xff => -1,
        _ => return None,
    };
    Some(rest.iter().fold(start, |number, byte| (number << 8) | i128::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_headers() {
        for (field, value) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"    644 ", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"        ", Some(0)),
            (b"77777777", Some(0o77_777_777)),
            (b"+0000644", None),
            (b"-1\0\0\0\0\0\0", None),
            (b"0000648\0", None),
            (b"\x80\0\0\0\0\0\x01\0", Some(256)),
            (b"\x80\0\0\x01\0\0\0\0\0\0\0\0", None),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"\xc0\0\0\0\0\0\0\0", None),
        ] {
            assert_eq!(number(field, "x").ok(), value, "{field:?}");
        }
        assert_eq!(time(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe").unwrap(), -2);
    }
}
