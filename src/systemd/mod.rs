//! Asking systemd: a transient scope for a container, the user's manager or the system's. Never required: where no
//! manager runs, [`Manager::find`] says so.
//!
//! A small D-Bus client of our own: five calls and one signal need no library (the smallest costs a second copy of the
//! system call wrappers and half a megabyte). It blocks, needs no thread, and works after a user namespace was joined.
//!
//! See org.freedesktop.systemd1(5), systemd.scope(5), <https://systemd.io/CGROUP_DELEGATION/>.

mod bus;
mod wire;

pub use wire::Value;

use anyhow::{Context, Result, bail};
use bus::Bus;
use serde::{Deserialize, Serialize};
use std::path::Path;
use wire::Writer;

/// Whose manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Manager {
    /// The host's, for real root.
    System,
    /// The user's of this uid (`systemd --user`).
    User(u32),
}

impl Manager {
    /// The manager that serves this uid, as counted outside of any namespace; `None` if none runs. Two stat(2) calls.
    pub fn find(uid: u32) -> Option<Self> {
        // sd_booted(3): without it the sockets may be another system's, mounted into ours.
        if !Path::new("/run/systemd/system").is_dir() {
            return None;
        }
        let manager = if uid == 0 { Self::System } else { Self::User(uid) };
        bus::sockets(manager).iter().any(|(path, _)| path.exists()).then_some(manager)
    }
}

/// A scope to be made.
#[derive(Debug, Clone)]
pub struct Scope<'a> {
    /// `….scope`.
    pub name: &'a str,
    /// `….slice`.
    pub slice: &'a str,
    /// For `systemctl status`.
    pub description: &'a str,
    /// The processes that it is made of; the scope ends with the last of it.
    pub pids: Vec<u32>,
    /// More properties, by the names of org.freedesktop.systemd1(5).
    pub properties: Vec<(&'static str, Value)>,
}

/// Make a scope whose cgroup is ours to divide (`Delegate=`), and wait until its processes are in it.
///
/// Errors: no manager, no right, a name in use, and what the manager says.
pub fn start_scope(manager: Manager, scope: &Scope<'_>) -> Result<()> {
    let mut properties = vec![
        ("Description", Value::Text(scope.description.to_owned())),
        ("Slice", Value::Text(scope.slice.to_owned())),
        ("Delegate", Value::Flag(true)),
        // One that failed goes, too, so that nothing of a container is left.
        ("CollectMode", Value::Text("inactive-or-failed".to_owned())),
        ("PIDs", Value::Numbers(scope.pids.clone())),
    ];
    properties.extend(scope.properties.iter().cloned());
    let deed = || format!("cannot make the scope `{}`", scope.name);
    let mut bus = Bus::open(manager).with_context(deed)?;
    let mut body = Writer::default();
    body.text(scope.name);
    body.text("fail");
    wire::properties(&mut body, &properties);
    body.array(8, |_| {});
    let job = bus.manager("StartTransientUnit", "ssa(sv)a(sa(sv))", body).with_context(deed)?.body().text()?;
    match bus.await_job(&job).with_context(deed)?.as_str() {
        "done" => Ok(()),
        other => bail!("{}: systemd's job ended with `{other}`", deed()),
    }
}

/// Move a process into a folder below a unit's cgroup (`/container`, say). For those who may not do it themselves: the
/// caller's own cgroup and the unit's have no common parent that the user may write to.
pub fn attach(manager: Manager, unit: &str, folder: &str, pid: u32) -> Result<()> {
    let mut body = Writer::default();
    body.text(unit);
    body.text(folder);
    body.array(4, |body| body.u32(pid));
    Bus::open(manager)
        .and_then(|mut bus| bus.manager("AttachProcessesToUnit", "ssau", body))
        .map(drop)
        .with_context(|| format!("cannot move process {pid} into `{unit}`"))
}

/// Change properties of a unit until it ends.
pub fn set_properties(manager: Manager, unit: &str, properties: &[(&'static str, Value)]) -> Result<()> {
    let mut body = Writer::default();
    body.text(unit);
    body.u32(1);
    wire::properties(&mut body, properties);
    Bus::open(manager)
        .and_then(|mut bus| bus.manager("SetUnitProperties", "sba(sv)", body))
        .map(drop)
        .with_context(|| format!("cannot change `{unit}`"))
}
