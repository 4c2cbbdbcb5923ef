//! `load`, and `pull` from files: OCI layouts, OCI archives and docker archives.

use super::archive::Contents;
use super::compose::sniff;
use super::fetch::{Blobs, FilePieces, Pieces, keep_document, layers};
use super::find::layers as match_layers;
use super::pull::check_platform;
use super::{ImageLayer, Progress, name, room, trust};
use crate::base::digest::Digest;
use crate::base::error::{Fault, Kind, fault};
use crate::oci::image::{DOCUMENT_LIMIT, Descriptor, Document, ImageConfig, Manifest, Platform};
use crate::oci::reference::Reference;
use crate::store::layout::Layout;
use crate::store::{BlobWriter, ManifestRef, Store};
use anyhow::{Context, Result};
use oci_spec::image::MediaType;
use serde::Deserialize;
use serde_json::json;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// An image that was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Its id.
    pub id: Digest,
    /// The names that it got; none for an image without.
    pub names: Vec<String>,
}

/// Where images are read from.
pub(super) enum Origin {
    /// A folder with an OCI layout.
    Layout(PathBuf),
    /// A folder with one image, as `dir:` has it.
    Folder(PathBuf),
    /// An archive of either form.
    Archive(PathBuf),
    /// An archive on standard input.
    Stdin,
}

/// Which of several images.
pub(super) enum Choice {
    /// All of them.
    All,
    /// The only one.
    Only,
    /// The one with this name or tag.
    Named(String),
}

impl Origin {
    /// Parse `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:NAME]`, `dir:DIR`; `None` for other texts.
    pub(super) fn parse(text: &str) -> Option<(Self, Choice)> {
        let (transport, rest) = text.split_once(':')?;
        if transport == "dir" && (rest.contains('/') || Path::new(rest).is_dir()) {
            return Some((Self::Folder(rest.into()), Choice::Only));
        }
        // A path with a colon in it wins if it is there.
        let (path, choice) = match rest.split_once(':') {
            Some((path, wanted)) if !Path::new(rest).exists() => (path, Choice::Named(wanted.to_owned())),
            _ => (rest, Choice::Only),
        };
        match transport {
            "oci" => Some((Self::Layout(path.into()), choice)),
            "oci-archive" | "docker-archive" => Some((Self::Archive(path.into()), choice)),
            _ => None,
        }
    }
}

/// Load all images of an archive, a folder with an OCI layout, or an archive on standard input; of lists, the images for a
/// platform.
///
/// The caller is single-threaded and has entered the user's namespace. Errors: [`Kind::BadData`] for what is no
/// archive of images or is damaged; nothing is named then.
pub fn load(store: &Store, input: Option<&Path>, platform: &Platform, progress: &dyn Progress) -> Result<Vec<Loaded>> {
    let origin = match input {
        None => Origin::Stdin,
        Some(path) if path.is_dir() => Origin::Layout(path.to_path_buf()),
        Some(path) => Origin::Archive(path.to_path_buf()),
    };
    let deed = || format!("cannot load images from `{}`", input.unwrap_or(Path::new("standard input")).display());
    bring(store, &origin, &Choice::All, platform, progress).with_context(deed)
}

/// Bring images from an origin into the store and name them.
pub(super) fn bring(
    store: &Store,
    origin: &Origin,
    choice: &Choice,
    platform: &Platform,
    progress: &dyn Progress,
) -> Result<Vec<Loaded>> {
    let (transports, path): (&[&str], &Path) = match origin {
        Origin::Layout(path) => (&["oci"], path),
        Origin::Folder(path) => (&["dir"], path),
        // What an archive holds is known when it is read.
        Origin::Archive(path) => (&["docker-archive", "oci-archive"], path),
        Origin::Stdin => (&["docker-archive", "oci-archive"], Path::new("/dev/stdin")),
    };
    transports.iter().try_for_each(|transport| trust::check_files(transport, path))?;
    let _lease = store.lease()?;
    let size = std::fs::metadata(path).ok().filter(|meta| meta.is_file()).map(|meta| meta.len());
    let ready = take(store, origin, choice, platform, progress).and_then(|ready| store.sync().map(|()| ready));
    let ready = ready.map_err(|error| room::told(error, store.folder(), size))?;
    for image in &ready {
        match image.names.as_slice() {
            [] => store.keep(&image.manifest, image.list.as_ref())?,
            names => names.iter().try_for_each(|name| store.tag(name, &image.manifest, image.list.as_ref()))?,
        }
    }
    Ok(ready.into_iter().map(|image| Loaded { id: image.id, names: image.names }).collect())
}

/// Bring the content of images into the store.
fn take(
    store: &Store,
    origin: &Origin,
    choice: &Choice,
    platform: &Platform,
    progress: &dyn Progress,
) -> Result<Vec<Ready>> {
    match origin {
        Origin::Layout(path) => {
            let layout = Layout::open(path)?;
            of_layout(store, &Source::Layout(&layout), &layout.index()?, choice, platform, progress)
        }
        Origin::Folder(path) => of_folder(store, &Layout::open_folder(path)?, platform, progress),
        Origin::Archive(path) => {
            let file = File::open(path).with_context(|| format!("cannot open `{}`", path.display()))?;
            of_archive(store, file, choice, platform, progress)
        }
        Origin::Stdin => of_archive(store, std::io::stdin().lock(), choice, platform, progress),
    }
}

/// An image whose content is in the store and that is to be named.
struct Ready {
    id: Digest,
    manifest: ManifestRef,
    list: Option<Digest>,
    names: Vec<String>,
}

/// Where the blobs of a layout are.
enum Source<'a> {
    Layout(&'a Layout),
    Store(&'a Store),
}

impl Source<'_> {
    fn document(&self, digest: &Digest, size: u64) -> Result<Vec<u8>> {
        let limit = size.min(DOCUMENT_LIMIT);
        let bytes = match self {
            Self::Layout(layout) => layout.read_blob(digest, limit),
            Self::Store(store) => store.read_blob(digest, limit),
        }?;
        if bytes.len() as u64 != size {
            return Err(fault(Kind::BadData, format!("blob {digest} has {} bytes, not {size}", bytes.len())));
        }
        Ok(bytes)
    }
}

impl Blobs for Source<'_> {
    fn open(&self, layer: &ImageLayer, _: u64, _: &BlobWriter) -> Result<Box<dyn Pieces + Send>> {
        let file = match self {
            Self::Layout(layout) => layout.open_blob(&layer.digest),
            Self::Store(store) => store.open_blob(&layer.digest),
        }?;
        Ok(Box::new(FilePieces(file)))
    }
}

fn of_archive(
    store: &Store,
    input: impl Read,
    choice: &Choice,
    platform: &Platform,
    progress: &dyn Progress,
) -> Result<Vec<Ready>> {
    let contents = Contents::read(store, input)?;
    let index = contents.document("index.json");
    // docker and box write both; only the index has the manifests, but not everybody's has the whole names.
    if let Some(manifest) = contents.document("manifest.json")
        && !index.is_some_and(has_whole_names)
    {
        return of_docker(store, &contents, manifest, choice, platform, progress);
    }
    match index {
        Some(index) => of_layout(store, &Source::Store(store), index, choice, platform, progress),
        None => Err(fault(Kind::BadData, "it has neither `manifest.json` nor `index.json`: no archive of images")),
    }
}

/// Whether every image of an index that has a name has its whole name.
fn has_whole_names(index: &[u8]) -> bool {
    let Ok(Document::Index(index)) = Document::parse(index, None) else { return false };
    index.manifests.iter().all(|entry| {
        let has = |key: &str| entry.annotations.contains_key(key);
        has("io.containerd.image.name") || !has("org.opencontainers.image.ref.name")
    })
}

/// Images of a layout's index.
fn of_layout(
    store: &Store,
    source: &Source<'_>,
    index: &[u8],
    choice: &Choice,
    platform: &Platform,
    progress: &dyn Progress,
) -> Result<Vec<Ready>> {
    let Document::Index(index) = Document::parse(index, None).context("`index.json` is damaged")? else {
        return Err(fault(Kind::BadData, "`index.json` is not an index"));
    };
    let is_wanted = |entry: &&Descriptor, wanted: &str| {
        let names = ["org.opencontainers.image.ref.name", "io.containerd.image.name"];
        let same = Reference::parse_with_default(wanted, "localhost").ok();
        names.iter().any(|key| entry.annotations.get(*key).is_some_and(|name| name == wanted))
            || (same.is_some() && name::of_layout(&entry.annotations) == same)
    };
    let named = index.manifests.iter().any(|entry| name::of_layout(&entry.annotations).is_some());
    let chosen: Vec<&Descriptor> = match choice {
        Choice::Named(wanted) => index.manifests.iter().filter(|entry| is_wanted(entry, wanted)).take(1).collect(),
        // One image for several platforms rather than several images.
        _ if !named && index.manifests.len() > 1 => vec![index.choose(platform)?],
        _ => index.manifests.iter().collect(),
    };
    check_choice(choice, chosen.len(), index.manifests.iter().filter_map(|entry| name::of_layout(&entry.annotations)))?;
    let mut ready = Vec::new();
    for entry in chosen {
        let (bytes, manifest, list) = walk(store, source, entry, platform)?;
        let config = source.document(&manifest.config.digest, manifest.config.size)?;
        let digest = if list.is_some() { Digest::of(&bytes) } else { entry.digest.clone() };
        let names = name::of_layout(&entry.annotations).map(|name| name.stored_name()).into_iter().collect();
        let list = list.map(|_| entry.digest.clone());
        let parts = Parts { bytes, digest, manifest, config, list, names };
        ready.push(prepare(store, source, parts, platform, progress)?);
    }
    Ok(ready)
}

/// The image of a `dir:` folder. It has no name there.
fn of_folder(store: &Store, layout: &Layout, platform: &Platform, progress: &dyn Progress) -> Result<Vec<Ready>> {
    let source = Source::Layout(layout);
    let bytes = layout.folder_manifest()?;
    let digest = Digest::of(&bytes);
    let (bytes, digest, manifest, list) = match Document::parse(&bytes, None).context("`manifest.json` is damaged")? {
        Document::Manifest(manifest) => (bytes, digest, manifest, None),
        Document::Index(index) => {
            keep_document(store, &bytes, &digest)?;
            let (bytes, manifest, _) = walk(store, &source, index.choose(platform)?, platform)?;
            (bytes.clone(), Digest::of(&bytes), manifest, Some(digest))
        }
    };
    let config = source.document(&manifest.config.digest, manifest.config.size)?;
    let parts = Parts { bytes, digest, manifest, config, list, names: Vec::new() };
    Ok(vec![prepare(store, &source, parts, platform, progress)?])
}

/// From an entry of an index to a manifest; keeps the indexes on the way.
fn walk(
    store: &Store,
    source: &Source<'_>,
    entry: &Descriptor,
    platform: &Platform,
) -> Result<(Vec<u8>, Manifest, Option<()>)> {
    let mut entry = entry.clone();
    let mut nested = None;
    for _ in 0..3 {
        let bytes = source.document(&entry.digest, entry.size)?;
        match Document::parse(&bytes, Some(&entry.media_type))
            .with_context(|| format!("manifest {} is damaged", entry.digest))?
        {
            Document::Manifest(manifest) => return Ok((bytes, manifest, nested)),
            Document::Index(index) => {
                keep_document(store, &bytes, &entry.digest)?;
                entry = index.choose(platform)?.clone();
                nested = Some(());
            }
        }
    }
    Err(fault(Kind::BadData, "indexes are nested too deeply"))
}

/// An image before its layers are fetched.
struct Parts {
    bytes: Vec<u8>,
    digest: Digest,
    manifest: Manifest,
    config: Vec<u8>,
    list: Option<Digest>,
    names: Vec<String>,
}

/// Bring layers and documents of an image into the store.
fn prepare(
    store: &Store,
    blobs: &dyn Blobs,
    parts: Parts,
    platform: &Platform,
    progress: &dyn Progress,
) -> Result<Ready> {
    let Parts { bytes, digest, manifest, config, list, names } = parts;
    let parsed =
        ImageConfig::parse(&config).with_context(|| format!("config {} is damaged", manifest.config.digest))?;
    check_platform(&parsed, platform, progress)?;
    if let Some(name) = names.first() {
        progress.resolved(name);
    }
    layers(store, &match_layers(&manifest, &parsed)?, blobs, progress)?;
    keep_document(store, &config, &manifest.config.digest)?;
    keep_document(store, &bytes, &digest)?;
    let manifest_ref = ManifestRef { digest, size: bytes.len() as u64, media_type: manifest.media_type };
    Ok(Ready { id: manifest.config.digest, manifest: manifest_ref, list, names })
}

/// One image of docker's `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// Images of a docker archive. It has no manifests: they are written here, always the same for the same content.
fn of_docker(
    store: &Store,
    contents: &Contents,
    manifest: &[u8],
    choice: &Choice,
    platform: &Platform,
    progress: &dyn Progress,
) -> Result<Vec<Ready>> {
    let images: Vec<DockerImage> = serde_json::from_slice(manifest)
        .map_err(|error| fault(Kind::BadData, format!("`manifest.json` is damaged: {error}")))?;
    let names = |image: &DockerImage| -> Vec<Reference> {
        image.repo_tags.iter().flatten().filter_map(|tag| Reference::parse(tag).ok()).collect()
    };
    let chosen: Vec<&DockerImage> = match choice {
        Choice::Named(wanted) => {
            let wanted = Reference::parse(wanted)?;
            images.iter().filter(|image| names(image).contains(&wanted)).take(1).collect()
        }
        _ => images.iter().collect(),
    };
    check_choice(choice, chosen.len(), images.iter().flat_map(&names))?;
    let mut ready = Vec::new();
    for image in chosen {
        let config = match (contents.document(&image.config), contents.blob(&image.config)) {
            (Some(bytes), _) => bytes.to_vec(),
            (None, Some((digest, _))) => store.read_blob(digest, DOCUMENT_LIMIT)?,
            (None, None) => return Err(absent(&image.config)),
        };
        let bytes = write_manifest(store, contents, &config, image.layers.as_deref().unwrap_or_default())?;
        let manifest = Manifest::parse(&bytes, None)?;
        let names = names(image).iter().map(Reference::stored_name).collect();
        let parts = Parts { digest: Digest::of(&bytes), bytes, manifest, config, list: None, names };
        ready.push(prepare(store, &Source::Store(store), parts, platform, progress)?);
    }
    Ok(ready)
}

fn write_manifest(store: &Store, contents: &Contents, config: &[u8], paths: &[String]) -> Result<Vec<u8>> {
    let mut layers = Vec::new();
    for path in paths {
        let (digest, size) = contents.blob(path).ok_or_else(|| absent(path))?;
        let media_type = sniff(store, digest)?;
        layers.push(json!({ "mediaType": media_type.as_ref(), "digest": digest.as_str(), "size": size }));
    }
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::ImageManifest.as_ref(),
        "config": {
            "mediaType": MediaType::ImageConfig.as_ref(),
            "digest": Digest::of(config).as_str(),
            "size": config.len(),
        },
        "layers": layers,
    });
    serde_json::to_vec(&manifest).context("cannot write a manifest")
}

fn absent(path: &str) -> anyhow::Error {
    let shown: String = path.chars().take(200).collect();
    fault(Kind::BadData, format!("`{}` is missing in the archive", shown.escape_debug()))
}

/// Refuse to guess.
fn check_choice(choice: &Choice, found: usize, names: impl Iterator<Item = Reference>) -> Result<()> {
    let names: Vec<String> = names.take(12).map(|name| name.stored_name()).collect();
    let there =
        || if names.is_empty() { "no names are there".to_owned() } else { format!("there are: {}", names.join(", ")) };
    match (choice, found) {
        (Choice::Named(wanted), 0) => {
            let text = format!("it holds no image `{}`", wanted.escape_debug());
            Err(Fault::new(Kind::NotFound, text).hint(there()).into())
        }
        (_, 0) => Err(fault(Kind::NotFound, "it holds no image")),
        (Choice::Only, 2..) => {
            let text = format!("it holds {found} images");
            Err(Fault::new(Kind::Usage, text).hint(format!("add `:NAME` for one of them; {}", there())).into())
        }
        _ => Ok(()),
    }
}
