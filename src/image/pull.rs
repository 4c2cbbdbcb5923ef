//! `pull`: an image from a registry, an OCI layout or an archive into the store.

use super::fetch::{Blobs, Pieces, keep_document, layers};
use super::find::{configured, find, layers as match_layers};
use super::incoming::{Order, order};
use super::load::{self, Origin};
use super::reuse::{self, Joined, Plan};
use super::{Image, ImageLayer, Progress, room, trust};
use crate::base::digest::Digest;
use crate::base::error::{Fault, Kind, fault, kind};
use crate::base::units::human_size;
use crate::config::registries::Registries;
use crate::oci::image::{Document, ImageConfig, Manifest, Platform};
use crate::oci::manifest::check_document_size;
use crate::oci::reference::Reference;
use crate::registry::{self, Access, Client, Fetched, runtime};
use crate::store::{BlobWriter, ManifestRef, Store, Wanted};
use anyhow::{Context, Result};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;

/// What to pull and how.
#[derive(Debug, Clone)]
pub struct PullOptions<'a> {
    /// A name, or `docker://NAME`, `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:NAME]`.
    pub reference: &'a str,
    /// `--platform`; `None`: this machine's.
    pub platform: Option<Platform>,
    /// How to talk to registries.
    pub access: &'a Access,
}

/// Bring an image into the store and give it its name.
///
/// The caller is single-threaded and has entered the user's namespace; when this returns it is single-threaded again.
/// Layers that are stored are not fetched. Errors: [`Kind::NotFound`] no such image; [`Kind::Registry`] the way to it;
/// [`Kind::BadData`] content that is not what its digest says. Nothing is named then.
pub fn pull(store: &Store, options: &PullOptions<'_>, progress: &dyn Progress) -> Result<Image> {
    let platform = options.platform.clone().unwrap_or_else(Platform::host);
    let deed = || format!("cannot pull `{}`", options.reference);
    if let Some((origin, choice)) = Origin::parse(options.reference) {
        let loaded = load::bring(store, &origin, &choice, &platform, progress).with_context(deed)?;
        let id = loaded.first().map(|loaded| loaded.id.as_str()).unwrap_or_default();
        return find(store, id)?.ok_or_else(|| fault(Kind::NotFound, "the image is gone again"));
    }
    let _lease = store.lease()?;
    let runtime = runtime()?;
    let found = runtime.block_on(resolve(options, progress)).with_context(deed)?;
    let image = download(store, &runtime, &found, &platform, progress).with_context(deed)?;
    for notice in found.client.notices() {
        progress.message(&notice);
    }
    Ok(image)
}

/// The digest that the registry has for a name now: of the index if there is one. Compare with [`Image::has_digest`].
pub fn remote_digest(options: &PullOptions<'_>) -> Result<Digest> {
    let runtime = runtime()?;
    let deed = || format!("cannot ask for `{}`", options.reference);
    runtime
        .block_on(async {
            let (clients, reference) = first(options).await?;
            let mut last = None;
            for client in clients {
                match client.manifest_digest(reference.version()).await {
                    Ok(digest) => return Ok(digest),
                    Err(error) => last = Some(error),
                }
            }
            Err(last.unwrap_or_else(|| fault(Kind::NotFound, "no registry to ask")))
        })
        .with_context(deed)
}

/// Run the credential helpers that the pull will need. To be called before the namespace is joined: they are made for
/// the user's own session.
pub fn ask_helpers(options: &PullOptions<'_>) -> Result<()> {
    if Origin::parse(options.reference).is_some() {
        return Ok(());
    }
    let registries = Registries::load()?;
    for reference in references(options.reference)? {
        // A blocked registry is told when it is asked.
        let sources = registries.sources(&reference.repository(), reference.digest.is_some()).unwrap_or_default();
        options.access.ask_helpers(sources.iter().map(|source| source.repository.as_str()))?;
    }
    Ok(())
}

/// All tags of the repository that a name means, and the repository's name. Errors: the name has a tag.
pub fn remote_tags(options: &PullOptions<'_>) -> Result<(String, Vec<String>)> {
    let deed = || format!("cannot list the tags of `{}`", options.reference);
    let reference = references(options.reference)?.into_iter().next();
    let reference = reference.ok_or_else(|| fault(Kind::NotFound, "no registry to ask"))?;
    if reference.tag.is_some() || reference.digest.is_some() {
        return Err(fault(Kind::Usage, "all tags are asked for, and the name has one already")).with_context(deed);
    }
    Ok((reference.repository(), registry::tags(options.access, &reference.repository()).with_context(deed)?))
}

/// An image that a registry has.
struct Found {
    client: Arc<Client>,
    reference: Reference,
    document: Fetched,
}

/// Ask each registry that the name may mean, each through its mirrors, until one has it.
async fn resolve(options: &PullOptions<'_>, progress: &dyn Progress) -> Result<Found> {
    let candidates = references(options.reference)?;
    let many = candidates.len() > 1;
    let mut failures: Vec<anyhow::Error> = Vec::new();
    for reference in candidates {
        progress.resolved(&reference.to_string());
        match ask(&reference, options, progress).await {
            Ok((client, document)) => return Ok(Found { client: Arc::new(client), reference, document }),
            // Another registry may have it, but only a definite no leads there.
            Err(error) if many && matches!(kind(&error), Kind::NotFound | Kind::Registry) => failures.push(error),
            Err(error) => return Err(error),
        }
    }
    if failures.len() == 1 {
        return Err(failures.remove(0));
    }
    let texts: Vec<String> = failures.iter().map(|error| format!("{error:#}")).collect();
    Err(fault(Kind::NotFound, format!("no configured registry has it: {}", texts.join("; "))))
}

/// Ask a registry through its mirrors.
async fn ask(reference: &Reference, options: &PullOptions<'_>, progress: &dyn Progress) -> Result<(Client, Fetched)> {
    let sources = Registries::load()?.sources(&reference.repository(), reference.digest.is_some())?;
    let mut last = None;
    for source in &sources {
        let attempt = async {
            let client = options.access.open(source).await?;
            let document = client.manifest(reference.version()).await;
            for notice in client.notices() {
                progress.message(&notice);
            }
            Ok((client, document?))
        };
        match attempt.await {
            Ok(found) => return Ok(found),
            Err(error) if source.mirror => {
                let error: anyhow::Error = error;
                progress.message(&format!("mirror `{}` does not serve it: {error:#}", source.repository));
                last = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    Err(last.unwrap_or_else(|| fault(Kind::Registry, "there is no registry to ask")))
}

/// Clients for the first meaning of a name.
async fn first(options: &PullOptions<'_>) -> Result<(Vec<Client>, Reference)> {
    let mut references = references(options.reference)?;
    if references.is_empty() {
        return Err(fault(Kind::NotFound, "no registry to ask"));
    }
    let reference = references.remove(0);
    let sources = Registries::load()?.sources(&reference.repository(), reference.digest.is_some())?;
    let mut clients = Vec::new();
    for source in &sources {
        clients.push(options.access.open(source).await?);
    }
    Ok((clients, reference))
}

/// What a name means to registries.
fn references(text: &str) -> Result<Vec<Reference>> {
    let text = text.strip_prefix("docker://").unwrap_or(text);
    if Reference::is_short(text) { configured(text) } else { Ok(vec![Reference::parse(text)?]) }
}

/// Fetch all content and publish the name.
fn download(
    store: &Store,
    runtime: &tokio::runtime::Runtime,
    found: &Found,
    platform: &Platform,
    progress: &dyn Progress,
) -> Result<Image> {
    let (image, changed) = content(store, runtime, found, platform, progress)?;
    let name = found.reference.stored_name();
    // Synced and named before, and nothing of it is new: there is nothing to do.
    if changed || store.lookup(&name)?.as_ref() != Some(&image.manifest) {
        store.sync()?;
        store.tag(&name, &image.manifest, image.list.as_ref())?;
        store.forget_wanted(&image.manifest.digest);
    }
    Ok(Image { names: vec![name], ..image })
}

/// Fetch what is missing of an image that is stored under names, from where they say that it came. The names stay as
/// they are, and the content is synced. The caller holds a lease.
pub(super) fn refetch(store: &Store, options: &PullOptions<'_>, progress: &dyn Progress) -> Result<()> {
    let runtime = runtime()?;
    let found = runtime.block_on(resolve(options, progress))?;
    let platform = options.platform.clone().unwrap_or_else(Platform::host);
    let (image, _) = content(store, &runtime, &found, &platform, progress)?;
    store.sync()?;
    store.forget_wanted(&image.manifest.digest);
    Ok(())
}

/// Fetch config and layers; whether anything was missing.
fn content(
    store: &Store,
    runtime: &tokio::runtime::Runtime,
    found: &Found,
    platform: &Platform,
    progress: &dyn Progress,
) -> Result<(Image, bool)> {
    let (document, manifest, list) = runtime.block_on(choose(found, platform))?;
    let asked = trust::Asked { reference: &found.reference, digests: &[&found.document.digest, &document.digest] };
    runtime.block_on(trust::check(&asked, &found.client))?;
    // One that is damaged is fetched anew.
    let config = match store.read_blob(&manifest.config.digest, manifest.config.size) {
        Ok(config) => config,
        Err(_) => runtime.block_on(found.client.document(&manifest.config.digest, manifest.config.size))?,
    };
    let parsed =
        ImageConfig::parse(&config).with_context(|| format!("config {} is damaged", manifest.config.digest))?;
    check_platform(&parsed, platform, progress)?;
    let wanted = match_layers(&manifest, &parsed)?;
    let lacks_blob = |layer: &ImageLayer| !store.has_blob(&layer.digest, Some(layer.size));
    let changed = wanted.iter().any(|layer| lacks_blob(layer) || !store.has_layer(&layer.diff_id));
    if wanted.iter().any(lacks_blob) {
        let blobs = wanted.iter().map(|layer| layer.digest.clone()).collect();
        let layers = wanted.iter().map(|layer| layer.diff_id.clone()).collect();
        store.note_wanted(&document.digest, &Wanted { blobs, layers })?;
    }
    let plans = runtime.block_on(reuse::plans(store, &found.client, &manifest.layers));
    let stored: u64 = plans.values().map(Plan::stored).sum();
    if stored > 0 {
        progress.message(&format!("{} are taken from layers that are stored", human_size(stored, 4)));
    }
    if let Err(error) = network(store, runtime, &found.client, &wanted, plans, progress) {
        // What is wrong once is wrong tomorrow; all else is kept, to go on with.
        if kind(&error) == Kind::BadData {
            store.forget_wanted(&document.digest);
        }
        store.note_garbage();
        return Err(room::told(error, store.folder(), Some(lacking(store, &wanted))));
    }
    keep_document(store, &config, &manifest.config.digest)?;
    keep_document(store, &document.bytes, &document.digest)?;
    if list.is_some() {
        keep_document(store, &found.document.bytes, &found.document.digest)?;
    }
    let manifest_ref =
        ManifestRef { digest: document.digest, size: document.bytes.len() as u64, media_type: manifest.media_type };
    let image = Image {
        id: manifest.config.digest,
        manifest: manifest_ref,
        names: Vec::new(),
        past_names: Vec::new(),
        list,
        read_only: false,
        config: parsed,
        layers: wanted,
        annotations: manifest.annotations,
    };
    Ok((image, changed))
}

/// How many bytes the missing layers take at least: what has not come, and as much again where it is unpacked.
fn lacking(store: &Store, wanted: &[ImageLayer]) -> u64 {
    let lacks = |layer: &ImageLayer| {
        let tree = if store.has_layer(&layer.diff_id) { 0 } else { layer.size };
        match store.has_blob(&layer.digest, Some(layer.size)) {
            true => tree,
            false => tree + layer.size.saturating_sub(store.partial_size(&layer.digest)),
        }
    };
    wanted.iter().map(lacks).sum()
}

/// From what the registry has under the name to the manifest for the platform.
async fn choose(found: &Found, platform: &Platform) -> Result<(Fetched, Manifest, Option<Digest>)> {
    let copy = |document: &Fetched| Fetched {
        bytes: document.bytes.clone(),
        digest: document.digest.clone(),
        media_type: document.media_type.clone(),
    };
    let mut document = copy(&found.document);
    // An index may name an index, once; more is an amplifier (GO-2026-6597).
    for _ in 0..3 {
        let parsed = Document::parse(&document.bytes, document.media_type.as_deref())
            .with_context(|| format!("manifest {} is damaged", document.digest))?;
        match parsed {
            Document::Manifest(manifest) => {
                let list = (document.digest != found.document.digest).then(|| found.document.digest.clone());
                return Ok((document, manifest, list));
            }
            Document::Index(index) => {
                let entry = index.choose(platform)?;
                check_document_size(entry.size)?;
                let mut next = found.client.manifest(entry.digest.as_str()).await?;
                if next.bytes.len() as u64 != entry.size {
                    let text = format!("manifest {} has {} bytes, not {}", entry.digest, next.bytes.len(), entry.size);
                    return Err(fault(Kind::BadData, text));
                }
                // The index says what it is; the server only repeats that.
                if !entry.media_type.is_empty() {
                    next.media_type = Some(entry.media_type.clone());
                }
                document = next;
            }
        }
    }
    Err(fault(Kind::BadData, "indexes are nested too deeply"))
}

/// Refuse other systems; say so if the processor is another.
pub(super) fn check_platform(config: &ImageConfig, wanted: &Platform, progress: &dyn Progress) -> Result<()> {
    if !config.os.is_empty() && config.os != "linux" {
        let text = format!("the image is for {}, box runs Linux containers", config.os.escape_debug());
        return Err(Fault::new(Kind::BadData, text).into());
    }
    if !config.architecture.is_empty() && wanted.rank(&config.platform()).is_none() {
        progress
            .message(&format!("the image is for {}, not for {wanted}", config.platform().to_string().escape_debug()));
    }
    Ok(())
}

/// Layers over the network: workers in threads of their own, the network in this one.
fn network(
    store: &Store,
    runtime: &tokio::runtime::Runtime,
    client: &Arc<Client>,
    wanted: &[ImageLayer],
    plans: HashMap<Digest, Plan>,
    progress: &dyn Progress,
) -> Result<()> {
    let (orders, mut incoming) = mpsc::unbounded_channel::<Order>();
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, move || {
            let blobs = Ordering { orders, plans: Mutex::new(plans) };
            layers(store, wanted, &blobs, progress)
        });
        let thread = thread.context("cannot start a thread")?;
        runtime.block_on(async {
            let mut tasks = tokio::task::JoinSet::new();
            // Ends when the workers have dropped their ends.
            while let Some(order) = incoming.recv().await {
                tasks.spawn(order.serve(Arc::clone(client)));
            }
            tasks.shutdown().await;
        });
        thread.join().map_err(|_| fault(Kind::Other, "the workers failed"))?
    })
}

/// Blobs by order from the network.
struct Ordering {
    orders: mpsc::UnboundedSender<Order>,
    /// Those of which stored layers have a part; each for one attempt.
    plans: Mutex<HashMap<Digest, Plan>>,
}

impl Blobs for Ordering {
    fn open(&self, layer: &ImageLayer, from: u64, writer: &BlobWriter) -> Result<Box<dyn Pieces + Send>> {
        let plan = self.plans.lock().unwrap_or_else(PoisonError::into_inner).remove(&layer.digest);
        let (digest, size, orders) = (layer.digest.clone(), layer.size, self.orders.clone());
        match plan {
            // Between parts that come lie others that are stored: only whoever reads them in turn can keep them.
            Some(plan) => {
                Ok(Box::new(Joined::new(plan, from, move |range| order(&orders, &digest, size, range, None))))
            }
            None => order(&orders, &digest, size, from..size, Some(writer.file()?)),
        }
    }

    fn is_remote(&self) -> bool {
        true
    }
}
