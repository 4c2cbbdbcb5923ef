//! Layers packed as zstd:chunked: each file's content is a frame of its own, and behind the last one lie, in frames that
//! other readers skip, a table of contents and what it takes to write the same archive from its files (tar-split).
//!
//! <https://github.com/containers/storage/blob/main/docs/containers-storage-zstd-chunked.md>,
//! <https://github.com/vbatts/tar-split>

use super::unpack::archive::{Archive, Entry, Kind};
use crate::base::base64;
use crate::base::digest::{Algorithm, Digest, Hasher};
use crate::base::time;
use crate::oci::contents::{ZSTD_CHECKSUM, ZSTD_POSITION};
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::rc::Rc;
use zstd::stream::raw::{Encoder, InBuffer, Operation, OutBuffer};

/// Where tar-split's data is: `OFFSET:LENGTH:UNPACKED`.
const SPLIT_POSITION: &str = "io.github.containers.zstd-chunked.tarsplit-position";
/// A frame that decoders skip, and the end of all (RFC 8878, 3.1.2).
const SKIPPED: [u8; 4] = [0x50, 0x2a, 0x4d, 0x18];
const END: &[u8; 8] = b"GNUlInUx";
const PIECE: usize = 256 << 10;

/// Pack an archive; the annotations that its layer needs. `None` for one that the format has no words for (files with
/// holes, names that are no text): what was written is of no use then.
pub fn pack_chunked(tar: &mut dyn Read, out: &mut dyn Write, level: i32) -> Result<Option<BTreeMap<String, String>>> {
    let record = Rc::new(RefCell::new(Vec::new()));
    let mut source = Recording { inner: BufReader::with_capacity(PIECE, tar), record: Some(record.clone()) };
    let mut packer = Packer { out: Frames::new(out, level)?, split: Frames::new(Vec::new(), level)?, position: 0 };
    let mut table: Vec<Value> = Vec::new();
    let mut archive = Archive::new(&mut source);
    while let Some(entry) = archive.next()? {
        packer.raw(&record.take())?;
        let Some(mut row) = row(&entry) else { return Ok(None) };
        let (mut hasher, mut sum) = (Hasher::new(Algorithm::Sha256), Sum::default());
        if entry.size > 0 {
            packer.out.end()?;
            let start = packer.out.written;
            archive.content(entry.size, &mut |bytes| {
                record.borrow_mut().clear();
                hasher.update(bytes);
                sum.update(bytes);
                packer.out.write_all(bytes)
            })?;
            record.borrow_mut().clear();
            packer.out.end()?;
            row.extend([
                ("size".to_owned(), entry.size.into()),
                ("digest".to_owned(), hasher.finish().as_str().into()),
                ("offset".to_owned(), start.into()),
                ("endOffset".to_owned(), packer.out.written.into()),
            ]);
        }
        packer.file(&row, entry.size, sum)?;
        table.push(row.into());
    }
    source.read_to_end(&mut Vec::new()).context("cannot read the layer")?;
    packer.raw(&record.take())?;
    packer.finish(table).map(Some)
}

/// The archive and what is said of it, as they grow.
struct Packer<'a> {
    out: Frames<&'a mut dyn Write>,
    split: Frames<Vec<u8>>,
    /// How many records tar-split's data has.
    position: u64,
}

impl Packer<'_> {
    /// Bytes that belong to no file.
    fn raw(&mut self, bytes: &[u8]) -> Result<()> {
        if !bytes.is_empty() {
            self.out.write_all(bytes)?;
            self.record(json!({ "type": 2, "payload": base64::encode(bytes) }))?;
        }
        Ok(())
    }

    fn file(&mut self, row: &Map<String, Value>, size: u64, sum: Sum) -> Result<()> {
        let payload = (size > 0).then(|| base64::encode(&sum.finish()));
        let mut record = json!({ "type": 1, "name": row.get("name"), "payload": payload });
        if size > 0
            && let Some(record) = record.as_object_mut()
        {
            record.insert("size".into(), size.into());
        }
        self.record(record)
    }

    fn record(&mut self, mut record: Value) -> Result<()> {
        if let Some(record) = record.as_object_mut() {
            record.insert("position".into(), self.position.into());
        }
        self.position += 1;
        Ok(self.split.write_all(format!("{record}\n").as_bytes())?)
    }

    /// The frames behind the archive: the table, tar-split's data, and where they are.
    fn finish(mut self, table: Vec<Value>) -> Result<BTreeMap<String, String>> {
        self.out.end()?;
        self.split.end()?;
        let split = &self.split.out;
        let table = json!({ "version": 1, "entries": table, "tarSplitDigest": Digest::of(split).as_str() }).to_string();
        let mut packed = Frames::new(Vec::new(), self.split.level)?;
        packed.write_all(table.as_bytes())?;
        packed.end()?;
        let packed = packed.out;
        let at = self.out.written + 8;
        let split_at = at + packed.len() as u64 + 8;
        let lengths = [packed.len(), table.len(), split.len(), self.split.taken as usize].map(|length| length as u64);
        let [packed_length, table_length, split_length, split_plain] = lengths;
        let footer = [at, packed_length, table_length, 1, split_at, split_length, split_plain];
        let footer = [footer.map(u64::to_le_bytes).as_flattened(), END].concat();
        for frame in [packed.as_slice(), split, &footer] {
            let length = u32::try_from(frame.len()).context("the layer has too many files for zstd:chunked")?;
            self.out.out.write_all(&[SKIPPED, length.to_le_bytes()].concat())?;
            self.out.out.write_all(frame)?;
        }
        Ok(BTreeMap::from([
            (ZSTD_CHECKSUM.to_owned(), Digest::of(&packed).to_string()),
            (ZSTD_POSITION.to_owned(), format!("{at}:{packed_length}:{table_length}:1")),
            (SPLIT_POSITION.to_owned(), format!("{split_at}:{split_length}:{split_plain}")),
        ]))
    }
}

/// What the table says of an entry, but for its content.
fn row(entry: &Entry) -> Option<Map<String, Value>> {
    let kind = match entry.kind {
        Kind::File => "reg",
        Kind::HardLink => "hardlink",
        Kind::SymbolicLink => "symlink",
        Kind::CharacterDevice => "char",
        Kind::BlockDevice => "block",
        Kind::Folder => "dir",
        Kind::Fifo => "fifo",
    };
    if entry.sparse.is_some() {
        return None;
    }
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    let mut row = Map::from_iter([
        ("type".to_owned(), kind.into()),
        ("name".to_owned(), text(&entry.path)?.into()),
        ("mode".to_owned(), entry.mode.into()),
        ("uid".to_owned(), entry.uid.into()),
        ("gid".to_owned(), entry.gid.into()),
    ]);
    if !entry.link.is_empty() {
        row.insert("linkName".into(), text(&entry.link)?.into());
    }
    let moment = chrono::DateTime::from_timestamp(entry.mtime.0, entry.mtime.1)?;
    row.insert("modtime".into(), time::rfc3339(&moment).into());
    if entry.device != (0, 0) {
        row.insert("devMajor".into(), entry.device.0.into());
        row.insert("devMinor".into(), entry.device.1.into());
    }
    if !entry.xattrs.is_empty() {
        let one = |(key, value): &(Vec<u8>, Vec<u8>)| Some((text(key)?, base64::encode(value).into()));
        row.insert("xattrs".into(), Value::Object(entry.xattrs.iter().map(one).collect::<Option<_>>()?));
    }
    Some(row)
}

/// A source whose bytes are noted as they are consumed.
struct Recording<R> {
    inner: BufReader<R>,
    record: Option<Rc<RefCell<Vec<u8>>>>,
}

impl<R: Read> Read for Recording<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(out)?;
        self.consume(count);
        Ok(count)
    }
}

impl<R: Read> BufRead for Recording<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        if let Some(record) = &self.record {
            record.borrow_mut().extend_from_slice(self.inner.buffer().get(..amount).unwrap_or_default());
        }
        self.inner.consume(amount);
    }
}

/// zstd frames, one behind the other.
struct Frames<W> {
    out: W,
    encoder: Encoder<'static>,
    buffer: Vec<u8>,
    level: i32,
    /// Bytes that were taken in, and given out.
    taken: u64,
    written: u64,
    /// Whether a frame has begun.
    is_open: bool,
}

impl<W: Write> Frames<W> {
    fn new(out: W, level: i32) -> Result<Self> {
        let encoder = Encoder::new(level)?;
        Ok(Self { out, encoder, buffer: vec![0; PIECE], level, taken: 0, written: 0, is_open: false })
    }

    fn step(&mut self, input: Option<&mut InBuffer<'_>>) -> io::Result<usize> {
        let mut to = OutBuffer::around(self.buffer.as_mut_slice());
        let left = match input {
            Some(input) => self.encoder.run(input, &mut to)?,
            None => self.encoder.finish(&mut to, true)?,
        };
        let made = to.pos();
        self.out.write_all(self.buffer.get(..made).unwrap_or_default())?;
        self.written += made as u64;
        Ok(left)
    }

    /// End the frame, if one has begun.
    fn end(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.is_open) {
            while self.step(None)? > 0 {}
            self.encoder.reinit()?;
        }
        Ok(())
    }
}

impl<W: Write> Write for Frames<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.is_open = true;
        let mut from = InBuffer::around(bytes);
        while from.pos() < bytes.len() {
            self.step(Some(&mut from))?;
        }
        self.taken += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// CRC-64 of ISO 3309, as tar-split has it.
struct Sum(u64);

impl Default for Sum {
    fn default() -> Self {
        Self(u64::MAX)
    }
}

static SUMS: [u64; 256] = sums();

const fn sums() -> [u64; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ 0xd800_0000_0000_0000 } else { sum >> 1 };
            bit += 1;
        }
        table[byte] = sum;
        byte += 1;
    }
    table
}

impl Sum {
    fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = SUMS[(self.0 as u8 ^ byte) as usize] ^ (self.0 >> 8);
        }
    }

    fn finish(self) -> [u8; 8] {
        (!self.0).to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::contents::{Table, stretches};

    #[test]
    fn sums_are_iso_3309() {
        let mut sum = Sum::default();
        sum.update(b"123456789");
        assert_eq!(u64::from_be_bytes(sum.finish()), 0xb909_56c7_75a4_1001);
    }

    #[test]
    fn contents_can_be_had_alone() {
        let mut builder = tar::Builder::new(Vec::new());
        let contents =
            [("a", vec![1; 3000]), ("empty", vec![]), ("b", (0..700_000u32).map(|i| (i / 5) as u8).collect())];
        for (name, content) in &contents {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, content.as_slice()).unwrap();
        }
        let tar = builder.into_inner().unwrap();
        let mut packed = Vec::new();
        let annotations = pack_chunked(&mut tar.as_slice(), &mut packed, 3).unwrap().unwrap();
        assert_eq!(zstd::decode_all(packed.as_slice()).unwrap(), tar, "for others it is an ordinary layer");
        let Some(Table::Zstd { range, size, digest }) = Table::of(&annotations, packed.len() as u64) else { panic!() };
        let table = &packed[range.start as usize..range.end as usize];
        assert_eq!(Digest::of(table), digest);
        let table = zstd::bulk::decompress(table, size as usize).unwrap();
        let found = stretches(&table, packed.len() as u64).unwrap();
        let unpacked: Vec<Vec<u8>> = (found.iter())
            .map(|stretch| zstd::decode_all(&packed[stretch.range.start as usize..stretch.range.end as usize]).unwrap())
            .collect();
        for (name, content) in contents.iter().filter(|(_, content)| !content.is_empty()) {
            assert!(unpacked.contains(content), "{name}");
        }
        let table: Value = serde_json::from_slice(&table).unwrap();
        assert_eq!(table["entries"][0]["name"], "a");
        assert_eq!(packed[packed.len() - 8..], *END);
    }
}
