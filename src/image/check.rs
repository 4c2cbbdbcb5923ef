//! `system check`: every blob and layer that images are made of, verified, and repaired by fetching again.

use super::find::open;
use super::{Image, PullOptions, Silent, fetch, name, pull};
use crate::base::digest::Digest;
use crate::oci::image::DOCUMENT_LIMIT;
use crate::registry::Access;
use crate::store::{Condition, Entry, Store};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// How to check.
#[derive(Debug, Clone, Copy, Default)]
pub struct CheckOptions {
    /// Only that everything is there, with the right size.
    pub quick: bool,
    /// Put right what is not.
    pub repair: bool,
}

/// A piece of content that is not as it should be.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Damage {
    /// `blob sha256:…` or `layer sha256:…`.
    pub object: String,
    /// What is wrong with it.
    pub what: String,
    /// The image it was found in: a name, or its id or digest.
    pub image: String,
    /// Whether it was repaired; `Some(Err)` says why not.
    pub repaired: Option<std::result::Result<(), String>>,
}

/// Verify all that images are made of.
///
/// The caller is single-threaded and has entered the user's namespace; helpers that `access` needs were asked before.
/// Errors: the store cannot be read at all.
pub fn check(store: &Store, options: CheckOptions, access: &Access) -> Result<Vec<Damage>> {
    let _lease = store.lease()?;
    let mut seen = HashSet::new();
    let mut damages = Vec::new();
    for entry in store.own_entries()? {
        let first = damages.len();
        documents(store, &entry, &mut seen, &mut damages)?;
        if options.repair && damages.len() > first {
            // Without its documents nothing is known of the rest.
            let result = refetch(store, &entry, access);
            mark(&mut damages, first, &result);
        }
        let Ok(image) = open(store, &entry) else { continue };
        let first = damages.len();
        blobs(store, &image, options, &mut seen, &mut damages)?;
        if options.repair && damages.len() > first {
            let result = refetch(store, &entry, access);
            mark(&mut damages, first, &result);
        }
        layers(store, &image, options, &mut seen, &mut damages)?;
    }
    if damages.iter().any(|damage| matches!(damage.repaired, Some(Ok(())))) {
        store.sync()?;
    }
    Ok(damages)
}

fn mark(damages: &mut [Damage], first: usize, result: &Result<()>) {
    for damage in damages.iter_mut().skip(first) {
        damage.repaired = Some(result.as_ref().copied().map_err(|error| format!("{error:#}")));
    }
}

/// What to call an image.
fn title(entry: &Entry) -> String {
    entry.names.first().cloned().unwrap_or_else(|| entry.manifest.digest.to_string())
}

/// The manifest, the list it came from, and the config.
fn documents(store: &Store, entry: &Entry, seen: &mut HashSet<Digest>, damages: &mut Vec<Damage>) -> Result<()> {
    let mut digests = vec![(entry.manifest.digest.clone(), Some(entry.manifest.size))];
    digests.extend(entry.list.clone().map(|list| (list, None)));
    if let Ok(manifest) = super::find::manifest(store, entry) {
        digests.push((manifest.config.digest, Some(manifest.config.size)));
    }
    for (digest, size) in digests {
        if seen.insert(digest.clone()) {
            note(store, &digest, size, &title(entry), damages)?;
        }
    }
    Ok(())
}

/// Check a blob; what is damaged is taken away, so that it can be fetched.
fn note(store: &Store, digest: &Digest, size: Option<u64>, image: &str, damages: &mut Vec<Damage>) -> Result<()> {
    let what = match store.check_blob(digest, size)? {
        Condition::Sound => return Ok(()),
        Condition::Missing => "is missing".to_owned(),
        Condition::Damaged(what) => what,
    };
    damages.push(Damage { object: format!("blob {digest}"), what, image: image.to_owned(), repaired: None });
    Ok(())
}

fn blobs(
    store: &Store,
    image: &Image,
    options: CheckOptions,
    seen: &mut HashSet<Digest>,
    damages: &mut Vec<Damage>,
) -> Result<()> {
    for layer in &image.layers {
        if !seen.insert(layer.digest.clone()) {
            continue;
        }
        let title = image.names.first().cloned().unwrap_or_else(|| image.id.to_string());
        if options.quick && store.has_blob(&layer.digest, Some(layer.size)) {
            continue;
        }
        let first = damages.len();
        note(store, &layer.digest, Some(layer.size), &title, damages)?;
        if options.repair && damages.len() > first && store.has_blob(&layer.digest, None) {
            store.remove_blob(&layer.digest)?;
        }
    }
    Ok(())
}

fn layers(
    store: &Store,
    image: &Image,
    options: CheckOptions,
    seen: &mut HashSet<Digest>,
    damages: &mut Vec<Damage>,
) -> Result<()> {
    for layer in &image.layers {
        // Diff ids and blobs share the set: a layer that is not packed has the same digest as its blob.
        let key = Digest::of(format!("layer {}", layer.diff_id).as_bytes());
        if !seen.insert(key) || (options.quick && store.has_layer(&layer.diff_id)) {
            continue;
        }
        let _lock = store.lock_layer(&layer.diff_id)?;
        let condition = fetch::unpacked(store, layer, |tar| store.check_layer(&layer.diff_id, tar, options.repair));
        let (what, repaired) = match condition {
            Ok(Condition::Sound) => continue,
            Ok(Condition::Missing) => ("is missing".to_owned(), options.repair.then_some(Ok(()))),
            Ok(Condition::Damaged(what)) => (what, options.repair.then_some(Ok(()))),
            Err(error) => (format!("cannot be checked: {error:#}"), None),
        };
        let title = image.names.first().cloned().unwrap_or_else(|| image.id.to_string());
        damages.push(Damage { object: format!("layer {}", layer.diff_id), what, image: title, repaired });
    }
    Ok(())
}

/// Fetch what is missing of an image, from any registry that one of its names leads to.
fn refetch(store: &Store, entry: &Entry, access: &Access) -> Result<()> {
    // A damaged document is in the way of the right one.
    let config = super::find::manifest(store, entry).ok().map(|manifest| manifest.config.digest);
    for digest in [Some(&entry.manifest.digest), entry.list.as_ref(), config.as_ref()].into_iter().flatten() {
        if store.read_blob(digest, DOCUMENT_LIMIT).is_err() && store.has_blob(digest, None) {
            store.remove_blob(digest)?;
        }
    }
    let mut failure = anyhow::anyhow!("it came from no registry: load or make it again");
    for repository in entry.names.iter().map(|name| name::repository(name)) {
        if repository.starts_with("localhost/") {
            continue;
        }
        // The list first: it is a document of its own that may be missing.
        for digest in [entry.list.as_ref(), Some(&entry.manifest.digest)].into_iter().flatten() {
            let reference = format!("{repository}@{digest}");
            let options = PullOptions { reference: &reference, platform: None, access };
            match pull::refetch(store, &options, &Silent) {
                Ok(()) if open(store, entry).is_ok() => return Ok(()),
                Ok(()) => {}
                Err(error) => failure = error,
            }
        }
    }
    Err(failure)
}
