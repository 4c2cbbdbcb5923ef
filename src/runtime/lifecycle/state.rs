//! `state.json`: what came of a container's creation.

use super::Bundle;
use crate::base::fs::read_limited;
use crate::base::time;
use crate::runtime::cgroup::Cgroup;
use crate::runtime::hooks::{self, Point};
use crate::sys::proc;
use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The version of the specification that this runtime follows.
pub const OCI_VERSION: &str = "1.3.0";

/// The version of the file that this program writes.
const VERSION: u32 = 1;

/// What is known of a container from its creation on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    version: u32,
    /// Init's pid, in the pid namespace of who created it.
    pub pid: i32,
    /// When it started (`sys::proc::start_time`): a pid that is used again is not believed.
    pub pid_started: u64,
    /// The boot it belongs to.
    boot: String,
    /// When it was created, in nanoseconds since 1970.
    pub created: i64,
    /// Who created it: a user's id.
    pub owner: String,
    /// The bundle, absolute.
    pub bundle: PathBuf,
    /// The root file system, absolute.
    pub rootfs: PathBuf,
    /// The configuration's annotations.
    #[serde(default)]
    pub annotations: HashMap<String, String>,
    /// Its cgroup, if it has one.
    #[serde(default)]
    pub cgroup: Option<Cgroup>,
    /// Whether it has hooks that later commands run. Without, they need not read config.json, which is long where a
    /// seccomp profile is in it.
    #[serde(default = "unknown")]
    pub has_later_hooks: bool,
}

/// What a state of before is taken for.
fn unknown() -> bool {
    true
}

impl State {
    /// The state of a container whose init is there.
    pub(super) fn new(pid: i32, bundle: &Bundle, cgroup: Option<Cgroup>) -> Result<Self> {
        Ok(Self {
            version: VERSION,
            pid,
            pid_started: proc::start_time(pid).context("the container's init died")?,
            boot: proc::boot_id(),
            created: time::now(),
            owner: rustix::process::geteuid().as_raw().to_string(),
            bundle: bundle.folder.clone(),
            rootfs: bundle.rootfs.clone(),
            annotations: bundle.spec.annotations().clone().unwrap_or_default(),
            cgroup,
            has_later_hooks: [Point::Poststart, Point::Poststop]
                .iter()
                .any(|point| hooks::are_given(&bundle.spec, *point)),
        })
    }

    /// That of a container's folder; `None` if it is not there, or not complete yet.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join("state.json");
        if !path.exists() {
            return Ok(None);
        }
        Ok(serde_json::from_slice(&read_limited(&path, super::LIMIT)?).ok())
    }

    /// Write it, which makes the container one that is created.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join("state.json");
        let bytes = serde_json::to_vec(self)?;
        let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(&bytes)).with_context(|| format!("cannot write `{}`", path.display()))
    }

    /// Init, if it has not been collected.
    pub fn open(&self) -> Option<OwnedFd> {
        proc::open(self.pid, self.pid_started).filter(|_| self.boot == proc::boot_id())
    }

    /// When it was created, RFC 3339.
    pub fn created_text(&self) -> String {
        time::rfc3339(&DateTime::<Utc>::from_timestamp_nanos(self.created))
    }
}
