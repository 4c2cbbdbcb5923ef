//! A container's cgroup by its config.json: where it is, who makes it, and what happens without.

use crate::base::error::{Kind, fault};
use crate::runtime::cgroup::{self, Cgroup, Driver, Place, Why};
use crate::systemd::Manager;
use anyhow::{Context, Result};
use oci_spec::runtime::Spec;

/// Who makes cgroups, by the words of crun's `--cgroup-manager`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CgroupManager {
    /// We ourselves: `linux.cgroupsPath` is a path.
    #[default]
    Cgroupfs,
    /// systemd: `linux.cgroupsPath` is SLICE:PREFIX:NAME.
    Systemd,
    /// Nobody.
    Disabled,
}

/// Make the cgroup of a container, with its limits. Without limits it need not be: where none can be made, there is
/// none.
///
/// Errors: limits where none can be set; a `linux.cgroupsPath` that is none; systemd wanted where it does not run.
pub(super) fn make(manager: CgroupManager, spec: &Spec, id: &str) -> Result<Option<Cgroup>> {
    let linux = spec.linux().as_ref();
    let path = linux.and_then(|linux| linux.cgroups_path().as_ref()).map(|path| path.display().to_string());
    let resources = linux.and_then(|linux| linux.resources().clone()).unwrap_or_default();
    let limited = !cgroup::settings(&resources)?.is_empty();
    let driver = match manager {
        CgroupManager::Cgroupfs => cgroup::folder(),
        CgroupManager::Systemd => systemd()?,
        CgroupManager::Disabled if limited => {
            return Err(fault(Kind::Usage, "`linux.resources` needs cgroups, and they are disabled"));
        }
        CgroupManager::Disabled => return Ok(None),
    };
    match driver {
        Driver::None(why) if limited => Err(why.fault("`linux.resources`").into()),
        Driver::None(_) => Ok(None),
        driver => {
            let place =
                Place::of_path(&driver, path.as_deref().unwrap_or_default(), id).context("`linux.cgroupsPath`")?;
            Cgroup::make(&place, &format!("container {id}"), &resources).map(Some)
        }
    }
}

fn systemd() -> Result<Driver> {
    match cgroup::folder() {
        Driver::None(Why::OldVersion) => Err(Why::OldVersion.fault("--systemd-cgroup").into()),
        _ => {
            let none = || fault(Kind::Host, "--systemd-cgroup: no manager of systemd serves you");
            Manager::find(cgroup::outer_uid()).map(Driver::Systemd).ok_or_else(none)
        }
    }
}
