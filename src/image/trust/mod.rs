//! Whether an image may come in: policy.json's requirements, decided before anything of the image is stored.

mod attestations;
mod gpg;
mod lookaside;
mod private_key;
mod signing;
mod sigstore;

pub use attestations::{Attestation, attestation, attestations};
pub use private_key::KeyFile;
pub(super) use signing::sign_pushed;
pub use signing::{GpgSigner, Signer, sign_image};

use crate::base::digest::Digest;
use crate::base::error::{Fault, Kind, fault};
use crate::config::policy::{Identity, Policy, Requirement};
use crate::oci::reference::Reference;
use crate::registry::Client;
use anyhow::Result;
use std::path::Path;

/// What is asked for, and what was found under it.
pub(super) struct Asked<'a> {
    /// The name.
    pub reference: &'a Reference,
    /// The digests that a signature may name: the index's and the chosen manifest's. One binds the other.
    pub digests: &'a [&'a Digest],
}

impl Asked<'_> {
    /// Whether a signature's words are about this image.
    fn is_meant(&self, digest: &str, signed: &str, identity: &Identity) -> bool {
        let name = self.reference.stored_name();
        let repository = self.reference.repository();
        self.digests.iter().any(|known| known.as_str() == digest)
            && identity.fits(signed, &name, &repository, self.reference.digest.is_some())
    }
}

/// Check an image of a registry. Errors ([`Kind::BadData`]): it is refused.
pub(super) async fn check(asked: &Asked<'_>, client: &Client) -> Result<()> {
    let policy = Policy::load()?;
    let name = asked.reference.stored_name();
    for requirement in policy.of_registry(&name, &asked.reference.repository()) {
        let verdict = match requirement {
            Requirement::Accept {} => Ok(()),
            Requirement::Reject {} => Err(fault(Kind::BadData, "it says `reject`")),
            Requirement::SignedBy { .. } => gpg::check(asked, requirement).await,
            Requirement::SigstoreSigned { .. } => sigstore::check(asked, client, requirement).await,
        };
        verdict.map_err(|error| refused(&policy, &name, &error))?;
    }
    Ok(())
}

/// Check an image in a file or folder: there are no signatures there, so only what is accepted comes in.
pub(super) fn check_files(transport: &str, path: &Path) -> Result<()> {
    let policy = Policy::load()?;
    let place = format!("{transport}:{}", path.display());
    for requirement in policy.of_files(transport, path) {
        let why = match requirement {
            Requirement::Accept {} => continue,
            Requirement::Reject {} => "it says `reject`",
            _ => "it wants a signature, and there are none in files",
        };
        return Err(refused(&policy, &place, &fault(Kind::BadData, why)));
    }
    Ok(())
}

fn refused(policy: &Policy, name: &str, why: &anyhow::Error) -> anyhow::Error {
    let path = policy.path().unwrap_or(Path::new("policy.json"));
    let text = format!("`{}` refuses `{}`: {why:#}", path.display(), name.escape_debug());
    Fault::new(Kind::BadData, text).hint("box image trust show").into()
}
