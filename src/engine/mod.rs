//! Opens everything once, in order; owns handles, has no verbs.

use crate::base::dirs::Dirs;
use crate::base::error::Fault;
use crate::base::timing;
use crate::config::storage::Storage;
use crate::rootless::{self, Ids, Membership};
use crate::store::Store;
use crate::store::driver::{self, Driver};
use anyhow::{Context, Result};
use std::cell::OnceCell;
use std::path::{Path, PathBuf};

/// What the command line says about the whole invocation.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// `--root`: the data folder.
    pub root: Option<PathBuf>,
    /// `--storage-driver`: overlay, fuse-overlayfs or copy.
    pub storage_driver: Option<String>,
    /// Who finds processes that live in the user's namespace, should its holder be gone.
    pub residents: fn(&Dirs) -> Vec<i32>,
    /// Who tells the user what should be known although all goes on.
    pub warn: fn(&Fault),
}

/// The handles of one invocation.
pub struct Engine {
    /// Where things lie.
    pub dirs: Dirs,
    /// Content on disk.
    pub store: Store,
    /// What storage.conf says.
    pub storage: Storage,
    options: EngineOptions,
    membership: OnceCell<Membership>,
    caller: (u32, u32),
}

impl Engine {
    /// Open the folders and the store. Nothing is joined or probed yet.
    pub fn open(options: EngineOptions) -> Result<Self> {
        let storage = Storage::load()?;
        let dirs = folders(options.root.as_deref(), &storage)?;
        let (store, left_out) = Store::open(&dirs)?.with_additional(&storage.additional);
        // What is one's own can be used all the same.
        left_out.iter().for_each(&options.warn);
        timing::phase("open");
        let caller = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        Ok(Self { dirs, store, storage, options, membership: OnceCell::new(), caller })
    }

    /// Become root in the user's namespace, once; a no-op for real root. The process must be single-threaded.
    pub fn enter(&self) -> Result<&Membership> {
        if self.membership.get().is_none() {
            let membership = rootless::enter(&self.dirs, &|| (self.options.residents)(&self.dirs))?;
            if let Some(warning) = membership.warning() {
                self.warn(&warning);
            }
            if membership.fresh && membership.ids == Ids::Full {
                rootless::changed(&self.dirs, self.caller.0).iter().for_each(|warning| self.warn(warning));
            }
            let _ = self.membership.set(membership);
            timing::phase("join namespace");
        }
        self.membership.get().ok_or_else(|| anyhow::anyhow!("the user's namespace was not joined"))
    }

    /// Which ids there are, after [`Engine::enter`].
    pub fn ids(&self) -> Result<&Ids> {
        Ok(&self.enter()?.ids)
    }

    /// The caller's uid and gid, before any namespace was joined.
    pub fn caller(&self) -> (u32, u32) {
        self.caller
    }

    /// Tell the user something that should be known although all goes on.
    pub fn warn(&self, warning: &Fault) {
        (self.options.warn)(warning);
    }

    /// The storage driver of this host; the first call ever probes, in the user's namespace.
    pub fn driver(&self) -> Result<Driver> {
        self.enter()?;
        let forced = self.options.storage_driver.clone().or_else(crate::base::env::storage_driver);
        if forced.is_some() {
            return driver::choose(&self.dirs, forced.as_deref());
        }
        let Storage { driver: configured, file, mount_program, .. } = &self.storage;
        let configured = configured.as_deref();
        match (configured, mount_program) {
            (None | Some("overlay" | "overlay2"), Some(_)) => Ok(Driver::FuseOverlayfs),
            _ => driver::choose(&self.dirs, configured)
                .with_context(|| format!("cannot use `{}`", file.as_deref().unwrap_or(Path::new("")).display())),
        }
    }
}

/// The folders of an invocation: what was typed (`--root`), the environment, storage.conf, the default.
pub fn folders(root: Option<&Path>, storage: &Storage) -> Result<Dirs> {
    Dirs::open(root, storage.data.as_deref(), storage.run.as_deref())
}
