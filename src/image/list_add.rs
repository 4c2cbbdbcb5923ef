//! `manifest add`: an image of the store or of a registry into a list.

use super::lists::{Marks, put_rows, rows_of, rows_of_document};
use super::{LayerState, Progress};
use crate::base::digest::Digest;
use crate::base::error::{Kind, fault, kind};
use crate::oci::image::{Descriptor, Manifest, Platform};
use crate::oci::reference::Reference;
use crate::registry::{Access, Client, Fetched, Gathered, runtime};
use crate::store::{BlobWriter, ManifestRef, Store};
use anyhow::{Context, Result};
use serde_json::Value;
use std::io::Write;
use tokio::sync::mpsc;

/// Pieces of a blob on their way.
const QUEUE: usize = 32;

/// Add the image that `text` means: one that is stored, or else one of a registry (`docker://` asks only there).
///
/// `all`: every image of a list, not only the one for this machine. Returns the list's new digest.
pub fn add_to_list(
    store: &Store,
    list: &str,
    text: &str,
    all: bool,
    marks: &Marks,
    access: &Access,
    progress: &dyn Progress,
) -> Result<Digest> {
    let _lease = store.lease()?;
    let deed = || format!("cannot add `{}` to `{}`", text.escape_debug(), list.escape_debug());
    let platform = Platform::host();
    let stored = match text.strip_prefix("docker://") {
        Some(_) => Err(fault(Kind::NotFound, "it is asked of a registry")),
        None => rows_of(store, text.strip_prefix("containers-storage:").unwrap_or(text), all, &platform),
    };
    let rows = match stored {
        Err(error) if kind(&error) == Kind::NotFound => {
            runtime()?.block_on(fetch(store, text, all, &platform, access, progress))
        }
        other => other,
    };
    put_rows(store, list, rows.with_context(deed)?, marks)
}

/// Fetch an image, or all images of a list, without unpacking: the rows for them.
async fn fetch(
    store: &Store,
    text: &str,
    all: bool,
    platform: &Platform,
    access: &Access,
    progress: &dyn Progress,
) -> Result<Vec<Value>> {
    let reference = Reference::parse(text.strip_prefix("docker://").unwrap_or(text))?;
    progress.resolved(&reference.to_string());
    let client = access.open_itself(&reference.repository()).await?;
    let document = client.manifest(reference.version()).await?;
    let told = |document: &Fetched| -> Result<ManifestRef> {
        let media_type = match crate::oci::image::Document::parse(&document.bytes, document.media_type.as_deref())? {
            crate::oci::image::Document::Manifest(manifest) => manifest.media_type,
            crate::oci::image::Document::Index(index) => index.media_type,
        };
        Ok(ManifestRef { digest: document.digest.clone(), size: document.bytes.len() as u64, media_type })
    };
    let manifest = told(&document)?;
    if let Ok(parsed) = Manifest::parse(&document.bytes, None) {
        fetch_image(store, &client, &document, &parsed, progress).await?;
        return rows_of_document(&document.bytes, &manifest, all, platform, |digest, limit| {
            store.read_blob(digest, limit)
        });
    }
    let rows = rows_of_document(&document.bytes, &manifest, all, platform, |digest, _| {
        Err(fault(Kind::BadData, format!("config {digest} of an index")))
    })?;
    for row in &rows {
        let row = row.as_object().ok_or_else(|| fault(Kind::BadData, "an entry is not an object"))?;
        let entry = Descriptor::from_map(row)?;
        crate::oci::manifest::check_document_size(entry.size)?;
        let document = client.manifest(entry.digest.as_str()).await?;
        let parsed = Manifest::parse(&document.bytes, Some(&entry.media_type))
            .with_context(|| format!("manifest {} is damaged", entry.digest))?;
        fetch_image(store, &client, &document, &parsed, progress).await?;
    }
    Ok(rows)
}

/// Keep a manifest with its blobs.
async fn fetch_image(
    store: &Store,
    client: &Client,
    document: &Fetched,
    manifest: &Manifest,
    progress: &dyn Progress,
) -> Result<()> {
    for blob in manifest.layers.iter().chain([&manifest.config]) {
        progress.layer(&blob.digest, Some(blob.size));
        if store.has_blob(&blob.digest, Some(blob.size)) {
            progress.state(&blob.digest, LayerState::AlreadyExists);
            continue;
        }
        progress.state(&blob.digest, LayerState::Downloading);
        let writer = store.blob_writer()?.with_algorithm(blob.digest.algorithm());
        fetch_blob(client, blob, writer, progress).await?;
        progress.state(&blob.digest, LayerState::Done);
    }
    super::fetch::keep_document(store, &document.bytes, &document.digest)
}

async fn fetch_blob(client: &Client, blob: &Descriptor, mut writer: BlobWriter, progress: &dyn Progress) -> Result<()> {
    let (to, mut from) = mpsc::channel::<Vec<u8>>(QUEUE);
    let send = async move { client.blob(&blob.digest, blob.size, 0..blob.size, &mut Gathered::new(&to)).await };
    let take = async {
        while let Some(piece) = from.recv().await {
            writer.write_all(&piece).with_context(|| format!("cannot keep blob {}", blob.digest))?;
            progress.advance(&blob.digest, piece.len() as u64);
        }
        Ok(())
    };
    let (sent, taken): (Result<()>, Result<()>) = tokio::join!(send, take);
    taken?;
    sent?;
    writer.finish(&blob.digest, Some(blob.size))
}
