//! Opens everything once, in order; owns handles, has no verbs.

use crate::base::dirs::Dirs;
use crate::base::error::Fault;
use crate::base::timing;
use crate::rootless::{self, Ids, Membership};
use crate::store::Store;
use crate::store::driver::{self, Driver};
use anyhow::Result;
use std::cell::OnceCell;
use std::path::PathBuf;

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
    options: EngineOptions,
    membership: OnceCell<Membership>,
    caller: (u32, u32),
}

impl Engine {
    /// Open the folders and the store. Nothing is joined or probed yet.
    pub fn open(options: EngineOptions) -> Result<Self> {
        let dirs = Dirs::open(options.root.as_deref())?;
        let store = Store::open(&dirs)?;
        timing::phase("open");
        let caller = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        Ok(Self { dirs, store, options, membership: OnceCell::new(), caller })
    }

    /// Become root in the user's namespace, once; a no-op for real root. The process must be single-threaded.
    pub fn enter(&self) -> Result<&Membership> {
        if self.membership.get().is_none() {
            let membership = rootless::enter(&self.dirs, &|| (self.options.residents)(&self.dirs))?;
            if let Some(warning) = membership.warning() {
                self.warn(&warning);
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
        driver::choose(&self.dirs, forced.as_deref())
    }
}
