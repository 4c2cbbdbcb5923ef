//! `update`: changes a container's limits and published ports, at once if it runs; and its limits, ports, restart
//! policy, health check and variables for later starts.
//!
//! The config is written once; what has changed since stands beside it, in `containers/<id>/limits.json`.

use super::environment;
use super::life::{HealthWords, Healthcheck, Life, RestartPolicy};
use super::limits::{self, Cgroups, Limits, Resources, Ulimit};
use super::publish;
use super::record::{Container, Status};
use crate::base::error::{Kind, fault};
use crate::base::fs::{Durability, read_if_there, replace};
use crate::base::lock::{Lock, Share};
use crate::engine::Engine;
use crate::network::PortMapping;
use crate::runtime::cgroup::{self, Driver};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// The file's name.
const FILE: &str = "limits.json";

/// What has changed since a container was created: replaces what its config says.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Updates {
    #[serde(flatten)]
    limits: Limits,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    life: Option<Life>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    env: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ports: Option<Vec<PortMapping>>,
}

/// What is to change; what it does not mention stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Limits.
    pub resources: Resources,
    /// `--restart`: at once where the container had a policy when it started, else from its next start on.
    pub restart: Option<RestartPolicy>,
    /// `--health-…`, from the next start on.
    pub health: Option<HealthWords>,
    /// `-e`, from the next start on.
    pub env: Vec<String>,
    /// `--unsetenv`, likewise.
    pub unset_env: Vec<String>,
    /// `--ulimit`, likewise.
    pub ulimits: Vec<Ulimit>,
    /// `--publish-add`, at once.
    pub publish: Vec<PortMapping>,
    /// `--publish-rm`, likewise: a host's port of 0 and a missing address mean any.
    pub unpublish: Vec<PortMapping>,
}

impl Container {
    /// With what `update` has changed since it was created.
    pub(super) fn with_updates(mut self) -> Self {
        if let Some(bytes) = read_if_there(&self.dir.join(FILE), 1 << 20)
            && let Ok(updates) = serde_json::from_slice::<Updates>(&bytes)
        {
            self.config.limits = updates.limits;
            self.config.life = updates.life.unwrap_or(self.config.life);
            self.config.env = updates.env.unwrap_or(self.config.env);
            self.config.ports = updates.ports.unwrap_or(self.config.ports);
        }
        self
    }
}

/// Change a container.
///
/// Errors: limits that the container does not have a cgroup for, ports that are taken, and what the kernel refuses;
/// nothing is kept then.
pub fn update(engine: &Engine, container: &Container, changes: Changes) -> Result<()> {
    let deed = || format!("cannot update container `{}`", container.config.name);
    // One at a time; the container's own lock is its monitor's.
    let _lock = Lock::acquire(&container.dir.join("config.lock"), Share::Exclusive).with_context(deed)?;
    let container = container.clone().with_updates();
    let config = &container.config;
    let mut updates = Updates { limits: config.limits.clone(), life: None, env: None, ports: None };
    let asks_for_limits = changes.resources != Resources::default();
    updates.limits.resources = changes.resources.over(updates.limits.resources);
    updates.limits.ulimits.retain(|old| !changes.ulimits.iter().any(|new| new.name == old.name));
    updates.limits.ulimits.extend(changes.ulimits);
    let is_root = crate::rootless::is_root();
    updates.limits = updates.limits.settle(is_root).with_context(deed)?;
    let mut life = config.life.clone();
    life.restart = changes.restart.unwrap_or(life.restart);
    if let Some(words) = &changes.health {
        life.health = Healthcheck::changed(life.health, words).with_context(deed)?;
    }
    let mut env = config.env.clone();
    env.retain(|entry| !changes.unset_env.iter().any(|name| entry.split('=').next() == Some(name)));
    environment::extend(&mut env, &[], &changes.env).with_context(deed)?;
    (updates.life, updates.env, updates.ports) = (Some(life), Some(env), Some(config.ports.clone()));
    if asks_for_limits {
        apply(engine, &container, &updates.limits).with_context(deed)?;
    }
    if !changes.publish.is_empty() || !changes.unpublish.is_empty() {
        let ports = publish::change(engine, &container, changes.publish, &changes.unpublish).with_context(deed)?;
        updates.ports = Some(ports);
    }
    replace(&container.dir.join(FILE), &serde_json::to_vec(&updates)?, Durability::Synced).with_context(deed)
}

/// Change the limits of a container that runs.
fn apply(engine: &Engine, container: &Container, changed: &Limits) -> Result<()> {
    if changed.cgroups == Cgroups::Disabled {
        return Err(fault(Kind::Usage, "it has no cgroup: it was made with `--cgroups disabled`"));
    }
    let (Status::Running(run) | Status::Restarting(run)) = container.status() else { return Ok(()) };
    let Some(cgroup) = &run.cgroup else {
        return Err(match cgroup::driver(engine.caller().0) {
            Driver::None(why) => why.fault("a limit").into(),
            _ => fault(Kind::WrongState, "it runs without a cgroup"),
        });
    };
    limits::apply(cgroup, &changed.resources, limits::default_pids(&container.config))
}
