//! `prune`: removing what is not in use, all at once, or saying what that would free.

use super::record::Status;
use super::{Container, RemoveOptions, Summary, collect, mounts, remove};
use crate::base::digest::Digest;
use crate::base::id::ContainerId;
use crate::engine::Engine;
use crate::image::{self, Image};
use crate::store::{Partials, disk_usage};
use crate::volume::{self, Volume};
use anyhow::Result;
use std::collections::HashSet;

/// What to prune.
#[derive(Default)]
pub struct PruneOptions<'a> {
    /// Containers that do not run, those that this is true for.
    pub containers: Option<&'a dyn Fn(&Container) -> bool>,
    /// Images that no container uses, those that this is true for.
    pub images: Option<&'a dyn Fn(&Image) -> bool>,
    /// Volumes that no container has, those that this is true for.
    pub volumes: Option<&'a dyn Fn(&Volume) -> bool>,
    /// Count, and remove nothing.
    pub dry_run: bool,
}

/// What was pruned, or would be.
#[derive(Debug, Default)]
pub struct Pruned {
    /// The containers.
    pub containers: Vec<ContainerId>,
    /// The images.
    pub images: Vec<Image>,
    /// The volumes' names.
    pub volumes: Vec<String>,
    /// Bytes on the disk.
    pub freed: u64,
    /// Somebody adds content just now: that of the images is freed later.
    pub busy: bool,
}

/// Remove containers that do not run, images that no container uses, and the content that nothing reaches then.
pub fn prune(engine: &Engine, options: &PruneOptions<'_>) -> Result<Pruned> {
    engine.enter()?;
    let idle = |row: &Summary| matches!(row.status, Status::Created | Status::Exited(_));
    let wanted = |row: &Summary| options.containers.is_some_and(|wanted| idle(row) && wanted(&row.container));
    let mut pruned = Pruned::default();
    let mut stay = Vec::new();
    for row in super::list(engine) {
        if !wanted(&row) {
            stay.push(row.container);
            continue;
        }
        let bytes = disk_usage(&row.container.dir)?;
        // One that was started meanwhile stays.
        if options.dry_run || remove(engine, &row.container, RemoveOptions::default()).is_ok() {
            pruned.freed += bytes;
            pruned.containers.push(row.container.config.id);
        } else {
            stay.push(row.container);
        }
    }
    if let Some(wanted) = options.volumes {
        prune_volumes(engine, wanted, &stay, options.dry_run, &mut pruned)?;
    }
    if let Some(wanted) = options.images {
        let used = images_of(&stay);
        pruned.images = image::list(&engine.store)?;
        pruned.images.retain(|image| !image.read_only && !used.contains(&image.id) && wanted(image));
    }
    let ids = pruned.images.iter().map(|image| image.id.clone()).collect();
    let manifests = image::manifests(&engine.store, &ids)?;
    if options.dry_run {
        let gone = pruned.containers.iter().cloned().collect();
        pruned.freed += collect::collectable(engine, &manifests, &gone)?;
        return Ok(pruned);
    }
    if !manifests.is_empty() {
        engine.store.note_garbage();
        engine.store.forget(&manifests)?;
    }
    match collect::collect(engine, Partials::All)? {
        Some(freed) => pruned.freed += freed,
        None => pruned.busy = true,
    }
    Ok(pruned)
}

/// Remove the volumes that none of the containers that stay has.
fn prune_volumes(
    engine: &Engine,
    wanted: &dyn Fn(&Volume) -> bool,
    stay: &[Container],
    dry_run: bool,
    pruned: &mut Pruned,
) -> Result<()> {
    for volume in volume::all(&engine.dirs) {
        let name = volume.record.name.clone();
        if !wanted(&volume) || stay.iter().any(|container| mounts::uses(container, &name)) {
            continue;
        }
        let bytes = disk_usage(&volume.data())?;
        // One that somebody has begun to use stays.
        if dry_run || mounts::remove(&engine.dirs, volume, None).is_ok() {
            pruned.freed += bytes;
            pruned.volumes.push(name);
        }
    }
    Ok(())
}

/// The ids of the images that containers were made from.
pub fn images_of(containers: &[Container]) -> HashSet<Digest> {
    containers.iter().filter_map(|container| container.config.root.image().cloned()).collect()
}
