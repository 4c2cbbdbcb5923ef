//! A container's cgroup (v2): made, limited, frozen, measured, emptied.
//!
//! ```text
//! systemd   user@1000.service/user.slice/box-ID.scope/     asked for with our own pid, so that we are in it
//!                                          ├── monitor/    we, and what we start beside the container
//!                                          └── container/  the container, with its limits: its cgroup namespace's root
//! folder    OURS/box-ID/                                   the container; we stay where we are
//! ```
//!
//! Limits are set on the container's folder and never on the scope, so that the monitor does not eat from them and a
//! process in the container finds them where it looks. Whoever makes a cgroup goes on to clone the container into it
//! (`CLONE_INTO_CGROUP`), so no process of the container is ever outside.
//!
//! Sources: <https://docs.kernel.org/admin-guide/cgroup-v2.html>, <https://systemd.io/CGROUP_DELEGATION/>.

mod devices;
mod place;
pub(super) mod resources;
mod state;
mod stats;

pub use place::{Driver, Why, driver, folder, outer_uid};
pub use resources::{Setting, settings, weight_of_shares};
pub use stats::Stats;

use crate::base::error::{Fault, Kind, fault};
use crate::systemd::{self, Manager, Scope};
use anyhow::{Context, Result};
use oci_spec::runtime::LinuxResources;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Controllers that carry limits. Not all are there, nor delegated to everybody.
const CONTROLLERS: [&str; 7] = ["cpu", "cpuset", "io", "memory", "pids", "hugetlb", "rdma"];

/// The container's folder in a scope.
const CONTAINER: &str = "container";

/// A cgroup that exists, as it is kept in records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroup {
    /// The container's folder, below `/sys/fs/cgroup`.
    pub folder: PathBuf,
    /// The scope around it.
    pub scope: Option<Unit>,
}

/// A unit of systemd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// Whose.
    pub manager: Manager,
    /// Its name.
    pub name: String,
}

/// Where a cgroup is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a new scope.
    Scope {
        /// Whom to ask.
        manager: Manager,
        /// The slice that it is in.
        slice: String,
        /// The scope.
        name: String,
    },
    /// A folder to be made.
    Folder(PathBuf),
    /// Beside ourselves in the unit that we are in, which must be delegated (`--cgroups split`).
    Split(String),
}

impl Place {
    /// The place of a container `id`, below `parent` if given: a slice for systemd, else a path.
    ///
    /// Errors: there is no driver, with `what` (an option, say) as who wants it; a parent of the wrong form.
    pub fn find(driver: &Driver, id: &str, parent: Option<&str>, what: &str) -> Result<Self> {
        match (driver, parent) {
            (Driver::None(why), _) => Err(why.fault(what).into()),
            (Driver::Systemd(manager), parent) => {
                let named = parent.map(|parent| parent.rsplit('/').next().unwrap_or_default());
                let slice = named.unwrap_or(default_slice(*manager));
                if !place::is_slice(slice) {
                    let text = format!("`{}` is not a slice, which systemd wants as parent", slice.escape_debug());
                    return Err(Fault::new(Kind::Usage, text).hint("--cgroup-parent NAME.slice").into());
                }
                Ok(Self::Scope { manager: *manager, slice: slice.to_owned(), name: format!("box-{id}.scope") })
            }
            (Driver::Folder(root), None) => Ok(Self::Folder(root.join(format!("box-{id}")))),
            (Driver::Folder(root), Some(parent)) => {
                Ok(Self::Folder(place::below(root, parent)?.join(format!("box-{id}"))))
            }
        }
    }

    /// The place that `linux.cgroupsPath` names: `SLICE:PREFIX:NAME` for systemd, else a path, from the mount if it
    /// begins with a slash and from the folder that is ours if not. Empty: [`Place::find`] of the id.
    pub fn of_path(driver: &Driver, path: &str, id: &str) -> Result<Self> {
        if path.is_empty() {
            return Self::find(driver, id, None, "a cgroup");
        }
        match driver {
            Driver::None(why) => Err(why.fault("`linux.cgroupsPath`").into()),
            Driver::Folder(root) => Ok(Self::Folder(place::below(root, path)?)),
            Driver::Systemd(manager) => {
                let wrong = || {
                    let text = format!("`linux.cgroupsPath` is `{}`, not SLICE:PREFIX:NAME", path.escape_debug());
                    fault(Kind::Usage, text)
                };
                let mut parts = path.split(':');
                let (Some(slice), Some(prefix), Some(name), None) =
                    (parts.next(), parts.next(), parts.next(), parts.next())
                else {
                    return Err(wrong());
                };
                let slice = match (slice, manager) {
                    ("", Manager::System) => "system.slice",
                    ("", Manager::User(_)) => "user.slice",
                    (slice, _) => slice,
                };
                let name = place::escape(name);
                let name = if prefix.is_empty() { name } else { format!("{}-{name}", place::escape(prefix)) };
                if !place::is_slice(slice) || name.is_empty() {
                    return Err(wrong());
                }
                Ok(Self::Scope { manager: *manager, slice: slice.to_owned(), name: format!("{name}.scope") })
            }
        }
    }
}

impl Cgroup {
    /// Make a cgroup and set its limits. With systemd this process moves into the scope, and stays there.
    ///
    /// Errors: what is asked for is not delegated to us, with the way out; what the kernel refuses; systemd's. Nothing
    /// is left of it then, but for a scope that ends with this process.
    pub fn make(place: &Place, description: &str, resources: &LinuxResources) -> Result<Self> {
        let settings = resources::settings(resources)?;
        let cgroup = match place {
            Place::Scope { manager, slice, name } => scope(*manager, slice, name, description)?,
            Place::Folder(folder) => {
                let parent = folder.parent().unwrap_or(folder);
                std::fs::create_dir_all(parent).with_context(|| deed(parent))?;
                enable_on_the_way(parent);
                Self { folder: make_folder(folder)?, scope: None }
            }
            Place::Split(name) => split(name)?,
        };
        let devices = resources.devices().as_deref().unwrap_or_default();
        match cgroup.apply(&settings).and_then(|()| cgroup.allow_devices(devices)) {
            Ok(()) => Ok(cgroup),
            Err(error) => {
                cgroup.remove();
                Err(error)
            }
        }
    }

    /// Change limits. Those that are not mentioned stay.
    pub fn set(&self, resources: &LinuxResources) -> Result<()> {
        if let Some(memory) = resources.memory()
            && memory.check_before_update() == Some(true)
            && let Some(limit) = memory.limit().and_then(|limit| u64::try_from(limit).ok())
            && let Some(used) = self.number("memory.current").filter(|used| *used > limit)
        {
            let text = format!("the memory limit of {limit} bytes is below the {used} in use");
            return Err(fault(Kind::Usage, text));
        }
        self.apply(&resources::settings(resources)?)?;
        self.allow_devices(resources.devices().as_deref().unwrap_or_default())
    }

    /// Its path as the kernel has it in `/proc/PID/cgroup`.
    pub fn path(&self) -> String {
        self.folder.strip_prefix(place::MOUNT).map_or_else(|_| String::new(), |path| format!("/{}", path.display()))
    }

    /// The folder as a descriptor, to clone into.
    pub fn open(&self) -> Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(&self.folder, flags, Mode::empty())
            .with_context(|| format!("cannot open cgroup `{}`", self.folder.display()))
    }

    /// The cgroup that a process of this container is in now; a container's own init may have made more below ours.
    pub fn of_process(&self, pid: i32) -> Self {
        let folder = place::of_process(&pid.to_string()).ok().filter(|folder| folder.starts_with(&self.folder));
        Self { folder: folder.unwrap_or_else(|| self.folder.clone()), scope: self.scope.clone() }
    }

    /// Move a process in; 0 is ourselves. Who has no right to (it comes from a session's cgroup, which is not the user's) asks systemd.
    pub fn adopt(&self, pid: i32) -> Result<()> {
        match (write(&self.folder.join("cgroup.procs"), &pid.to_string()), &self.scope) {
            (Ok(()), _) => Ok(()),
            (Err(_), Some(unit)) => {
                let scope = self.folder.ancestors().find(|folder| folder.ends_with(&unit.name));
                let inside = scope.and_then(|scope| self.folder.strip_prefix(scope).ok()).unwrap_or(Path::new(""));
                systemd::attach(unit.manager, &unit.name, &format!("/{}", inside.display()), pid as u32)
            }
            (Err(error), None) => {
                Err(error).with_context(|| format!("cannot move process {pid} into `{}`", self.folder.display()))
            }
        }
    }

    fn apply(&self, settings: &[Setting]) -> Result<()> {
        settings.iter().try_for_each(|setting| self.write_setting(setting))
    }

    fn write_setting(&self, setting: &Setting) -> Result<()> {
        let result = match (write(&self.folder.join(&setting.file), &setting.value), &setting.otherwise) {
            (Err(Errno::NOENT), Some((file, value))) => write(&self.folder.join(file), value),
            (result, _) => result,
        };
        let Setting { file, value, .. } = setting;
        result.map_err(|error| match error {
            Errno::NOENT => self.lacks(file),
            error => Fault::new(Kind::Host, format!("the kernel refuses `{}` for `{file}`", value.escape_debug()))
                .because(error),
        })
    }

    /// The error of a file that is not there: its controller is not delegated, or the kernel does not know it.
    fn lacks(&self, file: &str) -> anyhow::Error {
        let controller = file.split('.').next().unwrap_or(file);
        let folder = self.folder.display();
        let enabled = std::fs::read_to_string(self.folder.join("cgroup.controllers")).unwrap_or_default();
        if enabled.split_whitespace().any(|known| known == controller) {
            return fault(Kind::Host, format!("this kernel has no `{file}`"));
        }
        let text = format!("`{file}` cannot be set: the controller `{controller}` is not delegated to `{folder}`");
        let fault = Fault::new(Kind::Host, text);
        match &self.scope {
            Some(Unit { manager: Manager::User(_), .. }) => fault
                .hint(
                    "sudo mkdir -p /etc/systemd/system/user@.service.d && printf '[Service]\\nDelegate=cpu cpuset io \
                     memory pids\\n' | sudo tee /etc/systemd/system/user@.service.d/delegate.conf",
                )
                .hint("sudo systemctl daemon-reload, then log out and in again"),
            _ => fault.hint("move the processes of its parent into a cgroup below it, and enable the controller there"),
        }
        .into()
    }
}

/// Leave the scope of a container, or of whoever started us, for one of our own that ends with us. It is true to its name
/// only where a manager of systemd runs; elsewhere monitors, and we with them, are in no cgroup of a container.
pub fn move_to_scope(name: &str, description: &str) -> Result<()> {
    match driver(outer_uid()) {
        Driver::Systemd(manager) => {
            let slice = default_slice(manager);
            let pids = vec![std::process::id()];
            systemd::start_scope(manager, &Scope { name, slice, description, pids, properties: Vec::new() })
        }
        Driver::Folder(_) | Driver::None(_) => Ok(()),
    }
}

/// Where containers of this manager are unless they ask for another place.
fn default_slice(manager: Manager) -> &'static str {
    match manager {
        Manager::System => "machine.slice",
        Manager::User(_) => "user.slice",
    }
}

/// The cgroup that this process is in.
pub fn own() -> Result<Cgroup> {
    Ok(Cgroup { folder: place::of_process("self")?, scope: None })
}

fn deed(folder: &Path) -> String {
    format!("cannot make cgroup `{}`", folder.display())
}

/// One write(2): the kernel takes a value at once or not at all.
fn write(path: &Path, text: &str) -> rustix::io::Result<()> {
    let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, text.as_bytes()).map(drop)
}

/// Make a folder; one of the same name that nobody is in is a leftover, and cleared away.
fn make_folder(folder: &Path) -> Result<PathBuf> {
    for attempt in 0.. {
        match std::fs::create_dir(folder) {
            Err(error) if attempt == 0 && error.kind() == std::io::ErrorKind::AlreadyExists => {
                state::remove_tree(folder);
            }
            result => return result.map(|()| folder.to_path_buf()).with_context(|| deed(folder)),
        }
    }
    Ok(folder.to_path_buf())
}

/// Let the folders below `folder` have its controllers, as far as that is allowed. What is missing then is told when a
/// limit is set.
fn enable(folder: &Path) {
    let file = folder.join("cgroup.subtree_control");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
    let (there, enabled) = (read("cgroup.controllers"), read("cgroup.subtree_control"));
    let is_in = |text: &str, name: &str| text.split_whitespace().any(|word| word == name);
    let missing: Vec<&str> =
        CONTROLLERS.into_iter().filter(|name| is_in(&there, name) && !is_in(&enabled, name)).collect();
    let words = |names: &[&str]| names.iter().map(|name| format!("+{name}")).collect::<Vec<_>>().join(" ");
    // All at once, which the kernel takes or refuses as a whole.
    if !missing.is_empty() && write(&file, &words(&missing)).is_err() {
        for name in missing {
            let _ = write(&file, &words(&[name]));
        }
    }
}

/// The same for each folder from the topmost that is ours down to `folder`.
fn enable_on_the_way(folder: &Path) {
    let mut way: Vec<&Path> = folder.ancestors().take_while(|at| at.join("cgroup.controllers").exists()).collect();
    way.reverse();
    way.into_iter().for_each(enable);
}

/// Ask for a scope with ourselves in it, and divide it.
fn scope(manager: Manager, slice: &str, name: &str, description: &str) -> Result<Cgroup> {
    let unit = Some(Unit { manager, name: name.to_owned() });
    // A monitor that starts its container again is in the scope already.
    if let Some(scope) = place::of_process("self")?.parent().filter(|scope| scope.ends_with(name)) {
        return Ok(Cgroup { folder: make_folder(&scope.join(CONTAINER))?, scope: unit });
    }
    let pids = vec![std::process::id()];
    systemd::start_scope(manager, &Scope { name, slice, description, pids, properties: Vec::new() })?;
    // Where systemd has put us, whatever its slices look like.
    let scope = place::of_process("self")?;
    if !scope.ends_with(name) {
        return Err(fault(Kind::Host, format!("systemd made `{name}`, but this process is in `{}`", scope.display())));
    }
    Ok(Cgroup { folder: divide(&scope, "monitor", CONTAINER)?, scope: unit })
}

/// `--cgroups split`: the unit that we are in is divided as a scope of our own would be.
fn split(name: &str) -> Result<Cgroup> {
    let own = place::of_process("self")?;
    // The second container of the same unit finds us where the first has put us.
    let unit = if own.ends_with("supervisor") { own.parent().unwrap_or(&own).to_path_buf() } else { own };
    let folder = divide(&unit, "supervisor", name).map_err(|error| {
        Fault::new(Kind::Host, "`--cgroups split` needs a service that may divide its cgroup")
            .hint("set Delegate=yes in the service's unit")
            .because(error)
    })?;
    Ok(Cgroup { folder, scope: None })
}

/// Move ourselves one folder down, so that controllers can be enabled, and make the container's folder beside us.
fn divide(folder: &Path, ours: &str, theirs: &str) -> Result<PathBuf> {
    let (ours, theirs) = (folder.join(ours), folder.join(theirs));
    match std::fs::create_dir(&ours) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(error).with_context(|| deed(&ours));
        }
        _ => {}
    }
    write(&ours.join("cgroup.procs"), "0").with_context(|| format!("cannot move into `{}`", ours.display()))?;
    enable(folder);
    make_folder(&theirs)
}
