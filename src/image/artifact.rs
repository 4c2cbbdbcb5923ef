//! Artifacts: layers and a config of another kind than an image's, in registries and layouts. Names nothing in the
//! store, and never runs.
//!
//! <https://github.com/opencontainers/image-spec/blob/main/manifest.md#guidelines-for-artifact-usage>

use super::Progress;
use super::archive::Inflating;
use super::outgoing::{Compression, Outgoing, Piece, reopened, repack};
use super::push::send;
use super::writer::{Named, write_layout};
use crate::base::digest::Digest;
use crate::base::error::{Kind, fault};
use crate::oci::image::DOCUMENT_LIMIT;
use crate::oci::reference::Reference;
use crate::registry::{Access, Client, Payload, Sink, runtime};
use crate::store::Store;
use crate::store::layout::Layout;
use anyhow::{Context, Result};
use oci_spec::image::MediaType;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::PathBuf;
use std::sync::Arc;

/// The name of an artifact in a layout.
const NAME: &str = "latest";

/// Where an artifact is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a registry.
    Registry(Reference),
    /// In a folder, as an OCI layout.
    Layout(PathBuf),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Registry(reference) => reference.fmt(f),
            Self::Layout(path) => path.display().fmt(f),
        }
    }
}

/// A blob as a manifest names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What it is.
    #[serde(rename = "mediaType", default)]
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size, bytes.
    pub size: u64,
}

/// What an artifact says. Tainted.
#[derive(Debug)]
pub struct Artifact {
    /// The media type of its config.
    pub kind: String,
    /// Its config.
    pub config: Vec<u8>,
    /// Its layers.
    pub layers: Vec<Part>,
}

/// A manifest or an index, as far as it matters here.
#[derive(Deserialize)]
struct Document {
    config: Option<Part>,
    #[serde(default)]
    layers: Vec<Part>,
    #[serde(default)]
    manifests: Vec<Part>,
}

/// What makes an artifact's config, when it is known as what its layers go out.
pub type ConfigOf<'a> = dyn Fn(&[Part]) -> Result<Vec<u8>> + 'a;

/// Write an artifact of layers of the store, packed with gzip as those of images are, so that both share them.
/// Its config is of media type `kind`. The caller holds a lease, and the store has plain blobs of all layers.
pub fn write_artifact(
    store: &Store,
    place: &Place,
    layers: &[Digest],
    kind: &str,
    config: &ConfigOf<'_>,
    access: &Access,
    progress: &dyn Progress,
) -> Result<()> {
    let stored = |layer: &Digest| -> Result<Piece> {
        let file = store.open_blob(layer)?;
        let size = file.metadata()?.len();
        let payload = Payload::File(Arc::new(file));
        Ok(Piece { digest: layer.clone(), size, payload, annotations: Default::default() })
    };
    let mut pieces = layers.iter().map(stored).collect::<Result<Vec<_>>>()?;
    repack(store, &mut pieces, Compression::Gzip(None), progress)?;
    let media_type = MediaType::ImageLayerGzip.to_string();
    let part = |piece: &Piece| Part { media_type: media_type.clone(), digest: piece.digest.clone(), size: piece.size };
    let parts: Vec<Part> = pieces.iter().map(part).collect();
    let bytes = config(&parts)?;
    let digest = Digest::of(&bytes);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::ImageManifest.to_string(),
        "config": Part { media_type: kind.to_owned(), digest: digest.clone(), size: bytes.len() as u64 },
        "layers": parts,
    });
    let config = Piece {
        digest,
        size: bytes.len() as u64,
        payload: Payload::Bytes(bytes.into()),
        annotations: Default::default(),
    };
    let media_type = MediaType::ImageManifest.to_string();
    let outgoing = Outgoing { manifest: serde_json::to_vec(&manifest)?, media_type, layers: pieces, config };
    match place {
        Place::Registry(reference) => send(access, reference, &outgoing, &[], progress),
        Place::Layout(path) => write_layout(path, &[Named { image: outgoing, names: vec![NAME.to_owned()] }], progress),
    }
}

/// Read what an artifact says; an image's config is its config. Of an index, the first manifest's, or the one that is
/// named in a layout. Errors: [`Kind::NotFound`] it is not there.
pub fn read_artifact(place: &Place, access: &Access) -> Result<Artifact> {
    match place {
        Place::Registry(reference) => runtime()?.block_on(async {
            let client = access.open_itself(&reference.repository()).await?;
            let mut document = parse(&client.manifest(reference.version()).await?.bytes)?;
            if let Some(first) = document.manifests.first() {
                document = parse(&client.manifest(first.digest.as_str()).await?.bytes)?;
            }
            let config = config_of(&document)?;
            let bytes = client.document(&config.digest, config.size).await?;
            Ok(Artifact { kind: config.media_type.clone(), config: bytes, layers: document.layers })
        }),
        Place::Layout(path) => {
            let layout = Layout::open(path)?;
            let index = parse(&layout.index()?)?;
            let row = index.manifests.last().context("the layout is empty")?;
            let document = parse(&layout.read_blob(&row.digest, DOCUMENT_LIMIT)?)?;
            let config = config_of(&document)?;
            let bytes = layout.read_blob(&config.digest, DOCUMENT_LIMIT)?;
            Ok(Artifact { kind: config.media_type.clone(), config: bytes, layers: document.layers })
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Document> {
    serde_json::from_slice(bytes).map_err(|_| fault(Kind::BadData, "its manifest is damaged"))
}

fn config_of(document: &Document) -> Result<&Part> {
    document.config.as_ref().ok_or_else(|| fault(Kind::BadData, "its manifest has no config"))
}

/// Bring layers of an artifact into the store as plain archives, by their diff ids. The caller holds a lease. Errors:
/// [`Kind::BadData`] one is not what its diff id says.
pub fn bring_layers(
    store: &Store,
    place: &Place,
    layers: &[(Digest, Part)],
    access: &Access,
    progress: &dyn Progress,
) -> Result<()> {
    let took = |(diff_id, part): &(Digest, Part), packed: File| -> Result<()> {
        let mut writer = store.blob_writer()?;
        let mut plain = Inflating::new(packed);
        let mut buffer = vec![0; 256 << 10];
        loop {
            let count = plain.read(&mut buffer).context("it is damaged")?;
            if count == 0 {
                break;
            }
            writer.write_all(buffer.get(..count).unwrap_or_default())?;
        }
        writer.finish(diff_id, None).with_context(|| format!("cannot use layer {}", part.digest))
    };
    match place {
        Place::Registry(reference) => {
            let runtime = runtime()?;
            let client = runtime.block_on(access.open_itself(&reference.repository()))?;
            layers
                .iter()
                .try_for_each(|layer| took(layer, runtime.block_on(fetch(store, &client, &layer.1, progress))?))
        }
        Place::Layout(path) => {
            let layout = Layout::open(path)?;
            layers.iter().try_for_each(|layer| took(layer, reopened(&layout.open_blob(&layer.1.digest)?)?))
        }
    }
}

/// A blob of a registry in a file without a name.
async fn fetch(store: &Store, client: &Client, part: &Part, progress: &dyn Progress) -> Result<File> {
    progress.layer(&part.digest, Some(part.size));
    let mut kept = Kept { file: store.scratch_file()?, failure: None, part, progress };
    client.blob(&part.digest, part.size, 0..part.size, &mut kept).await?;
    if let Some(failure) = kept.failure {
        return Err(failure).context("cannot keep a layer");
    }
    kept.file.rewind()?;
    Ok(kept.file)
}

/// A blob that comes into a file.
struct Kept<'a> {
    file: File,
    failure: Option<std::io::Error>,
    part: &'a Part,
    progress: &'a dyn Progress,
}

impl Sink for Kept<'_> {
    async fn take(&mut self, bytes: &[u8]) -> bool {
        self.progress.advance(&self.part.digest, bytes.len() as u64);
        self.failure = self.file.write_all(bytes).err();
        self.failure.is_none()
    }

    async fn flush(&mut self) -> bool {
        true
    }
}
