//! `rm`: a container and all that is its own.
//!
//! Like stopping, it has two halves, so that many that run are told to end at once.

use super::record::{Container, Run, Status};
use super::requires;
use super::stop::{StopOptions, Stopping, ask, stopped};
use crate::base::error::{Fault, Kind};
use crate::base::lock::{Lock, Share};
use crate::engine::Engine;
use crate::sys::proc;
use anyhow::Result;

/// How many milliseconds others may look at a container that has ended.
const PATIENCE: u32 = 10_000;

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
        if !container.dir.exists() {
            return Ok(());
        }
        match at_rest(container) {
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

/// The lock of a container that has ended. Other commands hold it for a moment, to see how it ended; whoever starts it
/// meanwhile keeps it, and then it is not ours to remove: `None`.
fn at_rest(container: &Container) -> Result<Option<Lock>> {
    for _ in 0..PATIENCE {
        if let Some(lock) = Lock::try_acquire(&container.lock_path(), Share::Exclusive)? {
            return Ok(Some(lock));
        }
        let lives = |run: &Run| proc::open(run.pid, run.pid_started).is_some();
        if matches!(container.status(), Status::Running(run) | Status::Restarting(run) if lives(&run)) {
            break;
        }
        super::wait::pause(Some(1));
    }
    Ok(None)
}
