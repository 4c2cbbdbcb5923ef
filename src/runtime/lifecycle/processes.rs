//! Which processes are a container's.

use super::Container;
use crate::base::error::{Kind, fault};
use anyhow::{Context, Result};
use oci_spec::runtime::LinuxNamespaceType;

/// The pids of a container's processes, as we count: those in its cgroup, or without one those of its pid namespace.
///
/// Errors: it has no cgroup, and does not run or shares its pid namespace.
pub fn processes(container: &Container) -> Result<Vec<i32>> {
    if let Some(cgroup) = container.state.as_ref().and_then(|state| state.cgroup.as_ref()) {
        let mut pids = cgroup.pids();
        pids.sort_unstable();
        return Ok(pids);
    }
    let (state, _pidfd) = container.alive()?;
    let spec = container.spec()?;
    let namespaces = spec.linux().iter().filter_map(|linux| linux.namespaces().as_ref()).flatten();
    let own = namespaces.into_iter().any(|kind| kind.typ() == LinuxNamespaceType::Pid && kind.path().is_none());
    if !own {
        let text = "its processes cannot be told from others: it has neither a cgroup nor a pid namespace of its own";
        return Err(fault(Kind::WrongState, text));
    }
    let namespace = |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let wanted = namespace(state.pid).context("cannot look at the container's init")?;
    let entries = std::fs::read_dir("/proc").context("cannot read `/proc`")?;
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut found: Vec<i32> = pids.filter(|pid| namespace(*pid).as_ref() == Some(&wanted)).collect();
    found.sort_unstable();
    Ok(found)
}
