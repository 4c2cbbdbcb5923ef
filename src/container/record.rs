//! The database of containers: directories and links.
//!
//! ```text
//! $DATA/containers/<id>/
//!   config.json      what was decided; written once (`config`)
//!   lock             locked while a monitor lives, or a creator works; its text is the run (`Run`)
//!   exit.json        how the last run ended (`Exit`); absent before that and while running
//!   upper/ work/     the overlay's changes        root/     where the root is mounted, in its own mount namespace
//!   volumes/<n>/     the image's volumes          ctr.log…  what it printed
//!   hosts hostname resolv.conf                    bound into the container
//! $DATA/names/<name> a hard link to config.json: it claims the name, and is what commits the container
//! $RUN/<id>/         exists while somebody creates or runs the container; holds the monitor's `attach` socket
//! ```
//!
//! Nothing here is trusted to be current: whether a container runs is told by its lock, which the kernel drops with
//! the monitor. Whoever finds a folder in `$RUN` whose lock is free heals that container first ([`heal`]).

use super::config::Config;
use super::rename;
use crate::base::dirs::Dirs;
use crate::base::error::{Fault, Kind, fault};
use crate::base::fs::{create_new, read_if_there, remove_tree};
use crate::base::id::ContainerId;
use crate::base::lock::{Lock, Share, held, is_held};
use crate::base::temp::discard;
use crate::network::PortMapping;
use crate::runtime::cgroup::Cgroup;
use crate::sys::proc;
use anyhow::{Context, Result};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::io::{Read, Seek};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

/// A config or run file is never larger than this.
const LIMIT: u64 = 16 << 20;

/// A container that exists.
#[derive(Debug, Clone)]
pub struct Container {
    /// What was decided. On the heap, as lists of containers are sorted and grow.
    pub config: Box<Config>,
    /// `containers/<id>`.
    pub dir: PathBuf,
    /// `$RUN/<id>`.
    pub run_dir: PathBuf,
}

/// The text of the lock: a run under way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    /// The monitor's pid on the host.
    pub monitor: i32,
    /// Process 1 of the container, as the host counts.
    pub pid: i32,
    /// When it started (`sys::proc::start_time`): a pid that is used again is not believed.
    pub pid_started: u64,
    /// The boot it belongs to.
    pub boot: String,
    /// When, in nanoseconds since 1970.
    pub started: i64,
    /// The published ports, with the host's ports decided.
    pub ports: Vec<PortMapping>,
    /// How often the restart policy has started it since it was last started by hand.
    #[serde(default)]
    pub restarts: u32,
    /// The end of the run before, while the monitor waits to start the next one.
    #[serde(default)]
    pub waits: Option<Exit>,
    /// Its cgroup, if it has one.
    #[serde(default)]
    pub cgroup: Option<Cgroup>,
    /// Not kept: its processes are stopped just now (`pause`).
    #[serde(skip)]
    pub paused: bool,
}

/// How a run ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Exit {
    /// The command's code, or 128 and a signal's number.
    pub code: i32,
    /// When it had begun, in nanoseconds since 1970; 0: it never did.
    pub started: i64,
    /// When it ended.
    pub finished: i64,
    /// What went wrong, if the container ended for another reason than its command.
    pub error: String,
    /// How often the restart policy had started it.
    #[serde(default)]
    pub restarts: u32,
    /// The kernel has killed a process of it for want of memory.
    #[serde(default)]
    pub oom_killed: bool,
}

/// What a container is doing.
#[derive(Debug, Clone)]
pub enum Status {
    /// It has never been started.
    Created,
    /// A monitor prepares it.
    Starting,
    /// It runs.
    Running(Run),
    /// Its last run ended, and its monitor is about to start it again.
    Restarting(Run),
    /// Its last run ended.
    Exited(Exit),
}

impl Status {
    /// podman's word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Starting => "initialized",
            Self::Running(run) if run.paused => "paused",
            Self::Running(_) => "running",
            Self::Restarting(_) => "restarting",
            Self::Exited(_) => "exited",
        }
    }
}

impl Container {
    /// The container of these folders.
    pub fn new(dirs: &Dirs, config: Config) -> Self {
        let dir = dirs.container(config.id.as_str());
        let run_dir = dirs.run.join(config.id.as_str());
        Self { config: Box::new(config), dir, run_dir }
    }

    /// `containers/<id>/lock`.
    pub fn lock_path(&self) -> PathBuf {
        self.dir.join("lock")
    }

    /// The monitor's socket.
    pub fn socket(&self) -> PathBuf {
        self.run_dir.join("attach")
    }

    /// The log.
    pub fn log(&self) -> PathBuf {
        self.dir.join("ctr.log")
    }

    /// What it is doing now.
    pub fn status(&self) -> Status {
        let lock = self.lock_path();
        if let Some(file) = held(&lock) {
            return told(&file);
        }
        if let Some(exit) = self.exit() {
            return Status::Exited(exit);
        }
        // The lock is free and nobody has written how it ended: the monitor was killed, or the host went down.
        let run = || -> Option<Run> { serde_json::from_slice(&read_if_there(&lock, LIMIT)?).ok() };
        let has_run = std::fs::metadata(&lock).is_ok_and(|meta| meta.len() > 0);
        match has_run.then(run).flatten() {
            Some(run) => Status::Exited(lost(&run)),
            None => Status::Created,
        }
    }

    fn exit(&self) -> Option<Exit> {
        serde_json::from_slice(&read_if_there(&self.dir.join("exit.json"), LIMIT)?).ok()
    }

    /// The running process, or an error that says what the container does instead.
    pub fn running(&self) -> Result<Run> {
        match self.status() {
            Status::Running(run) => Ok(run),
            other => {
                let name = &self.config.name;
                let text = format!("container `{name}` is not running (it is {})", other.word());
                Err(Fault::new(Kind::WrongState, text).hint(format!("box start {name}")).into())
            }
        }
    }

    /// Write how a run ended. The caller holds the lock.
    pub fn write_exit(&self, exit: &Exit) -> Result<()> {
        let path = self.dir.join("exit.json");
        let _ = std::fs::remove_file(&path);
        create_new(&path, &serde_json::to_vec(exit)?)
    }

    /// Forget the last run. The caller holds the lock.
    pub fn clear_run(&self) -> Result<()> {
        let _ = std::fs::remove_file(self.dir.join("exit.json"));
        std::fs::OpenOptions::new().write(true).truncate(true).open(self.lock_path()).context("cannot start anew")?;
        Ok(())
    }

    /// Write the run that is under way. The caller holds the lock.
    pub fn write_run(&self, run: &Run) -> Result<()> {
        let path = self.lock_path();
        std::fs::write(&path, serde_json::to_vec(run)?).with_context(|| format!("cannot write `{}`", path.display()))
    }

    /// Write it anew while others may read it: by one write, which leaves no rest of the old text. The caller holds the
    /// lock.
    pub fn rewrite_run(&self, run: &Run) -> Result<()> {
        let deed = || format!("cannot write `{}`", self.lock_path().display());
        let file = std::fs::OpenOptions::new().write(true).open(self.lock_path()).with_context(deed)?;
        let mut bytes = serde_json::to_vec(run)?;
        let length = usize::try_from(file.metadata().with_context(deed)?.len())?;
        bytes.resize(bytes.len().max(length), b' ');
        file.write_all_at(&bytes, 0).with_context(deed)
    }

    /// Take the container away: the name first, which uncommits it, then all else. Needs no free space. Returns whether
    /// all of it is gone: what is large is left to [`crate::base::temp::reap`].
    pub fn delete(&self, dirs: &Dirs) -> Result<bool> {
        // So that the next command finds what we leave if we are killed; on a disk of its own, as a rule.
        let _ = make_dir(&self.run_dir);
        if self.config.remove {
            super::mounts::remove_anonymous(dirs, self)?;
        }
        // It may have been renamed since it was read.
        let current = current_name(dirs, self);
        let name = dirs.names().join(current.name);
        if self.config.damaged || current.is_renamed {
            self.unclaim_any(dirs);
        } else if read_name(&name).is_some_and(|config| config.id == self.config.id) {
            let _ = std::fs::remove_file(&name);
        }
        if let Some(cidfile) = &self.config.cidfile
            && std::fs::read(cidfile).is_ok_and(|text| text == self.config.id.as_str().as_bytes())
        {
            let _ = std::fs::remove_file(cidfile);
        }
        let all = match discard(dirs, &self.dir) {
            // On a full disk there is no room to put it aside.
            Err(_) => remove_tree(&self.dir).map(|()| true)?,
            Ok(all) => all,
        };
        remove_tree(&self.run_dir)?;
        Ok(all)
    }
}

impl Container {
    /// Take away every name of the container's: links to its config, where its text cannot tell, and what a renaming
    /// that was cut short has left.
    fn unclaim_any(&self, dirs: &Dirs) {
        let own = std::fs::metadata(self.dir.join("config.json")).ok();
        for entry in std::fs::read_dir(dirs.names()).into_iter().flatten().flatten() {
            let is_link = || own.as_ref().is_some_and(|own| entry.metadata().is_ok_and(|meta| meta.ino() == own.ino()));
            if is_link() || read_name(&entry.path()).is_some_and(|config| config.id == self.config.id) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

/// What a container does, as the lock that its monitor holds tells.
fn told(lock: &std::fs::File) -> Status {
    match read_run(lock) {
        Some(run) if run.waits.is_some() => Status::Restarting(run),
        Some(mut run) => {
            run.paused = run.cgroup.as_ref().is_some_and(Cgroup::is_frozen);
            Status::Running(run)
        }
        None => Status::Starting,
    }
}

/// The run that a lock's text tells of. Text that makes no sense is just being written anew.
fn read_run(file: &std::fs::File) -> Option<Run> {
    for _ in 0..100 {
        let mut bytes = Vec::with_capacity(1024);
        file.take(LIMIT).read_to_end(&mut bytes).ok()?;
        match serde_json::from_slice(&bytes) {
            Ok(run) => return Some(run),
            Err(_) if bytes.is_empty() => return None,
            Err(_) => (&*file).rewind().ok()?,
        }
    }
    None
}

/// How a run whose monitor vanished is told.
fn lost(run: &Run) -> Exit {
    let error = if run.boot == proc::boot_id() { "the monitor was killed" } else { "the host was restarted" };
    if let Some(exit) = &run.waits {
        return Exit { error: error.into(), ..exit.clone() };
    }
    let (restarts, oom_killed) = (run.restarts, false);
    Exit { code: 137, started: run.started, finished: run.started, error: error.into(), restarts, oom_killed }
}

/// Begin a container: its folders, its lock (held by the caller from now on), its config, and last its name.
///
/// Errors: [`Kind::NameInUse`], with the container that has the name. Nothing is left then.
pub fn publish(dirs: &Dirs, config: Config) -> Result<(Container, Lock)> {
    let container = Container::new(dirs, config);
    let deed = || format!("cannot make `{}`", container.dir.display());
    make_dir(&dirs.containers()).and_then(|()| make_dir(&dirs.names())).with_context(deed)?;
    let lock = begin(&container).with_context(deed)?;
    let result = (|| {
        let config_path = container.dir.join("config.json");
        create_new(&config_path, &serde_json::to_vec(&container.config)?)?;
        claim(dirs, &container, &config_path)?;
        if !container.config.remove {
            // What is kept survives a power loss; one sync takes the folder entries and the link with it.
            let file = std::fs::File::open(&config_path).with_context(deed)?;
            file.sync_all().with_context(deed)?;
        }
        Ok(())
    })();
    match result {
        Ok(()) => Ok((container, lock)),
        Err(error) => {
            // The name is claimed already if it was the sync that failed.
            container.unclaim_any(dirs);
            let _ = remove_tree(&container.dir);
            let _ = remove_tree(&container.run_dir);
            Err(error)
        }
    }
}

/// Make a container's folders and take its lock.
///
/// A command that looks just between two of these steps takes us for dead and removes what it finds, holding the lock;
/// then all begins anew. The run folder comes last, so that there is none without a lock that can be asked.
fn begin(container: &Container) -> Result<Lock> {
    for _ in 0..100 {
        make_dir(&container.dir)?;
        let lock = match Lock::acquire(&container.lock_path(), Share::Exclusive) {
            Err(_) if !container.dir.exists() => continue,
            lock => lock?,
        };
        if lock.is_at(&container.lock_path()) {
            make_dir(&container.run_dir)?;
            return Ok(lock);
        }
    }
    Err(fault(Kind::Other, "other commands remove it again and again"))
}

fn make_dir(path: &std::path::Path) -> std::io::Result<()> {
    match std::fs::create_dir(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn taken(name: &str, by: &ContainerId) -> anyhow::Error {
    let text = format!("the name `{name}` is in use by container {}", by.short());
    Fault::new(Kind::NameInUse, text).hint(format!("box rm {name}")).into()
}

/// Errors: [`Kind::NameInUse`] where a container has the name now.
pub fn check_free(dirs: &Dirs, name: &str) -> Result<()> {
    let path = dirs.names().join(name);
    match read_name(&path) {
        Some(other) if is_name_of(dirs, &path, &other.id) => Err(taken(name, &other.id)),
        _ => Ok(()),
    }
}

/// Claim the name by link(2), which fails if it is taken: no lock over all containers is needed.
pub(super) fn claim(dirs: &Dirs, container: &Container, config_path: &std::path::Path) -> Result<()> {
    let name = dirs.names().join(&container.config.name);
    for _ in 0..3 {
        match rustix::fs::link(config_path, &name) {
            Ok(()) => return Ok(()),
            Err(Errno::EXIST) => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot claim the name `{}`", container.config.name));
            }
        }
        // A name whose container is gone, or has another by now, belongs to nobody: a removal or renaming was cut short.
        match read_name(&name) {
            Some(other) if is_name_of(dirs, &name, &other.id) => {
                return Err(taken(&container.config.name, &other.id));
            }
            _ => drop(std::fs::remove_file(&name)),
        }
    }
    Err(fault(Kind::NameInUse, format!("the name `{}` is in use", container.config.name)))
}

/// Whether this is the container's name now: a link to its config, or what its config says.
fn is_name_of(dirs: &Dirs, name: &std::path::Path, id: &ContainerId) -> bool {
    let path = dirs.container(id.as_str()).join("config.json");
    match (std::fs::metadata(name), std::fs::metadata(&path)) {
        (Ok(link), Ok(config)) if (link.dev(), link.ino()) == (config.dev(), config.ino()) => true,
        (_, Ok(_)) => {
            read_name(&path).is_some_and(|config| name.file_name().is_some_and(|n| n == config.name.as_str()))
        }
        _ => false,
    }
}

/// A container as its config says now: somebody may have renamed or changed it since it was read.
pub fn current(container: &Container) -> Config {
    read_name(&container.dir.join("config.json")).unwrap_or_else(|| (*container.config).clone())
}

/// What a container is called now.
pub(super) struct Current {
    /// The name.
    pub name: String,
    /// Whether it is being renamed, or a renaming was cut short.
    pub is_renamed: bool,
}

/// What a container is called now.
pub(super) fn current_name(dirs: &Dirs, container: &Container) -> Current {
    let name = &container.config.name;
    let link = std::fs::metadata(dirs.names().join(name));
    let config = std::fs::metadata(container.dir.join("config.json"));
    let is_renamed = config.as_ref().is_ok_and(rename::is_marked);
    let name = match (link, config) {
        (Ok(link), Ok(config)) if link.ino() == config.ino() => name.clone(),
        _ => current(container).name,
    };
    Current { name, is_renamed }
}

/// The config behind a name.
pub(super) fn read_name(path: &std::path::Path) -> Option<Config> {
    serde_json::from_slice(&read_if_there(path, LIMIT)?).ok()
}

/// The container of this name or id prefix; a name wins.
///
/// Errors: [`Kind::NotFound`]; [`Kind::Usage`] for a prefix of several.
pub fn find(dirs: &Dirs, text: &str) -> Result<Container> {
    let missing = || {
        let names = std::fs::read_dir(dirs.names()).into_iter().flatten().flatten();
        let names: Vec<String> = names.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        let fault = Fault::new(Kind::NotFound, format!("no such container `{}`", text.escape_debug()));
        fault.meant(text, names.iter().map(String::as_str))
    };
    if super::names::is_valid(text)
        && let Some(config) = read_name(&dirs.names().join(text))
    {
        let container = Container::new(dirs, config);
        if is_name_of(dirs, &dirs.names().join(text), &container.config.id) {
            return Ok(container);
        }
    }
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(missing().hint("box ps -a").into());
    }
    let mut found: Vec<ContainerId> = ids(dirs).filter(|id| id.as_str().starts_with(text)).collect();
    match (found.pop(), found.is_empty()) {
        (Some(id), true) => load(dirs, &id).ok_or_else(|| missing().hint("box ps -a").into()),
        (Some(_), false) => Err(fault(Kind::Usage, format!("`{text}` is the beginning of several container ids"))),
        (None, _) => Err(missing().hint("box ps -a").into()),
    }
}

/// All committed containers, in no order. What a creator that was killed has left goes.
pub fn all(dirs: &Dirs) -> Vec<Container> {
    let known = |id: ContainerId| known(dirs, &id);
    ids(dirs).filter_map(known).collect()
}

/// Those whose monitor lives and what each does, in no order: for who asks for no others, which may be many. The lock
/// is opened once.
pub fn alive(dirs: &Dirs) -> Vec<(Container, Status)> {
    let alive = |id: ContainerId| {
        let mut path = dirs.container(id.as_str());
        path.push("lock");
        let lock = held(&path)?;
        Some((load(dirs, &id)?, told(&lock)))
    };
    ids(dirs).filter_map(alive).collect()
}

/// The container of an id; what was never committed is removed.
pub(super) fn known(dirs: &Dirs, id: &ContainerId) -> Option<Container> {
    let container = load(dirs, id);
    if container.is_none() {
        sweep(dirs, id);
    }
    container
}

/// Remove a folder that nobody works on and that was never committed. It holds nothing of subordinate ids.
fn sweep(dirs: &Dirs, id: &ContainerId) {
    let dir = dirs.container(id.as_str());
    let lock_path = dir.join("lock");
    if let Ok(Some(lock)) = Lock::try_acquire(&lock_path, Share::Exclusive)
        && lock.is_at(&lock_path)
        && load(dirs, id).is_none()
    {
        let _ = remove_tree(&dir);
    }
}

/// The ids that there are folders for, in no order.
pub(super) fn ids(dirs: &Dirs) -> impl Iterator<Item = ContainerId> {
    let entries = std::fs::read_dir(dirs.containers()).into_iter().flatten().flatten();
    entries.filter_map(|entry| ContainerId::parse(entry.file_name().to_str()?))
}

/// The container of an id, if it is committed: its config is linked under its name.
fn load(dirs: &Dirs, id: &ContainerId) -> Option<Container> {
    let mut path = dirs.container(id.as_str());
    path.push("config.json");
    let file = std::fs::File::open(path).ok()?;
    let meta = file.metadata().ok()?;
    if meta.nlink() < 2 {
        return None;
    }
    if rename::is_marked(&meta) {
        rename::mend(dirs, id);
    }
    // It is never written to, only replaced.
    let mut bytes = vec![0; usize::try_from(meta.len().min(LIMIT)).ok()?];
    file.read_exact_at(&mut bytes, 0).ok()?;
    let config = serde_json::from_slice::<Config>(&bytes)
        .ok()
        .filter(|config| config.version == super::config::VERSION && config.id == *id);
    // One that cannot be read is still there, to be listed and removed.
    Some(Container::new(dirs, config.unwrap_or_else(|| Config::damaged(id.clone()))))
}

/// The monitors that live.
pub fn monitors(dirs: &Dirs) -> Vec<i32> {
    // Not by the folders in `$RUN`, which somebody may have wiped.
    ids(dirs)
        .filter_map(|id| {
            let lock = dirs.container(id.as_str()).join("lock");
            let run: Run = serde_json::from_slice(&read_if_there(&lock, LIMIT)?).ok()?;
            is_held(&lock).then_some(run.monitor)
        })
        .collect()
}

/// Put right what killed processes left: for each folder in `$RUN` whose container's lock is free, end what still
/// runs, write how it ended, remove what was to be removed. Costs one listing when nothing runs.
///
/// `become_root` is called before the first process is killed or tree removed.
pub fn heal(dirs: &Dirs, become_root: &mut dyn FnMut() -> Result<()>) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(&dirs.run) else { return Ok(()) };
    for entry in entries.flatten() {
        if let Some(id) = entry.file_name().to_str().and_then(ContainerId::parse) {
            heal_one(dirs, &id, become_root)?;
        }
    }
    Ok(())
}

fn heal_one(dirs: &Dirs, id: &ContainerId, become_root: &mut dyn FnMut() -> Result<()>) -> Result<()> {
    let run_dir = dirs.run.join(id.as_str());
    let dir = dirs.container(id.as_str());
    // Made if missing: who holds it may remove, and a creator that comes too late begins anew (`begin`).
    let _lock = match Lock::try_acquire(&dir.join("lock"), Share::Exclusive) {
        Ok(Some(lock)) => lock,
        Ok(None) => return Ok(()),
        Err(_) if !dir.exists() => return remove_tree(&run_dir),
        // Its creator has just made it, or the disk cannot be written to: neither is ours to mend.
        Err(_) => return Ok(()),
    };
    if !run_dir.exists() {
        return Ok(());
    }
    become_root()?;
    let Some(container) = load(dirs, id) else {
        // Never committed, or half removed.
        remove_tree(&dir)?;
        return remove_tree(&run_dir);
    };
    if container.exit().is_none() {
        let run: Option<Run> =
            read_if_there(&container.lock_path(), LIMIT).and_then(|b| serde_json::from_slice(&b).ok());
        super::limits::remove_leftover(&container, run.as_ref());
        if let Some(run) = run {
            if let Some(pidfd) = proc::open(run.pid, run.pid_started).filter(|_| run.boot == proc::boot_id()) {
                proc::kill_and_wait(&pidfd, 10_000);
            }
            let finished = super::now();
            container.write_exit(&Exit { finished, ..lost(&run) })?;
        }
    }
    if container.config.remove {
        return container.delete(dirs).map(drop);
    }
    remove_tree(&run_dir)
}
