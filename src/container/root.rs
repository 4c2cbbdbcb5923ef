//! What a container's root is made of: by the storage driver, from layers or a folder.

use super::config::{Config, RootSource};
use super::quota;
use super::record::Container;
use super::rights;
use crate::base::error::{Fault, Kind};
use crate::base::timing;
use crate::engine::Engine;
use crate::runtime::{self, RootFs};
use crate::store::Mapped;
use crate::store::driver::Driver;
use crate::store::overlay::OverlayPlan;
use anyhow::{Context, Result};
use rustix::mount::MountPropagationFlags;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// A root that is ready to be handed to the runtime.
#[derive(Debug)]
pub enum Prepared {
    /// The kernel's overlay, mounted by init in its own mount namespace.
    Overlay(OverlayPlan),
    /// A folder; with a plan, fuse-overlayfs mounts it there first.
    Folder(PathBuf, Option<OverlayPlan>),
}

impl Prepared {
    /// The runtime's words for it; a folder below `base` is named from there.
    pub fn rootfs(&self, base: &Path) -> RootFs<'_> {
        match self {
            Self::Overlay(plan) => {
                let OverlayPlan { lower, data, upper, work, volatile, helper: _ } = plan;
                RootFs::Overlay { lower, data: data.as_deref(), upper, work, volatile: *volatile }
            }
            Self::Folder(path, _) => RootFs::Directory(path.strip_prefix(base).unwrap_or(path)),
        }
    }
}

impl Prepared {
    /// The kernel's overlay for a container with a map of its own, mounted here and attached nowhere: here all files of
    /// the layers may be read, those that the map leaves out too. The process gets a mount namespace of its own.
    pub fn tree(&self) -> Result<Option<OwnedFd>> {
        if !matches!(self, Self::Overlay(_)) {
            return Ok(None);
        }
        own_mounts().context("cannot make a mount namespace")?;
        runtime::root_tree(self.rootfs(Path::new(""))).map(Some)
    }
}

/// Make the folders that the root needs. In U0; the first start of a container on the copy driver copies here.
pub fn prepare(engine: &Engine, container: &Container) -> Result<Prepared> {
    let config = &container.config;
    make_dir(&container.dir.join("root"))?;
    if let RootSource::Rootfs { path, overlay: false, .. } = &config.root {
        return Ok(Prepared::Folder(path.clone(), None));
    }
    let lower = lower(engine, config)?;
    let changes = match &config.root {
        RootSource::Layers { folder, .. } => folder,
        _ => &quota::changes(container),
    };
    let (upper, work) = (changes.join("upper"), changes.join("work"));
    let helper = engine.storage.mount_program.clone();
    let mut plan = OverlayPlan { lower, data: None, upper, work, volatile: config.remove, helper };
    let driver = match engine.driver()? {
        // What the container has changed is where the driver of its first start has put it.
        _ if copied(container).exists() => Driver::Copy,
        Driver::Copy if plan.upper.exists() => Driver::Overlay,
        driver => driver,
    };
    let driver = match driver {
        Driver::Overlay if rights::is_mapped(config) => match mapped(engine, config)? {
            Some(mapped) => {
                (plan.lower, plan.data) = (vec![mapped.root], mapped.files);
                Driver::Overlay
            }
            None => Driver::Copy,
        },
        _ if rights::is_mapped(config) => Driver::Copy,
        driver => driver,
    };
    if config.size.is_some() && driver != Driver::Overlay {
        let text = format!("`--storage-opt size` needs the storage driver `overlay`, and this is `{}`", driver.name());
        return Err(Fault::new(Kind::Host, text).hint("box --storage-driver overlay run …").into());
    }
    match driver {
        Driver::Copy => copy(engine, container, &plan),
        Driver::Overlay | Driver::FuseOverlayfs => {
            // In memory, the monitor makes them, and gives them the owner of the folder.
            let top = if config.size.is_some() { changes } else { &plan.upper };
            make_dir(top)?;
            if config.size.is_none() {
                make_dir(&plan.work)?;
            }
            if let Some(maps) = rights::id_maps(engine, config)? {
                super::shift::give_root(top, &maps)?;
            }
            Ok(match driver {
                Driver::Overlay => Prepared::Overlay(plan),
                _ => Prepared::Folder(container.dir.join("root"), Some(plan)),
            })
        }
    }
}

/// Where the whole root is, if it is a copy.
fn copied(container: &Container) -> PathBuf {
    match &container.config.root {
        // It outlives the container.
        RootSource::Layers { folder, .. } => folder.join("rootfs"),
        _ => container.dir.join("rootfs"),
    }
}

/// The folders that the root is made of, topmost first.
pub(super) fn lower(engine: &Engine, config: &Config) -> Result<Vec<PathBuf>> {
    let lower = config.root.lower(&engine.store);
    let missing = || lower.iter().any(|path| !path.is_dir());
    if missing() {
        // What was just built may be unpacked only now. Where there is no archive either, that is the error.
        let unpack = || engine.store.unpack_kept(config.layers()).map(|()| String::new());
        let _ = super::images::in_child(engine, unpack);
    }
    if missing() {
        let text = format!("a layer of image `{}` is missing in the store", config.image_name());
        return Err(Fault::new(Kind::BadData, text).hint(format!("box pull {}", config.image_name())).into());
    }
    Ok(lower)
}

/// The image's files with the owners that the container's map means; `None` where it has no map of its own, or where no
/// image is.
pub(super) fn mapped(engine: &Engine, config: &Config) -> Result<Option<Mapped>> {
    let (RootSource::Image { layers, .. }, true) = (&config.root, rights::is_mapped(config)) else { return Ok(None) };
    let Some(maps) = rights::id_maps(engine, config)? else { return Ok(None) };
    let owner = |uid, gid| super::shift::owner(&maps, uid, gid);
    Ok(Some(engine.store.mapped(layers, &serde_json::to_string(&maps)?, &owner)?))
}

/// Give a copy of the image's files the owners that the container's map means.
pub(super) fn shift(engine: &Engine, config: &Config, folder: &Path) -> Result<()> {
    match rights::id_maps(engine, config)? {
        Some(maps) => super::shift::shift(folder, &maps).context("cannot give the image's files the container's ids"),
        None => Ok(()),
    }
}

fn make_dir(path: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    match std::fs::DirBuilder::new().mode(0o755).create(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(error).with_context(|| format!("cannot make folder `{}`", path.display()))
        }
        _ => Ok(()),
    }
}

/// The whole root as a copy of its own, made once; it appears under its name when it is complete.
fn copy(engine: &Engine, container: &Container, plan: &OverlayPlan) -> Result<Prepared> {
    let rootfs = copied(container);
    if !rootfs.exists() {
        let partial = rootfs.with_extension("partial");
        crate::base::fs::remove_tree(&partial)?;
        make_dir(&partial)?;
        crate::store::copy_layers(plan, &partial).context("cannot copy the image's layers")?;
        shift(engine, &container.config, &partial)?;
        std::fs::rename(&partial, &rootfs).with_context(|| format!("cannot make `{}`", rootfs.display()))?;
        timing::phase("copy layers");
    }
    Ok(Prepared::Folder(rootfs, None))
}

/// The folder `target` in each layer that has it, topmost first, down to the first layer that hides those below.
pub(super) fn below(layers: &[PathBuf], target: &Path) -> Vec<PathBuf> {
    let relative = target.strip_prefix("/").unwrap_or(target);
    let mut found = Vec::new();
    'layers: for layer in layers {
        let mut path = layer.clone();
        let mut hides = false;
        for part in relative.components() {
            path.push(part);
            match std::fs::symlink_metadata(&path) {
                Ok(meta) if meta.is_dir() => hides |= is_opaque(&path),
                // A whiteout, a file or a link: nothing below this layer is seen, and nothing in it.
                Ok(_) => break 'layers,
                Err(_) if hides => break 'layers,
                Err(_) => continue 'layers,
            }
        }
        found.push(path);
        if hides {
            break;
        }
    }
    found
}

/// Whether a folder of a layer hides what lower layers have in it.
fn is_opaque(folder: &Path) -> bool {
    let mut value = [0; 1];
    rustix::fs::lgetxattr(folder, "user.overlay.opaque", &mut value) == Ok(1) && value == *b"y"
}

/// Leave the host's mount namespace for one of our own, from which nothing gets out.
pub fn own_mounts() -> Result<()> {
    crate::sys::namespace::unshare(rustix::thread::UnshareFlags::NEWNS.bits() as i32)?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    Ok(rustix::mount::mount_change("/", private)?)
}
