//! A container's files as they are now, seen from outside of it: its changes, and the whole of it.

use super::config::RootSource;
use super::record::Container;
use super::rights;
use super::rights::idmap::{Map, Maps};
use crate::base::dirs::Dirs;
use crate::base::error::{Fault, Kind};
use crate::base::temp::TempDir;
use crate::engine::Engine;
use crate::image::Image;
use crate::store::driver::Driver;
use crate::store::overlay::OverlayPlan;
use crate::store::{Change, ChangeKind, Mapped, PackOptions, changes, changes_between, pack};
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// What the runtime puts into every container: no change of anybody's.
pub const PLACES: [&str; 12] = [
    "/dev",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/mtab",
    "/etc/resolv.conf",
    "/proc",
    "/run",
    "/run/.containerenv",
    "/run/secrets",
    "/sys",
    "/.dockerenv",
    "/dev/.box",
];

/// Where the files of a container are.
enum Files {
    /// Changes above layers, topmost first.
    Layered {
        /// The changes; not there before the first start.
        upper: PathBuf,
        /// The layers.
        lower: Vec<PathBuf>,
        /// The layers with the owners that the container sees, where those are others.
        mapped: Option<Mapped>,
    },
    /// A copy of the layers, in which the changes are.
    Copied {
        /// The copy.
        root: PathBuf,
        /// The layers, topmost first.
        lower: Vec<PathBuf>,
    },
    /// Somebody's folder; what it was before is not known.
    Folder(PathBuf),
}

/// A container's files, to be read in any thread.
pub struct View {
    name: String,
    dirs: Dirs,
    files: Files,
    /// The container's ids, where they are not the user's own.
    maps: Option<Maps>,
    /// Where layers are put together, and how.
    mount_point: PathBuf,
    driver: Driver,
    helper: Option<PathBuf>,
}

impl View {
    /// Find a container's files, and join the user's namespace. Errors: a layer is missing.
    pub fn open(engine: &Engine, container: &Container) -> Result<Self> {
        engine.enter()?;
        let config = &container.config;
        let root = container.dir.join("rootfs");
        let files = match &config.root {
            RootSource::Rootfs { path, overlay: false, .. } => Files::Folder(path.clone()),
            _ if root.is_dir() => Files::Copied { root, lower: super::root::lower(engine, config)? },
            _ => Files::Layered {
                upper: super::quota::changes_from_here(container).join("upper"),
                lower: super::root::lower(engine, config)?,
                mapped: super::root::mapped(engine, config)?,
            },
        };
        Ok(Self {
            name: config.name.clone(),
            dirs: engine.dirs.clone(),
            files,
            maps: rights::id_maps(engine, config)?,
            mount_point: container.dir.join("root"),
            driver: engine.driver()?,
            helper: engine.storage.mount_program.clone(),
        })
    }

    /// What the container has changed of its image, sorted by path.
    pub fn diff(&self) -> Result<Vec<Change>> {
        let mut found = match &self.files {
            Files::Layered { upper, .. } if !upper.is_dir() => Vec::new(),
            Files::Layered { upper, lower, .. } => changes(upper, lower)?,
            Files::Copied { root, lower } => {
                let temp = TempDir::new(&self.dirs)?;
                changes_between(&self.copy(lower, temp.path())?, root)?
            }
            Files::Folder(path) => {
                let text = format!("container `{}` runs on the folder `{}` itself", self.name, path.display());
                let fault = Fault::new(Kind::WrongState, text);
                return Err(fault.hint("box run --rootfs FOLDER:O keeps changes apart").into());
            }
        };
        found.retain(|change| !PLACES.iter().any(|path| path.as_bytes() == change.path));
        Ok(found)
    }

    /// Write the container's changes as a layer.
    pub fn pack_changes(&self, out: &mut dyn Write) -> Result<()> {
        let owner = |uid, gid| self.owner(uid, gid);
        match &self.files {
            // Never started: a layer without anything.
            Files::Layered { upper, .. } if !upper.is_dir() => Ok(out.write_all(&[0; 1024])?),
            Files::Layered { upper, lower, .. } => {
                // What the runtime made for its own mounts is left out, but not what the image has there.
                let made: BTreeSet<Vec<u8>> =
                    changes(upper, lower)?.into_iter().filter(is_made).map(|change| change.path).collect();
                let skip = |path: &[u8]| made.contains(&[b"/", path].concat());
                pack(upper, &PackOptions { owner: &owner, skip: &skip, top: true, whiteouts: true, deleted: &[] }, out)
            }
            Files::Copied { root, lower } => {
                let temp = TempDir::new(&self.dirs)?;
                let found = changes_between(&self.copy(lower, temp.path())?, root)?;
                let (gone, kept): (Vec<_>, Vec<_>) = found
                    .into_iter()
                    .filter(|change| !is_made(change))
                    .partition(|change| change.kind == ChangeKind::Deleted);
                let path = |change: Change| change.path.get(1..).unwrap_or_default().to_vec();
                let gone: Vec<Vec<u8>> = gone.into_iter().map(path).collect();
                let kept: BTreeSet<Vec<u8>> = kept.into_iter().map(path).collect();
                let skip = |path: &[u8]| !kept.contains(path);
                pack(
                    root,
                    &PackOptions { owner: &owner, skip: &skip, top: false, whiteouts: false, deleted: &gone },
                    out,
                )
            }
            Files::Folder(_) => self.pack_all(out),
        }
    }

    /// Write all of the container's files as an archive, without what is mounted in it.
    ///
    /// The calling thread gets a mount namespace of its own, in which the layers are put together.
    pub fn pack_all(&self, out: &mut dyn Write) -> Result<()> {
        let copied;
        let root = match &self.files {
            Files::Layered { upper, lower, mapped } => {
                let (mut lower, data) = match mapped {
                    Some(mapped) => (vec![mapped.root.clone()], mapped.files.as_deref()),
                    None => (lower.clone(), None),
                };
                if upper.is_dir() {
                    lower.insert(0, upper.clone());
                }
                let data = data.map(Path::to_path_buf);
                let plan = OverlayPlan { lower, data, helper: self.helper.clone(), ..OverlayPlan::default() };
                match self.mount(&plan) {
                    Ok(()) => self.mount_point.clone(),
                    // A kernel that cannot lay them over each other: a copy, then.
                    Err(_) if plan.data.is_none() => {
                        copied = TempDir::new(&self.dirs)?;
                        self.copy(&plan.lower, copied.path())?
                    }
                    Err(error) => return Err(error),
                }
            }
            Files::Copied { root, .. } | Files::Folder(root) => root.clone(),
        };
        let owner = |uid, gid| self.owner(uid, gid);
        pack(&root, &PackOptions { owner: &owner, skip: &|_| false, top: false, whiteouts: false, deleted: &[] }, out)
    }

    fn mount(&self, plan: &OverlayPlan) -> Result<()> {
        super::root::own_mounts()?;
        match std::fs::create_dir(&self.mount_point) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error.into()),
            _ => {}
        }
        super::fuse::mount_read_only(self.driver, plan, &self.mount_point)
    }

    /// The image's files as the container had them in the beginning, in a folder of ours.
    fn copy(&self, lower: &[PathBuf], temp: &Path) -> Result<PathBuf> {
        let path = temp.join("copy");
        lay_over(lower, &path)?;
        if let Some(maps) = &self.maps {
            super::shift::shift(&path, maps)?;
        }
        Ok(path)
    }

    /// The owner inside of a file that belongs to this uid and gid outside.
    fn owner(&self, uid: u32, gid: u32) -> (u32, u32) {
        let inside = |maps: &[Map], id: u32| {
            let map = maps.iter().find(|map| id.checked_sub(map.outer).is_some_and(|above| above < map.size));
            map.map_or(id, |map| map.inner + (id - map.outer))
        };
        match &self.maps {
            Some(maps) => (inside(&maps.uids, uid), inside(&maps.gids, gid)),
            None => (uid, gid),
        }
    }
}

fn is_made(change: &Change) -> bool {
    change.kind == ChangeKind::Added && PLACES.iter().any(|path| path.as_bytes() == change.path)
}

/// Copy layers, topmost first, into one folder, which is made.
fn lay_over(lower: &[PathBuf], path: &Path) -> Result<()> {
    std::fs::create_dir(path).with_context(|| format!("cannot make folder `{}`", path.display()))?;
    let plan = OverlayPlan { lower: lower.to_vec(), ..OverlayPlan::default() };
    crate::store::copy_layers(&plan, path).context("cannot copy the image's layers")
}

/// What a container has changed of its image, sorted by path.
pub fn diff(engine: &Engine, container: &Container) -> Result<Vec<Change>> {
    View::open(engine, container)?.diff()
}

/// What an image's last layer changes of those below, or what it changes of another image. Sorted by path.
pub fn diff_images(engine: &Engine, new: &Image, old: Option<&Image>) -> Result<Vec<Change>> {
    engine.enter()?;
    let paths = |image: &Image| -> Vec<PathBuf> {
        image.layers.iter().rev().map(|layer| engine.store.layer_path(&layer.diff_id)).collect()
    };
    let Some(old) = old else {
        let layers = paths(new);
        return layers.split_first().map_or(Ok(Vec::new()), |(top, below)| changes(top, below));
    };
    let temp = TempDir::new(&engine.dirs)?;
    let (was, is) = (temp.path().join("old"), temp.path().join("new"));
    lay_over(&paths(old), &was)?;
    lay_over(&paths(new), &is)?;
    changes_between(&was, &is)
}
