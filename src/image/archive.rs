//! Archives of images, of docker, podman, skopeo or in the OCI's form, read once from front to back: a pipe will do.
//!
//! Nothing is unpacked to paths of the archive's choosing: small documents stay in memory, all else becomes blobs of
//! the store, under the digest that it has. Names of entries are only keys.

use super::inflate::{Inflater, PIECE, Sink, is_only_read};
use crate::base::digest::Digest;
use crate::base::error::{Kind, fault};
use crate::store::Store;
use anyhow::{Context, Result};
use std::collections::HashMap;
use std::io::{Read, Write};

/// Documents are at most this large, and all of them together no more than `MOST_DOCUMENTS`.
const DOCUMENT: u64 = 4 << 20;
const MOST_DOCUMENTS: usize = 64 << 20;
/// More entries than this are refused.
const MOST_ENTRIES: usize = 100_000;
/// Links to links are followed this far.
const MOST_LINKS: usize = 8;

/// What an archive holds.
#[derive(Default)]
pub struct Contents {
    documents: HashMap<String, Vec<u8>>,
    blobs: HashMap<String, (Digest, u64)>,
    links: HashMap<String, String>,
}

impl Contents {
    /// Read an archive, packed or not. The caller holds a lease.
    pub fn read(store: &Store, input: impl Read) -> Result<Self> {
        let mut contents = Self::default();
        let mut archive = tar::Archive::new(Inflating::new(input));
        let (mut total, mut count) = (0, 0);
        let damaged = "it is not an archive of images, or damaged";
        for entry in archive.entries().context(damaged)? {
            let mut entry = entry.map_err(|error| fault(Kind::BadData, format!("{damaged}: {error}")))?;
            count += 1;
            if count > MOST_ENTRIES {
                return Err(fault(Kind::BadData, format!("it has more than {MOST_ENTRIES} entries")));
            }
            let name = normal("", &String::from_utf8_lossy(&entry.path_bytes()));
            let kind = entry.header().entry_type();
            if kind.is_symlink() || kind.is_hard_link() {
                let target = entry.link_name_bytes().unwrap_or_default();
                let base = if kind.is_symlink() { name.rsplit_once('/').map_or("", |(folder, _)| folder) } else { "" };
                contents.links.insert(name.clone(), normal(base, &String::from_utf8_lossy(&target)));
                continue;
            }
            if !kind.is_file() {
                continue;
            }
            let size = entry.size();
            if is_document(&name) && size <= DOCUMENT {
                let mut bytes = Vec::new();
                (&mut entry).take(DOCUMENT).read_to_end(&mut bytes)?;
                total += bytes.len();
                if total > MOST_DOCUMENTS {
                    return Err(fault(Kind::BadData, "it has too many documents"));
                }
                contents.documents.insert(name, bytes);
            } else {
                let kept = keep(store, &name, size, &mut entry)?;
                contents.blobs.insert(name, kept);
            }
        }
        Ok(contents)
    }

    /// A document by its path.
    pub fn document(&self, path: &str) -> Option<&[u8]> {
        self.documents.get(self.follow(path)?).map(Vec::as_slice)
    }

    /// A blob by its path: its digest in the store, and its size.
    pub fn blob(&self, path: &str) -> Option<&(Digest, u64)> {
        self.blobs.get(self.follow(path)?)
    }

    /// Follow links by name, to a name that is there.
    fn follow<'a>(&'a self, path: &'a str) -> Option<&'a str> {
        let mut path = path;
        for _ in 0..MOST_LINKS {
            match self.links.get(path) {
                Some(next) => path = next,
                None => return Some(path),
            }
        }
        None
    }
}

/// Documents by name: what is read before it is known which blobs matter.
fn is_document(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    !name.starts_with("blobs/")
        && (file.ends_with(".json") || matches!(file, "json" | "oci-layout" | "repositories" | "VERSION"))
}

/// Stream an entry into a blob: its digest and size. A name that is a digest must be that of the content. What has
/// none and is packed as no registry would take it is unpacked.
fn keep(store: &Store, name: &str, size: u64, entry: &mut impl Read) -> Result<(Digest, u64)> {
    let said = name.strip_prefix("blobs/").and_then(|rest| Digest::parse(&rest.replacen('/', ":", 1)));
    if let Some(digest) = &said
        && store.has_blob(digest, Some(size))
    {
        return Ok((digest.clone(), size));
    }
    let mut start = Vec::new();
    entry.take(4).read_to_end(&mut start)?;
    let is_unpacked = said.is_none() && is_only_read(&start);
    let whole = start.as_slice().chain(entry);
    let mut source: Box<dyn Read + '_> = if is_unpacked { Box::new(Inflating::new(whole)) } else { Box::new(whole) };
    let mut writer = store.blob_writer()?;
    if let Some(digest) = &said {
        writer = writer.with_algorithm(digest.algorithm());
    }
    let mut buffer = vec![0; PIECE];
    loop {
        let count = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) => {
                return Err(fault(Kind::BadData, format!("it is damaged at `{}`: {error}", name.escape_debug())));
            }
        };
        writer.write_all(buffer.get(..count).unwrap_or_default())?;
    }
    let written = writer.size();
    match said {
        Some(digest) => writer.finish(&digest, Some(size)).map(|()| (digest, size)),
        None if is_unpacked || written == size => Ok((writer.finish_as_found()?, written)),
        None => Err(fault(Kind::BadData, format!("it ends within `{}`", name.escape_debug()))),
    }
}

/// A path below `base` without `.` and `..`, as a key.
fn normal(base: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let base = if path.starts_with('/') { "" } else { base };
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Packed bytes are unpacked in steps of this many: the worst of what zstd can make of it is 64 MiB.
const STEP: usize = 2 << 10;

/// Reads a stream that may be packed (gzip, zstd, …), unpacked.
pub struct Inflating<R> {
    input: std::io::BufReader<R>,
    inflater: Option<Inflater>,
    ready: Ready,
}

/// Unpacked bytes that were not read yet.
#[derive(Default)]
struct Ready {
    bytes: Vec<u8>,
    taken: usize,
}

impl Sink for Ready {
    fn put(&mut self, buffer: Vec<u8>, filled: usize) -> Result<Vec<u8>> {
        self.bytes.extend_from_slice(buffer.get(..filled).unwrap_or_default());
        Ok(buffer)
    }
}

impl<R: Read> Inflating<R> {
    /// Of a stream from its beginning.
    pub fn new(input: R) -> Self {
        let input = std::io::BufReader::with_capacity(PIECE, input);
        Self { input, inflater: Some(Inflater::new(vec![0; PIECE])), ready: Ready::default() }
    }
}

impl<R: Read> Read for Inflating<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        while self.ready.taken == self.ready.bytes.len() {
            self.ready.bytes.clear();
            self.ready.taken = 0;
            let Some(mut inflater) = self.inflater.take() else { return Ok(0) };
            let mut piece = [0; STEP];
            let count = rustix::io::retry_on_intr(|| self.input.read(&mut piece).map_err(errno))?;
            let result = match piece.get(..count).unwrap_or_default() {
                [] => inflater.finish(&mut self.ready),
                piece => {
                    let result = inflater.push(piece, &mut self.ready);
                    self.inflater = Some(inflater);
                    result
                }
            };
            result.map_err(|error| std::io::Error::other(error.to_string()))?;
        }
        let rest = self.ready.bytes.get(self.ready.taken..).unwrap_or_default();
        let count = rest.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        self.ready.taken += count;
        Ok(count)
    }
}

/// The number of an I/O error.
fn errno(error: std::io::Error) -> rustix::io::Errno {
    rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_keys() {
        for (base, path, expected) in [
            ("", "./a/b", "a/b"),
            ("", "/a//b/", "a/b"),
            ("", "../../etc/passwd", "etc/passwd"),
            ("x/y", "../z/layer.tar", "x/z/layer.tar"),
            ("x", "/abs", "abs"),
        ] {
            assert_eq!(normal(base, path), expected);
        }
    }

    #[test]
    fn links_that_go_round_end() {
        let mut contents = Contents::default();
        contents.links.insert("a".into(), "b".into());
        contents.links.insert("b".into(), "a".into());
        assert!(contents.blob("a").is_none() && contents.document("a").is_none());
    }
}
