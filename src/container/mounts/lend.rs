//! When a container starts: volumes are filled, folders for overlays made, files given to the container's user. And when
//! it is removed: its anonymous volumes go.

use super::settle::make_anonymous;
use super::{Mount, Source};
use crate::base::digest::Digest;
use crate::base::dirs::Dirs;
use crate::base::error::{Fault, Kind};
use crate::base::lock::Share;
use crate::container::record::{self, Container};
use crate::container::root;
use crate::engine::Engine;
use crate::store::overlay::OverlayPlan;
use crate::volume::{self, Driver, Volume};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What the specification needs to know of what is mounted.
#[derive(Debug, Clone, Default)]
pub struct Lent {
    /// Volumes by name: what each stands for, and its own folder.
    pub volumes: BTreeMap<String, (Driver, PathBuf)>,
    /// Layers of mounted images by the mount's target, topmost first.
    pub images: BTreeMap<PathBuf, Vec<PathBuf>>,
}

/// The folder of the container's own for the changes above mount number `number`.
pub(super) fn overlay_dir(container: &Path, number: usize) -> PathBuf {
    container.join("mounts").join(number.to_string())
}

/// Make ready what the mounts of a container need. In U0.
pub fn lend(engine: &Engine, container: &Container) -> Result<Lent> {
    let mut lent = Lent::default();
    for (number, mount) in container.config.mounts.iter().enumerate() {
        match &mount.source {
            Source::Volume { name, .. } => {
                let volume = use_volume(engine, container, mount, name)?;
                lent.volumes.insert(name.clone(), (volume.driver()?, volume.data()));
            }
            Source::Image { layers, reference } => {
                lent.images.insert(mount.target.clone(), image_layers(engine, mount, reference, layers)?);
            }
            _ => {}
        }
        let image = matches!(mount.source, Source::Image { .. });
        if mount.options.overlay.is_some() || image {
            let dir = overlay_dir(&container.dir, number);
            for name in ["upper", "work", "empty"] {
                std::fs::create_dir_all(dir.join(name)).with_context(|| format!("cannot make `{}`", dir.display()))?;
            }
        }
    }
    Ok(lent)
}

fn image_layers(engine: &Engine, mount: &Mount, reference: &str, layers: &[Digest]) -> Result<Vec<PathBuf>> {
    let paths: Vec<PathBuf> = layers.iter().rev().map(|layer| engine.store.layer_path(layer)).collect();
    if paths.iter().any(|path| !path.is_dir()) {
        let text = format!("a layer of image `{reference}` is missing in the store");
        return Err(Fault::new(Kind::BadData, text).hint(format!("box pull {reference}")).into());
    }
    let Some(part) = &mount.options.subpath else { return Ok(paths) };
    let found = root::below(&paths, part);
    if found.is_empty() {
        let text = format!("image `{reference}` has no folder `{}`, or a link is on the way to it", part.display());
        return Err(Fault::new(Kind::Usage, text).hint(format!("box run --rm {reference} ls -l /")).into());
    }
    Ok(found)
}

/// The volume of a mount, filled by its first use.
fn use_volume(engine: &Engine, container: &Container, mount: &Mount, name: &str) -> Result<Volume> {
    let gone = || {
        let text = format!("volume `{name}` is gone");
        Fault::new(Kind::NotFound, text).hint(format!("box volume create {name}"))
    };
    let volume = match (volume::record::load(&engine.dirs, name), &mount.source) {
        (Some(volume), _) => volume,
        // Whoever made the container was killed before this.
        (None, Source::Volume { anonymous: true, make, .. }) => make_anonymous(engine, name, make)?,
        _ => return Err(gone().into()),
    };
    match volume.driver()? {
        Driver::Kernel { kind, device, .. } if engine.caller().0 != 0 && kind != "overlay" => {
            let text = format!("an ordinary user cannot mount `{kind}`, which volume `{name}` is");
            return Err(Fault::new(Kind::Host, text)
                .hint(format!("sudo mount -t {kind} {device} /mnt && box run -v /mnt:{} IMAGE", mount.target.display()))
                .into());
        }
        Driver::Bind { device, .. } if !device.exists() => {
            let text = format!("volume `{name}` stands for `{}`, which does not exist", device.display());
            return Err(Fault::new(Kind::NotFound, text).hint(format!("mkdir -p {}", device.display())).into());
        }
        Driver::Folder if !volume.is_fresh() => {}
        Driver::Folder if mount.options.no_copy || mount.options.subpath.is_some() => volume.settle(),
        Driver::Folder => volume.first_use(&engine.dirs, |folder| fill(engine, container, &mount.target, folder))?,
        _ => volume.settle(),
    }
    Ok(volume)
}

/// Copy what the image has at a place.
fn fill(engine: &Engine, container: &Container, target: &Path, folder: &Path) -> Result<()> {
    let lower = root::below(&root::lower(engine, &container.config)?, target);
    if lower.is_empty() {
        return Ok(());
    }
    let plan = OverlayPlan { lower, ..OverlayPlan::default() };
    crate::store::copy_layers(&plan, folder)
        .with_context(|| format!("cannot fill the volume on `{}`", target.display()))?;
    root::shift(engine, &container.config, folder)
}

/// Remove the anonymous volumes that were made for a container which is about to go, unless another has borrowed them.
///
/// Before its record goes: whoever is killed between the two leaves a record that leads to the rest. The caller is root
/// in its namespace.
pub fn remove_anonymous(dirs: &Dirs, container: &Container) -> Result<()> {
    let anonymous = |mount: &&Mount| matches!(mount.source, Source::Volume { anonymous: true, .. });
    for name in container.config.mounts.iter().filter(anonymous).filter_map(Mount::volume) {
        let Some(volume) = volume::record::load(dirs, name) else { continue };
        remove(dirs, volume, Some(container)).or_else(|error| match crate::base::error::kind(&error) {
            Kind::InUse | Kind::NotFound => Ok(()),
            _ => Err(error),
        })?;
    }
    Ok(())
}

/// Remove a volume that no container has, but for one that is about to go.
///
/// Errors: [`Kind::InUse`] with the name of one that has it.
pub fn remove(dirs: &Dirs, volume: Volume, going: Option<&Container>) -> Result<()> {
    // Whoever makes a container with it holds the lock until the record says so.
    let lock = volume.lock(Share::Exclusive)?;
    let name = volume.record.name.clone();
    let stays = |container: &&Container| going.is_none_or(|going| going.config.id != container.config.id);
    if let Some(user) = record::all(dirs).iter().filter(stays).find(|container| uses(container, &name)) {
        let text = format!("volume `{name}` is used by container `{}`", user.config.name);
        return Err(Fault::new(Kind::InUse, text).hint(format!("box rm {}", user.config.name)).into());
    }
    volume.remove(dirs, lock)
}

/// Whether a container has a volume.
pub fn uses(container: &Container, volume: &str) -> bool {
    container.config.mounts.iter().any(|mount| mount.volume() == Some(volume))
}
