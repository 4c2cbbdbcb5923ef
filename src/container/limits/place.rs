//! Where a container's cgroup is, from the decision before the fork to what a killed monitor leaves.

use super::super::record::{Container, Run};
use super::{Cgroups, Limits, Resources, Ulimit, devices};
use crate::base::error::{Fault, Kind};
use crate::base::timing;
use crate::runtime::{
    self,
    cgroup::{self, Cgroup, Place},
};
use anyhow::Result;
use oci_spec::runtime::{LinuxResources, Spec};
use std::os::fd::OwnedFd;

/// The cgroup that a run will have.
#[derive(Debug)]
pub struct Plan {
    place: Place,
    description: String,
    asked: LinuxResources,
    defaults: LinuxResources,
    /// The devices that a container of real root may use; kept where it can be.
    devices: LinuxResources,
    /// Nothing was asked for that needs it: without it the container runs as well.
    optional: bool,
    monitor_stays: bool,
}

impl Plan {
    /// Decide, for the caller of this uid. `None`: the container gets no cgroup. Asks nobody, and nothing is made yet.
    ///
    /// Errors: limits were asked for that this host cannot keep, with the way out.
    pub fn of(container: &Container, caller: u32) -> Result<Option<Self>> {
        if container.config.runtime.is_some() {
            // Cgroups are that runtime's affair; limits were refused when the container was created.
            return Ok(None);
        }
        let limits = &container.config.limits;
        let id = container.config.id.as_str();
        let asked = limits.resources.to_oci()?;
        let what = what(limits);
        let place = match limits.cgroups {
            Cgroups::Disabled => return Ok(None),
            Cgroups::Split => {
                if let cgroup::Driver::None(why @ cgroup::Why::OldVersion) = cgroup::driver(caller) {
                    return Err(why.fault("`--cgroups split`").into());
                }
                Place::Split(format!("box-payload-{id}"))
            }
            Cgroups::Enabled | Cgroups::NoConmon => match (cgroup::driver(caller), what) {
                (cgroup::Driver::None(_), None) => return Ok(None),
                (driver, what) => Place::find(&driver, id, limits.parent.as_deref(), what.unwrap_or("a cgroup"))?,
            },
        };
        Ok(Some(Self {
            place,
            description: format!("box container {}", container.config.name),
            asked: asked.unwrap_or_default(),
            defaults: limits.resources.defaults(super::default_pids(&container.config)),
            optional: what.is_none(),
            devices: LinuxResources::default(),
            monitor_stays: limits.cgroups == Cgroups::NoConmon,
        }))
    }

    /// Limit the use of devices to those of the specification, for a container of real root.
    pub fn limit_devices(&mut self, container: &Container, spec: &Spec) -> Result<()> {
        if !container.config.privileged && crate::rootless::is_root() {
            self.devices.set_devices(Some(devices::rules(&container.config, spec)?));
        }
        Ok(())
    }
}

/// A run's cgroup, in the monitor; dropped, it is removed with whatever is still in it.
#[derive(Debug, Default)]
pub struct Held {
    cgroup: Option<Cgroup>,
    /// Where the monitor goes back to once the container is cloned.
    origin: Option<Cgroup>,
}

impl Held {
    /// Make it. This process may move into its scope. One that nobody has asked for need not succeed.
    pub fn make(plan: Option<&Plan>) -> Result<Self> {
        let Some(plan) = plan else { return Ok(Self::default()) };
        let origin = if plan.monitor_stays { Some(cgroup::own()?) } else { None };
        match Cgroup::make(&plan.place, &plan.description, &plan.asked) {
            Ok(cgroup) => {
                timing::phase("cgroup");
                // What nobody has asked for is kept where it can be.
                let _ = cgroup.set(&plan.defaults);
                let _ = cgroup.set(&plan.devices);
                Ok(Self { cgroup: Some(cgroup), origin })
            }
            Err(_) if plan.optional => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Its folder, to clone into.
    pub fn open(&self) -> Result<Option<OwnedFd>> {
        self.cgroup.as_ref().map(Cgroup::open).transpose()
    }

    /// After the clone: with `--cgroups no-conmon` the monitor goes back to where it came from.
    pub fn leave(&self) -> Result<()> {
        let Some(origin) = &self.origin else { return Ok(()) };
        origin.adopt(0).map_err(|error| {
            let text = "`--cgroups no-conmon`: the monitor cannot go back to the cgroup that box was started in";
            Fault::new(Kind::Host, text).because(error)
        })
    }

    /// What the record keeps of it.
    pub fn kept(&self) -> Option<Cgroup> {
        self.cgroup.clone()
    }

    /// Whether the kernel has killed a process in it for want of memory.
    pub fn oom_killed(&self) -> bool {
        self.cgroup.as_ref().is_some_and(|cgroup| cgroup.oom_kills() > 0)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(cgroup) = &self.cgroup {
            cgroup.remove();
        }
    }
}

/// The first thing that was asked for and needs a cgroup, as the user knows it.
pub fn what(limits: &Limits) -> Option<&'static str> {
    let Resources { memory, memory_swap, memory_reservation, cpu_quota, cpu_period, cpu_shares, .. } =
        &limits.resources;
    let resources = &limits.resources;
    let asked = [
        ("`--memory`", memory.is_some()),
        ("`--memory-swap`", memory_swap.is_some()),
        ("`--memory-reservation`", memory_reservation.is_some()),
        ("a limit of processor time", cpu_quota.is_some() || cpu_period.is_some()),
        ("`--cpu-shares`", cpu_shares.is_some()),
        ("`--cpuset-cpus`", resources.cpuset_cpus.is_some()),
        ("`--cpuset-mems`", resources.cpuset_mems.is_some()),
        // No limit is what there is without a cgroup.
        ("`--pids-limit`", resources.pids.is_some_and(|limit| limit > 0)),
        ("a limit", *resources != Resources { pids: resources.pids, ..Resources::default() }),
        ("`--cgroup-parent`", limits.parent.is_some()),
        ("`--cgroups`", matches!(limits.cgroups, Cgroups::NoConmon | Cgroups::Split)),
    ];
    asked.iter().find(|(_, asked)| *asked).map(|(what, _)| *what)
}

/// Clear away the cgroup of a run whose monitor was killed, with whatever is still in it.
pub fn remove_leftover(container: &Container, run: Option<&Run>) {
    if let Some(cgroup) = run.and_then(|run| run.cgroup.as_ref()) {
        return cgroup.remove();
    }
    // It was killed before it could write down where: a folder is where it always is, a scope ends by itself.
    let parent = container.config.limits.parent.as_deref();
    let driver = cgroup::driver(rustix::process::getuid().as_raw());
    if let cgroup::Driver::Folder(_) = driver
        && let Ok(Place::Folder(folder)) = Place::find(&driver, container.config.id.as_str(), parent, "")
    {
        Cgroup { folder, scope: None }.remove();
    }
}

/// Make "as much as is allowed" a number, and refuse what is more.
pub fn clamp(ulimit: &mut Ulimit, is_root: bool) -> Result<()> {
    let (_, hard) = runtime::own_limit(&ulimit.name)?;
    // Nobody gets more open files than this (proc_sys_fs(5)).
    let ceiling = match (is_root, ulimit.name.as_str()) {
        (true, "RLIMIT_NOFILE") => std::fs::read_to_string("/proc/sys/fs/nr_open")
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(hard),
        (true, _) => u64::MAX,
        (false, _) => hard,
    };
    for value in [&mut ulimit.soft, &mut ulimit.hard] {
        if *value == u64::MAX {
            *value = ceiling;
        } else if *value > ceiling {
            let word = ulimit.name.trim_start_matches("RLIMIT_").to_lowercase();
            let text = format!("`--ulimit {word}`: {value} is above this host's hard limit, which is {ceiling}");
            return Err(Fault::new(Kind::Usage, text)
                .hint(format!("--ulimit {word}=-1 for as much as is allowed"))
                .into());
        }
    }
    Ok(())
}
