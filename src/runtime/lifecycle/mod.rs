//! A container as the OCI specification has its life: created, started, signalled, deleted, by one command each.
//!
//! No process of box stays between the commands. What there is of a container is a folder and its own processes:
//!
//! ```text
//! <root>/<id>/       mode 0700; locked (flock) while a command changes the container
//!   config.json      the bundle's, as it was at creation
//!   gate             where init listens until it is started, see `runtime::gate`
//!   state.json       what came of the creation (`State`); written last, never changed
//! ```
//!
//! `<root>` is `--root`, else `$XDG_RUNTIME_DIR/box/oci`, for real root `/run/box/oci`. The status is never written
//! down: init's pidfd says whether it lives, the gate whether it was started, the cgroup whether it is paused.
//!
//! See <https://github.com/opencontainers/runtime-spec/blob/main/runtime.md>.

mod bundle;
mod cgroups;
mod console;
mod create;
mod delete;
mod exec;
mod kill;
mod pause;
mod processes;
mod state;

pub use bundle::Bundle;
pub use cgroups::CgroupManager;
pub use create::{CreateOptions, Created, check_preserved, create};
pub use delete::delete;
pub use exec::{ExecOptions, exec, process_of_container};
pub use kill::kill;
pub use pause::{cgroup, pause, resume};
pub use processes::processes;
pub use state::{OCI_VERSION, State};

use super::cgroup::Cgroup;
use super::gate;
use super::hooks::{self, Owner, Point};
use super::notify;
use crate::base::env;
use crate::base::error::{Kind, fault};
use crate::base::fs::read_limited;
use crate::sys::proc;
use anyhow::{Context, Result};
use oci_spec::runtime::{ContainerState, Spec};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// A config.json is never larger than this.
const LIMIT: u64 = 16 << 20;

/// The folder of all containers, in which each has one of its name.
#[derive(Debug, Clone)]
pub struct Home(PathBuf);

/// A container, whatever state it is in.
#[derive(Debug)]
pub struct Container {
    /// Its name.
    pub id: String,
    /// What came of its creation; `None` as long as that goes on, or if it was cut short.
    pub state: Option<State>,
    folder: PathBuf,
}

/// What a container is doing: the words of the specification, and `paused` of runc.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The specification's status.
    Is(ContainerState),
    /// It runs, with all of its processes frozen.
    Paused,
}

impl Status {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Is(ContainerState::Creating) => "creating",
            Self::Is(ContainerState::Created) => "created",
            Self::Is(ContainerState::Running) => "running",
            Self::Is(ContainerState::Stopped) => "stopped",
            Self::Paused => "paused",
        }
    }
}

impl Home {
    /// The folder `root`, or the default.
    pub fn new(root: Option<&Path>) -> Result<Self> {
        Ok(Self(match root {
            Some(root) => std::path::absolute(root).with_context(|| format!("cannot use `{}`", root.display()))?,
            None => default_root(),
        }))
    }

    /// The container of that id.
    ///
    /// Errors: [`Kind::NotFound`], with words that other engines look for.
    pub fn find(&self, id: &str) -> Result<Container> {
        check_id(id)?;
        let folder = self.0.join(id);
        if !folder.is_dir() {
            return Err(fault(Kind::NotFound, format!("container `{id}` does not exist")));
        }
        let container = Container { state: State::read(&folder)?, id: id.to_owned(), folder };
        Ok(container)
    }

    /// All containers, by name.
    pub fn all(&self) -> Result<Vec<Container>> {
        let entries = match std::fs::read_dir(&self.0) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.with_context(|| format!("cannot read `{}`", self.0.display()))?,
        };
        let mut ids: Vec<String> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        ids.sort();
        // Others may come and go meanwhile.
        Ok(ids.iter().filter_map(|id| self.find(id).ok()).collect())
    }
}

/// Real root has one folder whatever its environment; others, and root of a user namespace, have that of their session.
fn default_root() -> PathBuf {
    let uid = rustix::process::geteuid();
    let everybody = || std::fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| map.contains("4294967295"));
    let system = Path::new("/run/box/oci");
    if uid.is_root() && everybody() {
        return system.to_path_buf();
    }
    match env::xdg_runtime_dir().filter(|folder| folder.is_absolute()) {
        Some(folder) => folder.join("box/oci"),
        None if uid.is_root() => system.to_path_buf(),
        None => PathBuf::from(format!("/tmp/box-{}/oci", uid.as_raw())),
    }
}

/// An id names a folder, and only that.
fn check_id(id: &str) -> Result<()> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_+-.".contains(&b);
    if id.is_empty() || id.len() > 255 || matches!(id, "." | "..") || !id.bytes().all(plain) {
        let text =
            format!("`{}` cannot be a container's id: use up to 255 letters, digits and `_+-.`", id.escape_debug());
        return Err(fault(Kind::Usage, text));
    }
    Ok(())
}

impl Container {
    /// What it is doing now.
    pub fn status(&self) -> Status {
        let Some(state) = &self.state else {
            return Status::Is(match is_locked(&self.folder) {
                true => ContainerState::Creating,
                // Whoever created it was killed.
                false => ContainerState::Stopped,
            });
        };
        let alive = state.open().is_some_and(|pidfd| !proc::wait_gone(&pidfd, Some(0)));
        Status::Is(match alive {
            false => ContainerState::Stopped,
            true if state.cgroup.as_ref().is_some_and(Cgroup::is_frozen) => return Status::Paused,
            true if gate::is_closed(&self.gate()) => ContainerState::Running,
            true => ContainerState::Created,
        })
    }

    /// Start its command.
    ///
    /// Errors: [`Kind::WrongState`] unless it is created; those of [`super::Starting::start`].
    pub fn start(&self) -> Result<()> {
        let deed = || format!("cannot start container `{}`", self.id);
        let _lock = self.lock().with_context(deed)?;
        match self.status() {
            Status::Is(ContainerState::Created) => self.open_gate().with_context(deed),
            other => Err(self.is_instead(other, "created")).with_context(deed),
        }
    }

    /// Open the gate, then run the hooks that follow; the container does not outlive one that fails.
    fn open_gate(&self) -> Result<()> {
        let state = self.state.as_ref().context("it is not complete")?;
        let owner = Owner { id: &self.id, bundle: &state.bundle };
        let opened = gate::open(&self.gate(), |listener, socket| {
            notify::hand_over(&self.spec()?, owner, (state.pid, Some(state.pid)), &listener, socket)
        });
        opened.inspect_err(|_| drop(kill::end(self)))?;
        if !state.has_later_hooks {
            return Ok(());
        }
        hooks::run(&self.spec()?, owner, Point::Poststart, Some(state.pid)).inspect_err(|_| drop(kill::end(self)))
    }

    /// Its state as the specification has it.
    pub fn spec_state(&self) -> serde_json::Value {
        let status = self.status();
        let mut value = serde_json::json!({ "ociVersion": OCI_VERSION, "id": self.id, "status": status.word() });
        if let Some(state) = &self.state {
            // Of a container that has stopped there is no process any more.
            value["pid"] = if status.word() == "stopped" { 0 } else { state.pid }.into();
            value["bundle"] = state.bundle.display().to_string().into();
            value["rootfs"] = state.rootfs.display().to_string().into();
            value["created"] = state.created_text().into();
            value["owner"] = state.owner.as_str().into();
            value["annotations"] = serde_json::json!(state.annotations);
        }
        value
    }

    /// Its config.json.
    pub fn spec(&self) -> Result<Spec> {
        let bytes = read_limited(&self.folder.join("config.json"), LIMIT)?;
        let read = crate::oci::bundle::parse(&bytes);
        Ok(read.with_context(|| format!("cannot read the configuration of container `{}`", self.id))?.value)
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn gate(&self) -> PathBuf {
        self.folder.join("gate")
    }

    /// Init, if it lives.
    fn alive(&self) -> Result<(&State, OwnedFd)> {
        let gone = || fault(Kind::WrongState, format!("container not running (it is {})", self.status().word()));
        let state = self.state.as_ref().ok_or_else(gone)?;
        let pidfd = state.open().filter(|pidfd| !proc::wait_gone(pidfd, Some(0))).ok_or_else(gone)?;
        Ok((state, pidfd))
    }

    fn is_instead(&self, status: Status, wanted: &str) -> anyhow::Error {
        fault(Kind::WrongState, format!("it is {}, not {wanted}", status.word()))
    }

    /// Keep other commands from changing it, as long as the lock lives.
    fn lock(&self) -> Result<Locked> {
        lock(&self.folder, FlockOperation::LockExclusive)?.context("it is locked")
    }
}

/// A locked folder. Unlocked on drop and not by the end of its descriptors, of which a cloned init has one.
#[derive(Debug)]
struct Locked(OwnedFd);

impl Drop for Locked {
    fn drop(&mut self) {
        let _ = rustix::fs::flock(&self.0, FlockOperation::Unlock);
    }
}

/// Lock a folder; `None` if that is not to be waited for and another has it.
fn lock(folder: &Path, operation: FlockOperation) -> Result<Option<Locked>> {
    let deed = || format!("cannot lock `{}`", folder.display());
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let file = rustix::fs::open(folder, flags, Mode::empty()).with_context(deed)?;
    loop {
        match rustix::fs::flock(&file, operation) {
            Ok(()) => return Ok(Some(Locked(file))),
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error).with_context(deed),
        }
    }
}

fn is_locked(folder: &Path) -> bool {
    matches!(lock(folder, FlockOperation::NonBlockingLockShared), Ok(None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_name_and_no_path() {
        for id in ["a", "a.b_c+d-e", "..x", &"x".repeat(255)] {
            assert!(check_id(id).is_ok(), "{id}");
        }
        for id in ["", ".", "..", "a/b", "/a", "a b", "ä", "a\n", &"x".repeat(256)] {
            assert!(check_id(id).is_err(), "{id:?}");
        }
    }
}
