//! `pause` and `unpause`: the freezer of a container's cgroup.

use super::record::{Container, Run};
use crate::base::error::{Fault, Kind, fault};
use crate::engine::Engine;
use crate::runtime::cgroup::{self, Cgroup, Driver};
use anyhow::{Context, Result};

/// Stop all processes of a running container; returns when they have stopped.
///
/// Errors: [`Kind::WrongState`] if it does not run or is paused already; [`Kind::Host`] if it has no cgroup.
pub fn pause(engine: &Engine, container: &Container) -> Result<()> {
    let deed = || format!("cannot pause container `{}`", container.config.name);
    let run = container.running().with_context(deed)?;
    if run.paused {
        return Err(fault(Kind::WrongState, "it is paused already").context(deed()));
    }
    cgroup_of(engine, &run).and_then(Cgroup::freeze).with_context(deed)
}

/// Let them go on.
///
/// Errors: [`Kind::WrongState`] if it does not run or is not paused.
pub fn unpause(engine: &Engine, container: &Container) -> Result<()> {
    let deed = || format!("cannot unpause container `{}`", container.config.name);
    let run = container.running().with_context(deed)?;
    if !run.paused {
        return Err(fault(Kind::WrongState, "it is not paused").context(deed()));
    }
    cgroup_of(engine, &run).and_then(Cgroup::thaw).with_context(deed)
}

/// A run's cgroup, or why it has none.
fn cgroup_of<'a>(engine: &Engine, run: &'a Run) -> Result<&'a Cgroup> {
    run.cgroup.as_ref().ok_or_else(|| match cgroup::driver(engine.caller().0) {
        Driver::None(why) => why.fault("pausing").into(),
        _ => Fault::new(Kind::WrongState, "it was started without a cgroup").into(),
    })
}

/// Refuse to do what would wait for a paused container.
pub(super) fn refuse_paused(container: &Container, run: &Run) -> Result<()> {
    match run.paused {
        false => Ok(()),
        true => {
            let name = &container.config.name;
            Err(Fault::new(Kind::WrongState, "it is paused").hint(format!("box unpause {name}")).into())
        }
    }
}
