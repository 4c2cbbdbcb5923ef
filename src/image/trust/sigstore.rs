//! Signatures of sigstore by keys (`cosign sign --key`), kept in the registry beside the image.
//!
//! A signature manifest goes by the tag `sha256-<digits>.sig` or refers to the image (referrers). Each of its layers is
//! a small document that names the image's digest; the layer's annotation holds the signature of that document.
//! <https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md>

use super::Asked;
use super::private_key::{self, KeyFile};
use crate::base::base64;
use crate::base::digest::Digest;
use crate::base::error::{Kind, fault};
use crate::config::policy::{Requirement, keys};
use crate::oci::image::DOCUMENT_LIMIT;
use crate::oci::json;
use crate::oci::manifest::Descriptor;
use crate::registry::{Client, Meter, Payload};
use anyhow::Result;
use ring::signature::{self, UnparsedPublicKey};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::Arc;

/// The media type of what is signed.
const PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The annotation with the signature.
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// The artifact type of signatures that refer to their image.
const ARTIFACT: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
/// More signatures of an image than this are not looked at.
const MOST: usize = 64;
/// What is signed is small.
const PAYLOAD_LIMIT: u64 = 64 << 10;

/// A public key that signatures are checked with.
struct Key(UnparsedPublicKey<Vec<u8>>);

impl Key {
    /// Parse a PEM `PUBLIC KEY` (RFC 5280's SubjectPublicKeyInfo): ECDSA P-256, P-384 or Ed25519.
    fn parse(pem: &[u8]) -> Result<Self> {
        let text = String::from_utf8_lossy(pem);
        let der = block(&text, "PUBLIC KEY").and_then(base64::decode);
        let der = der.ok_or_else(|| fault(Kind::Host, "a key is no public key in PEM"))?;
        // What stands before the key itself is the same for all keys of a kind.
        let kinds: [(&[u8], &'static dyn signature::VerificationAlgorithm); 3] = [
            (
                b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00",
                &signature::ECDSA_P256_SHA256_ASN1,
            ),
            (
                b"\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00",
                &signature::ECDSA_P384_SHA384_ASN1,
            ),
            (b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00", &signature::ED25519),
        ];
        let found = kinds.iter().find_map(|(prefix, algorithm)| Some((der.strip_prefix(*prefix)?, *algorithm)));
        let (point, algorithm) =
            found.ok_or_else(|| fault(Kind::Host, "a key is none of ECDSA P-256, P-384 and Ed25519"))?;
        Ok(Self(UnparsedPublicKey::new(algorithm, point.to_vec())))
    }
}

/// The base64 between `-----BEGIN LABEL-----` and its end.
pub(super) fn block<'a>(text: &'a str, label: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    Some(rest.split_once(&format!("-----END {label}-----"))?.0)
}

/// Check the requirement `sigstoreSigned`.
pub(super) async fn check(asked: &Asked<'_>, client: &Client, requirement: &Requirement) -> Result<()> {
    let Requirement::SigstoreSigned {
        key_path,
        key_paths,
        key_data,
        key_datas,
        fulcio,
        rekor_public_key_path,
        rekor_public_key_data,
        signed_identity,
    } = requirement
    else {
        return Ok(());
    };
    if fulcio.is_some() || rekor_public_key_path.is_some() || rekor_public_key_data.is_some() {
        return Err(fault(
            Kind::Host,
            "it asks for certificates of Fulcio or the log of Rekor, which box does not check",
        ));
    }
    let paths: Vec<&Path> = key_path.iter().chain(key_paths).map(AsRef::as_ref).collect();
    let datas: Vec<&str> = key_data.iter().chain(key_datas).map(String::as_str).collect();
    let keys = keys(&paths, &datas)?.iter().map(|pem| Key::parse(pem)).collect::<Result<Vec<_>>>()?;
    let mut why = "it wants a signature of sigstore, and there is none";
    for digest in asked.digests {
        for layer in signatures(client, digest).await? {
            let Some(signature) = layer.annotations.get(SIGNATURE).and_then(|text| base64::decode(text)) else {
                continue;
            };
            let payload = client.document(&layer.digest, layer.size).await?;
            why = "no signature of sigstore is by one of its keys";
            if !keys.iter().any(|key| key.0.verify(&payload, &signature).is_ok()) {
                continue;
            }
            why = "what is signed is another image or name";
            let Some((digest, name)) = words(&payload) else { continue };
            if asked.is_meant(&digest, &name, signed_identity) {
                return Ok(());
            }
        }
    }
    Err(fault(Kind::BadData, why))
}

/// The digest and the name that a signed document is about.
fn words(payload: &[u8]) -> Option<(String, String)> {
    let document = Value::Object(json::object(payload).ok()?);
    let critical = document.get("critical")?;
    let kind = critical.get("type")?.as_str()?;
    if !matches!(kind, "cosign container image signature" | "atomic container signature") {
        return None;
    }
    let digest = critical.get("image")?.get("docker-manifest-digest")?.as_str()?;
    let name = critical.get("identity")?.get("docker-reference")?.as_str()?;
    Some((digest.to_owned(), name.to_owned()))
}

/// The same for simple signatures, which have the same form.
pub(super) fn simple_words(payload: &[u8]) -> Option<(String, String)> {
    words(payload)
}

/// The signed documents of an image: those under its tag, and those that refer to it.
async fn signatures(client: &Client, digest: &Digest) -> Result<Vec<Descriptor>> {
    let mut found = Vec::new();
    if let Some(document) = client.manifest_if_there(&tag(digest)).await? {
        found.extend(layers(&document.bytes)?);
    }
    for attached in attached(client, digest).await? {
        if attached.artifact_type == ARTIFACT && found.len() < MOST {
            let document = client.manifest(attached.digest.as_str()).await?;
            found.extend(layers(&document.bytes)?);
        }
    }
    found.retain(|layer| layer.media_type == PAYLOAD && layer.size <= PAYLOAD_LIMIT);
    found.truncate(MOST);
    Ok(found)
}

/// `sha256-<digits>.sig`.
fn tag(digest: &Digest) -> String {
    format!("{}.sig", digest.as_str().replacen(':', "-", 1))
}

/// The layers of an artifact's manifest, whatever they are.
fn layers(bytes: &[u8]) -> Result<Vec<Descriptor>> {
    let map = json::object(bytes)?;
    let rows = json::list(&map, "layers")?.unwrap_or_default();
    rows.iter().filter_map(Value::as_object).map(Descriptor::from_map).collect()
}

/// Something that refers to an image: a signature, an attestation, a list of its parts.
#[derive(Debug, Clone)]
pub(super) struct Attached {
    /// The digest of its manifest.
    pub digest: Digest,
    /// What it is.
    pub artifact_type: String,
}

/// What refers to a manifest, by the registry's list or the tag that stands in for it.
pub(super) async fn attached(client: &Client, digest: &Digest) -> Result<Vec<Attached>> {
    let Some(bytes) = client.referrers(digest).await? else { return Ok(Vec::new()) };
    let map = json::object(&bytes)?;
    let rows = json::list(&map, "manifests")?.unwrap_or_default();
    let mut found = Vec::new();
    for row in rows.iter().filter_map(Value::as_object).take(MOST * 4) {
        let descriptor = Descriptor::from_map(row)?;
        let artifact_type = json::text(row, "artifactType")?.unwrap_or_default();
        found.push(Attached { digest: descriptor.digest, artifact_type });
    }
    Ok(found)
}

/// Sign an image that a registry has, with a private key, and attach the signature.
pub async fn sign(client: &Client, digest: &Digest, name: &str, key: &KeyFile<'_>) -> Result<()> {
    let payload = json!({
        "critical": {
            "identity": { "docker-reference": name },
            "image": { "docker-manifest-digest": digest.as_str() },
            "type": "cosign container image signature",
        },
        "optional": { "creator": concat!("box ", env!("CARGO_PKG_VERSION")) },
    });
    let payload = serde_json::to_vec(&payload)?;
    let signature = private_key::sign(key, &payload)?;
    attest(client, digest, &payload, &base64::encode(&signature)).await
}

/// Attach a signed document to an image: as a further layer under the tag of its signatures.
async fn attest(client: &Client, digest: &Digest, payload: &[u8], signature: &str) -> Result<()> {
    let tag = tag(digest);
    let mut layers = match client.manifest_if_there(&tag).await? {
        Some(document) => {
            json::object(&document.bytes)?.get("layers").and_then(Value::as_array).cloned().unwrap_or_default()
        }
        None => Vec::new(),
    };
    let mut annotations = Map::new();
    annotations.insert(SIGNATURE.into(), signature.into());
    let layer = Digest::of(payload);
    layers.push(json!({
        "mediaType": PAYLOAD, "digest": layer.as_str(), "size": payload.len(), "annotations": annotations,
    }));
    let diff_ids: Vec<&Value> = layers.iter().filter_map(|layer| layer.get("digest")).collect();
    let config =
        json!({ "architecture": "", "os": "", "config": {}, "rootfs": { "type": "layers", "diff_ids": diff_ids } });
    let config = serde_json::to_vec(&config)?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": Digest::of(&config).as_str(),
            "size": config.len(),
        },
        "layers": layers,
    });
    let manifest = serde_json::to_vec(&manifest)?;
    if manifest.len() as u64 > DOCUMENT_LIMIT {
        return Err(fault(Kind::BadData, "the image has too many signatures"));
    }
    let meter: Meter = Arc::new(|_| {});
    for bytes in [payload, &config] {
        let whole = Payload::Bytes(bytes.into());
        client.send_blob(&Digest::of(bytes), bytes.len() as u64, &whole, None, &meter).await?;
    }
    client.send_manifest(&tag, "application/vnd.oci.image.manifest.v1+json", &manifest).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_apart() {
        let p256 = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE0000000000000000000000000000000000000000\n0000000000000000000000000000000000000000000000==\n-----END PUBLIC KEY-----\n";
        assert!(Key::parse(p256.as_bytes()).is_ok());
        for text in
            ["", "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A\n-----END PUBLIC KEY-----\n", "MFkw"]
        {
            assert!(Key::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
