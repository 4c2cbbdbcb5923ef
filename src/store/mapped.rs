//! An image's files with other owners, for containers with another map of ids (`--userns keep-id`): made once for an
//! image and a map, shared by all containers of both.
//!
//! ```text
//! mapped/
//!   <key>/layers        the digests of what it was made of, lowest first, a line each
//!   <key>/root/         all layers laid over each other, with the owners that the map means
//!   <key>/references    there if files of `root` have their content in `files`
//!   <key>.unsynced      as for layers
//!   files/<xx>/<rest>   a link to a file of a layer, by its inode's number
//! ```
//!
//! An ordinary user cannot have a file system show other owners (an idmapped mount needs rights over the file system), so
//! every inode is made anew. Its content need not be: since Linux 6.16 an overlay with `userxattr` takes it from a
//! *data-only* layer, to which the file's attributes lead. So a map costs no more than the image's folders. Older kernels
//! get a copy, with shared blocks where the file system can.
//!
//! A link in `files` whose layer is gone is the last one of its file, and is swept as garbage.

use super::Store;
use super::copy::{LayOptions, METACOPY, REDIRECT, lay};
use super::driver::{No, own_mounts};
use super::layers::{dead, mark, survived};
use super::overlay::mount_read_only;
use crate::base::digest::Digest;
use crate::base::fs::ensure_private_dir;
use crate::base::lock::{Lock, Share};
use crate::base::temp::TempDir;
use crate::base::timing;
use crate::sys::process::{Ended, Fork, exit_now, fork, wait};
use anyhow::{Context, Result};
use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// An image's files with other owners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapped {
    /// The only lower folder of an overlay.
    pub root: PathBuf,
    /// The overlay's data-only layer.
    pub files: Option<PathBuf>,
}

impl Store {
    /// The files of an image of these layers, lowest first, with the owners that `owner` gives them; `map` stands for
    /// what it does. Made if they are not there.
    ///
    /// The caller is single-threaded, root in its namespace, and its container keeps the layers from being collected.
    pub fn mapped(&self, layers: &[Digest], map: &str, owner: &dyn Fn(u32, u32) -> (u32, u32)) -> Result<Mapped> {
        let list: String = layers.iter().map(|layer| format!("{layer}\n")).collect();
        let key = Digest::of(format!("{map}\n{list}").as_bytes());
        let path = self.dirs.mapped().join(key.digits().get(..32).unwrap_or_default());
        if !(path.is_dir() && survived(&mark(&path))) {
            self.make_mapped(&path, layers, &list, owner)
                .context("cannot give the image's files the container's ids")?;
            timing::phase("map layers");
        }
        let files = path.join("references").exists().then(|| self.mapped_files());
        Ok(Mapped { root: path.join("root"), files })
    }

    fn make_mapped(
        &self,
        path: &Path,
        layers: &[Digest],
        list: &str,
        owner: &dyn Fn(u32, u32) -> (u32, u32),
    ) -> Result<()> {
        ensure_private_dir(&self.dirs.mapped())?;
        let _lease = self.lease()?;
        let _lock = Lock::acquire(&path.with_extension("lock"), Share::Exclusive)?;
        if path.is_dir() && survived(&mark(path)) {
            return Ok(());
        }
        let temp = TempDir::new(&self.dirs)?;
        let (made, files) = (temp.path().join("mapped"), self.mapped_files());
        std::fs::create_dir_all(made.join("root"))?;
        std::fs::write(made.join("layers"), list)?;
        let can_refer = references_work(&temp.path().join("probe"))?;
        if can_refer {
            ensure_private_dir(&files)?;
            std::fs::write(made.join("references"), b"")?;
        }
        let lower: Vec<PathBuf> = layers.iter().rev().map(|layer| self.layer_path(layer)).collect();
        lay(&lower, &made.join("root"), &LayOptions { owner, files: can_refer.then_some(files.as_path()) })?;
        self.publish(&made, path)
    }

    fn mapped_files(&self) -> PathBuf {
        self.dirs.mapped().join("files")
    }

    /// What was made of layers that are not all in `layers`.
    pub(super) fn mapped_without(&self, layers: &HashSet<Digest>) -> Vec<PathBuf> {
        let is_whole =
            |path: &PathBuf| made_of(path).is_some_and(|made_of| made_of.iter().all(|layer| layers.contains(layer)));
        self.all_mapped().into_iter().filter(|path| !is_whole(path)).collect()
    }

    /// Whatever was made of a layer that is about to be replaced is made again when it is needed.
    pub(super) fn forget_mapped(&self, layer: &Digest) {
        for path in self.all_mapped() {
            if made_of(&path).is_none_or(|layers| layers.contains(layer)) {
                let _ = std::fs::rename(&path, dead(&path));
            }
        }
    }

    fn all_mapped(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.dirs.mapped()).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_none() && !path.ends_with("files"))
            .collect()
    }

    /// Links to files that no layer has any more.
    pub(super) fn lone_files(&self) -> Vec<PathBuf> {
        let below = |path: PathBuf| std::fs::read_dir(path).into_iter().flatten().flatten();
        let links = below(self.mapped_files()).flat_map(|folder| below(folder.path()));
        links.filter(|link| link.metadata().is_ok_and(|meta| meta.nlink() == 1)).map(|link| link.path()).collect()
    }
}

/// The layers that it was made of; `None` if that cannot be known.
fn made_of(path: &Path) -> Option<Vec<Digest>> {
    std::fs::read_to_string(path.join("layers")).ok()?.lines().map(Digest::parse).collect()
}

/// Whether an overlay takes a file's content from a data-only layer here: found out by doing it, in `folder`.
fn references_work(folder: &Path) -> Result<bool> {
    let (tree, data, merged) = (folder.join("tree"), folder.join("data"), folder.join("merged"));
    for path in [&tree, &data, &merged] {
        std::fs::create_dir_all(path).with_context(|| format!("cannot make folder `{}`", path.display()))?;
    }
    std::fs::write(data.join("content"), b"x")?;
    let file = tree.join("file");
    std::fs::File::create(&file)?.set_len(1)?;
    for (name, value) in [(METACOPY, ""), (REDIRECT, "/content")] {
        if rustix::fs::setxattr(&file, name, value.as_bytes(), rustix::fs::XattrFlags::empty()).is_err() {
            return Ok(false);
        }
    }
    let works = || -> std::result::Result<bool, No> {
        own_mounts()?;
        mount_read_only(&[tree], Some(&data), &merged).map_err(|_| No::Refused)?;
        Ok(std::fs::read(merged.join("file")).is_ok_and(|content| content == b"x"))
    };
    match fork().context("cannot fork")? {
        Fork::Parent(pid) => Ok(wait(pid).context("cannot wait for a child")? == Ended::Exited(0)),
        Fork::Child => exit_now(i32::from(!works().unwrap_or(false))),
    }
}
