//! Taking images from the list by what they are, not by name: for `image prune` and `system prune`.

use super::find::manifest;
use crate::base::digest::Digest;
use crate::store::Store;
use anyhow::Result;
use std::collections::HashSet;

/// The manifests of these images; an image may have several.
///
/// One that is damaged has the id of its manifest, as with `remove`.
pub fn manifests(store: &Store, ids: &HashSet<Digest>) -> Result<HashSet<Digest>> {
    let entries = store.own_entries()?.into_iter();
    let wanted = entries.filter(|entry| match manifest(store, entry) {
        Ok(manifest) => ids.contains(&manifest.config.digest),
        Err(_) => ids.contains(&entry.manifest.digest),
    });
    Ok(wanted.map(|entry| entry.manifest.digest).collect())
}
