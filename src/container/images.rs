//! Images where containers come in: pulling for one that is about to run, removing one that others stand on.
//!
//! Pulling and loading need threads and much memory, and the caller forks a monitor afterwards; so they are done in a
//! child process.

use super::record::Status;
use crate::base::digest::Digest;
use crate::base::error::{self, Fault, Kind, fault};
use crate::base::units::human_size;
use crate::engine::Engine;
use crate::events::{self, Event};
use crate::image::{self, CheckOptions, Damage, Image, ImportOptions, Loaded, Progress, PullOptions, Removed};
use crate::oci::platform::Platform;
use crate::oci::reference::Reference;
use crate::registry::Access;
use crate::sys::process::{self, Ended, Fork};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Pull an image and find it.
///
/// Errors are those of `image::pull`; an interrupted pull is [`Kind::Interrupted`].
pub fn pull(engine: &Engine, options: &PullOptions<'_>, progress: &dyn Progress) -> Result<Image> {
    image::ask_helpers(options)?;
    let id = in_child(engine, || Ok(image::pull(&engine.store, options, progress)?.id.to_string()))?;
    super::collect_behind(engine);
    let missing = || fault(Kind::BadData, format!("image `{}` is not in the store after its pull", options.reference));
    let image = image::find(&engine.store, &id)?.ok_or_else(missing)?;
    let name = image.names.first().map_or(options.reference, String::as_str);
    events::record(&engine.dirs, &[Event::new("image", "pull", image.id.digits(), name)]);
    Ok(image)
}

/// Load images from an archive; `None`: from standard input; of lists, the images for a platform.
/// Returns their names or ids.
pub fn load(
    engine: &Engine,
    input: Option<&Path>,
    platform: &Platform,
    progress: &dyn Progress,
) -> Result<Vec<String>> {
    let names = |loaded: Loaded| if loaded.names.is_empty() { vec![loaded.id.to_string()] } else { loaded.names };
    let work = || {
        let loaded = image::load(&engine.store, input, platform, progress)?;
        Ok(loaded.into_iter().flat_map(names).collect::<Vec<_>>().join("\n"))
    };
    let names: Vec<String> = in_child(engine, work)?.lines().map(str::to_owned).collect();
    let loaded = |name: &String| Event::new("image", "loadfromarchive", "", name);
    events::record(&engine.dirs, &names.iter().map(loaded).collect::<Vec<_>>());
    Ok(names)
}

/// Make an image of the archive of a root file system; returns its id.
pub fn import(engine: &Engine, options: &ImportOptions<'_>, progress: &dyn Progress) -> Result<Digest> {
    let id = in_child(engine, || Ok(image::import(&engine.store, options, progress)?.to_string()))?;
    Digest::parse(&id).context("the import ended without an id")
}

/// Verify what is stored, see [`image::check`].
pub fn check(engine: &Engine, options: CheckOptions) -> Result<Vec<Damage>> {
    let access = Access::default();
    let look = |options: CheckOptions| -> Result<Vec<Damage>> {
        let work = || Ok(serde_json::to_string(&image::check(&engine.store, options, &access)?)?);
        serde_json::from_str(&in_child(engine, work)?).context("the check ended without an answer")
    };
    let found = look(CheckOptions { repair: false, ..options })?;
    if !options.repair || found.is_empty() {
        return Ok(found);
    }
    // Only now is it known whose credentials are needed, and in the namespace no helper can be asked.
    for damage in found.iter().filter(|damage| damage.object.starts_with("blob ")) {
        if Reference::parse(&damage.image).is_ok_and(|name| name.to_string() == damage.image) {
            image::ask_helpers(&PullOptions { reference: &damage.image, platform: None, access: &access })?;
        }
    }
    look(options)
}

/// The name of an image that `text` means; `None` if it means the id or a digest.
pub(super) fn name_meant(image: &Image, text: &str) -> Option<String> {
    let asked =
        ["localhost", "docker.io"].map(|home| Reference::parse_with_default(text, home).map(|name| name.to_string()));
    image.names.iter().find(|name| asked.iter().any(|asked| asked.as_ref().is_ok_and(|asked| asked == *name))).cloned()
}

/// Remove an image by name or id. With `force`, containers made from it are removed first. The caller ends with
/// [`super::collect_behind`], which frees the content.
///
/// Errors: [`Kind::NotFound`], [`Kind::InUse`] with the containers' names.
pub fn remove_image(engine: &Engine, text: &str, options: image::RemoveOptions<'_>) -> Result<Vec<Removed>> {
    if options.force {
        // One whose documents are damaged has no id that containers would name; it goes all the same.
        let image = image::find_for(&engine.store, text, options.platform).unwrap_or_default();
        // One name of several is only taken away.
        if let Some(image) = image.filter(|image| image.names.len() < 2 || name_meant(image, text).is_none()) {
            for container in super::used_by(engine, &image.id) {
                super::remove(engine, &container, super::RemoveOptions { force: true, ..Default::default() })?;
            }
        }
    }
    let names = |id: &Digest| -> Vec<String> {
        let name = |container: super::Container| match container.status() {
            Status::Running(_) => format!("{} (running)", container.config.name),
            _ => container.config.name,
        };
        super::used_by(engine, id).into_iter().map(name).collect()
    };
    let removed = image::remove(&engine.store, text, options, &names)?;
    let event = |removed: &Removed| match removed {
        Removed::Untagged(name) => Event::new("image", "untag", "", name),
        Removed::Deleted(id) => Event::new("image", "remove", id.digits(), text),
    };
    events::record(&engine.dirs, &removed.iter().map(event).collect::<Vec<_>>());
    Ok(removed)
}

/// Do work that uses threads in a forked child, in U0; its text or its error comes back.
pub(super) fn in_child(engine: &Engine, work: impl FnOnce() -> Result<String>) -> Result<String> {
    let (reading, writing) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).context("cannot make a pipe")?;
    let pid = match process::fork().context("cannot fork")? {
        Fork::Child => {
            drop(reading);
            let _ = process::set_parent_death_signal(crate::base::signal::SIGTERM);
            let result = engine.enter().and_then(|_| work());
            let answer = Answer {
                text: result.as_ref().ok().cloned(),
                error: result.err().map(|error| error::encode(&error)).unwrap_or_default(),
            };
            let _ = serde_json::to_writer(File::from(writing), &answer);
            process::exit_now(0)
        }
        Fork::Parent(pid) => pid,
    };
    drop(writing);
    let mut bytes = Vec::new();
    File::from(reading).read_to_end(&mut bytes).context("cannot hear of the pull")?;
    let ended = process::wait(pid).context("cannot wait for the pull")?;
    let Ok(answer) = serde_json::from_slice::<Answer>(&bytes) else {
        return Err(match ended {
            Ended::Signaled(signal) => fault(Kind::Interrupted(signal), "the pull was interrupted"),
            Ended::Exited(_) => fault(Kind::Other, "the pull ended without an answer"),
        });
    };
    answer.text.ok_or_else(|| advise(engine, error::decode(&answer.error)))
}

/// The error; on a full disk, with what can be pruned.
pub fn advise(engine: &Engine, mut error: anyhow::Error) -> anyhow::Error {
    if error::kind(&error) != Kind::DiskFull {
        return error;
    }
    let all =
        super::PruneOptions { containers: Some(&|_| true), images: Some(&|_| true), dry_run: true, volumes: None };
    let found = super::prune(engine, &all).unwrap_or_default();
    let hint = match found.freed {
        0 => "there is nothing that `box system prune -a` could free".to_owned(),
        freed => {
            let (images, containers) = (found.images.len(), found.containers.len());
            format!(
                "box system prune -a   # frees {}: {images} images that no container uses, {containers} containers that \
                 do not run, what is left of pulls",
                human_size(freed, 4)
            )
        }
    };
    if let Some(fault) = error.downcast_mut::<Fault>() {
        fault.hints.push(hint);
    }
    error
}

/// What the child says.
#[derive(Serialize, Deserialize)]
struct Answer {
    text: Option<String>,
    error: Vec<u8>,
}
