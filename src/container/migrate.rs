//! `system migrate`: everything that was found out or made for this boot is let go of, so that the next command begins
//! with the host as it is now: other subordinate ids, another kernel, a program that was installed since.

use super::stop::{StopOptions, ask, stopped};
use crate::engine::Engine;
use anyhow::{Context, Result};
use std::io::ErrorKind;

/// Stop all containers, end the user's namespace and forget which storage driver works. Returns the names of the
/// containers that ran. Files keep the ids that they have.
pub fn migrate(engine: &Engine) -> Result<Vec<String>> {
    let options = StopOptions { timeout: None, signal: None };
    let mut names = Vec::new();
    let mut asked = Vec::new();
    for container in super::all(engine) {
        if let Some(stopping) = ask(engine, &container, options)? {
            asked.push((container, stopping));
        }
    }
    for (container, stopping) in asked {
        stopped(engine, &container, stopping)?;
        names.push(container.config.name);
    }
    engine.enter()?;
    let driver = engine.dirs.data.join("driver");
    match std::fs::remove_file(&driver) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot remove `{}`", driver.display()));
        }
        _ => {}
    }
    crate::rootless::leave(&engine.dirs)?;
    Ok(names)
}
