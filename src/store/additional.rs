//! Additional image stores: data folders of box that are only read. What they have is as good as one's own: their
//! layers are mounted where they lie. Nothing is written or locked in them, and nothing is removed from them.
//!
//! What they hold stays there by the word of whoever keeps them: no lease reaches into another store.
//! containers-storage.conf(5), `additionalimagestores`.

use super::Store;
use super::layers::{mark, survived};
use crate::base::digest::Digest;
use crate::base::dirs::Dirs;
use crate::base::error::{Fault, Kind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

impl Store {
    /// Read these data folders, too, in this order after the store's own. Those that cannot be used are left out, and
    /// why is given: one that is no store of box's, or that belongs to somebody else, as its files would have no owner
    /// in the user's namespace.
    pub fn with_additional(mut self, folders: &[PathBuf]) -> (Self, Vec<Fault>) {
        let mut left_out = Vec::new();
        for folder in folders {
            let dirs = Dirs { data: folder.clone(), run: self.dirs.run.clone() };
            match self.check_additional(&dirs) {
                Ok(()) => self.additional.push(Self { dirs, additional: Vec::new() }),
                Err(fault) => left_out.push(fault),
            }
        }
        (self, left_out)
    }

    fn check_additional(&self, dirs: &Dirs) -> Result<(), Fault> {
        let folder = &dirs.data;
        let fault = |why: &str| {
            Fault::new(Kind::Host, format!("cannot use additional image store `{}`: {why}", folder.display()))
        };
        let is_there = |name: &str| folder.join(name).exists();
        if !is_there("oci/index.json") {
            let (why, hint) = match is_there("overlay-images") || is_there("vfs-images") {
                true => ("it is one of podman's, and box has another format", "podman save NAME | box load"),
                false => ("no store of box's is there that may be read", "box --root DIR pull NAME   # makes one"),
            };
            return Err(fault(why).hint(hint));
        }
        let owner = |path: &Path| std::fs::metadata(path).map(|meta| meta.uid()).ok();
        let (theirs, ours) = (owner(folder), owner(&self.dirs.data));
        if theirs != ours {
            let why = format!("it belongs to uid {}, whose files have no owner here", theirs.unwrap_or_default());
            return Err(fault(&why).hint(format!("box load -i {}", dirs.oci().display())));
        }
        Ok(())
    }

    /// The data folders that are only read.
    pub fn additional(&self) -> impl Iterator<Item = &Path> {
        self.additional.iter().map(Store::folder)
    }

    /// Where the layer is, in whichever store; in our own, if it is nowhere.
    pub fn layer_path(&self, diff_id: &Digest) -> PathBuf {
        let own = self.own_layer(diff_id);
        if self.additional.is_empty() || is_whole(&own) {
            return own;
        }
        self.additional.iter().map(|store| store.own_layer(diff_id)).find(|path| is_whole(path)).unwrap_or(own)
    }

    /// Where the blob is, in whichever store; in our own, if it is nowhere.
    pub(super) fn blob_path(&self, digest: &Digest) -> PathBuf {
        let own = self.own_blob(digest);
        if self.additional.is_empty() || own.exists() {
            return own;
        }
        self.additional.iter().map(|store| store.own_blob(digest)).find(|path| path.exists()).unwrap_or(own)
    }
}

/// Whether a layer is unpacked there to its end.
pub(super) fn is_whole(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir()) && survived(&mark(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ManifestRef;
    use crate::store::tests::Scratch;

    #[test]
    fn what_another_store_has_is_read_there_and_stays_as_it_is() {
        let (own, other) = (Scratch::new(), Scratch::new());
        let digest = other.store.put_blob(b"{}").unwrap();
        let manifest = ManifestRef { digest: digest.clone(), size: 2, media_type: "m".into() };
        other.store.tag("a:1", &manifest, None).unwrap();
        std::fs::create_dir(other.dirs.layers().join(digest.digits())).unwrap();
        let store = own.store.clone().with_additional(std::slice::from_ref(&other.dirs.data)).0;
        assert_eq!(store.lookup("a:1").unwrap(), Some(manifest.clone()));
        assert_eq!(store.read_blob(&digest, 2).unwrap(), b"{}");
        assert!(store.has_layer(&digest) && store.layer_path(&digest).starts_with(&other.dirs.data));
        assert!(store.entries().unwrap()[0].read_only && store.own_entries().unwrap().is_empty());
        // Of one name, one's own is meant.
        let mine = ManifestRef { digest: store.put_blob(b"[]").unwrap(), ..manifest.clone() };
        store.tag("a:1", &mine, None).unwrap();
        assert_eq!(store.lookup("a:1").unwrap(), Some(mine));
        let names: Vec<_> = store.entries().unwrap().into_iter().map(|entry| (entry.read_only, entry.names)).collect();
        assert_eq!(names, [(false, vec!["a:1".to_owned()]), (true, vec![])]);
        assert!(store.untag("a:1").unwrap() && !store.untag("a:1").unwrap());
        assert_eq!(store.lookup("a:1").unwrap(), Some(manifest.clone()));
        store.garbage().unwrap().unwrap().collect(&Default::default(), crate::store::Partials::All).unwrap();
        assert!(other.store.has_blob(&digest, None) && other.store.has_layer(&digest));
    }

    #[test]
    fn what_is_no_store_is_said() {
        let (own, other) = (Scratch::new(), Scratch::new());
        let refusal = |folder: PathBuf| own.store.clone().with_additional(&[folder]).1.remove(0).text;
        assert!(refusal("/nonexistent".into()).contains("no store of box's"));
        std::fs::create_dir_all(other.dirs.data.join("x/overlay-images")).unwrap();
        assert!(refusal(other.dirs.data.join("x")).contains("podman's"));
    }
}
