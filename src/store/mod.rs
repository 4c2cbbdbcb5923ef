//! Content on disk: the OCI layout of blobs, layers unpacked, overlay plans, garbage.
//!
//! ```text
//! data/                                      (0700, see `base::dirs`)
//!   oci/                                     an OCI image layout that any other tool can read
//!     oci-layout
//!     index.json                             every manifest, with the names it goes by; replaced at once, see `index`
//!     spare                                  64 KiB already allocated: how names are removed on a full disk
//!     blobs/{sha256,sha512}/<hex>            raw manifests, configs, layers; synced before they get their name
//!   oci.lock                                 held exclusively while index.json is edited; readers need no lock
//!   content.lock                             the lease, see below
//!   partial/                                 blobs that have come in part, see `partial`
//!   garbage                                  there is something to collect, see `gc`
//!   layers/<hex>/                            a layer unpacked, by diff id: the folder that overlay mounts
//!   layers/<hex>.lock                        held while somebody unpacks it
//!   layers/<hex>.unsynced                    the boot id under which it was unpacked, until it surely is on the disk
//!   layers/<hex>.dead                        a layer that is being removed
//!   results/<key>                            what a step of a build has made, see `results`
//!   mapped/                                  images' files with other owners, see `mapped`
//!   driver                                   which storage driver works here, see `driver`
//!   tmp/<owner>/                             layers and blobs in the making, see `base::temp`
//! ```
//!
//! **Publishing.** Blobs and layers are made below `tmp/`, verified against their digest, and renamed into place. A
//! blob is synced before that. A layer has too many files for it; the caller syncs once for all layers
//! ([`Store::sync`]) before it publishes the image's name. Until then a layer carries its `.unsynced` mark: every
//! process of the same boot may use it (the page cache is right), but after a power loss it is unpacked again.
//!
//! **Leases.** What no name reaches is garbage, and a pull in progress has content that no name reaches yet. So
//! whoever adds content, or makes a container from it, holds a lease ([`Store::lease`]: a shared lock on
//! `content.lock`) from its first look at the store until the name or the container is on disk. Collecting takes the
//! lock exclusively, and does nothing while a lease is held: the next collection finds what it left. The lock is
//! held only while garbage is marked and renamed away, not while it is deleted.

mod additional;
mod archive;
mod blobs;
mod changes;
mod check;
mod chunked;
mod compare;
mod copy;
pub mod driver;
mod gc;
mod index;
mod layers;
mod mapped;
pub mod layout;
pub mod overlay;
mod pack;
mod partial;
mod remove;
mod results;
pub use remove::remove_tree_at;
mod sizes;
pub mod unpack;
mod usage;

pub use archive::{ArchiveWriter, EntryKind, EntryMeta, Record};
pub use blobs::BlobWriter;
pub use changes::{Change, Kind as ChangeKind, changes, changes_between};
pub use check::Condition;
pub use chunked::pack_chunked;
pub use copy::copy_layers;
pub use gc::Garbage;
pub use index::{Entry, ManifestRef};
pub use mapped::Mapped;
pub use pack::{PackOptions, drop_overlay_marks, is_opaque, names_in, pack, pack_entry, pack_folder, records_of};
pub use partial::{Partials, Wanted};
pub use results::{KeptResult, StepResult};
pub use unpack::LayerStats;
pub use usage::disk_usage;

use crate::base::digest::{Algorithm, Digest};
use crate::base::dirs::Dirs;
use crate::base::fs::{Durability, ensure_private_dir, replace, sync_dir};
use crate::base::lock::{Lock, Share};
use anyhow::{Context, Result};
use ocidir::OciDir;
use ocidir::cap_std::{ambient_authority, fs::Dir};
use std::path::{Path, PathBuf};

/// The folders of the store; no descriptor is kept, so that opening it costs next to nothing.
#[derive(Debug, Clone)]
pub struct Store {
    dirs: Dirs,
    /// Only read, see `additional`.
    additional: Vec<Store>,
}

/// Keeps content that no name reaches from being collected, for as long as it lives.
#[derive(Debug)]
pub struct Lease {
    _lock: Lock,
}

impl Store {
    /// Take the data folder's store, making the layout if there is none.
    pub fn open(dirs: &Dirs) -> Result<Self> {
        let store = Self { dirs: dirs.clone(), additional: Vec::new() };
        if rustix::fs::access(store.index_path(), rustix::fs::Access::EXISTS).is_err() {
            store.make()?;
        }
        Ok(store)
    }

    /// Hold what no name reaches yet. Waits while garbage is being marked, which is short.
    pub fn lease(&self) -> Result<Lease> {
        Ok(Lease { _lock: Lock::acquire(&self.lease_path(), Share::Shared)? })
    }

    /// Put everything written so far on the disk (syncfs(2)): to be called before a name is published.
    ///
    /// Errors: an I/O error of any file since the store's file system was last synced.
    pub fn sync(&self) -> Result<()> {
        let marks = self.unsynced_layers();
        let dir = std::fs::File::open(&self.dirs.data)
            .with_context(|| format!("cannot open `{}`", self.dirs.data.display()))?;
        rustix::fs::syncfs(&dir).with_context(|| format!("cannot sync `{}`", self.dirs.data.display()))?;
        let layers = self.dirs.layers();
        let mut unmarked = false;
        for mark in marks {
            unmarked |= std::fs::remove_file(&mark).is_ok() && mark.starts_with(&layers);
        }
        // Before there is a name: a file system may keep the name and forget this (btrfs), and a mark that is back after
        // the power was cut takes its layer along.
        if unmarked {
            sync_dir(&layers).with_context(|| format!("cannot sync `{}`", layers.display()))?;
        }
        Ok(())
    }

    fn make(&self) -> Result<()> {
        let oci = self.dirs.oci();
        ensure_private_dir(&oci)?;
        ensure_private_dir(&self.dirs.layers())?;
        let _lock = self.lock_index()?;
        // The lock files now, so that removing on a full disk makes none.
        drop(self.lease()?);
        let marker = oci.join("oci-layout");
        if rustix::fs::access(&marker, rustix::fs::Access::EXISTS).is_err() {
            replace(&marker, br#"{"imageLayoutVersion":"1.0.0"}"#, Durability::Synced)?;
        }
        // The rest of a layout, and a check that it is one.
        let layout = || -> Result<OciDir> { Ok(OciDir::ensure(Dir::open_ambient_dir(&oci, ambient_authority())?)?) };
        layout().with_context(|| format!("cannot make an OCI layout in `{}`", oci.display()))?;
        // The index says that all of this is there. That it is synced does not mean that a folder beside it is: btrfs
        // writes what was asked for, and nothing of what was made before.
        for folder in [&oci.join("blobs"), &oci, &self.dirs.data] {
            sync_dir(folder).with_context(|| format!("cannot sync `{}`", folder.display()))?;
        }
        self.make_index()
    }

    /// Where everything is: for errors.
    pub fn folder(&self) -> &Path {
        &self.dirs.data
    }

    fn index_path(&self) -> PathBuf {
        self.dirs.oci().join("index.json")
    }

    fn lease_path(&self) -> PathBuf {
        self.dirs.data.join("content.lock")
    }

    fn lock_index(&self) -> Result<Lock> {
        Lock::acquire(&self.dirs.data.join("oci.lock"), Share::Exclusive)
    }

    /// Where a blob of our own is, or would be.
    fn own_blob(&self, digest: &Digest) -> PathBuf {
        let folder = match digest.algorithm() {
            Algorithm::Sha256 => "blobs/sha256",
            Algorithm::Sha512 => "blobs/sha512",
        };
        self.dirs.oci().join(folder).join(digest.digits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::ContainerId;

    /// A store in a folder of its own, removed when dropped.
    pub(super) struct Scratch {
        pub dirs: Dirs,
        pub store: Store,
    }

    impl Scratch {
        pub fn new() -> Self {
            let root = std::env::temp_dir().join(format!("box-store-{}", ContainerId::random().short()));
            std::fs::create_dir(&root).unwrap();
            let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o700);
            std::fs::set_permissions(&root, permissions).unwrap();
            let dirs = Dirs { data: root.clone(), run: root };
            let store = Store::open(&dirs).unwrap();
            Self { dirs, store }
        }
    }

    /// Run in a child that is root in namespaces: in a user namespace of its own if we are not root.
    pub(super) fn in_namespaces(test: impl FnOnce() + std::panic::UnwindSafe) {
        in_child(|| {
            if !rustix::process::geteuid().is_root() {
                enter_user_namespace();
            }
            test();
        });
    }

    /// Run in a child that is root in a user namespace of one id.
    pub(super) fn in_single_id_namespace(test: impl FnOnce() + std::panic::UnwindSafe) {
        in_child(|| {
            if rustix::process::geteuid().is_root() {
                nix::unistd::setgroups(&[]).unwrap();
                nix::unistd::setgid(65534.into()).unwrap();
                nix::unistd::setuid(65534.into()).unwrap();
                // A change of ids takes this away, and with it the right to write our own id maps.
                crate::sys::process::set_dumpable(true).unwrap();
            }
            enter_user_namespace();
            test();
        });
    }

    fn in_child(test: impl FnOnce() + std::panic::UnwindSafe) {
        use crate::sys::process::{Ended, Fork, exit_now, fork, wait};
        let pid = match fork().unwrap() {
            Fork::Parent(pid) => pid,
            Fork::Child => exit_now(i32::from(std::panic::catch_unwind(test).is_err())),
        };
        assert_eq!(wait(pid).unwrap(), Ended::Exited(0));
    }

    fn enter_user_namespace() {
        use nix::sched::{CloneFlags, unshare};
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS).unwrap();
        std::fs::write("/proc/self/setgroups", "deny").unwrap();
        std::fs::write("/proc/self/uid_map", format!("0 {uid} 1")).unwrap();
        std::fs::write("/proc/self/gid_map", format!("0 {gid} 1")).unwrap();
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = crate::base::fs::remove_tree(&self.dirs.data);
        }
    }

    #[test]
    fn a_new_store_is_a_layout_and_opening_it_again_changes_nothing() {
        let scratch = Scratch::new();
        let layout = layout::Layout::open(&scratch.dirs.oci()).unwrap();
        assert!(String::from_utf8(layout.index().unwrap()).unwrap().contains("schemaVersion"));
        let before = std::fs::read(scratch.dirs.oci().join("index.json")).unwrap();
        Store::open(&scratch.dirs).unwrap();
        assert_eq!(std::fs::read(scratch.dirs.oci().join("index.json")).unwrap(), before);
    }
}
