//! The list (index) of a build's images: one for each platform, with what is attached to them.
//!
//! <https://github.com/moby/buildkit/blob/master/docs/attestations/attestation-storage.md>

use super::BuiltImage;
use crate::base::digest::Digest;
use crate::oci::image::DOCUMENT_LIMIT;
use crate::oci::manifest::Document;
use crate::oci::reference::Reference;
use crate::store::{ManifestRef, Store};
use anyhow::{Context, Result};
use oci_spec::image::MediaType;
use serde_json::{Value, json};

/// The media type of an in-toto statement.
const STATEMENT: &str = "application/vnd.in-toto+json";

/// A statement about one of the images.
#[derive(Debug, Clone)]
pub struct Statement {
    /// The digest of its manifest.
    pub about: Digest,
    /// What it says, by in-toto's URL.
    pub predicate: &'static str,
    /// The statement.
    pub document: Value,
}

/// Make a list of the images and what is stated about them, and give it their names. Returns its digest.
///
/// The caller holds a lease. Images that had a name keep none: the list reaches them.
pub fn make(store: &Store, images: &[BuiltImage], statements: &[Statement], names: &[Reference]) -> Result<Digest> {
    let mut rows = Vec::new();
    for image in images {
        let bytes = store.read_blob(&image.manifest, DOCUMENT_LIMIT)?;
        let media_type = match Document::parse(&bytes, None)? {
            Document::Manifest(manifest) => manifest.media_type,
            Document::Index(index) => index.media_type,
        };
        rows.push(json!({
            "mediaType": media_type,
            "digest": image.manifest,
            "size": bytes.len(),
            "platform": platform(image),
        }));
    }
    for image in images {
        let about: Vec<&Statement> = statements.iter().filter(|statement| statement.about == image.manifest).collect();
        if !about.is_empty() {
            rows.push(attached(store, &image.manifest, &about)?);
        }
    }
    let media_type = MediaType::ImageIndex.to_string();
    let index = serde_json::to_vec(&json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": rows }))?;
    let digest = store.put_blob(&index)?;
    let list = ManifestRef { digest: digest.clone(), size: index.len() as u64, media_type };
    store.sync()?;
    for name in names {
        store.tag(&name.stored_name(), &list, None)?;
    }
    store.forget(&images.iter().map(|image| image.manifest.clone()).collect()).context("cannot name the list")?;
    Ok(digest)
}

fn platform(image: &BuiltImage) -> Value {
    let mut value = json!({ "architecture": image.platform.arch, "os": image.platform.os });
    if let (Some(variant), Some(value)) = (&image.platform.variant, value.as_object_mut()) {
        value.insert("variant".into(), variant.as_str().into());
    }
    value
}

/// A manifest of statements about an image, as a row of its list: for a platform that nobody has.
fn attached(store: &Store, about: &Digest, statements: &[&Statement]) -> Result<Value> {
    let (mut layers, mut diff_ids) = (Vec::new(), Vec::new());
    for statement in statements {
        let bytes = serde_json::to_vec(&statement.document)?;
        let digest = store.put_blob(&bytes)?;
        layers.push(json!({
            "mediaType": STATEMENT,
            "digest": digest,
            "size": bytes.len(),
            "annotations": { "in-toto.io/predicate-type": statement.predicate },
        }));
        diff_ids.push(digest);
    }
    let nobody = json!({ "architecture": "unknown", "os": "unknown" });
    let config = serde_json::to_vec(&json!({
        "architecture": "unknown",
        "os": "unknown",
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    }))?;
    let manifest = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": MediaType::ImageManifest.to_string(),
        "config": {
            "mediaType": MediaType::ImageConfig.to_string(),
            "digest": store.put_blob(&config)?,
            "size": config.len(),
        },
        "layers": layers,
    }))?;
    Ok(json!({
        "mediaType": MediaType::ImageManifest.to_string(),
        "digest": store.put_blob(&manifest)?,
        "size": manifest.len(),
        "annotations": {
            "vnd.docker.reference.digest": about,
            "vnd.docker.reference.type": "attestation-manifest",
        },
        "platform": nobody,
    }))
}
