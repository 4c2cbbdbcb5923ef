//! `manifest push`: a list and the images that it lists.
//!
//! The images go first, by digest. Where a flag has them packed otherwise, the list that goes says what they are then;
//! the one that is stored stays as it is.

use super::Progress;
use super::compose::ManifestFormat;
use super::lists::{find_list, outgoing_list};
use super::outgoing::{Compression, Outgoing, Shape, prepare};
use super::push::{PushOptions, Pushed, check_is_remote, send_all, sign};
use super::transport::Destination;
use crate::base::digest::Digest;
use crate::base::error::{Fault, Kind, fault};
use crate::oci::json;
use crate::oci::reference::Reference;
use crate::registry::{Access, runtime};
use crate::store::Store;
use anyhow::{Context, Result};
use oci_spec::image::MediaType;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::Arc;

/// What podman and buildah write beside an image whose layers are in zstd, so that older clients take the other one.
/// <https://github.com/containers/image/blob/main/internal/manifest/oci_index.go>
const IS_ZSTD: &str = "io.github.containers.compression.zstd";

/// A list to push.
#[derive(Debug, Clone, Copy)]
pub(super) struct PushList<'a> {
    /// The digest of the index.
    pub list: &'a Digest,
    /// The form that it is to have; the packing is that of its images.
    pub shape: Shape,
    /// Packings in which each image is to be there besides.
    pub variants: &'a [Compression],
    /// Its images, too.
    pub all: bool,
}

/// Push a list: its images by digest, then the list itself. Returns its digest there.
pub(super) fn push_list(
    store: &Store,
    options: &PushList<'_>,
    reference: &Reference,
    access: &Access,
    progress: &dyn Progress,
) -> Result<Digest> {
    let packs = options.shape.compression.is_some() || !options.variants.is_empty();
    if packs && !options.all {
        return Err(fault(Kind::Usage, "images that stay behind cannot be packed"));
    }
    if packs && options.shape.format == Some(ManifestFormat::Docker) {
        return Err(fault(Kind::Usage, "a list in docker's form does not say how its images are packed"));
    }
    let format = if packs { Some(ManifestFormat::Oci) } else { options.shape.format };
    let mut list = outgoing_list(store, options.list, format)?;
    let images = if options.all { list.images.as_slice() } else { &[] };
    let shape = Shape { format: None, ..options.shape };
    let mut outgoing = Vec::new();
    let mut ready = HashMap::new();
    for image in images {
        // Packed otherwise it would have another digest than the attestation says.
        let is_attested = list.attested.contains(image);
        if is_attested && (shape.force || !options.variants.is_empty()) {
            let fault =
                Fault::new(Kind::Usage, format!("an attestation speaks of {image}, so it cannot be packed anew"));
            return Err(fault.hint("push without `--force-compression`, or build without `--provenance`").into());
        }
        let shape = if is_attested { Shape::default() } else { shape };
        let mut forms = vec![prepare(store, image, shape, progress)?];
        for variant in options.variants {
            let shape = Shape { format: Some(ManifestFormat::Oci), compression: Some(*variant), force: true };
            let form = prepare(store, image, shape, progress)?;
            // One that is packed so already is no variant.
            if forms.iter().all(|other| other.digest() != form.digest()) {
                forms.push(form);
            }
        }
        ready.insert(image.to_string(), forms.iter().map(Row::of).collect());
        outgoing.extend(forms);
    }
    if packs {
        list.bytes = rewritten(&list.bytes, &ready)?;
    }
    runtime()?.block_on(async {
        let client = Arc::new(access.open_itself(&reference.repository()).await?);
        for image in &outgoing {
            send_all(&client, image, &[], progress).await?;
            client.send_manifest(image.digest().as_str(), &image.media_type, &image.manifest).await?;
        }
        for notice in client.notices() {
            progress.message(&notice);
        }
        client.send_manifest(reference.version(), &list.media_type, &list.bytes).await
    })?;
    Ok(Digest::of(&list.bytes))
}

/// What a list says of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    digest: String,
    size: u64,
    media_type: String,
    is_zstd: bool,
}

impl Row {
    fn of(image: &Outgoing) -> Self {
        let manifest = String::from_utf8_lossy(&image.manifest);
        Self {
            digest: image.digest().to_string(),
            size: image.manifest.len() as u64,
            media_type: image.media_type.clone(),
            is_zstd: manifest.contains(MediaType::ImageLayerZstd.as_ref()),
        }
    }

    fn write(&self, entry: &mut Map<String, Value>, is_variant: bool) {
        entry.insert("digest".into(), self.digest.as_str().into());
        entry.insert("size".into(), self.size.into());
        entry.insert("mediaType".into(), self.media_type.as_str().into());
        let mut annotations = entry.get("annotations").and_then(Value::as_object).cloned().unwrap_or_default();
        annotations.remove(IS_ZSTD);
        if self.is_zstd && is_variant {
            annotations.insert(IS_ZSTD.into(), "true".into());
        }
        match annotations.is_empty() {
            true => drop(entry.remove("annotations")),
            false => drop(entry.insert("annotations".into(), annotations.into())),
        }
    }
}

/// The list with its images as they are sent; those that are packed otherwise besides stand behind their first form.
fn rewritten(list: &[u8], ready: &HashMap<String, Vec<Row>>) -> Result<Vec<u8>> {
    let mut document = json::object(list)?;
    let entries = document.get("manifests").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut all = Vec::new();
    for entry in entries {
        let digest = entry.get("digest").and_then(Value::as_str).unwrap_or_default();
        let (Some(rows), Some(entry)) = (ready.get(digest), entry.as_object()) else {
            all.push(entry);
            continue;
        };
        for (number, row) in rows.iter().enumerate() {
            let mut entry = entry.clone();
            row.write(&mut entry, number > 0);
            all.push(entry.into());
        }
    }
    document.insert("manifests".into(), all.into());
    Ok(serde_json::to_vec(&document)?)
}

/// Push the list of this name, for `manifest push`. `variants`: packings in which each image is to be there besides;
/// `all`: with its images.
pub fn push_manifest_list(
    store: &Store,
    options: &PushOptions<'_>,
    variants: &[Compression],
    all: bool,
    progress: &dyn Progress,
) -> Result<Pushed> {
    let _lease = store.lease()?;
    let deed = || format!("cannot push `{}`", options.image.escape_debug());
    let list = find_list(store, options.image)?;
    let destination = match options.destination {
        Some(text) => Destination::parse(text)?,
        None => {
            let name = list.names.first().cloned().unwrap_or_default();
            check_is_remote(&name)?;
            Destination::Registry(Reference::parse(&name)?)
        }
    };
    let Destination::Registry(reference) = destination else {
        return Err(fault(Kind::Usage, "a manifest list is pushed to a registry")).with_context(deed);
    };
    let push = PushList { list: &list.manifest.digest, shape: options.shape, variants, all };
    let digest = push_list(store, &push, &reference, options.access, progress).with_context(deed)?;
    sign(options, &reference, &digest, progress)?;
    Ok(Pushed { digest, reference: Some(reference) })
}
