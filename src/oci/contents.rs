//! Tables of contents within packed layers: which bytes hold which content. zstd:chunked and eStargz have one.
//!
//! What they say is used to find bytes that are stored already, and is never believed: the layer that is put together
//! must have its digest.
//! <https://github.com/containers/storage/blob/main/docs/containers-storage-zstd-chunked.md>,
//! <https://github.com/containerd/stargz-snapshotter/blob/main/docs/estargz.md>

use crate::base::digest::Digest;
use crate::base::error::{Kind, fault};
use anyhow::Result;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::ops::Range;

/// Where the table of a zstd:chunked layer is: `OFFSET:LENGTH:UNPACKED:TYPE`.
pub const ZSTD_POSITION: &str = "io.github.containers.zstd-chunked.manifest-position";
/// The digest of that table as it is packed.
pub const ZSTD_CHECKSUM: &str = "io.github.containers.zstd-chunked.manifest-checksum";
/// The digest of an eStargz layer's table, unpacked.
const STARGZ_DIGEST: &str = "containerd.io/snapshot/stargz/toc.digest";
/// The last bytes of an eStargz layer: an empty gzip member that says where the table begins.
pub const STARGZ_FOOTER: u64 = 51;
/// A table is never larger than this, packed and unpacked.
pub const MAX_TABLE: (u64, u64) = (16 << 20, 64 << 20);

/// Where the table of contents of a layer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Table {
    /// At these bytes of the layer, packed with zstd.
    Zstd {
        /// Where.
        range: Range<u64>,
        /// Its size when it is unpacked.
        size: u64,
        /// Its digest, packed.
        digest: Digest,
    },
    /// Where the layer's end says, in a tar archive packed with gzip.
    Stargz {
        /// Its digest, unpacked.
        digest: Digest,
    },
}

impl Table {
    /// The table that the annotations of a layer of that size speak of; `None` if there is none that can be used.
    pub fn of(annotations: &BTreeMap<String, String>, size: u64) -> Option<Self> {
        if let Some(digest) = annotations.get(STARGZ_DIGEST) {
            return Some(Self::Stargz { digest: Digest::parse(digest)? });
        }
        let numbers: Vec<u64> =
            annotations.get(ZSTD_POSITION)?.split(':').map(|number| number.parse().ok()).collect::<Option<_>>()?;
        let &[start, length, unpacked, 1] = numbers.as_slice() else { return None };
        let end = start.checked_add(length).filter(|end| *end <= size)?;
        if length > MAX_TABLE.0 || unpacked > MAX_TABLE.1 {
            return None;
        }
        let digest = Digest::parse(annotations.get(ZSTD_CHECKSUM)?)?;
        Some(Self::Zstd { range: start..end, size: unpacked, digest })
    }
}

/// Where an eStargz layer's footer says that the table begins.
pub fn stargz_table(footer: &[u8]) -> Option<u64> {
    let digits =
        footer.get(16..32).filter(|_| footer.get(12..14) == Some(b"SG") && footer.get(32..38) == Some(b"STARGZ"))?;
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Bytes of a packed layer that stand for themselves, and what they unpack to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// The same for the same content, packed the same way.
    pub key: Digest,
    /// Which bytes.
    pub range: Range<u64>,
}

#[derive(Deserialize)]
struct Contents {
    entries: Vec<Map<String, Value>>,
}

/// Stands for an end that is not known yet.
const OPEN: u64 = u64::MAX;

/// The stretches that a table tells of, in their order: contents, and the headers between them.
///
/// Errors ([`Kind::BadData`]): it is no table, or its places contradict each other.
pub fn stretches(table: &[u8], size: u64) -> Result<Vec<Stretch>> {
    let contents: Contents = serde_json::from_slice(table)
        .map_err(|error| fault(Kind::BadData, format!("the layer's table of contents is damaged: {error}")))?;
    let mut found: Vec<(String, Range<u64>)> = Vec::new();
    for (index, entry) in contents.entries.iter().enumerate() {
        let number = |key: &str| entry.get(key).and_then(Value::as_u64);
        let start = number("offset").filter(|start| *start > 0);
        match found.last_mut() {
            Some((key, range)) if range.end == OPEN => key.push_str(&header(entry)),
            // Headers follow content that ends here: bytes of their own.
            Some((key, range)) if start != Some(range.end) => {
                let (key, from) = (format!("{key} then {}", header(entry)), range.end);
                found.push((key, from..OPEN));
            }
            _ => {}
        }
        let Some(start) = start else { continue };
        if let Some((_, range)) = found.last_mut() {
            match range.end == OPEN {
                // Several small files may share a stretch of eStargz.
                true if range.start == start => continue,
                true => range.end = start,
                false => {}
            }
        }
        let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
        let digest = if text("chunkDigest").is_empty() { text("digest") } else { text("chunkDigest") };
        let end = end_of(contents.entries.get(index..).unwrap_or_default()).unwrap_or(OPEN);
        found.push((format!("{digest} {:?}", number("chunkSize").or(number("size"))), start..end));
    }
    // How the last one ends is not told.
    found.pop_if(|(_, range)| range.end == OPEN);
    let mut all = Vec::with_capacity(found.len());
    let mut before = 0;
    for (key, range) in found {
        if range.start < before || range.end < range.start || range.end > size {
            return Err(fault(Kind::BadData, "the layer's table of contents contradicts itself"));
        }
        before = range.end;
        all.push(Stretch { key: Digest::of(key.as_bytes()), range });
    }
    Ok(all)
}

/// What an entry says of the headers before its content, which are packed with what lies before them.
fn header(entry: &Map<String, Value>) -> String {
    let elsewhere =
        ["offset", "endOffset", "digest", "chunkDigest", "chunkOffset", "chunkSize", "chunkType", "innerOffset"];
    let told = entry.iter().filter(|(key, _)| !elsewhere.contains(&key.as_str()));
    told.map(|(key, value)| format!("{key}:{value};")).collect()
}

/// Where the content of the first entry ends, if the table says it: at the next chunk of the same file, or at the end
/// of the file.
fn end_of(entries: &[Map<String, Value>]) -> Option<u64> {
    let number = |entry: &Map<String, Value>, key: &str| entry.get(key).and_then(Value::as_u64);
    let is_chunk = |entry: &Map<String, Value>| entry.get("type").and_then(Value::as_str) == Some("chunk");
    let (first, rest) = entries.split_first()?;
    let whole_end = number(first, "endOffset");
    match rest.first() {
        Some(next) if is_chunk(next) && (whole_end.is_some() || is_chunk(first)) => number(next, "offset"),
        // The last chunk carries no end itself; what follows begins behind it, headers between.
        _ if is_chunk(first) => None,
        _ => whole_end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn annotations() {
        let digest = Digest::of(b"x");
        let of = |pairs: &[(&str, &str)]| {
            Table::of(&pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(), 1000)
        };
        let checksum = (ZSTD_CHECKSUM, digest.as_str());
        let found = of(&[(ZSTD_POSITION, "100:50:70:1"), checksum]);
        assert_eq!(found, Some(Table::Zstd { range: 100..150, size: 70, digest: digest.clone() }));
        assert_eq!(of(&[(STARGZ_DIGEST, digest.as_str())]), Some(Table::Stargz { digest: digest.clone() }));
        for position in
            ["100:50:70:2", "990:50:70:1", "1:2:3", "", "a:1:1:1", "1:99999999:1:1", "18446744073709551615:5:1:1"]
        {
            assert_eq!(of(&[(ZSTD_POSITION, position), checksum]), None, "{position}");
        }
        assert_eq!(of(&[]), None);
        let mut footer = [0; 51];
        footer[12..14].copy_from_slice(b"SG");
        footer[16..38].copy_from_slice(b"00000000000000ffSTARGZ");
        assert_eq!(stargz_table(&footer), Some(255));
        assert_eq!((stargz_table(&footer[..20]), stargz_table(&[0; 51])), (None, None));
    }

    fn ranges(entries: Value, size: u64) -> Result<Vec<Range<u64>>> {
        let table = json!({ "version": 1, "entries": entries }).to_string();
        Ok(stretches(table.as_bytes(), size)?.into_iter().map(|stretch| stretch.range).collect())
    }

    #[test]
    fn places() {
        let zstd = json!([
            {"type": "dir", "name": "a"},
            {"type": "reg", "name": "a/b", "size": 9, "digest": "d", "offset": 10, "endOffset": 20},
            {"type": "reg", "name": "c", "size": 99, "digest": "d", "offset": 30, "endOffset": 60, "chunkDigest": "1"},
            {"type": "chunk", "name": "c", "offset": 40, "chunkDigest": "2"},
            {"type": "chunk", "name": "c", "offset": 50, "chunkDigest": "3"},
            {"type": "reg", "name": "d", "size": 9, "digest": "d", "offset": 70, "endOffset": 80},
        ]);
        assert_eq!(ranges(zstd, 100).unwrap(), [10..20, 20..30, 30..40, 40..50, 50..70, 70..80]);
        let stargz = json!([
            {"type": "reg", "name": "a", "size": 9, "digest": "d", "offset": 10},
            {"type": "dir", "name": "b"},
            {"type": "reg", "name": "c", "size": 9, "digest": "e", "offset": 20},
            {"type": "chunk", "name": "c", "offset": 30},
            {"type": "reg", "name": "d", "size": 9, "digest": "e", "offset": 40},
        ]);
        assert_eq!(ranges(stargz, 100).unwrap(), [10..20, 20..30, 30..40]);
        for bad in [
            json!([{"type": "reg", "offset": 20, "endOffset": 10}]),
            json!([{"type": "reg", "offset": 20, "endOffset": 200}]),
            json!([{"type": "reg", "offset": 20, "endOffset": 40}, {"type": "reg", "offset": 30, "endOffset": 50}]),
            json!(7),
        ] {
            assert!(ranges(bad.clone(), 100).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_are_content() {
        let keys = |entries: Value| {
            let found = stretches(json!({ "entries": entries }).to_string().as_bytes(), 1000).unwrap();
            found.into_iter().map(|stretch| stretch.key).collect::<Vec<_>>()
        };
        let zstd = |name: &str, offset: u64, digest: &str| {
            keys(
                json!([{"type": "reg", "name": name, "size": 5, "digest": digest, "offset": offset, "endOffset": 100}]),
            )
        };
        assert_eq!(zstd("a", 10, "x"), zstd("b", 20, "x"));
        assert_ne!(zstd("a", 10, "x"), zstd("a", 10, "y"));
        // The header of what comes next is packed with it.
        let stargz = |next: &str| {
            keys(
                json!([{"type": "reg", "name": "a", "digest": "x", "offset": 10}, {"type": "reg", "name": next, "offset": 20}]),
            )
        };
        assert_ne!(stargz("b"), stargz("c"));
    }
}
