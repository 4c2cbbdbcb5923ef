//! Images that are made here: a config and a manifest written around layers that are in the store.

use super::ImageLayer;
use crate::base::digest::Digest;
use crate::oci::image::Manifest;
use crate::oci::manifest::{DOCKER_CONFIG, DOCKER_LAYER, DOCKER_LAYER_GZIP, DOCKER_MANIFEST};
use crate::oci::reference::Reference;
use crate::store::{ManifestRef, Store};
use anyhow::{Context, Result};
use oci_spec::image::MediaType;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::Read;

/// Whose words the manifest is written in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ManifestFormat {
    /// The OCI's.
    #[default]
    Oci,
    /// Docker's, version 2 schema 2.
    Docker,
}

/// Write config and manifest, sync, and give the image its name, or none. Returns its id. The caller holds a lease.
///
/// `config` is complete but for `rootfs`.
pub fn compose(
    store: &Store,
    mut config: Map<String, Value>,
    layers: &[ImageLayer],
    format: ManifestFormat,
    annotations: &BTreeMap<String, String>,
    name: Option<&Reference>,
) -> Result<Digest> {
    let diff_ids: Vec<&Digest> = layers.iter().map(|layer| &layer.diff_id).collect();
    config.insert("rootfs".into(), json!({ "type": "layers", "diff_ids": diff_ids }));
    let config = serde_json::to_vec(&config).context("cannot write a config")?;
    let id = store.put_blob(&config)?;
    let (manifest_type, config_type) = match format {
        ManifestFormat::Oci => (MediaType::ImageManifest.to_string(), MediaType::ImageConfig.to_string()),
        ManifestFormat::Docker => (DOCKER_MANIFEST.to_owned(), DOCKER_CONFIG.to_owned()),
    };
    let descriptors: Vec<Value> = layers
        .iter()
        .map(|layer| json!({ "mediaType": layer_type(&layer.media_type, format), "digest": layer.digest, "size": layer.size }))
        .collect();
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": manifest_type,
        "config": { "mediaType": config_type, "digest": id, "size": config.len() },
        "layers": descriptors,
    });
    if let Some(manifest) = manifest.as_object_mut().filter(|_| !annotations.is_empty()) {
        manifest.insert("annotations".into(), json!(annotations));
    }
    let bytes = serde_json::to_vec(&manifest).context("cannot write a manifest")?;
    // What is written must be what is read.
    Manifest::parse(&bytes, None).context("cannot write a manifest")?;
    let digest = store.put_blob(&bytes)?;
    let manifest = ManifestRef { digest, size: bytes.len() as u64, media_type: manifest_type };
    store.sync()?;
    match name {
        Some(name) => store.tag(&name.stored_name(), &manifest, None)?,
        None => store.keep(&manifest, None)?,
    }
    Ok(id)
}

/// The media type of a layer in the words of a format.
fn layer_type(found: &str, format: ManifestFormat) -> String {
    let (gzip, zstd) = (MediaType::ImageLayerGzip.to_string(), MediaType::ImageLayerZstd.to_string());
    match format {
        // Docker has no word for zstd; the OCI's is what registries and docker itself take.
        _ if found == zstd => zstd,
        ManifestFormat::Oci if found.ends_with("gzip") => gzip,
        ManifestFormat::Oci => MediaType::ImageLayer.to_string(),
        ManifestFormat::Docker if found.ends_with("gzip") => DOCKER_LAYER_GZIP.to_owned(),
        ManifestFormat::Docker => DOCKER_LAYER.to_owned(),
    }
}

/// The media type of a blob in the store, by its first bytes.
pub fn sniff(store: &Store, digest: &Digest) -> Result<MediaType> {
    let mut magic = Vec::new();
    store.open_blob(digest)?.take(4).read_to_end(&mut magic)?;
    Ok(match magic.as_slice() {
        [0x1f, 0x8b, ..] => MediaType::ImageLayerGzip,
        [0x28, 0xb5, 0x2f, 0xfd] => MediaType::ImageLayerZstd,
        _ => MediaType::ImageLayer,
    })
}
