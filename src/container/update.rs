//! `update`: changes a container's limits, at once if it runs and for later starts.

use super::limits::{self, Cgroups, Resources};
use super::record::{Container, Status};
use crate::base::error::{Kind, fault};
use crate::base::lock::{Lock, Share};
use crate::engine::Engine;
use crate::runtime::cgroup::{self, Driver};
use anyhow::{Context, Result};

/// Change limits; what `changes` does not mention stays.
///
/// They are kept beside the config, which is written once (`limits.json`). Errors: what the container does not have a
/// cgroup for, and what the kernel refuses; nothing is kept then.
pub fn update(engine: &Engine, container: &Container, changes: Resources) -> Result<()> {
    let deed = || format!("cannot update container `{}`", container.config.name);
    // One at a time; the container's own lock is its monitor's.
    let _lock = Lock::acquire(&container.dir.join("config.lock"), Share::Exclusive).with_context(deed)?;
    let container = container.clone().with_updates();
    let mut changed = container.config.limits.clone();
    changed.resources = changes.over(changed.resources);
    changed.resources.check().with_context(deed)?;
    changed.resources.find_devices().with_context(deed)?;
    if changed.cgroups == Cgroups::Disabled {
        return Err(fault(Kind::Usage, "it has no cgroup: it was made with `--cgroups disabled`").context(deed()));
    }
    if let Status::Running(run) | Status::Restarting(run) = container.status() {
        let Some(cgroup) = &run.cgroup else {
            return Err(match cgroup::driver(engine.caller().0) {
                Driver::None(why) => why.fault("a limit").into(),
                _ => fault(Kind::WrongState, "it runs without a cgroup"),
            })
            .with_context(deed);
        };
        limits::apply(cgroup, &changed.resources, limits::default_pids(&container.config)).with_context(deed)?;
    }
    changed.keep(&container).with_context(deed)
}
