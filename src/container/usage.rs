//! What everything takes on the disk: `system df`.

use super::prune::images_of;
use super::{Container, Status, Summary};
use crate::base::digest::Digest;
use crate::engine::Engine;
use crate::image::{self, Image};
use crate::store::disk_usage;
use crate::volume::Volume;
use anyhow::Result;
use std::collections::{HashMap, HashSet};

/// The disk's use, in bytes of blocks.
#[derive(Debug)]
pub struct Usage {
    /// The images, as they were stored.
    pub images: Vec<ImageUsage>,
    /// All of the images' content; what several share is counted once.
    pub images_size: u64,
    /// What `image prune --all` would free.
    pub images_reclaimable: u64,
    /// The containers, newest first.
    pub containers: Vec<ContainerUsage>,
    /// The volumes, by name.
    pub volumes: Vec<VolumeUsage>,
    /// What nothing reaches: parts of pulls that were broken off, and what is not collected yet.
    pub leftovers: u64,
    /// The number of blobs that have come in part.
    pub partial_blobs: usize,
}

/// An image's.
#[derive(Debug)]
pub struct ImageUsage {
    /// The image.
    pub image: Image,
    /// Blobs and unpacked layers.
    pub size: u64,
    /// The part that other images have as well.
    pub shared: u64,
    /// How many containers were made from it.
    pub containers: usize,
}

/// A container's.
#[derive(Debug)]
pub struct ContainerUsage {
    /// The container, and what it does.
    pub row: Summary,
    /// All that is its own, but for volumes.
    pub size: u64,
}

/// A volume's.
#[derive(Debug)]
pub struct VolumeUsage {
    /// The volume.
    pub volume: Volume,
    /// Its files.
    pub size: u64,
    /// How many containers have it.
    pub links: usize,
}

impl ContainerUsage {
    /// Whether it runs.
    pub fn is_active(&self) -> bool {
        !matches!(self.row.status, Status::Created | Status::Exited(_))
    }
}

/// A piece of content that images are made of.
#[derive(PartialEq, Eq, Hash)]
enum Piece {
    Blob(Digest),
    Layer(Digest),
}

/// Look at all of it.
pub fn usage(engine: &Engine) -> Result<Usage> {
    engine.enter()?;
    let rows = super::list(engine);
    let containers: Vec<Container> = rows.iter().map(|row| row.container.clone()).collect();
    let images = image::list(&engine.store)?;
    let mut owners: HashMap<Piece, usize> = HashMap::new();
    for piece in images.iter().flat_map(pieces) {
        *owners.entry(piece).or_default() += 1;
    }
    let size_of = |piece: &Piece| match piece {
        Piece::Blob(digest) => engine.store.blob_usage(digest),
        Piece::Layer(diff_id) => engine.store.layer_usage(diff_id),
    };
    let images_size = owners.keys().map(size_of).sum();
    let of_image = |image: Image| {
        let (mut size, mut shared) = (0, 0);
        for piece in pieces(&image) {
            let bytes = size_of(&piece);
            size += bytes;
            shared += if owners.get(&piece).copied().unwrap_or(0) > 1 { bytes } else { 0 };
        }
        let made = containers.iter().filter(|container| images_of(std::slice::from_ref(container)).contains(&image.id));
        ImageUsage { size, shared, containers: made.count(), image }
    };
    let images: Vec<ImageUsage> = images.into_iter().map(of_image).collect();
    let used = images.iter().filter(|image| image.containers > 0).flat_map(|image| pieces(&image.image));
    let layers = containers.iter().flat_map(|container| container.config.layers().iter().cloned().map(Piece::Layer));
    let used: HashSet<Piece> = used.chain(layers).collect();
    let images_reclaimable = owners.keys().filter(|piece| !used.contains(piece)).map(size_of).sum();
    let users = containers;
    let containers = rows.into_iter().map(of_container).collect::<Result<_>>()?;
    let volumes = crate::volume::all(&engine.dirs).into_iter().map(|volume| {
        let links = users.iter().filter(|user| super::mounts::uses(user, &volume.record.name)).count();
        Ok(VolumeUsage { size: disk_usage(&volume.data())?, links, volume })
    });
    let volumes = volumes.collect::<Result<_>>()?;
    let none = (HashSet::new(), HashSet::new());
    let leftovers = super::collect::collectable(engine, &none.0, &none.1)?;
    let partial_blobs = engine.store.partial_usage().1;
    Ok(Usage { images, images_size, images_reclaimable, containers, volumes, leftovers, partial_blobs })
}

/// What an image is made of, each piece once.
fn pieces(image: &Image) -> HashSet<Piece> {
    let layers =
        image.layers.iter().flat_map(|layer| [Piece::Blob(layer.digest.clone()), Piece::Layer(layer.diff_id.clone())]);
    let documents = [Some(&image.id), Some(&image.manifest.digest), image.list.as_ref()];
    layers.chain(documents.into_iter().flatten().cloned().map(Piece::Blob)).collect()
}

fn of_container(row: Summary) -> Result<ContainerUsage> {
    Ok(ContainerUsage { size: disk_usage(&row.container.dir)?, row })
}
