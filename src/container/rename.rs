//! `rename`: gives a container another name; it may run.
//!
//! The new config is linked under the new name first, which claims it, then takes the place of the old one; a name that
//! is not the container's now counts for nothing (`record`), so that no moment is a wrong one to be killed in. What is
//! left then is a name too many: from the first step to the last the config is marked, and whoever reads a marked one
//! that nobody works on takes that name away.

use super::config::Config;
use super::record::{Container, claim, read_name};
use crate::base::dirs::Dirs;
use crate::base::error::{Fault, Kind};
use crate::base::fs::create_new;
use crate::base::id::ContainerId;
use crate::base::lock::{Lock, Share};
use crate::engine::Engine;
use anyhow::{Context, Result};
use std::fs::{Metadata, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The mark: the sticky bit, which has no meaning on a file (inode(7)), and which whoever opens the config sees for
/// nothing.
const MARK: u32 = 0o1000;

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
    replace(&engine.dirs, container, name).map_err(|error| match crate::base::error::kind(&error) {
        Kind::NameInUse => error,
        _ => error.context(deed()),
    })?;
    super::networks::renamed(engine, container, name)?;
    super::happened::tell(&engine.dirs, &super::find(engine, name)?, &["rename"]);
    Ok(())
}

/// Claim the new name and replace the config. Errors: [`Kind::NameInUse`].
fn replace(dirs: &Dirs, container: &Container, name: &str) -> Result<()> {
    // One at a time; the container's own lock is its monitor's.
    let _lock = Lock::acquire(&container.dir.join("config.lock"), Share::Exclusive)?;
    let path = container.dir.join("config.json");
    let config = read_name(&path).context("cannot read its config")?;
    let old = dirs.names().join(&config.name);
    let next = path.with_extension("json.next");
    let _ = std::fs::remove_file(&next);
    let renamed = Container { config: Box::new(Config { name: name.to_owned(), ..config }), ..container.clone() };
    create_new(&next, &serde_json::to_vec(&renamed.config)?)?;
    mark(&next, true).and_then(|()| mark(&path, true)).context("cannot mark its config")?;
    if let Err(error) = claim(dirs, &renamed, &next) {
        let _ = std::fs::remove_file(&next);
        let _ = mark(&path, false);
        return Err(error);
    }
    std::fs::rename(&next, &path).context("cannot replace its config")?;
    if read_name(&old).is_some_and(|config| config.id == container.config.id) {
        let _ = std::fs::remove_file(old);
    }
    let _ = mark(&path, false);
    Ok(())
}

/// Whether a config is one of a container that is being renamed, or whose renaming was cut short.
pub(super) fn is_marked(config: &Metadata) -> bool {
    config.permissions().mode() & MARK != 0
}

fn mark(path: &Path, on: bool) -> std::io::Result<()> {
    let mode = std::fs::metadata(path)?.permissions().mode() & 0o777;
    std::fs::set_permissions(path, Permissions::from_mode(if on { mode | MARK } else { mode }))
}

/// Take away what a renaming that was cut short has left, unless it is under way.
pub(super) fn mend(dirs: &Dirs, id: &ContainerId) {
    let dir = dirs.container(id.as_str());
    let Ok(Some(_lock)) = Lock::try_acquire(&dir.join("config.lock"), Share::Exclusive) else { return };
    let path = dir.join("config.json");
    if !std::fs::metadata(&path).is_ok_and(|meta| is_marked(&meta)) {
        return;
    }
    let Some(config) = read_name(&path) else { return };
    for entry in std::fs::read_dir(dirs.names()).into_iter().flatten().flatten() {
        let is_its_name = entry.file_name() == config.name.as_str();
        if !is_its_name && read_name(&entry.path()).is_some_and(|other| other.id == *id) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    let _ = std::fs::remove_file(path.with_extension("json.next"));
    let _ = mark(&path, false);
}
