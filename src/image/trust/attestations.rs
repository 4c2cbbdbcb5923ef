//! What is attached to an image in a registry: signatures, attestations, lists of its parts (SBOMs).
//!
//! They are looked for in all three places: manifests that refer to the image, cosign's tags beside it
//! (`sha256-<digits>.att`), and entries of its index (BuildKit's `attestation-manifest`).

use super::sigstore::attached;
use crate::base::digest::Digest;
use crate::base::error::{Kind, fault};
use crate::oci::image::{Document, Platform};
use crate::oci::json;
use crate::oci::manifest::Descriptor;
use crate::oci::reference::Reference;
use crate::registry::{Access, Client, runtime};
use anyhow::{Context, Result};
use serde_json::Value;

/// More attached manifests than this are not read.
const MOST: usize = 64;

/// A document that is attached to an image.
#[derive(Debug, Clone)]
pub struct Attestation {
    /// The digest of the document.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// What is attached: an artifact type, or what cosign's tag says.
    pub kind: String,
    /// The media type of the document.
    pub media_type: String,
    /// What it states, by in-toto's URL, if it says so.
    pub predicate: String,
}

/// What is attached to the image of this name.
pub fn attestations(access: &Access, reference: &Reference) -> Result<Vec<Attestation>> {
    runtime()?.block_on(async {
        let client = access.open_itself(&reference.repository()).await?;
        list(&client, reference).await
    })
}

/// The content of a document that is attached, by the beginning of its digest.
pub fn attestation(access: &Access, reference: &Reference, digest: &str) -> Result<Vec<u8>> {
    runtime()?.block_on(async {
        let client = access.open_itself(&reference.repository()).await?;
        let wanted = digest.strip_prefix("sha256:").unwrap_or(digest);
        let all = list(&client, reference).await?;
        let mut found = all.iter().filter(|one| !wanted.is_empty() && one.digest.digits().starts_with(wanted));
        let one = found.next().ok_or_else(|| {
            fault(Kind::NotFound, format!("`{}` has no attached `{}`", reference, digest.escape_debug()))
        })?;
        client.document(&one.digest, one.size).await
    })
}

async fn list(client: &Client, reference: &Reference) -> Result<Vec<Attestation>> {
    let top = client.manifest(reference.version()).await?;
    let mut digests = vec![top.digest.clone()];
    let mut manifests: Vec<(String, Vec<u8>)> = Vec::new();
    if let Document::Index(index) = Document::parse(&top.bytes, top.media_type.as_deref())? {
        let chosen = index.choose(&Platform::host()).ok().map(|entry| entry.digest.clone());
        for entry in &index.manifests {
            let says = |key: &str| entry.annotations.get(key).map(String::as_str);
            let of_chosen =
                chosen.as_ref().is_some_and(|digest| says("vnd.docker.reference.digest") == Some(digest.as_str()));
            if of_chosen && says("vnd.docker.reference.type") == Some("attestation-manifest") {
                let document = client.manifest(entry.digest.as_str()).await?;
                manifests.push(("attestation-manifest".into(), document.bytes));
            }
        }
        digests.extend(chosen);
    }
    for digest in &digests {
        for kind in ["sig", "att", "sbom"] {
            let tag = format!("{}.{kind}", digest.as_str().replacen(':', "-", 1));
            if let Some(document) = client.manifest_if_there(&tag).await? {
                manifests.push((format!("cosign.{kind}"), document.bytes));
            }
        }
        for one in attached(client, digest).await?.into_iter().take(MOST) {
            let document = client.manifest(one.digest.as_str()).await?;
            manifests.push((one.artifact_type, document.bytes));
        }
    }
    let mut found: Vec<Attestation> = Vec::new();
    for (kind, bytes) in &manifests {
        for one in documents(kind, bytes).context("an attached manifest is damaged")? {
            if !found.iter().any(|other| other.digest == one.digest && other.kind == one.kind) {
                found.push(one);
            }
        }
    }
    Ok(found)
}

fn documents(kind: &str, bytes: &[u8]) -> Result<Vec<Attestation>> {
    let map = json::object(bytes)?;
    let rows = json::list(&map, "layers")?.unwrap_or_default();
    let one = |row: &Value| {
        let layer = Descriptor::from_map(row.as_object()?).ok()?;
        let keys = ["in-toto.io/predicate-type", "predicateType"];
        let predicate = keys.iter().find_map(|key| layer.annotations.get(*key)).cloned().unwrap_or_default();
        let (digest, size, media_type) = (layer.digest, layer.size, layer.media_type);
        Some(Attestation { digest, size, kind: kind.to_owned(), media_type, predicate })
    };
    Ok(rows.iter().filter_map(one).collect())
}
