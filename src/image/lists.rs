//! Manifest lists made here: an index with a name, whose images are in the store, blobs and all.
//!
//! What is added from a registry is fetched as it is, not unpacked, so that a push of the list needs only the store.
//! Every change writes a new index and gives it the name; the old one goes with the next collection.
//! <https://github.com/opencontainers/image-spec/blob/main/image-index.md>

use super::compose::ManifestFormat;
use super::find::{find_entry, missing};
use super::name;
use crate::base::digest::Digest;
use crate::base::error::{Fault, Kind, fault};
use crate::oci::image::{DOCUMENT_LIMIT, Document, Platform};
use crate::oci::json;
use crate::oci::manifest::DOCKER_LIST;
use crate::oci::reference::Reference;
use crate::store::{Entry, ManifestRef, Store};
use anyhow::{Context, Result};
use oci_spec::image::MediaType;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What an entry of a list is to say beside the digest; what is not set stays.
#[derive(Debug, Clone, Default)]
pub struct Marks {
    /// The processor.
    pub arch: Option<String>,
    /// The operating system.
    pub os: Option<String>,
    /// Its version.
    pub os_version: Option<String>,
    /// What it must offer.
    pub os_features: Vec<String>,
    /// What the processor must offer.
    pub features: Vec<String>,
    /// The processor's variant.
    pub variant: Option<String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

/// Make an empty list with this name; a short one belongs to `localhost/`. Returns its digest.
///
/// Errors: [`Kind::NameInUse`], unless `amend` says that what is there will do.
pub fn create_list(store: &Store, text: &str, amend: bool, annotations: &BTreeMap<String, String>) -> Result<Digest> {
    let name = Reference::parse_with_default(text, "localhost")?.stored_name();
    let _lease = store.lease()?;
    if let Some(there) = store.lookup(&name)? {
        if amend && is_index(&there.media_type) {
            return Ok(there.digest);
        }
        let fault = Fault::new(Kind::NameInUse, format!("there is an image `{name}` already"));
        return Err(fault.hint(format!("box manifest rm {text}, or add to it: box manifest create --amend")).into());
    }
    let mut index = Map::new();
    index.insert("schemaVersion".into(), 2.into());
    index.insert("mediaType".into(), MediaType::ImageIndex.as_ref().into());
    index.insert("manifests".into(), json!([]));
    annotate(&mut index, annotations);
    write(store, &name, None, &index)
}

/// A list as it is stored: its raw bytes. Errors: [`Kind::NotFound`], also for an image that is no list.
pub fn list_bytes(store: &Store, text: &str) -> Result<Vec<u8>> {
    let entry = find_list(store, text)?;
    store.read_blob(&entry.manifest.digest, DOCUMENT_LIMIT)
}

/// The entry of a list.
pub(super) fn find_list(store: &Store, text: &str) -> Result<Entry> {
    let entries = store.entries()?;
    find(store, &entries, text).map(|(_, entry)| entry.clone())
}

/// Whether there is such a list.
pub fn list_exists(store: &Store, text: &str) -> Result<bool> {
    let entries = store.entries()?;
    Ok(find(store, &entries, text).is_ok())
}

/// Change a list: the entries and the index itself. Returns the new digest.
fn edit(store: &Store, text: &str, change: impl FnOnce(&mut Map<String, Value>) -> Result<()>) -> Result<Digest> {
    let entries = store.entries()?;
    let (name, entry) = find(store, &entries, text)?;
    let mut index = json::object(&store.read_blob(&entry.manifest.digest, DOCUMENT_LIMIT)?)?;
    change(&mut index)?;
    write(store, &name, Some(entry), &index)
}

/// Write an index and give it the name. The caller holds a lease.
fn write(store: &Store, name: &str, before: Option<&Entry>, index: &Map<String, Value>) -> Result<Digest> {
    let bytes = serde_json::to_vec(index)?;
    // What is written must be what is read.
    let Document::Index(parsed) = Document::parse(&bytes, None).context("cannot write a list")? else {
        return Err(fault(Kind::Other, "cannot write a list"));
    };
    let digest = store.put_blob(&bytes)?;
    let manifest = ManifestRef { digest: digest.clone(), size: bytes.len() as u64, media_type: parsed.media_type };
    store.sync()?;
    store.tag(name, &manifest, None)?;
    if let Some(before) = before.filter(|before| before.names.len() < 2 && before.manifest.digest != digest) {
        store.forget(&[before.manifest.digest.clone()].into())?;
    }
    Ok(digest)
}

/// Find a list and its name.
fn find<'a>(store: &Store, entries: &'a [Entry], text: &str) -> Result<(String, &'a Entry)> {
    let names = name::candidates(text).into_iter().map(|reference| reference.stored_name());
    let by_name = names.filter_map(|name| Some((entries.iter().find(|entry| entry.names.contains(&name))?, name)));
    let by_id = || {
        let prefix = name::id_prefix(text)?;
        let entry = entries
            .iter()
            .find(|entry| is_index(&entry.manifest.media_type) && entry.manifest.digest.digits().starts_with(prefix))?;
        Some((entry, entry.names.first().cloned().unwrap_or_default()))
    };
    match by_name.into_iter().next().or_else(by_id) {
        Some((entry, name)) if is_index(&entry.manifest.media_type) => Ok((name, entry)),
        Some(_) => Err(fault(Kind::NotFound, format!("`{}` is an image, not a manifest list", text.escape_debug()))),
        None => match find_entry(store, entries, text)? {
            Some(_) => Err(fault(Kind::NotFound, format!("`{}` is no manifest list", text.escape_debug()))),
            None => {
                let shown = text.escape_debug();
                let fault = Fault::new(Kind::NotFound, format!("there is no manifest list `{shown}`"));
                Err(fault.hint(format!("box manifest create {shown}")).into())
            }
        },
    }
}

/// Whether a media type is that of a list.
pub(super) fn is_index(media_type: &str) -> bool {
    media_type == DOCKER_LIST || media_type == MediaType::ImageIndex.as_ref()
}

/// The images that a stored name, id or list stands for, as rows of an index. `all`: every image of a list.
pub(super) fn rows_of(store: &Store, text: &str, all: bool, platform: &Platform) -> Result<Vec<Value>> {
    let entries = store.entries()?;
    let (entry, _) = find_entry(store, &entries, text)?.ok_or_else(|| missing(store, text))?;
    let bytes = store.read_blob(&entry.manifest.digest, DOCUMENT_LIMIT)?;
    rows_of_document(&bytes, &entry.manifest, all, platform, |digest, limit| store.read_blob(digest, limit))
}

/// The same for a document that was fetched; `read` finds configs.
pub(super) fn rows_of_document(
    bytes: &[u8],
    manifest: &ManifestRef,
    all: bool,
    platform: &Platform,
    read: impl Fn(&Digest, u64) -> Result<Vec<u8>>,
) -> Result<Vec<Value>> {
    match Document::parse(bytes, None)? {
        Document::Manifest(parsed) => {
            let config = read(&parsed.config.digest, parsed.config.size)?;
            Ok(vec![row(manifest, Some(platform_of(&config)?))])
        }
        Document::Index(index) => {
            let raw = json::object(bytes)?;
            let rows = raw.get("manifests").and_then(Value::as_array).cloned().unwrap_or_default();
            if all {
                return Ok(rows);
            }
            let chosen = index.choose(platform)?.digest.to_string();
            Ok(rows.into_iter().filter(|row| digest_of(row) == Some(chosen.as_str())).take(1).collect())
        }
    }
}

fn row(manifest: &ManifestRef, platform: Option<Value>) -> Value {
    let mut row =
        json!({ "mediaType": manifest.media_type, "digest": manifest.digest.as_str(), "size": manifest.size });
    if let (Some(platform), Some(row)) = (platform, row.as_object_mut()) {
        row.insert("platform".into(), platform);
    }
    row
}

/// The platform that a config names, with all that it says of it.
fn platform_of(config: &[u8]) -> Result<Value> {
    let config = json::object(config)?;
    let mut platform = Map::new();
    for key in ["architecture", "os", "os.version", "os.features", "variant"] {
        if let Some(value) = config.get(key).filter(|value| !value.is_null() && value.as_str() != Some("")) {
            platform.insert(key.into(), value.clone());
        }
    }
    Ok(platform.into())
}

fn digest_of(row: &Value) -> Option<&str> {
    row.get("digest")?.as_str()
}

/// Put rows into a list; those of the same digest are replaced. Returns the list's digest.
pub(super) fn put_rows(store: &Store, list: &str, rows: Vec<Value>, marks: &Marks) -> Result<Digest> {
    edit(store, list, |index| {
        let entries = index.entry("manifests").or_insert_with(|| json!([]));
        let entries = entries.as_array_mut().ok_or_else(|| fault(Kind::BadData, "the list is damaged"))?;
        for mut row in rows {
            mark(&mut row, marks);
            entries.retain(|other| digest_of(other) != digest_of(&row));
            entries.push(row);
        }
        Ok(())
    })
}

/// Take an image out of a list. Errors: [`Kind::NotFound`].
pub fn remove_from_list(store: &Store, list: &str, digest: &str) -> Result<Digest> {
    let _lease = store.lease()?;
    edit(store, list, |index| {
        let entries = index.get_mut("manifests").and_then(Value::as_array_mut);
        let before = entries.as_ref().map_or(0, |entries| entries.len());
        let entries = entries.map(|entries| {
            entries.retain(|row| digest_of(row) != Some(digest));
            entries.len()
        });
        match entries {
            Some(after) if after < before => Ok(()),
            _ => Err(fault(Kind::NotFound, format!("the list has no image `{}`", digest.escape_debug()))),
        }
    })
}

/// Change what a list says of one of its images (by digest, or by a stored name); `None`: of itself.
pub fn annotate_list(store: &Store, list: &str, image: Option<&str>, marks: &Marks) -> Result<Digest> {
    let _lease = store.lease()?;
    let Some(image) = image else {
        return edit(store, list, |index| {
            annotate(index, &marks.annotations);
            Ok(())
        });
    };
    let digest = match Digest::parse(image) {
        Some(digest) => digest.to_string(),
        None => {
            let rows = rows_of(store, image, false, &Platform::host())?;
            rows.first().and_then(digest_of).map(str::to_owned).ok_or_else(|| missing(store, image))?
        }
    };
    edit(store, list, |index| {
        let entries = index.get_mut("manifests").and_then(Value::as_array_mut);
        let mut rows = entries.into_iter().flatten().filter(|row| digest_of(row) == Some(digest.as_str()));
        let row = rows.next().ok_or_else(|| fault(Kind::NotFound, format!("the list has no image `{digest}`")))?;
        mark(row, marks);
        Ok(())
    })
}

/// Write the marks into a row.
fn mark(row: &mut Value, marks: &Marks) {
    let Some(row) = row.as_object_mut() else { return };
    let texts = [
        ("architecture", &marks.arch),
        ("os", &marks.os),
        ("os.version", &marks.os_version),
        ("variant", &marks.variant),
    ];
    let lists = [("os.features", &marks.os_features), ("features", &marks.features)];
    if texts.iter().any(|(_, value)| value.is_some()) || lists.iter().any(|(_, value)| !value.is_empty()) {
        let platform = row.entry("platform").or_insert_with(|| json!({}));
        if let Some(platform) = platform.as_object_mut() {
            for (key, value) in texts {
                if let Some(value) = value {
                    platform.insert(key.into(), value.as_str().into());
                }
            }
            for (key, value) in lists {
                if !value.is_empty() {
                    platform.insert(key.into(), json!(value));
                }
            }
        }
    }
    annotate(row, &marks.annotations);
}

fn annotate(object: &mut Map<String, Value>, annotations: &BTreeMap<String, String>) {
    if annotations.is_empty() {
        return;
    }
    let there = object.entry("annotations").or_insert_with(|| json!({}));
    if let Some(there) = there.as_object_mut() {
        there.extend(annotations.iter().map(|(key, value)| (key.clone(), value.as_str().into())));
    }
}

/// Take lists away with their names; their images stay only if something else names them. Returns the digest.
pub fn remove_list(store: &Store, text: &str) -> Result<(Vec<String>, Digest)> {
    let entries = store.entries()?;
    let (_, entry) = find(store, &entries, text)?;
    store.note_garbage();
    store.forget(&[entry.manifest.digest.clone()].into())?;
    Ok((entry.names.clone(), entry.manifest.digest.clone()))
}

/// A list on its way out.
pub(super) struct OutgoingList {
    /// Its bytes, in the form that is wanted.
    pub bytes: Vec<u8>,
    pub media_type: String,
    /// The digests of its images' manifests.
    pub images: Vec<Digest>,
    /// Those of which an attestation in the list speaks, by digest.
    /// <https://github.com/moby/buildkit/blob/master/docs/attestations/attestation-storage.md>
    pub attested: Vec<Digest>,
}

/// Make a list ready to leave.
pub(super) fn outgoing_list(store: &Store, digest: &Digest, format: Option<ManifestFormat>) -> Result<OutgoingList> {
    let bytes = store.read_blob(digest, DOCUMENT_LIMIT)?;
    let Document::Index(index) = Document::parse(&bytes, None)? else {
        return Err(fault(Kind::BadData, "it is no manifest list"));
    };
    let wanted = match format {
        None => index.media_type.clone(),
        Some(ManifestFormat::Oci) => MediaType::ImageIndex.to_string(),
        Some(ManifestFormat::Docker) => DOCKER_LIST.to_owned(),
    };
    let bytes = if wanted == index.media_type {
        bytes
    } else {
        let mut document = json::object(&bytes)?;
        document.insert("mediaType".into(), wanted.as_str().into());
        if wanted == DOCKER_LIST {
            document.remove("annotations");
        }
        serde_json::to_vec(&document)?
    };
    let attested = (index.manifests.iter())
        .filter_map(|entry| entry.annotations.get("vnd.docker.reference.digest"))
        .filter_map(|digest| Digest::parse(digest))
        .collect();
    let images = index.manifests.into_iter().map(|entry| entry.digest).collect();
    Ok(OutgoingList { bytes, media_type: wanted, images, attested })
}
