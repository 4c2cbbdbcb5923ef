//! `push`: a stored image to a registry, an archive or a folder.
//!
//! Several blobs go side by side; what the registry has is not sent, and what another of its repositories has is
//! mounted. The manifest goes last, so that what has a name is complete.

use super::compose::ManifestFormat;
use super::find::{By, find_entry, missing, of_platform, open};
use super::lists::is_index;
use super::outgoing::{Outgoing, Piece, Shape, prepare};
use super::push_list::{PushList, push_list};
use super::transport::Destination;
use super::trust::{self, Signer};
use super::writer::{Archive, Named, write_folder, write_layout};
use super::{Image, LayerState, Progress, name};
use crate::base::digest::Digest;
use crate::base::error::{Fault, Kind, fault};
use crate::oci::platform::Platform;
use crate::oci::reference::Reference;
use crate::registry::{Access, Client, Meter, Sent, runtime};
use crate::store::Store;
use anyhow::{Context, Result};
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};

/// Blobs sent side by side.
const SIDE_BY_SIDE: usize = 5;

/// What to push, where and how.
#[derive(Debug)]
pub struct PushOptions<'a> {
    /// A stored image: a name or id.
    pub image: &'a str,
    /// Where; `None`: where its name says.
    pub destination: Option<&'a str>,
    /// Of a list, or of images that came from one, the one for this platform.
    pub platform: Option<&'a Platform>,
    /// In which form.
    pub shape: Shape,
    /// With what it is signed there.
    pub signer: Option<Signer<'a>>,
    /// How to talk to registries.
    pub access: &'a Access,
}

/// What was pushed.
#[derive(Debug, Clone)]
pub struct Pushed {
    /// The digest of the manifest.
    pub digest: Digest,
    /// Where it went, as a name of a registry; `None` for files.
    pub reference: Option<Reference>,
}

/// Push a stored image. Needs no namespace.
///
/// Errors: [`Kind::NotFound`] no such image; [`Kind::Registry`] the registry, or the way to it. A name that the
/// registry has then is what it was.
pub fn push(store: &Store, options: &PushOptions<'_>, progress: &dyn Progress) -> Result<Pushed> {
    let _lease = store.lease()?;
    let entries = store.entries()?;
    let (entry, by) = find_entry(store, &entries, options.image)?.ok_or_else(|| missing(store, options.image))?;
    let destination = match (options.destination, &by) {
        (Some(text), _) => Destination::parse(text)?,
        (None, By::Name(name)) => {
            check_is_remote(name)?;
            Destination::Registry(Reference::parse(name)?)
        }
        (None, By::Id) => {
            let text = format!("cannot push `{}`: an id does not say where to", options.image.escape_debug());
            return Err(Fault::new(Kind::Usage, text).hint(format!("box push {} REGISTRY/NAME", options.image)).into());
        }
    };
    let deed = || format!("cannot push `{}`", options.image.escape_debug());
    if options.signer.is_some() && !matches!(destination, Destination::Registry(_)) {
        return Err(fault(Kind::Usage, "only what goes to a registry is signed")).with_context(deed);
    }
    let shape = match destination {
        // An OCI layout holds OCI manifests: other tools read no others there.
        Destination::Layout(..) | Destination::OciArchive(..) => Shape {
            format: match options.shape.format {
                Some(ManifestFormat::Docker) => {
                    return Err(fault(Kind::Usage, "an OCI layout holds no manifests in docker's form"))
                        .with_context(deed);
                }
                _ => Some(ManifestFormat::Oci),
            },
            ..options.shape
        },
        _ => options.shape,
    };
    if is_index(&entry.manifest.media_type) && options.platform.is_none() {
        let reference = match destination {
            Destination::Registry(reference) => reference,
            _ => return Err(fault(Kind::Usage, "a manifest list is pushed to a registry")).with_context(deed),
        };
        let list = PushList { list: &entry.manifest.digest, shape, variants: &[], all: true };
        let digest = push_list(store, &list, &reference, options.access, progress).with_context(deed)?;
        sign(options, &reference, &digest, progress)?;
        return Ok(Pushed { digest, reference: Some(reference) });
    }
    let image = match options.platform {
        Some(platform) => of_platform(store, options.image, platform)?,
        None => open(store, entry)?,
    };
    let outgoing = prepare(store, &image.manifest.digest, shape, progress).with_context(deed)?;
    let digest = outgoing.digest();
    let named = |name: &Option<String>| [Named { image: outgoing.clone(), names: name.iter().cloned().collect() }];
    let whole = |name: &Option<String>| -> Result<Option<String>> {
        name.as_deref().map(|name| Ok(Reference::parse(name)?.to_string())).transpose()
    };
    match &destination {
        Destination::Registry(reference) => {
            let siblings = siblings(store, &image, reference);
            send(options.access, reference, &outgoing, &siblings, progress).with_context(deed)?;
            sign(options, reference, &digest, progress)?;
            return Ok(Pushed { digest, reference: Some(reference.clone()) });
        }
        Destination::Layout(path, name) => write_layout(path, &named(name), progress),
        Destination::OciArchive(path, name) => Archive::create(path)?.write(&named(name), false, progress),
        Destination::DockerArchive(path, name) => Archive::create(path)?.write(&named(&whole(name)?), true, progress),
        Destination::Folder(path) => write_folder(path, &outgoing, progress),
    }
    .with_context(deed)?;
    Ok(Pushed { digest, reference: None })
}

/// Sign what has been pushed, if that is asked for.
pub(super) fn sign(
    options: &PushOptions<'_>,
    reference: &Reference,
    digest: &Digest,
    progress: &dyn Progress,
) -> Result<()> {
    let Some(signer) = options.signer else { return Ok(()) };
    let place = trust::sign_pushed(options.access, reference, digest, signer)?;
    progress.message(&format!("Signed: {place}"));
    Ok(())
}

/// Names below `localhost/` were given here; no registry goes by them unless it is said so.
pub(super) fn check_is_remote(name: &str) -> Result<()> {
    let Some(rest) = name.strip_prefix("localhost/") else { return Ok(()) };
    let fault = Fault::new(Kind::Usage, format!("`{name}` is a name of this host and says no registry"));
    Err(fault.hint(format!("box push {rest} docker://REGISTRY/{rest}")).into())
}

/// Repositories of the same registry that have layers of this image, as far as the store knows.
fn siblings(store: &Store, image: &Image, reference: &Reference) -> Vec<(Digest, String)> {
    let all = super::list(store).unwrap_or_default();
    let mut found = Vec::new();
    for other in &all {
        let there = other.names.iter().filter_map(|name| name::repository(name).split_once('/'));
        let mut there = there.filter(|(host, path)| *host == reference.domain && *path != reference.path);
        let Some((_, path)) = there.next() else { continue };
        let shared = other.layers.iter().filter(|layer| image.layers.contains(layer));
        found.extend(shared.map(|layer| (layer.digest.clone(), path.to_owned())));
        if other.id == image.id {
            found.push((image.id.clone(), path.to_owned()));
        }
    }
    found
}

/// What a task tells of its blob.
enum Event {
    Began(Digest),
    Gone(Digest, u64),
    Done(Digest, Sent),
}

/// Send an image to a registry.
pub(super) fn send(
    access: &Access,
    reference: &Reference,
    image: &Outgoing,
    siblings: &[(Digest, String)],
    progress: &dyn Progress,
) -> Result<()> {
    if let Some(digest) = reference.digest.as_ref().filter(|digest| **digest != image.digest()) {
        return Err(fault(Kind::Usage, format!("its digest is {}, not {digest}", image.digest())));
    }
    runtime()?.block_on(async {
        let client = Arc::new(access.open_itself(&reference.repository()).await?);
        let sent = send_all(&client, image, siblings, progress).await;
        for notice in client.notices() {
            progress.message(&notice);
        }
        sent?;
        client.send_manifest(reference.version(), &image.media_type, &image.manifest).await
    })
}

/// Send all blobs, a few side by side.
pub(super) async fn send_all(
    client: &Arc<Client>,
    image: &Outgoing,
    siblings: &[(Digest, String)],
    progress: &dyn Progress,
) -> Result<()> {
    // One question alone first, so that those after it have its token.
    client.has_blob(&image.config.digest).await?;
    let gate = Arc::new(Semaphore::new(SIDE_BY_SIDE));
    let (tell, mut heard) = mpsc::unbounded_channel();
    let mut tasks = tokio::task::JoinSet::new();
    for piece in image.pieces() {
        progress.layer(&piece.digest, Some(piece.size));
        progress.state(&piece.digest, LayerState::Waiting);
        let sibling = siblings.iter().find(|(digest, _)| *digest == piece.digest).map(|(_, path)| path.clone());
        let (client, gate, tell, piece) = (Arc::clone(client), Arc::clone(&gate), tell.clone(), piece.clone());
        tasks.spawn(async move {
            let _permit = gate.acquire().await;
            send_one(&client, &piece, sibling.as_deref(), &tell).await
        });
    }
    drop(tell);
    loop {
        tokio::select! {
            Some(event) = heard.recv() => show(&event, progress),
            Some(ended) = tasks.join_next() => {
                // The first failure ends it: dropping the set stops the others.
                ended.context("a task failed")??;
            }
            else => return Ok(()),
        }
    }
}

async fn send_one(
    client: &Client,
    piece: &Piece,
    sibling: Option<&str>,
    tell: &mpsc::UnboundedSender<Event>,
) -> Result<()> {
    let _ = tell.send(Event::Began(piece.digest.clone()));
    let (digest, more) = (piece.digest.clone(), tell.clone());
    let meter: Meter = Arc::new(move |count| drop(more.send(Event::Gone(digest.clone(), count))));
    let sent = client.send_blob(&piece.digest, piece.size, &piece.payload, sibling, &meter).await?;
    let _ = tell.send(Event::Done(piece.digest.clone(), sent));
    Ok(())
}

fn show(event: &Event, progress: &dyn Progress) {
    match event {
        Event::Began(digest) => progress.state(digest, LayerState::Sending),
        Event::Gone(digest, count) => progress.advance(digest, *count),
        Event::Done(digest, sent) => progress.state(
            digest,
            match sent {
                Sent::Present => LayerState::AlreadyThere,
                Sent::Mounted => LayerState::Mounted,
                Sent::Uploaded => LayerState::Done,
            },
        ),
    }
}
