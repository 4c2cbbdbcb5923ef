//! Garbage: blobs and layers that no name and no container reaches. Deleting needs no free space.
//!
//! ```text
//! data/garbage     there is garbage, for whoever comes by to collect; see `Store::note_garbage`
//! ```

use super::layers::{dead, mark};
use super::remove::remove_tree_at;
use super::usage::{allocated, disk_usage};
use super::{ManifestRef, Partials, Store};
use crate::base::digest::Digest;
use crate::base::error::{Kind, kind};
use crate::base::lock::{Lock, Share};
use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags};
use serde::Deserialize;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Manifests and configs larger than this are refused when they are pulled.
const MAX_DOCUMENT: u64 = 4 << 20;

/// The right to collect: nobody holds a lease, so what is unreachable now stays unreachable.
///
/// Whoever must look at the containers to know what is in use takes this first, looks, then collects.
#[derive(Debug)]
pub struct Garbage<'a> {
    store: &'a Store,
    lock: Lock,
}

/// What is reachable.
#[derive(Default)]
struct Marks {
    blobs: HashSet<Digest>,
    layers: HashSet<Digest>,
}

/// A manifest or an index, as far as it refers to other blobs.
#[derive(Deserialize)]
struct Document {
    config: Option<Reference>,
    #[serde(default)]
    layers: Vec<Reference>,
    #[serde(default)]
    manifests: Vec<Reference>,
}

#[derive(Deserialize)]
struct Reference {
    digest: Digest,
}

#[derive(Deserialize)]
struct Config {
    rootfs: Option<RootFs>,
}

#[derive(Deserialize)]
struct RootFs {
    #[serde(default)]
    diff_ids: Vec<Digest>,
}

impl Store {
    /// Delete every blob and layer that no name and nothing in `layers_in_use` reaches; returns the bytes freed.
    ///
    /// Does nothing while anybody holds a lease (a pull, a container in the making): the next collection finds it. The
    /// caller is root in its namespace. One that holds a lease itself drops it first.
    pub fn collect_garbage(&self, layers_in_use: &HashSet<Digest>) -> Result<u64> {
        match self.garbage()? {
            Some(garbage) => garbage.collect(layers_in_use, Partials::Old),
            None => Ok(0),
        }
    }

    /// The right to collect; `None` while anybody holds a lease.
    pub fn garbage(&self) -> Result<Option<Garbage<'_>>> {
        let lock = Lock::try_acquire(&self.lease_path(), Share::Exclusive)?;
        Ok(lock.map(|lock| Garbage { store: self, lock }))
    }

    /// Leave word that there will be garbage, before the last name of something goes: should the collection that is to
    /// follow be killed or find a lease held, the next command on images collects ([`Store::has_garbage`]).
    pub fn note_garbage(&self) {
        // On a full disk nobody is told, and the next removal collects.
        let _ = std::fs::write(self.garbage_path(), b"");
    }

    /// Whether garbage was left to be collected.
    pub fn has_garbage(&self) -> bool {
        rustix::fs::access(self.garbage_path(), rustix::fs::Access::EXISTS).is_ok()
    }

    fn garbage_path(&self) -> PathBuf {
        self.dirs.data.join("garbage")
    }

    fn marks(&self, layers_in_use: &HashSet<Digest>, without: &HashSet<Digest>, partials: Partials) -> Result<Marks> {
        let mut marks = Marks { blobs: HashSet::new(), layers: layers_in_use.clone() };
        for entry in self.own_entries()?.into_iter().filter(|entry| !without.contains(&entry.manifest.digest)) {
            marks.blobs.extend(entry.list);
            self.mark_manifest(&entry.manifest, &mut marks)?;
        }
        for layer in self.results().into_iter().filter_map(|kept| kept.result.layer) {
            marks.blobs.insert(layer.clone());
            marks.layers.insert(layer);
        }
        if partials == Partials::Old {
            for wanted in self.wanted() {
                marks.blobs.extend(wanted.blobs);
                marks.layers.extend(wanted.layers);
            }
        }
        Ok(marks)
    }

    /// Mark a manifest and all it reaches, and the manifests of an index that another tool has put here.
    fn mark_manifest(&self, manifest: &ManifestRef, marks: &mut Marks) -> Result<()> {
        let mut pending = vec![manifest.digest.clone()];
        let mut seen = HashSet::new();
        while let Some(digest) = pending.pop() {
            if !seen.insert(digest.clone()) {
                continue;
            }
            let document = self.document::<Document>(&digest)?;
            marks.blobs.insert(digest);
            let Some(document) = document else { continue };
            pending.extend(document.manifests.into_iter().map(|reference| reference.digest));
            marks.blobs.extend(document.layers.into_iter().map(|reference| reference.digest));
            let Some(config) = document.config else { continue };
            let root = self.document::<Config>(&config.digest)?.and_then(|config| config.rootfs);
            marks.layers.extend(root.into_iter().flat_map(|root| root.diff_ids));
            marks.blobs.insert(config.digest);
        }
        Ok(())
    }

    /// A document; `None` if it is missing or damaged, which reaches nothing. Other errors end the collection: what
    /// cannot be read now may reach something.
    fn document<T: serde::de::DeserializeOwned>(&self, digest: &Digest) -> Result<Option<T>> {
        match self.read_blob(digest, MAX_DOCUMENT) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if matches!(kind(&error), Kind::NotFound | Kind::BadData) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Garbage<'_> {
    /// What [`Garbage::collect`] of all partial blobs would free if the manifests in `without` were forgotten first.
    pub fn measure(&self, layers_in_use: &HashSet<Digest>, without: &HashSet<Digest>) -> Result<u64> {
        let marks = self.store.marks(layers_in_use, without, Partials::All)?;
        let mut sweep = Sweep { dry: true, ..Sweep::default() };
        sweep.blobs(&self.store.dirs.oci(), &marks.blobs);
        sweep.layers(&self.store.dirs.layers(), &marks.layers);
        sweep.mapped(self.store, &marks.layers);
        sweep.leftovers(self.store);
        sweep.partials(self.store, Partials::All);
        sweep.bury(&self.store.dirs.layers());
        sweep.bury(&self.store.dirs.mapped());
        for path in self.store.lone_files() {
            sweep.remove_file(&path);
        }
        sweep.failure.map_or(Ok(sweep.freed), Err)
    }

    /// Delete every blob and layer that no name and nothing in `layers_in_use` reaches, and partial blobs; returns the
    /// bytes freed.
    ///
    /// Goes on after a failure; the first one is returned in the end.
    pub fn collect(self, layers_in_use: &HashSet<Digest>, partials: Partials) -> Result<u64> {
        let marks = self.store.marks(layers_in_use, &HashSet::new(), partials)?;
        let mut sweep = Sweep::default();
        sweep.blobs(&self.store.dirs.oci(), &marks.blobs);
        sweep.layers(&self.store.dirs.layers(), &marks.layers);
        sweep.mapped(self.store, &marks.layers);
        sweep.leftovers(self.store);
        sweep.partials(self.store, partials);
        // Last, so that a collection that fails or is killed is begun again.
        if sweep.failure.is_none() {
            let _ = std::fs::remove_file(self.store.garbage_path());
        }
        // What is left to do is about names that nobody looks for.
        drop(self.lock);
        sweep.bury(&self.store.dirs.layers());
        sweep.bury(&self.store.dirs.mapped());
        for path in self.store.lone_files() {
            sweep.remove_file(&path);
        }
        // On a disk that is still full, the next collection tries again.
        let _ = self.store.make_spare();
        match sweep.failure {
            Some(error) => Err(error),
            None => Ok(sweep.freed),
        }
    }
}

/// A sweep under way.
#[derive(Default)]
struct Sweep {
    /// Count, and remove nothing.
    dry: bool,
    freed: u64,
    failure: Option<anyhow::Error>,
}

impl Sweep {
    fn note(&mut self, result: Result<()>) {
        if let Err(error) = result {
            self.failure.get_or_insert(error);
        }
    }

    fn count_tree(&mut self, path: &Path) {
        match disk_usage(path) {
            Ok(bytes) => self.freed += bytes,
            Err(error) => self.note(Err(error).with_context(|| format!("cannot look into `{}`", path.display()))),
        }
    }

    /// The entries of a folder; a missing one has none.
    fn list(&mut self, folder: &Path) -> Vec<PathBuf> {
        match std::fs::read_dir(folder) {
            Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                self.note(Err(error).with_context(|| format!("cannot list `{}`", folder.display())));
                Vec::new()
            }
        }
    }

    fn remove_file(&mut self, path: &Path) {
        let size = rustix::fs::lstat(path).map_or(0, |stat| allocated(&stat));
        match if self.dry { Ok(()) } else { std::fs::remove_file(path) } {
            Ok(()) => self.freed += size,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => self.note(Err(error).with_context(|| format!("cannot remove `{}`", path.display()))),
        }
    }

    fn blobs(&mut self, oci: &Path, marks: &HashSet<Digest>) {
        for algorithm in ["sha256", "sha512"] {
            for path in self.list(&oci.join("blobs").join(algorithm)) {
                let digest = name(&path).and_then(|name| Digest::parse(&format!("{algorithm}:{name}")));
                if digest.is_none_or(|digest| !marks.contains(&digest)) {
                    self.remove_file(&path);
                }
            }
        }
    }

    /// Take the names of unmarked layers away. With no lease held, nobody holds a layer's lock either.
    fn layers(&mut self, folder: &Path, marks: &HashSet<Digest>) {
        let marked: HashSet<&str> = marks.iter().map(Digest::digits).collect();
        for path in self.list(folder) {
            let Some(name) = name(&path) else { continue };
            if path.extension().is_some_and(|extension| extension == "lock" || extension == "tmp") {
                self.remove_file(&path);
            } else if path.extension().is_none() && !marked.contains(name) {
                self.take_name(&path);
                self.remove_file(&path.with_extension("size"));
            }
        }
    }

    /// The same for what was made of layers that are not all marked.
    fn mapped(&mut self, store: &Store, marks: &HashSet<Digest>) {
        for path in self.list(&store.dirs.mapped()) {
            if path.extension().is_some_and(|extension| extension == "lock" || extension == "tmp") {
                self.remove_file(&path);
            }
        }
        for path in store.mapped_without(marks) {
            self.take_name(&path);
        }
    }

    fn take_name(&mut self, path: &Path) {
        if self.dry {
            self.count_tree(path);
        } else {
            // A folder that is half deleted must not go by the layer's name. Somebody who was killed may have left one
            // of an earlier layer of that digest.
            let result = std::fs::rename(path, dead(path)).or_else(|error| match error.kind() {
                ErrorKind::DirectoryNotEmpty => {
                    crate::base::fs::remove_tree(&dead(path)).and_then(|()| Ok(std::fs::rename(path, dead(path))?))
                }
                _ => Err(error.into()),
            });
            self.note(result.with_context(|| format!("cannot remove `{}`", path.display())));
        }
        self.remove_file(&mark(path));
    }

    /// What pulls have left.
    fn partials(&mut self, store: &Store, which: Partials) {
        for path in store.unwanted_partials(which) {
            self.remove_file(&path);
        }
    }

    /// What writers of the index that were killed have left.
    fn leftovers(&mut self, store: &Store) {
        let Ok(_lock) = store.lock_index() else { return };
        for path in self.list(&store.dirs.oci()) {
            if path.extension().is_some_and(|extension| extension == "tmp") {
                self.remove_file(&path);
            }
        }
    }

    /// Delete the layers whose names were taken away, now or by somebody who was killed then.
    fn bury(&mut self, folder: &Path) {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(parent) = rustix::fs::open(folder, flags, Mode::empty()) else { return };
        for path in self.list(folder) {
            let Some(name) = path.file_name().filter(|_| path.extension() == Some(OsStr::new("dead"))) else {
                continue;
            };
            if self.dry {
                self.count_tree(&path);
                continue;
            }
            match remove_tree_at(parent.as_fd(), name.as_bytes()) {
                Ok(bytes) => self.freed += bytes,
                // Another collection is at it.
                Err(rustix::io::Errno::NOENT) => {}
                Err(error) => self.note(Err(error).with_context(|| format!("cannot remove `{}`", path.display()))),
            }
        }
    }
}

fn name(path: &Path) -> Option<&str> {
    path.file_name().and_then(OsStr::to_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{Scratch, in_namespaces};
    use serde_json::json;

    /// An image of one layer; returns manifest, layer blob and diff id.
    fn image(store: &Store, text: &str) -> (ManifestRef, Digest, Digest) {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        builder.append_data(&mut header, "etc/file", text.as_bytes()).unwrap();
        let tar = builder.into_inner().unwrap();
        let layer = store.put_blob(&tar).unwrap();
        store.unpack_layer(&layer, &mut tar.as_slice()).unwrap();
        let config = store
            .put_blob(json!({"x": text, "rootfs": {"type": "layers", "diff_ids": [layer]}}).to_string().as_bytes())
            .unwrap();
        let manifest = json!({"config": {"digest": config}, "layers": [{"digest": layer}]}).to_string();
        let digest = store.put_blob(manifest.as_bytes()).unwrap();
        let media_type = "application/vnd.oci.image.manifest.v1+json".into();
        (ManifestRef { digest, size: manifest.len() as u64, media_type }, layer.clone(), layer)
    }

    #[test]
    fn what_a_collection_frees_is_known_before() {
        let scratch = Scratch::new();
        let store = &scratch.store;
        let (one, _, _) = image(store, &"one".repeat(100_000));
        let (two, _, layer_two) = image(store, &"two".repeat(50_000));
        store.tag("one", &one, None).unwrap();
        store.tag("two", &two, None).unwrap();
        store.put_blob(&[b'x'; 5000]).unwrap();
        let none = HashSet::new();
        let without = HashSet::from([one.digest.clone()]);
        let measured = store.garbage().unwrap().unwrap().measure(&none, &without).unwrap();
        assert!(measured > 600_000 && store.has_layer(&layer_two), "{measured}");
        store.note_garbage();
        store.forget(&HashSet::from([one.digest.clone()])).unwrap();
        assert_eq!(store.collect_garbage(&none).unwrap(), measured);
        assert!(!store.has_garbage());
        assert_eq!(store.garbage().unwrap().unwrap().measure(&none, &none).unwrap(), 0);
    }

    #[test]
    fn the_reachable_stays_and_the_rest_goes() {
        let scratch = Scratch::new();
        let store = &scratch.store;
        let (one, blob_one, layer_one) = image(store, "one");
        let (two, blob_two, layer_two) = image(store, "two");
        let list = store.put_blob(b"{\"list\":1}").unwrap();
        let stray = store.put_blob(b"stray").unwrap();
        store.tag("one", &one, Some(&list)).unwrap();
        store.tag("two", &two, None).unwrap();
        store.untag("one").unwrap();
        std::fs::write(scratch.dirs.oci().join("index.json.99.tmp"), b"x").unwrap();
        assert!(store.collect_garbage(&HashSet::new()).unwrap() > 0);
        assert!(!store.has_blob(&stray, None) && !scratch.dirs.oci().join("index.json.99.tmp").exists());
        assert!(store.has_blob(&list, None) && store.has_layer(&layer_one) && store.has_blob(&blob_one, None));

        store.forget(&HashSet::from([one.digest.clone()])).unwrap();
        store.forget(&HashSet::from([two.digest.clone()])).unwrap();
        let lease = store.lease().unwrap();
        assert_eq!(store.collect_garbage(&HashSet::new()).unwrap(), 0);
        assert!(store.has_layer(&layer_one) && store.has_blob(&blob_two, None));
        drop(lease);
        store.collect_garbage(&HashSet::from([layer_two.clone()])).unwrap();
        assert!(!store.has_layer(&layer_one) && store.has_layer(&layer_two));
        assert!(!store.has_blob(&blob_two, None) && !store.has_blob(&list, None));
        store.collect_garbage(&HashSet::new()).unwrap();
        assert_eq!(std::fs::read_dir(scratch.dirs.layers()).unwrap().count(), 0);
        assert_eq!(std::fs::read_dir(scratch.dirs.oci().join("blobs/sha256")).unwrap().count(), 0);
    }

    #[test]
    fn a_full_disk_can_be_emptied() {
        alone!();
        let scratch = Scratch::new();
        let dirs = scratch.dirs.clone();
        in_namespaces(move || {
            use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
            mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE).unwrap();
            mount("tmpfs", &dirs.data, "tmpfs", MountFlags::empty(), c"size=1m,mode=0700").unwrap();
            let store = Store::open(&dirs).unwrap();
            let (one, blob, layer) = image(&store, "one");
            store.tag("one", &one, None).unwrap();
            store.tag("two", &one, None).unwrap();
            let mut fill = std::fs::File::create(dirs.data.join("fill")).unwrap();
            while std::io::Write::write(&mut fill, &[1; 4096]).is_ok() {}
            assert!(store.tag(&"n".repeat(60_000), &one, None).is_ok(), "the spare file is of that size");
            assert!(store.tag(&"m".repeat(60_000), &one, None).is_err(), "now it is used up");
            assert!(store.untag("one").is_err());
            drop(fill);
            std::fs::remove_file(dirs.data.join("fill")).unwrap();
            let mut fill = std::fs::File::create(dirs.data.join("fill")).unwrap();
            store.collect_garbage(&HashSet::new()).unwrap();
            while std::io::Write::write(&mut fill, &[1; 4096]).is_ok() {}
            store.forget(&HashSet::from([one.digest.clone()])).unwrap();
            assert!(store.collect_garbage(&HashSet::new()).unwrap() > 0);
            assert!(!store.has_blob(&blob, None) && !store.has_layer(&layer));
        });
    }

    #[test]
    fn a_collection_that_was_killed_is_finished() {
        let scratch = Scratch::new();
        let half = scratch.dirs.layers().join(format!("{}.dead", "a".repeat(64)));
        std::fs::create_dir_all(half.join("x")).unwrap();
        scratch.store.collect_garbage(&HashSet::new()).unwrap();
        assert!(!half.exists());
    }
}
