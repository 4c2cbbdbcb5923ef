//! `--requires`: containers that run before another one does, and are not removed before it.
//!
//! ```text
//! containers/<id>/required-by/<other id>    an empty file: the other requires this one
//! ```
//!
//! A file of one that is gone counts for nothing.

use super::config::Config;
use super::record::{self, Container};
use super::start::{self, Mode, Terminal};
use crate::base::error::{Fault, Kind, fault};
use crate::base::id::ContainerId;
use crate::engine::Engine;
use anyhow::{Context, Result};

const FOLDER: &str = "required-by";

/// The ids of those that were named. Errors: one is not there.
pub(super) fn find(engine: &Engine, names: &[String]) -> Result<Vec<ContainerId>> {
    let id = |name: &String| {
        record::find(&engine.dirs, name)
            .map(|other| other.config.id)
            .with_context(|| format!("`--requires {}`", name.escape_debug()))
    };
    names.iter().map(id).collect()
}

/// Tell those that a container requires that it does.
pub(super) fn note(engine: &Engine, config: &Config) -> Result<()> {
    if config.life.requires.is_empty() {
        return Ok(());
    }
    for id in &config.life.requires {
        let folder = engine.dirs.container(id.as_str()).join(FOLDER);
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(folder.join(config.id.as_str()), ""))
            .with_context(|| format!("cannot note that container {} is required", id.short()))?;
    }
    Ok(())
}

/// Start those that a container requires, and first those that these require.
pub(super) fn start(engine: &Engine, container: &Container, terminal: Terminal<'_>) -> Result<()> {
    for id in &container.config.life.requires {
        let named = || format!("cannot start container `{}`", container.config.name);
        let missing = || fault(Kind::NotFound, format!("it requires container {}, which is gone", id.short()));
        let other = record::find(&engine.dirs, id.as_str()).map_err(|_| missing().context(named()))?;
        let terminal = Terminal { preserved: &[], ..terminal };
        start::start(engine, &other, Mode::Detached, terminal).with_context(named)?;
    }
    Ok(())
}

/// The containers that require this one.
pub fn dependents(engine: &Engine, container: &Container) -> Vec<Container> {
    let entries = std::fs::read_dir(container.dir.join(FOLDER)).into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| ContainerId::parse(entry.file_name().to_str()?));
    ids.filter_map(|id| record::find(&engine.dirs, id.as_str()).ok()).collect()
}

/// Refuse to remove one that others require. Errors: [`Kind::WrongState`].
pub(super) fn check_free(engine: &Engine, container: &Container) -> Result<()> {
    let names: Vec<String> = dependents(engine, container).into_iter().map(|other| other.config.name).collect();
    if names.is_empty() {
        return Ok(());
    }
    let name = &container.config.name;
    let text = format!("cannot remove container `{name}`: `{}` requires it", names.join("`, `"));
    Err(Fault::new(Kind::WrongState, text).hint(format!("box rm --depend {name}")).into())
}
