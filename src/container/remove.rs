//! `rm`: a container and all that is its own.

use super::record::{Container, Status};
use super::stop::stop;
use crate::base::error::{Fault, Kind};
use crate::base::lock::{Lock, Share};
use crate::engine::Engine;
use anyhow::Result;

/// How `rm` deals with a container that runs.
#[derive(Debug, Clone, Copy, Default)]
pub struct RemoveOptions {
    /// Stop it first.
    pub force: bool,
    /// Seconds before it is killed; `None`: 0 for force.
    pub time: Option<i64>,
}

/// Remove a container.
///
/// Errors: [`Kind::InUse`] if it runs and `force` is not given.
pub fn remove(engine: &Engine, container: &Container, options: RemoveOptions) -> Result<()> {
    let name = &container.config.name;
    if let Status::Running(_) | Status::Starting = container.status() {
        if !options.force {
            let text = format!("cannot remove container `{name}`: it is running");
            return Err(Fault::new(Kind::InUse, text)
                .hint(format!("box stop {name}"))
                .hint(format!("box rm -f {name}"))
                .into());
        }
        stop(engine, container, Some(options.time.unwrap_or(0)))?;
    }
    engine.enter()?;
    // Whoever starts it meanwhile has the lock; then it is not ours to remove.
    if !container.dir.exists() {
        return Ok(());
    }
    let lock = Lock::try_acquire(&container.lock_path(), Share::Exclusive);
    match lock {
        Ok(Some(_lock)) => container.delete(&engine.dirs),
        Ok(None) => {
            Err(Fault::new(Kind::InUse, format!("cannot remove container `{name}`: it is being started")).into())
        }
        Err(_) if !container.dir.exists() => Ok(()),
        Err(error) => Err(error),
    }
}
