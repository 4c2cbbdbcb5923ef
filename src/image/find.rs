//! Finding stored images. On the path of `run`: the index, one manifest, one config, and nothing else.

use super::lists::is_index;
use super::{Image, ImageLayer, name};
use crate::base::digest::Digest;
use crate::base::error::{Fault, Kind, fault};
use crate::config::registries::Registries;
use crate::oci::image::{DOCUMENT_LIMIT, Document, ImageConfig, Manifest, Platform};
use crate::oci::reference::Reference;
use crate::store::{Entry, ManifestRef, Store};
use anyhow::{Context, Result};
use std::borrow::Cow;
use std::collections::HashMap;

/// So many entries are worth a thread, which costs as much as a few of them.
const MANY: usize = 100;
/// Threads that read entries, at most.
const MOST_THREADS: usize = 4;

/// Find an image by name (short ones: `localhost/`, docker.io, then registries.conf), name and digest, or the beginning
/// of its id. A name wins over an id.
///
/// Errors: damaged content; an id that several images begin with.
pub fn find(store: &Store, text: &str) -> Result<Option<Image>> {
    let entries = store.entries()?;
    match find_entry(store, &entries, text)? {
        Some((entry, _)) => open(store, entry).map(Some),
        None => Ok(None),
    }
}

/// As [`find`], for a platform. The images of one list are found under the name that one of them has: the one that
/// was fetched last. Without a platform, the named one is only passed over for another of its list that fits this
/// machine.
pub fn find_for(store: &Store, text: &str, platform: Option<&Platform>) -> Result<Option<Image>> {
    let entries = store.entries()?;
    let Some((entry, _)) = find_entry(store, &entries, text)? else { return Ok(None) };
    if is_index(&entry.manifest.media_type) {
        return open(store, &choose(store, entry, platform.unwrap_or(&Platform::host()))?).map(Some);
    }
    let named = open(store, entry)?;
    let host = Platform::host();
    let wanted = platform.unwrap_or(&host);
    let rank = |image: &Image| wanted.rank(&image.config.platform());
    if rank(&named).is_some() || named.config.architecture.is_empty() {
        return Ok(Some(named));
    }
    let others = entries.iter().filter(|other| other.list.is_some() && other.list == entry.list);
    let others = others.filter_map(|other| open(store, other).ok()).filter(|other| rank(other).is_some());
    let best = others.min_by_key(|other| rank(other));
    Ok(best.or(platform.is_none().then_some(named)))
}

/// The image that a text means, of this platform. Errors: [`Kind::NotFound`] if there is none, or none for that.
pub fn of_platform(store: &Store, text: &str, platform: &Platform) -> Result<Image> {
    let not_there = || -> anyhow::Error {
        let Ok(Some(other)) = find(store, text) else { return missing(store, text) };
        let (shown, other) = (text.escape_debug(), other.config.platform().to_string());
        let text = format!("image `{shown}` is for {}, not for {platform}", other.escape_debug());
        Fault::new(Kind::NotFound, text).hint(format!("box pull --platform {platform} {shown}")).into()
    };
    let found = find_for(store, text, Some(platform))?.ok_or_else(not_there)?;
    // An image of no platform is for any, unless one is asked for.
    platform.rank(&found.config.platform()).map(|_| found).ok_or_else(not_there)
}

/// All images, in the order they were stored. Manifests of one image are one; a damaged image is left out.
pub fn list(store: &Store) -> Result<Vec<Image>> {
    let mut images: Vec<Image> = Vec::new();
    let mut places: HashMap<Digest, usize> = HashMap::new();
    for image in open_all(store, &store.entries()?) {
        let place = *places.entry(image.id.clone()).or_insert(images.len());
        match images.get_mut(place) {
            Some(other) => {
                other.names.extend(image.names);
                other.past_names.extend(image.past_names);
                other.read_only &= image.read_only;
            }
            None => images.push(image),
        }
    }
    Ok(images)
}

/// Open entries, many of them in several threads; a damaged one is left out.
fn open_all(store: &Store, entries: &[Entry]) -> Vec<Image> {
    let open_some = |some: &[Entry]| some.iter().filter_map(|entry| open(store, entry).ok()).collect::<Vec<_>>();
    if entries.len() < MANY {
        return open_some(entries);
    }
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get).min(MOST_THREADS);
    let mut parts = entries.chunks(entries.len().div_ceil(threads));
    let own = parts.next().unwrap_or_default();
    std::thread::scope(|scope| {
        let start = |part| std::thread::Builder::new().spawn_scoped(scope, move || open_some(part)).map_err(|_| part);
        let others: Vec<_> = parts.map(start).collect();
        let mut images = open_some(own);
        for other in others {
            images.extend(match other {
                Ok(thread) => thread.join().unwrap_or_default(),
                // There was no thread to be had.
                Err(part) => open_some(part),
            });
        }
        images
    })
}

/// All stored names with a tag whose repository `text` means. Errors: there is none; the text has a tag itself.
pub fn names_of(store: &Store, text: &str) -> Result<Vec<String>> {
    if name::repository(text) != text.strip_prefix("docker://").unwrap_or(text) {
        return Err(fault(Kind::Usage, format!("`{}` has a tag, and all are asked for", text.escape_debug())));
    }
    let entries = store.entries()?;
    let names = || entries.iter().flat_map(|entry| &entry.names).filter(|name| !name.contains('@'));
    for candidate in name::candidates(text) {
        let repository = candidate.repository();
        let found: Vec<String> = names().filter(|name| name::repository(name) == repository).cloned().collect();
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Err(missing(store, text))
}

/// How an image was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum By {
    /// By this stored name.
    Name(String),
    /// By id or digest.
    Id,
}

/// Find the entry that a text means.
pub(super) fn find_entry<'a>(store: &Store, entries: &'a [Entry], text: &str) -> Result<Option<(&'a Entry, By)>> {
    let found = name::candidates(text).iter().find_map(|reference| by_reference(entries, reference));
    if found.is_some() {
        return Ok(found);
    }
    if let Some(entry) = by_id(store, entries, text)? {
        return Ok(Some((entry, By::Id)));
    }
    // Only now, as it is rare: a short name that configuration puts elsewhere.
    if !entries.is_empty() && Reference::is_short(text) {
        return Ok(configured(text)?.iter().find_map(|reference| by_reference(entries, reference)));
    }
    Ok(None)
}

/// Where registries.conf says that a short name may be.
pub(super) fn configured(text: &str) -> Result<Vec<Reference>> {
    let parsed = Reference::parse(text)?;
    let short = name::repository(text);
    let mut found = Vec::new();
    for repository in Registries::load()?.resolve_short(short) {
        let mut reference = Reference::parse(&repository)
            .with_context(|| format!("registries.conf leads `{short}` to `{repository}`"))?;
        reference.tag = parsed.tag.clone().or(reference.tag);
        reference.digest = parsed.digest.clone().or(reference.digest);
        found.push(reference);
    }
    Ok(found)
}

/// The error for an image that is not stored.
pub fn missing(store: &Store, text: &str) -> anyhow::Error {
    let shown = text.escape_debug();
    let entries = store.entries().unwrap_or_default();
    let names: Vec<String> = entries.iter().flat_map(|entry| &entry.names).map(|name| name::short(name)).collect();
    Fault::new(Kind::NotFound, format!("there is no image `{shown}`"))
        .meant(text, names.iter().map(String::as_str))
        .hint(format!("box pull {shown}"))
        .into()
}

fn by_reference<'a>(entries: &'a [Entry], reference: &Reference) -> Option<(&'a Entry, By)> {
    let name = reference.stored_name();
    if let Some(entry) = entries.iter().find(|entry| entry.names.contains(&name)) {
        return Some((entry, By::Name(name)));
    }
    // By digest it need not have been pulled by digest.
    let digest = reference.digest.as_ref()?;
    let repository = reference.repository();
    let entry = entries.iter().find(|entry| {
        (entry.manifest.digest == *digest || entry.list.as_ref() == Some(digest))
            && entry.names.iter().any(|name| name::repository(name) == repository)
    })?;
    Some((entry, By::Id))
}

fn by_id<'a>(store: &Store, entries: &'a [Entry], text: &str) -> Result<Option<&'a Entry>> {
    let Some(prefix) = name::id_prefix(text) else { return Ok(None) };
    let mut found: Option<(&Entry, Digest)> = None;
    for entry in entries {
        // A damaged manifest has no id; it must not keep others from being found.
        let Ok(manifest) = manifest(store, entry) else { continue };
        let id = manifest.config.digest;
        if !id.digits().starts_with(prefix) && !entry.manifest.digest.digits().starts_with(prefix) {
            continue;
        }
        match &found {
            Some((_, other)) if *other != id => {
                let (one, two) =
                    (other.digits().get(..12).unwrap_or_default(), id.digits().get(..12).unwrap_or_default());
                let text = format!("several images begin with `{prefix}`, such as {one} and {two}");
                return Err(Fault::new(Kind::Usage, text).hint("type more digits").into());
            }
            Some(_) => {}
            None => found = Some((entry, id)),
        }
    }
    Ok(found.map(|(entry, _)| entry))
}

/// The parsed manifest of an entry.
pub(super) fn manifest(store: &Store, entry: &Entry) -> Result<Manifest> {
    let bytes = store.read_blob(&entry.manifest.digest, DOCUMENT_LIMIT)?;
    Manifest::parse(&bytes, None).with_context(|| format!("manifest {} is damaged", entry.manifest.digest))
}

/// Read an entry's manifest and config; of a list, those of the image for this machine.
pub(super) fn open(store: &Store, entry: &Entry) -> Result<Image> {
    let mut entry = Cow::Borrowed(entry);
    if is_index(&entry.manifest.media_type) {
        entry = Cow::Owned(choose(store, &entry, &Platform::host())?);
    }
    let manifest = manifest(store, &entry)?;
    let bytes = store.read_blob(&manifest.config.digest, DOCUMENT_LIMIT)?;
    let config = ImageConfig::parse(&bytes).with_context(|| format!("config {} is damaged", manifest.config.digest))?;
    let layers = layers(&manifest, &config)?;
    Ok(Image {
        id: manifest.config.digest,
        manifest: entry.manifest.clone(),
        names: entry.names.clone(),
        past_names: entry.past_names.clone(),
        list: entry.list.clone(),
        read_only: entry.read_only,
        config,
        layers,
        annotations: manifest.annotations,
    })
}

/// The entry that a list's image for a platform would have.
fn choose(store: &Store, entry: &Entry, platform: &Platform) -> Result<Entry> {
    let digest = &entry.manifest.digest;
    let bytes = store.read_blob(digest, DOCUMENT_LIMIT)?;
    let Document::Index(index) = Document::parse(&bytes, None).with_context(|| format!("index {digest} is damaged"))?
    else {
        return Err(fault(Kind::BadData, format!("{digest} is said to be an index and is none")));
    };
    let chosen = index.choose(platform)?;
    let media_type = chosen.media_type.clone();
    let manifest = ManifestRef { digest: chosen.digest.clone(), size: chosen.size, media_type };
    Ok(Entry { manifest, list: Some(digest.clone()), ..entry.clone() })
}

/// Match the manifest's blobs with the config's diff ids.
pub(super) fn layers(manifest: &Manifest, config: &ImageConfig) -> Result<Vec<ImageLayer>> {
    let (blobs, ids) = (manifest.layers.len(), config.diff_ids.len());
    if blobs != ids {
        return Err(fault(Kind::BadData, format!("its manifest has {blobs} layers and its config {ids}")));
    }
    let pairs = manifest.layers.iter().zip(&config.diff_ids);
    pairs
        .map(|(blob, diff_id)| {
            if blob.packing().is_none() {
                let text =
                    format!("a layer has the type `{}`, which box cannot unpack", blob.media_type.escape_debug());
                return Err(fault(Kind::BadData, text));
            }
            Ok(ImageLayer {
                diff_id: diff_id.clone(),
                digest: blob.digest.clone(),
                size: blob.size,
                media_type: blob.media_type.clone(),
            })
        })
        .collect()
}
