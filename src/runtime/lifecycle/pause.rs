//! `pause` and `resume`: the container's cgroup is frozen, and thawed.

use super::{Container, Status};
use crate::base::error::{Kind, fault};
use crate::runtime::cgroup::Cgroup;
use anyhow::{Context, Result};
use oci_spec::runtime::ContainerState;

/// Stop all processes of a container that runs.
///
/// Errors: [`Kind::WrongState`] unless it is created or running; it has no cgroup.
pub fn pause(container: &Container) -> Result<()> {
    let deed = || format!("cannot pause container `{}`", container.id);
    let _lock = container.lock().with_context(deed)?;
    match container.status() {
        Status::Is(ContainerState::Running | ContainerState::Created) => {
            cgroup(container).with_context(deed)?.freeze().with_context(deed)
        }
        other => Err(container.is_instead(other, "running").context(deed())),
    }
}

/// Let them go on.
///
/// Errors: [`Kind::WrongState`] unless it is paused.
pub fn resume(container: &Container) -> Result<()> {
    let deed = || format!("cannot resume container `{}`", container.id);
    let _lock = container.lock().with_context(deed)?;
    match container.status() {
        Status::Paused => cgroup(container).with_context(deed)?.thaw().with_context(deed),
        other => Err(container.is_instead(other, "paused").context(deed())),
    }
}

/// The cgroup of a container, or an error for one without.
pub fn cgroup(container: &Container) -> Result<&Cgroup> {
    let cgroup = container.state.as_ref().and_then(|state| state.cgroup.as_ref());
    cgroup.ok_or_else(|| fault(Kind::WrongState, format!("container `{}` has no cgroup", container.id)))
}
