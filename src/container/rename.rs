//! `rename`: gives a container another name; it may run.

use super::record::{self, Container};
use crate::base::error::{Fault, Kind};
use crate::engine::Engine;
use anyhow::Result;

/// Rename a container.
///
/// Errors: [`Kind::NameInUse`]; [`Kind::Usage`] for what cannot be a name; [`Kind::BadData`] for a damaged container.
pub fn rename(engine: &Engine, container: &Container, name: &str) -> Result<()> {
    super::names::check(name)?;
    let deed = || format!("cannot rename container `{}`", container.config.name);
    if container.config.damaged {
        let fault = Fault::new(Kind::BadData, "its config.json cannot be read");
        return Err(fault.hint(format!("box rm {}", container.config.name)).because(anyhow::anyhow!(deed())));
    }
    record::rename(&engine.dirs, container, name).map_err(|error| match crate::base::error::kind(&error) {
        Kind::NameInUse => error,
        _ => error.context(deed()),
    })?;
    super::networks::renamed(engine, container, name)?;
    super::happened::tell(&engine.dirs, &super::find(engine, name)?, &["rename"]);
    Ok(())
}
