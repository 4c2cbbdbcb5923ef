//! An image on its way out: the bytes as they are stored, or in another form if that is asked for.
//!
//! What is stored is what came: nothing is packed anew, and no manifest written anew, unless a flag says so. Then only
//! what must change does; unknown fields of the manifest are kept.

use super::archive::Inflating;
use super::compose::ManifestFormat;
use super::inflate::{Inflater, PIECE, Sink};
use super::{LayerState, Progress};
use crate::base::digest::{Algorithm, Digest, Hasher};
use crate::base::error::{Fault, Kind, fault};
use crate::oci::image::{DOCUMENT_LIMIT, Manifest, Packing};
use crate::oci::json;
use crate::oci::manifest::{DOCKER_CONFIG, DOCKER_LAYER, DOCKER_LAYER_GZIP, DOCKER_MANIFEST, Descriptor};
use crate::registry::Payload;
use crate::store::{Store, pack_chunked};
use anyhow::{Context, Result};
use oci_spec::image::MediaType;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How layers are to be packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, of this level (1 to 9).
    Gzip(Option<i32>),
    /// zstd, of this level (1 to 20).
    Zstd(Option<i32>),
    /// zstd:chunked, of this level: who has one version of an image fetches only the files that the next one changes.
    Chunked(Option<i32>),
}

/// The form in which an image is to leave.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shape {
    /// The manifest's; `None`: as it is.
    pub format: Option<ManifestFormat>,
    /// The layers' packing; `None`: as it is.
    pub compression: Option<Compression>,
    /// Whether layers that are packed otherwise are packed anew, too.
    pub force: bool,
}

/// A blob on its way.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub digest: Digest,
    pub size: u64,
    pub payload: Payload,
    /// What its layer says of it, if it was packed here.
    pub annotations: BTreeMap<String, String>,
}

/// An image on its way.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    pub manifest: Vec<u8>,
    pub media_type: String,
    /// Its layers, lowest first.
    pub layers: Vec<Piece>,
    pub config: Piece,
}

impl Outgoing {
    /// The manifest's digest.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.manifest)
    }

    /// All blobs, each once.
    pub fn pieces(&self) -> Vec<&Piece> {
        let mut seen = std::collections::HashSet::new();
        self.layers.iter().chain([&self.config]).filter(|piece| seen.insert(&piece.digest)).collect()
    }
}

/// Make the image with this manifest ready to leave in a form.
pub(super) fn prepare(store: &Store, digest: &Digest, shape: Shape, progress: &dyn Progress) -> Result<Outgoing> {
    let raw = store.read_blob(digest, DOCUMENT_LIMIT)?;
    let manifest = Manifest::parse(&raw, None).with_context(|| format!("manifest {digest} is damaged"))?;
    let stored = |descriptor: &Descriptor| -> Result<Piece> {
        let file = store.open_blob(&descriptor.digest)?;
        let size = file.metadata().map_or(0, |meta| meta.len());
        if size != descriptor.size {
            let text = format!("blob {} is damaged: it has {size} bytes, not {}", descriptor.digest, descriptor.size);
            return Err(fault(Kind::BadData, text));
        }
        let payload = Payload::File(Arc::new(file));
        Ok(Piece { digest: descriptor.digest.clone(), size, payload, annotations: BTreeMap::new() })
    };
    let config = stored(&manifest.config)?;
    let mut layers = manifest.layers.iter().map(stored).collect::<Result<Vec<_>>>()?;
    let Some(mut packings) = manifest.layers.iter().map(Descriptor::packing).collect::<Option<Vec<_>>>() else {
        // An attestation or another artifact: what it holds is no layers, and means something by its digest.
        return Ok(Outgoing { manifest: raw, media_type: manifest.media_type, layers, config });
    };
    if let Some(compression) = shape.compression {
        pack(store, &mut layers, &mut packings, compression, shape.force, progress)?;
    }
    let format = shape.format.unwrap_or(match manifest.media_type.as_str() {
        DOCKER_MANIFEST if !packings.contains(&Packing::Zstd) => ManifestFormat::Docker,
        _ => ManifestFormat::Oci,
    });
    let same = layers.iter().zip(&manifest.layers).all(|(now, before)| now.digest == before.digest);
    let is_docker = manifest.media_type == DOCKER_MANIFEST;
    if same && is_docker == (format == ManifestFormat::Docker) {
        return Ok(Outgoing { manifest: raw, media_type: manifest.media_type, layers, config });
    }
    if format == ManifestFormat::Docker && packings.contains(&Packing::Zstd) {
        let fault = Fault::new(Kind::Usage, "docker's format has no layers in zstd");
        return Err(fault.hint("box push --format v2s2 --compression-format gzip --force-compression …").into());
    }
    let mut document = json::object(&raw)?;
    rewrite(&mut document, format, &layers, &packings);
    let media_type = manifest_type(format);
    Ok(Outgoing { manifest: serde_json::to_vec(&document)?, media_type, layers, config })
}

fn manifest_type(format: ManifestFormat) -> String {
    match format {
        ManifestFormat::Oci => MediaType::ImageManifest.to_string(),
        ManifestFormat::Docker => DOCKER_MANIFEST.to_owned(),
    }
}

fn layer_type(format: ManifestFormat, packing: Packing) -> String {
    match (format, packing) {
        (ManifestFormat::Oci, Packing::None) => MediaType::ImageLayer.to_string(),
        (ManifestFormat::Oci, Packing::Gzip) => MediaType::ImageLayerGzip.to_string(),
        (_, Packing::Zstd) => MediaType::ImageLayerZstd.to_string(),
        (ManifestFormat::Docker, Packing::None) => DOCKER_LAYER.to_owned(),
        (ManifestFormat::Docker, Packing::Gzip) => DOCKER_LAYER_GZIP.to_owned(),
    }
}

/// Put the new types, digests and sizes into a manifest.
fn rewrite(document: &mut Map<String, Value>, format: ManifestFormat, layers: &[Piece], packings: &[Packing]) {
    document.insert("mediaType".into(), manifest_type(format).into());
    if format == ManifestFormat::Docker {
        // Docker's manifests have no annotations.
        document.remove("annotations");
    }
    let config_type = match format {
        ManifestFormat::Oci => MediaType::ImageConfig.to_string(),
        ManifestFormat::Docker => DOCKER_CONFIG.to_owned(),
    };
    if let Some(config) = document.get_mut("config").and_then(Value::as_object_mut) {
        config.insert("mediaType".into(), config_type.into());
    }
    let entries = document.get_mut("layers").and_then(Value::as_array_mut);
    for ((entry, layer), packing) in entries.into_iter().flatten().zip(layers).zip(packings) {
        let Some(entry) = entry.as_object_mut() else { continue };
        entry.insert("mediaType".into(), layer_type(format, *packing).into());
        if entry.get("digest").and_then(Value::as_str) != Some(layer.digest.as_str()) {
            entry.insert("digest".into(), layer.digest.as_str().into());
            entry.insert("size".into(), layer.size.into());
            // They spoke of the other bytes: zstd:chunked and eStargz keep their tables' places here.
            entry.remove("annotations");
            if !layer.annotations.is_empty() {
                entry.insert("annotations".into(), serde_json::json!(layer.annotations));
            }
        }
        if format == ManifestFormat::Docker {
            entry.remove("annotations");
        }
    }
}

/// Pack layers that are not packed.
pub(super) fn repack(
    store: &Store,
    layers: &mut [Piece],
    compression: Compression,
    progress: &dyn Progress,
) -> Result<()> {
    let mut packings = vec![Packing::None; layers.len()];
    pack(store, layers, &mut packings, compression, false, progress)
}

/// Pack layers anew, side by side.
fn pack(
    store: &Store,
    layers: &mut [Piece],
    packings: &mut [Packing],
    compression: Compression,
    force: bool,
    progress: &dyn Progress,
) -> Result<()> {
    let wanted = match compression {
        Compression::None => Packing::None,
        Compression::Gzip(_) => Packing::Gzip,
        Compression::Zstd(_) | Compression::Chunked(_) => Packing::Zstd,
    };
    let places: Vec<usize> = (packings.iter().enumerate())
        .filter(|(_, packing)| **packing != wanted && (force || **packing == Packing::None))
        .map(|(place, _)| place)
        .collect();
    let next = AtomicUsize::new(0);
    let workers = std::thread::available_parallelism().map_or(2, std::num::NonZero::get).min(places.len());
    let shared: &[Piece] = layers;
    let work = || -> Result<Vec<(usize, Piece)>> {
        let mut done = Vec::new();
        while let Some(place) = places.get(next.fetch_add(1, Ordering::Relaxed)) {
            let Some(layer) = shared.get(*place) else { break };
            progress.layer(&layer.digest, Some(layer.size));
            progress.state(&layer.digest, LayerState::Packing);
            let packed = pack_one(store, layer, compression, progress);
            done.push((*place, packed.with_context(|| format!("cannot pack layer {}", layer.digest))?));
            progress.state(&layer.digest, LayerState::Done);
        }
        Ok(done)
    };
    let done = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| fault(Kind::Other, "a thread failed"))?)
            .collect::<Result<Vec<_>>>()
    })?;
    for (place, piece) in done.into_iter().flatten() {
        if let (Some(layer), Some(packing)) = (layers.get_mut(place), packings.get_mut(place)) {
            (*layer, *packing) = (piece, wanted);
        }
    }
    Ok(())
}

fn pack_one(store: &Store, layer: &Piece, compression: Compression, progress: &dyn Progress) -> Result<Piece> {
    let Payload::File(file) = &layer.payload else { return Ok(layer.clone()) };
    if let Compression::Chunked(level) = compression {
        let mut counting = Counting::new(store)?;
        let level = level.map_or(3, |level| level.clamp(1, 20));
        let told = Told { file: reopened(file)?, digest: &layer.digest, progress };
        if let Some(annotations) = pack_chunked(&mut Inflating::new(told), &mut counting, level)? {
            return Ok(Piece { annotations, ..counting.into_piece() });
        }
    }
    let counting = Counting::new(store)?;
    let encoder = match compression {
        Compression::None => Encoder::None(counting),
        Compression::Gzip(level) => {
            let level = flate2::Compression::new(level.map_or(6, |level| level.clamp(1, 9)).unsigned_abs());
            Encoder::Gzip(Box::new(flate2::write::GzEncoder::new(counting, level)))
        }
        Compression::Zstd(level) | Compression::Chunked(level) => {
            Encoder::Zstd(zstd::stream::write::Encoder::new(counting, level.map_or(3, |level| level.clamp(1, 20)))?)
        }
    };
    let mut packer = Packer(encoder);
    let mut inflater = Inflater::new(vec![0; PIECE]);
    // A descriptor of its own: the offset of the shared one is nobody's.
    let mut input = reopened(file)?;
    let mut piece = vec![0; PIECE];
    loop {
        let count = input.read(&mut piece)?;
        if count == 0 {
            break;
        }
        progress.advance(&layer.digest, count as u64);
        inflater.push(piece.get(..count).unwrap_or_default(), &mut packer)?;
    }
    inflater.finish(&mut packer)?;
    let counting = match packer.0 {
        Encoder::None(counting) => counting,
        Encoder::Gzip(encoder) => encoder.finish()?,
        Encoder::Zstd(encoder) => encoder.finish()?,
    };
    Ok(counting.into_piece())
}

/// The same file, read from its beginning.
pub(super) fn reopened(file: &File) -> Result<File> {
    use std::os::fd::AsRawFd;
    // Through /proc, as dup(2) would share the offset.
    match File::open(format!("/proc/self/fd/{}", file.as_raw_fd())) {
        Ok(file) => Ok(file),
        Err(_) => {
            let mut copy = file.try_clone()?;
            copy.rewind()?;
            Ok(copy)
        }
    }
}

/// A scratch file that knows its digest.
struct Counting {
    file: File,
    hasher: Hasher,
    size: u64,
}

impl Counting {
    fn new(store: &Store) -> Result<Self> {
        Ok(Self { file: store.scratch_file()?, hasher: Hasher::new(Algorithm::Sha256), size: 0 })
    }

    fn into_piece(self) -> Piece {
        let payload = Payload::File(Arc::new(self.file));
        Piece { digest: self.hasher.finish(), size: self.size, payload, annotations: BTreeMap::new() }
    }
}

/// A file whose reader tells how far it is.
struct Told<'a> {
    file: File,
    digest: &'a Digest,
    progress: &'a dyn Progress,
}

impl Read for Told<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read(out)?;
        self.progress.advance(self.digest, count as u64);
        Ok(count)
    }
}

impl Write for Counting {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.update(bytes.get(..count).unwrap_or_default());
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

enum Encoder {
    None(Counting),
    Gzip(Box<flate2::write::GzEncoder<Counting>>),
    Zstd(zstd::stream::write::Encoder<'static, Counting>),
}

/// Takes unpacked pieces.
struct Packer(Encoder);

impl Sink for Packer {
    fn put(&mut self, buffer: Vec<u8>, filled: usize) -> Result<Vec<u8>> {
        let bytes = buffer.get(..filled).unwrap_or_default();
        match &mut self.0 {
            Encoder::None(counting) => counting.write_all(bytes),
            Encoder::Gzip(encoder) => encoder.write_all(bytes),
            Encoder::Zstd(encoder) => encoder.write_all(bytes),
        }?;
        Ok(buffer)
    }
}
