//! `system reset`: everything that box keeps is removed.

use super::RemoveOptions;
use crate::base::error::{Fault, Kind};
use crate::base::fs::remove_tree;
use crate::engine::Engine;
use anyhow::{Context, Result};
use std::io::ErrorKind;

/// What lies in the data folder (docs/on-disk.md). Nothing else of it is touched: it may be a folder of somebody's choice.
const OURS: [&str; 18] = [
    "containers",
    "names",
    "oci",
    "layers",
    "mapped",
    "results",
    "volumes",
    "secrets",
    "networks",
    "events",
    "partial",
    "tmp",
    "garbage",
    "driver",
    "ids",
    "userns.lock",
    "oci.lock",
    "content.lock",
];

/// Remove all containers, running or not, then all that is stored.
///
/// Errors: somebody adds content just now, and nothing but containers was removed; a container cannot be stopped.
pub fn reset(engine: &Engine) -> Result<()> {
    for container in super::all(engine) {
        super::remove(engine, &container, RemoveOptions { force: true, volumes: true, time: None, depend: true })?;
    }
    engine.enter()?;
    let Some(_nobody) = engine.store.garbage()? else {
        let busy = Fault::new(Kind::InUse, "cannot remove what is stored: another command adds to it just now");
        return Err(busy.hint("box system reset   # again, when that has ended").into());
    };
    OURS.iter().map(|name| engine.dirs.data.join(name)).try_for_each(|path| match std::fs::remove_file(&path) {
        Err(error) if error.kind() == ErrorKind::IsADirectory => remove_tree(&path),
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove `{}`", path.display()))
        }
        _ => Ok(()),
    })
}
