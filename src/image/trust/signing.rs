//! Signing what a registry has.

use super::gpg::sign_simple;
use super::lookaside::Lookaside;
use super::private_key::KeyFile;
use super::sigstore;
use crate::base::digest::Digest;
use crate::base::error::{Fault, Kind};
use crate::oci::image::Document;
use crate::oci::reference::Reference;
use crate::registry::{Access, Client, runtime};
use anyhow::{Context, Result};
use std::path::Path;

/// With what an image is signed.
#[derive(Debug, Clone, Copy)]
pub enum Signer<'a> {
    /// A key of GnuPG.
    Gpg(GpgSigner<'a>),
    /// A file with a private key; the signature goes to the registry.
    Sigstore(KeyFile<'a>),
}

/// A key of the caller's ring of GnuPG.
#[derive(Debug, Clone, Copy)]
pub struct GpgSigner<'a> {
    /// The key, by anything that GnuPG finds it by.
    pub key: &'a str,
    /// A file with its passphrase; `None`: the agent knows it, or there is none.
    pub passphrase: Option<&'a Path>,
    /// The folder for the signature; `None`: the lookaside that is configured.
    pub folder: Option<&'a Path>,
}

/// Sign the image that a registry has under a name: what it is now. `all`: a list's images, too. Returns where each
/// signature went.
pub fn sign_image(access: &Access, reference: &Reference, signer: Signer<'_>, all: bool) -> Result<Vec<String>> {
    let sign = async {
        let client = access.open_itself(&reference.repository()).await?;
        let found = client.manifest(reference.version()).await?;
        let mut digests = vec![found.digest];
        if all && let Document::Index(index) = Document::parse(&found.bytes, found.media_type.as_deref())? {
            digests.extend(index.manifests.into_iter().map(|entry| entry.digest));
        }
        let mut places = Vec::new();
        for digest in &digests {
            places.push(sign_one(&client, reference, digest, signer).await?);
        }
        Ok::<_, anyhow::Error>(places)
    };
    runtime()?.block_on(sign).with_context(|| format!("cannot sign `{reference}`"))
}

/// Sign what was just pushed under a name.
pub(in crate::image) fn sign_pushed(
    access: &Access,
    reference: &Reference,
    digest: &Digest,
    signer: Signer<'_>,
) -> Result<String> {
    let sign = async {
        let client = access.open_itself(&reference.repository()).await?;
        sign_one(&client, reference, digest, signer).await
    };
    runtime()?.block_on(sign).with_context(|| format!("`{reference}` was pushed, and cannot be signed"))
}

async fn sign_one(client: &Client, reference: &Reference, digest: &Digest, signer: Signer<'_>) -> Result<String> {
    match signer {
        Signer::Gpg(signer) => {
            let lookaside = match signer.folder {
                Some(folder) => Some(Lookaside::folder(folder)),
                None => Lookaside::of(reference)?,
            };
            let none = || {
                let text = "no `lookaside` in registries.d says where signatures are kept";
                Fault::new(Kind::Host, text).hint("box image sign --directory DIR …")
            };
            let place = lookaside.ok_or_else(none)?;
            let signature = sign_simple(reference, digest, &signer)?;
            Ok(place.write(reference, digest, &signature)?.display().to_string())
        }
        Signer::Sigstore(key) => {
            sigstore::sign(client, digest, &reference.stored_name(), &key).await?;
            Ok(format!("{}:{}.sig", reference.repository(), digest.as_str().replacen(':', "-", 1)))
        }
    }
}
