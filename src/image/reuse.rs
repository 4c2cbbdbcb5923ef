//! Layers with a table of contents (zstd:chunked, eStargz): bytes that stored layers have already are not fetched.
//!
//! What is put together is the packed layer itself, byte for byte, and it is verified as any other: a table that lies,
//! or content that another program has packed in another way, only leads to the layer being fetched whole. Nothing is
//! asked for that other images do not need: the table is fetched only if a stored layer has one, too.

use super::fetch::Pieces;
use super::find::manifest;
use super::inflate::PIECE;
use crate::base::digest::Digest;
use crate::oci::contents::{MAX_TABLE, STARGZ_FOOTER, Stretch, Table, stargz_table, stretches};
use crate::oci::manifest::Descriptor;
use crate::registry::{Client, Gathered};
use crate::store::Store;
use anyhow::{Context, Result, ensure};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Layers smaller than this are fetched whole: asking twice would cost more.
const WORTH_IT: u64 = 128 << 10;
/// Stored bytes in shorter runs than this are fetched with what is beside them.
const SHORTEST_RUN: u64 = 16 << 10;
/// More parts than this are not asked for.
const MOST_PARTS: usize = 64;

/// The stretches of stored layers, by key: in which file, and where.
type Stored = HashMap<Digest, (Arc<File>, Range<u64>)>;

/// Where the bytes of a layer come from, in their order.
#[derive(Debug)]
pub(super) struct Plan {
    segments: Vec<Segment>,
}

#[derive(Debug, Clone)]
struct Segment {
    /// Which bytes of the layer.
    range: Range<u64>,
    /// The stored layer that has them, and where; `None`: the registry.
    stored: Option<(Arc<File>, u64)>,
}

impl Segment {
    fn length(&self) -> u64 {
        self.range.end - self.range.start
    }
}

impl Plan {
    /// The bytes that need not be fetched.
    pub fn stored(&self) -> u64 {
        self.segments.iter().filter(|segment| segment.stored.is_some()).map(Segment::length).sum()
    }
}

/// Plans for those layers that are not stored and of which enough is. Whatever is wrong with a table: no plan.
pub(super) async fn plans(store: &Store, client: &Client, layers: &[Descriptor]) -> HashMap<Digest, Plan> {
    let mut plans = HashMap::new();
    let mut known: Option<Stored> = None;
    for layer in
        layers.iter().filter(|layer| layer.size >= WORTH_IT && !store.has_blob(&layer.digest, Some(layer.size)))
    {
        let Some(table) = Table::of(&layer.annotations, layer.size) else { continue };
        let known = known.get_or_insert_with(|| stored_stretches(store));
        if known.is_empty() {
            break;
        }
        let Ok(found) = fetch_table(client, layer, &table).await else { continue };
        let plan = plan(&found, known, layer.size);
        if plan.stored() >= layer.size / 20 {
            plans.insert(layer.digest.clone(), plan);
        }
    }
    plans
}

/// The stretches of all stored layers that have a table.
fn stored_stretches(store: &Store) -> Stored {
    let mut known = HashMap::new();
    let mut seen = std::collections::HashSet::new();
    for entry in store.entries().unwrap_or_default() {
        let Ok(manifest) = manifest(store, &entry) else { continue };
        for layer in &manifest.layers {
            let Some(table) = Table::of(&layer.annotations, layer.size) else { continue };
            if !seen.insert(layer.digest.clone()) || !store.has_blob(&layer.digest, Some(layer.size)) {
                continue;
            }
            let Ok((file, found)) = read_table(store, layer, &table) else { continue };
            known.extend(found.into_iter().map(|stretch| (stretch.key, (file.clone(), stretch.range))));
        }
    }
    known
}

fn read_table(store: &Store, layer: &Descriptor, table: &Table) -> Result<(Arc<File>, Vec<Stretch>)> {
    let file = store.open_blob(&layer.digest)?;
    let read = |range: Range<u64>| -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(range.end - range.start)?];
        file.read_exact_at(&mut bytes, range.start)?;
        Ok(bytes)
    };
    let packed = match table {
        Table::Zstd { range, .. } => read(range.clone())?,
        Table::Stargz { .. } => {
            read(stargz_place(layer.size, &read(layer.size.saturating_sub(STARGZ_FOOTER)..layer.size)?)?)?
        }
    };
    let found = unpack_table(table, &packed, layer.size)?;
    Ok((Arc::new(file), found))
}

async fn fetch_table(client: &Client, layer: &Descriptor, table: &Table) -> Result<Vec<Stretch>> {
    let range = match table {
        Table::Zstd { range, .. } => range.clone(),
        Table::Stargz { .. } => {
            let footer = fetch(client, layer, layer.size.saturating_sub(STARGZ_FOOTER)..layer.size).await?;
            stargz_place(layer.size, &footer)?
        }
    };
    unpack_table(table, &fetch(client, layer, range).await?, layer.size)
}

fn stargz_place(size: u64, footer: &[u8]) -> Result<Range<u64>> {
    let end = size.saturating_sub(STARGZ_FOOTER);
    let start = stargz_table(footer).context("the layer has no footer")?;
    ensure!(start < end && end - start <= MAX_TABLE.0, "the table is not where the footer says");
    Ok(start..end)
}

async fn fetch(client: &Client, layer: &Descriptor, range: Range<u64>) -> Result<Vec<u8>> {
    let (to, mut from) = mpsc::channel::<Vec<u8>>(4);
    let mut bytes = Vec::new();
    let length = (range.end - range.start) as usize;
    let send = async move { client.blob(&layer.digest, layer.size, range, &mut Gathered::new(&to)).await };
    let take = async {
        while let Some(piece) = from.recv().await {
            bytes.extend(piece);
        }
    };
    let (sent, ()) = tokio::join!(send, take);
    sent?;
    ensure!(bytes.len() == length, "the table did not come whole");
    Ok(bytes)
}

/// Unpack a table, if it is the one that the layer's annotations speak of.
fn unpack_table(table: &Table, packed: &[u8], size: u64) -> Result<Vec<Stretch>> {
    let plain = match table {
        Table::Zstd { size, digest, .. } => {
            ensure!(Digest::of(packed) == *digest, "the table has another digest");
            zstd::bulk::decompress(packed, usize::try_from(*size)?)?
        }
        Table::Stargz { digest } => {
            let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(packed).take(MAX_TABLE.1));
            let mut plain = Vec::new();
            archive.entries()?.next().context("the table's archive is empty")??.read_to_end(&mut plain)?;
            ensure!(Digest::of(&plain) == *digest, "the table has another digest");
            plain
        }
    };
    stretches(&plain, size)
}

/// Cover a layer with what is known and what is to be fetched, in no more parts than is sensible.
fn plan(found: &[Stretch], known: &Stored, size: u64) -> Plan {
    let mut shortest = SHORTEST_RUN;
    loop {
        let segments = cover(found, known, size, shortest);
        if segments.iter().filter(|segment| segment.stored.is_none()).count() <= MOST_PARTS {
            return Plan { segments };
        }
        shortest *= 2;
    }
}

fn cover(found: &[Stretch], known: &Stored, size: u64, shortest: u64) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    let mut run: Vec<Segment> = Vec::new();
    let mut covered = 0;
    // A run of stored stretches, one behind the other, counts as a whole.
    let close = |run: &mut Vec<Segment>, segments: &mut Vec<Segment>, covered: &mut u64| {
        if let (Some(first), Some(last)) = (run.first(), run.last())
            && last.range.end - first.range.start >= shortest
        {
            if *covered < first.range.start {
                segments.push(Segment { range: *covered..first.range.start, stored: None });
            }
            *covered = last.range.end;
            segments.append(run);
        }
        run.clear();
    };
    for stretch in found {
        let length = stretch.range.end - stretch.range.start;
        let stored = known.get(&stretch.key).filter(|(_, range)| range.end - range.start == length);
        let Some((file, range)) = stored.filter(|_| length > 0) else { continue };
        if run.last().is_some_and(|last| last.range.end != stretch.range.start) {
            close(&mut run, &mut segments, &mut covered);
        }
        run.push(Segment { range: stretch.range.clone(), stored: Some((file.clone(), range.start)) });
    }
    close(&mut run, &mut segments, &mut covered);
    if covered < size {
        segments.push(Segment { range: covered..size, stored: None });
    }
    segments
}

/// The bytes of a layer, from here and there.
pub(super) struct Joined<F> {
    /// The last one is next.
    segments: Vec<Segment>,
    fetch: F,
    current: Option<Box<dyn Pieces + Send>>,
}

impl<F: Fn(Range<u64>) -> Result<Box<dyn Pieces + Send>>> Joined<F> {
    /// From this byte on; `fetch` begins a part that is not stored.
    pub fn new(plan: Plan, from: u64, fetch: F) -> Self {
        let rest = plan.segments.into_iter().filter(|segment| segment.range.end > from).map(|mut segment| {
            let skipped = from.saturating_sub(segment.range.start);
            segment.range.start += skipped;
            segment.stored = segment.stored.map(|(file, at)| (file, at + skipped));
            segment
        });
        let mut segments: Vec<Segment> = rest.collect();
        segments.reverse();
        Self { segments, fetch, current: None }
    }
}

impl<F: Fn(Range<u64>) -> Result<Box<dyn Pieces + Send>>> Pieces for Joined<F> {
    fn next(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            if let Some(current) = &mut self.current {
                match current.next()? {
                    Some(piece) => return Ok(Some(piece)),
                    None => self.current = None,
                }
            }
            let Some(segment) = self.segments.pop() else { return Ok(None) };
            let Some((file, at)) = segment.stored else {
                self.current = Some((self.fetch)(segment.range)?);
                continue;
            };
            let count = (segment.range.end - segment.range.start).min(PIECE as u64);
            let mut piece = vec![0; count as usize];
            file.read_exact_at(&mut piece, at).context("cannot read a stored layer")?;
            let range = segment.range.start + count..segment.range.end;
            if !range.is_empty() {
                self.segments.push(Segment { range, stored: Some((file, at + count)) });
            }
            return Ok(Some(piece));
        }
    }

    fn is_assembled(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretch(key: &str, range: Range<u64>) -> Stretch {
        Stretch { key: Digest::of(key.as_bytes()), range }
    }

    struct Bytes(Option<Vec<u8>>);

    impl Pieces for Bytes {
        fn next(&mut self) -> Result<Option<Vec<u8>>> {
            Ok(self.0.take())
        }
    }

    #[test]
    fn put_together_from_here_and_there() {
        let k = 32 << 10;
        let old: Vec<u8> = (0..4 * k).map(|at| (at / 7) as u8).collect();
        let file = rustix::fs::memfd_create("old", rustix::fs::MemfdFlags::empty()).unwrap();
        let file = Arc::new(File::from(file));
        file.write_all_at(&old, 0).unwrap();
        let at = |range: Range<u64>| (file.clone(), range);
        let known = HashMap::from([
            (Digest::of(b"a"), at(0..k)),
            (Digest::of(b"b"), at(2 * k..3 * k)),
            (Digest::of(b"small"), at(0..10)),
            (Digest::of(b"longer here"), at(0..k)),
        ]);
        // New: 100 bytes, a, small (not worth it), k bytes, b, what has the same key and another length, an end.
        let (a, b) = (100..100 + k, 110 + 2 * k..110 + 3 * k);
        let found = [
            stretch("a", a.clone()),
            stretch("x", a.end..a.end + 5),
            stretch("small", a.end + 5..a.end + 15),
            stretch("b", b.clone()),
            stretch("longer here", b.end..b.end + k + 1),
        ];
        let size = b.end + k + 50;
        let mut new: Vec<u8> = (0..size).map(|at| (at / 3) as u8).collect();
        new[100..][..k as usize].copy_from_slice(&old[..k as usize]);
        new[b.start as usize..][..k as usize].copy_from_slice(&old[2 * k as usize..][..k as usize]);
        for from in [0, 50, 100, 100 + k / 2, size - 1, size] {
            let plan = plan(&found, &known, size);
            assert_eq!((plan.stored(), plan.segments.len()), (2 * k, 5));
            let asked = std::sync::Mutex::new(0);
            let mut joined = Joined::new(plan, from, |range| {
                *asked.lock().unwrap() += 1;
                Ok(Box::new(Bytes(Some(new[range.start as usize..range.end as usize].to_vec()))) as Box<_>)
            });
            let mut all = Vec::new();
            while let Some(piece) = joined.next().unwrap() {
                all.extend(piece);
            }
            assert!(all == new[from as usize..], "{from}");
            assert!(*asked.lock().unwrap() <= 3);
        }
    }

    #[test]
    fn not_too_many_parts() {
        let file = Arc::new(File::open("/dev/null").unwrap());
        let known = HashMap::from([(Digest::of(b"a"), (file, 0..20 << 10))]);
        let found: Vec<Stretch> =
            (0..1000).map(|at| stretch("a", (at * 2 + 1) * (20 << 10)..(at * 2 + 2) * (20 << 10))).collect();
        let plan = plan(&found, &known, 2001 * (20 << 10));
        assert_eq!((plan.segments.len(), plan.stored()), (1, 0));
    }
}
