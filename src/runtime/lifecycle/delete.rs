//! `delete`: what creation has made goes.

use super::{Container, Status, kill};
use crate::base::error::{Kind, fault};
use crate::base::fs::remove_tree;
use crate::runtime::hooks::{self, Owner, Point};
use anyhow::{Context, Result};
use oci_spec::runtime::ContainerState;

/// Delete a container that has stopped, or was never started: its init is killed then, as runc does it, on which
/// containerd relies. With `force` one that runs is killed, too.
///
/// Errors: [`Kind::WrongState`] for one that runs.
///
/// Returns the failures of its `poststop` hooks, of which the specification wants no more than a warning.
pub fn delete(container: &Container, force: bool) -> Result<Vec<anyhow::Error>> {
    let deed = || format!("cannot delete container `{}`", container.id);
    let lock = container.lock().with_context(deed)?;
    match container.status() {
        Status::Is(ContainerState::Stopped) => {}
        Status::Is(ContainerState::Created) => kill::end(container).with_context(deed)?,
        _ if force => kill::end(container).with_context(deed)?,
        other => {
            return Err(fault(Kind::WrongState, format!("it is {}, not stopped", other.word())).context(deed()));
        }
    }
    // With whatever has outlived init in it.
    if let Some(cgroup) = container.state.as_ref().and_then(|state| state.cgroup.as_ref()) {
        cgroup.remove();
    }
    let has_hooks = container.state.as_ref().is_some_and(|state| state.has_later_hooks);
    let spec = has_hooks.then(|| container.spec().ok()).flatten();
    // The state first, so that nobody finds it half gone and takes it for one.
    let _ = std::fs::remove_file(container.folder.join("state.json"));
    remove_tree(&container.folder).with_context(deed)?;
    drop(lock);
    Ok(match (spec, &container.state) {
        (Some(spec), Some(state)) => {
            let owner = Owner { id: &container.id, bundle: &state.bundle };
            hooks::run_all(&spec, owner, Point::Poststop, None)
        }
        _ => Vec::new(),
    })
}
