//! Images that belong together: those of one list, for several platforms, and what of them is stored.

use super::Image;
use super::find::{list, manifest};
use super::lists::is_index;
use crate::base::digest::Digest;
use crate::oci::image::{DOCUMENT_LIMIT, Document};
use crate::store::{Entry, Store};
use anyhow::Result;

/// An image as people name it: one, or one for each of several platforms.
#[derive(Debug)]
pub struct Family {
    /// Its names; none if it has none.
    pub names: Vec<String>,
    /// The digest of the list, or of the only manifest.
    pub digest: Digest,
    /// One for each platform, in the order of the list.
    pub members: Vec<Member>,
}

/// What a family has for a platform.
#[derive(Debug)]
pub struct Member {
    /// `linux/amd64`; empty if that is not said.
    pub platform: String,
    /// The digest of its manifest.
    pub digest: Digest,
    /// The image; `None` if it is not stored.
    pub image: Option<Image>,
}

/// All images that are stored, in the order they were, those of one list together. What is damaged is left out.
pub fn families(store: &Store) -> Result<Vec<Family>> {
    let images = list(store)?;
    let mut found: Vec<Family> = Vec::new();
    for entry in store.entries()? {
        let digest = match is_index(&entry.manifest.media_type) {
            true => Some(entry.manifest.digest.clone()),
            false => entry.list.clone(),
        };
        let digest = digest.unwrap_or_else(|| entry.manifest.digest.clone());
        if let Some(family) = found.iter_mut().find(|family| family.digest == digest) {
            family.names.extend(entry.names);
            continue;
        }
        let members = members(store, &images, &entry, &digest);
        if !members.is_empty() {
            found.push(Family { names: entry.names, digest, members });
        }
    }
    Ok(found)
}

fn members(store: &Store, images: &[Image], entry: &Entry, digest: &Digest) -> Vec<Member> {
    let stored = |digest: &Digest| images.iter().find(|image| image.manifest.digest == *digest).cloned();
    let listed = store.read_blob(digest, DOCUMENT_LIMIT).and_then(|bytes| Document::parse(&bytes, None));
    if let Ok(Document::Index(index)) = listed {
        // Attestations are for no platform.
        let rows =
            index.manifests.into_iter().filter(|row| row.platform.as_ref().is_none_or(|one| one.os != "unknown"));
        return rows
            .map(|row| {
                let platform = row.platform.map(|platform| platform.to_string()).unwrap_or_default();
                Member { platform, image: stored(&row.digest), digest: row.digest }
            })
            .collect();
    }
    // Not of a list, or of one that is not kept.
    let Some(image) = stored(&entry.manifest.digest).or_else(|| same_image(store, images, entry)) else {
        return Vec::new();
    };
    let platform = image.config.platform().to_string();
    vec![Member { platform, digest: entry.manifest.digest.clone(), image: Some(image) }]
}

/// An image that is stored under another manifest, too.
fn same_image(store: &Store, images: &[Image], entry: &Entry) -> Option<Image> {
    let id = manifest(store, entry).ok()?.config.digest;
    images.iter().find(|image| image.id == id).cloned()
}
