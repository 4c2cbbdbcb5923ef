//! Signing what a registry has.

use super::gpg::sign_simple;
use super::lookaside::Lookaside;
use super::sigstore;
use crate::base::error::{Fault, Kind};
use crate::base::fs::read_limited;
use crate::oci::reference::Reference;
use crate::registry::{Access, runtime};
use anyhow::{Context, Result};
use std::path::Path;

/// A key file larger than this is none.
const KEY_LIMIT: u64 = 1 << 20;

/// With what an image is signed.
#[derive(Debug, Clone, Copy)]
pub enum Signer<'a> {
    /// A key of the caller's ring of GnuPG; the signature goes into the folder, or the lookaside that is configured.
    Gpg(&'a str, Option<&'a Path>),
    /// A file with a private key; the signature goes to the registry.
    Sigstore(&'a Path),
}

/// Sign the image that a registry has under a name: what it is now. Returns where the signature went.
pub fn sign_image(access: &Access, reference: &Reference, signer: Signer<'_>) -> Result<String> {
    runtime()?.block_on(sign_there(access, reference, signer)).with_context(|| format!("cannot sign `{reference}`"))
}

async fn sign_there(access: &Access, reference: &Reference, signer: Signer<'_>) -> Result<String> {
    let client = access.open_itself(&reference.repository()).await?;
    let digest = client.manifest(reference.version()).await?.digest;
    match signer {
        Signer::Gpg(key, folder) => {
            let lookaside = match folder {
                Some(folder) => Some(Lookaside::folder(folder)),
                None => Lookaside::of(reference)?,
            };
            let none = || {
                let text = "no `lookaside` in registries.d says where signatures are kept";
                Fault::new(Kind::Host, text).hint("box image sign --directory DIR …")
            };
            let place = lookaside.ok_or_else(none)?;
            let signature = sign_simple(reference, &digest, key)?;
            Ok(place.write(reference, &digest, &signature)?.display().to_string())
        }
        Signer::Sigstore(path) => {
            let pem = read_limited(path, KEY_LIMIT)?;
            sigstore::sign(&client, &digest, &reference.stored_name(), &pem).await?;
            Ok(format!("{}:{}.sig", reference.repository(), digest.as_str().replacen(':', "-", 1)))
        }
    }
}
