//! Writing a tar archive, entry by entry, in the form that other programs write layers in: ustar headers, and pax
//! headers where a name, a link or an attribute asks for one (OCI image specification, layer.md).

use anyhow::Result;
use std::io::{Read, Write};
use tar::{EntryType, Header};

/// Content is copied in pieces of this size.
const PIECE: usize = 256 << 10;
/// A tar archive is a number of blocks of this size.
const BLOCK: usize = 512;

/// A record of a pax header: its key and its value.
pub type Record = (String, Vec<u8>);

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind<'a> {
    /// A folder.
    Folder,
    /// A file of so many bytes, which follow.
    File(u64),
    /// A symbolic link to this.
    Symlink(&'a [u8]),
    /// Another name of this entry, which came before.
    Link(&'a [u8]),
    /// A character device, by major and minor number.
    Char(u32, u32),
    /// A block device.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
}

/// What all entries have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntryMeta {
    /// Permissions, the lower twelve bits.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The time of the last change, seconds since 1970.
    pub mtime: i64,
    /// Extended attributes, as pax records.
    pub records: Vec<Record>,
}

/// An archive that is being written.
pub struct ArchiveWriter<'a> {
    out: &'a mut dyn Write,
    piece: Vec<u8>,
}

impl<'a> ArchiveWriter<'a> {
    /// Begin an archive.
    pub fn new(out: &'a mut dyn Write) -> Self {
        Self { out, piece: vec![0; PIECE] }
    }

    /// Write the head of an entry. That of a file is followed by [`ArchiveWriter::content`].
    pub fn entry(&mut self, path: &[u8], kind: EntryKind<'_>, meta: &EntryMeta) -> Result<()> {
        let mut header = Header::new_ustar();
        header.set_mode(meta.mode & 0o7777);
        header.set_uid(meta.uid.into());
        header.set_gid(meta.gid.into());
        header.set_mtime(u64::try_from(meta.mtime).unwrap_or(0));
        let (kind, link, size): (EntryType, &[u8], u64) = match kind {
            EntryKind::Folder => (EntryType::Directory, b"", 0),
            EntryKind::File(size) => (EntryType::Regular, b"", size),
            EntryKind::Symlink(target) => (EntryType::Symlink, target, 0),
            EntryKind::Link(first) => (EntryType::Link, first, 0),
            EntryKind::Char(major, minor) | EntryKind::Block(major, minor) => {
                header.set_device_major(major)?;
                header.set_device_minor(minor)?;
                (if matches!(kind, EntryKind::Char(..)) { EntryType::Char } else { EntryType::Block }, b"", 0)
            }
            EntryKind::Fifo => (EntryType::Fifo, b"", 0),
        };
        header.set_entry_type(kind);
        header.set_size(size);
        let mut long = Vec::new();
        for (key, at, text) in [("path", 0, path), ("linkpath", 157, link)] {
            if let Err(short) = field(&mut header, at, 100, text) {
                long.push((key.to_owned(), text.to_vec()));
                let _ = field(&mut header, at, 100, &short);
            }
        }
        if !meta.records.is_empty() || !long.is_empty() {
            self.extension(meta.records.iter().chain(&long))?;
        }
        header.set_cksum();
        Ok(self.out.write_all(header.as_bytes())?)
    }

    /// Write a file's bytes, `size` of them whatever `from` has: zeros stand for what is missing.
    pub fn content(&mut self, from: &mut dyn Read, size: u64) -> Result<()> {
        let mut left = size;
        while left > 0 {
            let room = self.piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let room = self.piece.get_mut(..room).unwrap_or_default();
            let count = match from.read(room)? {
                0 => {
                    room.fill(0);
                    room.len()
                }
                count => count,
            };
            self.out.write_all(room.get(..count).unwrap_or_default())?;
            left -= count as u64;
        }
        let padding = (size as usize).next_multiple_of(BLOCK) - size as usize;
        Ok(self.out.write_all([0; BLOCK].get(..padding).unwrap_or_default())?)
    }

    /// The two empty blocks at the end.
    pub fn finish(self) -> Result<()> {
        self.out.write_all(&[0; 2 * BLOCK])?;
        Ok(self.out.flush()?)
    }

    /// A pax header for the entry that follows.
    fn extension<'r>(&mut self, records: impl Iterator<Item = &'r Record>) -> Result<()> {
        let mut body = Vec::new();
        for (key, value) in records {
            // The length counts its own digits, too.
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while length != rest + length.to_string().len() {
                length = rest + length.to_string().len();
            }
            body.extend_from_slice(format!("{length} {key}=").as_bytes());
            body.extend_from_slice(value);
            body.push(b'\n');
        }
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::XHeader);
        header.set_mode(0o644);
        header.set_size(body.len() as u64);
        let _ = field(&mut header, 0, 100, b"PaxHeaders/entry");
        header.set_cksum();
        body.resize(body.len().next_multiple_of(BLOCK), 0);
        self.out.write_all(header.as_bytes())?;
        Ok(self.out.write_all(&body)?)
    }
}

/// Put a text into a field of a header; an error with the part that fits if it is too long.
fn field(header: &mut Header, at: usize, length: usize, text: &[u8]) -> std::result::Result<(), Vec<u8>> {
    match header.as_mut_bytes().get_mut(at..at + text.len()).filter(|_| text.len() <= length) {
        Some(place) => {
            place.copy_from_slice(text);
            Ok(())
        }
        None => Err(text.get(..length).unwrap_or(text).to_vec()),
    }
}
