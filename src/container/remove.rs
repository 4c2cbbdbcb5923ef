//! `rm`: a container and all that is its own.
//!
//! Like stopping, it has two halves, so that many that run are told to end at once.

use super::record::{Container, Status};
use super::requires;
use super::stop::{StopOptions, Stopping, ask, stopped};
use crate::base::error::{Fault, Kind};
use crate::base::lock::{Lock, Share};
use crate::engine::Engine;
use anyhow::Result;

/// How `rm` deals with a container that runs.
#[derive(Debug, Clone, Copy, Default)]
pub struct RemoveOptions {
    /// Stop it first.
    pub force: bool,
    /// With the anonymous volumes that were made for it.
    pub volumes: bool,
    /// Seconds before it is killed; `None`: 0 for force.
    pub time: Option<i64>,
    /// Those that require it go, too: the caller sees to it.
    pub depend: bool,
}

/// A container that is about to be removed.
#[derive(Debug)]
pub struct Removing {
    stopping: Option<Stopping>,
    volumes: bool,
}

/// Remove a container.
///
/// Errors: [`Kind::InUse`] if it runs and `force` is not given.
pub fn remove(engine: &Engine, container: &Container, options: RemoveOptions) -> Result<()> {
    let removing = prepare_removal(engine, container, options)?;
    removing.finish(engine, container)
}

/// Ask a container that runs to end. Errors: as [`remove`].
pub fn prepare_removal(engine: &Engine, container: &Container, options: RemoveOptions) -> Result<Removing> {
    let name = &container.config.name;
    if !options.depend {
        requires::check_free(engine, container)?;
    }
    if !matches!(container.status(), Status::Running(_) | Status::Starting | Status::Restarting(_)) {
        return Ok(Removing { stopping: None, volumes: options.volumes });
    }
    if !options.force {
        let text = format!("cannot remove container `{name}`: it is running");
        return Err(Fault::new(Kind::InUse, text)
            .hint(format!("box stop {name}"))
            .hint(format!("box rm -f {name}"))
            .into());
    }
    let timeout = Some(options.time.unwrap_or(0));
    let stopping = ask(engine, container, StopOptions { timeout, signal: None })?;
    Ok(Removing { stopping, volumes: options.volumes })
}

impl Removing {
    /// Wait for the end, and take the container away.
    pub fn finish(self, engine: &Engine, container: &Container) -> Result<()> {
        if let Some(stopping) = self.stopping {
            stopped(engine, container, stopping)?;
        }
        let name = &container.config.name;
        engine.enter()?;
        // Whoever starts it meanwhile has the lock; then it is not ours to remove.
        if !container.dir.exists() {
            return Ok(());
        }
        let lock = Lock::try_acquire(&container.lock_path(), Share::Exclusive);
        match lock {
            Ok(Some(_lock)) => {
                if self.volumes {
                    super::mounts::remove_anonymous(&engine.dirs, container)?;
                }
                if !container.delete(&engine.dirs)? {
                    super::reap_behind(engine);
                }
                super::happened::tell(&engine.dirs, container, &["remove"]);
                Ok(())
            }
            Ok(None) => {
                Err(Fault::new(Kind::InUse, format!("cannot remove container `{name}`: it is being started")).into())
            }
            Err(_) if !container.dir.exists() => Ok(()),
            Err(error) => Err(error),
        }
    }
}
