//! `restart`: stops a container that runs, then starts it.

use super::record::Container;
use super::start::{Mode, Terminal, start};
use super::stop::{Stopping, stopped};
use crate::engine::Engine;
use anyhow::Result;

/// Start a container anew. `stopping` is what [`super::stop::ask`] has made of one that ran.
pub fn restart(
    engine: &Engine,
    container: &Container,
    stopping: Option<Stopping>,
    terminal: Terminal<'_>,
) -> Result<()> {
    if let Some(stopping) = stopping {
        stopped(engine, container, stopping)?;
    }
    start(engine, container, Mode::Detached, terminal)?;
    super::happened::tell(&engine.dirs, container, &["restart"]);
    Ok(())
}
