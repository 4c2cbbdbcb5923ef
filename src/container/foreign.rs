//! `--runtime`: another OCI runtime makes the container, from a bundle that box prepares and mounts.
//!
//! ```text
//! $RUN/<id>/bundle/config.json     for the runtime      $RUN/<id>/pid        from it: init's pid
//! $RUN/<id>/runtime/               its own state        $RUN/<id>/log        and what it had to say
//! $RUN/<id>/console                where a terminal's master comes from
//! ```
//!
//! The monitor mounts the root in a mount namespace of its own, in which the runtime then runs; so nothing is left
//! mounted, as with box's own. It is the subreaper to which init falls when the runtime's `create` has ended. All else
//! goes as always: streams, logs, network, signals by pidfd, `exec` by joining init's namespaces.

use super::config::Config;
use super::limits::Resources;
use super::record::Container;
use super::request::Request;
use super::rights::security::Seccomp;
use crate::base::error::{Fault, Kind, fault};
use crate::base::fs::{create_new, read_limited, remove_tree};
use crate::base::program;
use crate::runtime::{self, Bundle, Filter, Stdio, capabilities, user};
use crate::sys::root::Root;
use crate::sys::{namespace, process, tty};
use anyhow::{Context, Result};
use oci_spec::runtime::{Capability, LinuxNamespaceType, Spec};
use rustix::fs::{Mode, OFlags};
use rustix::mount::MountPropagationFlags;
use rustix::process::{Pid, PidfdFlags};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The version of the specification that bundles are written for: what old runtimes take, too.
const OCI_VERSION: &str = "1.0.2";
/// A log or pid file is never larger than this.
const LIMIT: u64 = 1 << 20;

/// The runtime of a `--runtime`, by name or path; `None` for box itself.
///
/// Errors: there is no such program; what was asked for besides is box's own and no other runtime's.
pub fn decide(request: &Request) -> Result<Option<PathBuf>> {
    let Some(text) = request.runtime.as_deref().filter(|text| !matches!(*text, "" | "box")) else { return Ok(None) };
    let found = match text.contains('/') {
        // By the name as it stands: a link's tells a program what it is to be.
        true => std::path::absolute(text).ok().filter(|path| path.is_file()),
        false => program::find(text),
    };
    let path = found.ok_or_else(|| {
        let fault = Fault::new(Kind::Usage, format!("there is no runtime `{}`", text.escape_debug()));
        if text.contains('/') { fault } else { fault.hint(program::how_to_install(text, &[])) }
    })?;
    let nested = request.rights.security.seccomp == Seccomp::Nested;
    let limits = &request.limits;
    let limited = limits.resources != Resources::default() || limits.parent.is_some();
    let conflicts = [
        ("a limit", limited, "box makes no cgroup for another runtime"),
        ("`--security-opt seccomp=nested`", nested, "its rules depend on their order, which others do not keep"),
        ("`--init`", request.init, "it is box's own process 1"),
        ("`--ipc container:`", request.ipc.to_string().starts_with("container:"), "it shares that one's /dev/shm"),
    ];
    if let Some((flag, _, why)) = conflicts.iter().find(|(_, asked, _)| *asked) {
        return Err(fault(Kind::Usage, format!("{flag} and `--runtime {text}` do not go together: {why}")));
    }
    Ok(Some(path))
}

/// A container that is being made, by whichever runtime.
#[derive(Debug)]
pub enum Starting<'a> {
    /// By our own.
    Own(runtime::Starting<'a>),
    /// By another.
    Foreign(Foreign),
}

/// A container that another runtime has made. Dropped, it is deleted there.
#[derive(Debug)]
pub struct Foreign {
    runtime: Runtime,
    pid: i32,
    pidfd: OwnedFd,
    master: Option<OwnedFd>,
    has_network: bool,
}

/// Make a container, up to its gate: with the runtime that its config names.
pub fn create<'a>(container: &Container, bundle: &Bundle<'a>, stdio: Stdio) -> Result<Starting<'a>> {
    match &container.config.runtime {
        None => Ok(Starting::Own(runtime::create(bundle, stdio)?)),
        Some(program) => {
            let runtime = Runtime {
                program: program.clone(),
                folder: container.run_dir.clone(),
                id: container.config.id.to_string(),
            };
            Foreign::create(runtime, &container.config, bundle, stdio).map(Starting::Foreign)
        }
    }
}

impl Starting<'_> {
    /// Init's pid.
    pub fn pid(&self) -> i32 {
        match self {
            Self::Own(starting) => starting.pid,
            Self::Foreign(foreign) => foreign.pid,
        }
    }

    /// See [`runtime::Starting::network`].
    pub fn network(&mut self) -> Result<Option<OwnedFd>> {
        match self {
            Self::Own(starting) => starting.network(),
            Self::Foreign(foreign) if foreign.has_network => {
                let path = format!("/proc/{}/ns/net", foreign.pid);
                let namespace = rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
                namespace.map(Some).context("cannot open the container's network namespace")
            }
            Self::Foreign(_) => Ok(None),
        }
    }

    /// See [`runtime::Starting::ready`].
    pub fn ready(&mut self) -> Result<Option<OwnedFd>> {
        match self {
            Self::Own(starting) => starting.ready(),
            Self::Foreign(foreign) => Ok(foreign.master.take()),
        }
    }

    /// See [`runtime::Starting::start`]. What another runtime has made comes back, to be kept until the end.
    pub fn start(self) -> Result<(OwnedFd, Option<Foreign>)> {
        match self {
            Self::Own(starting) => Ok((starting.start()?.pidfd, None)),
            Self::Foreign(foreign) => {
                foreign.runtime.run(&["start", &foreign.runtime.id], None)?;
                Ok((foreign.pidfd.try_clone()?, Some(foreign)))
            }
        }
    }
}

impl Foreign {
    fn create(runtime: Runtime, config: &Config, bundle: &Bundle<'_>, stdio: Stdio) -> Result<Self> {
        let root = mount(bundle)?;
        let spec = complete(bundle, config, &root)?;
        let folder = runtime.folder.join("bundle");
        remove_tree(&folder)?;
        std::fs::create_dir(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
        create_new(&folder.join("config.json"), &serde_json::to_vec(&spec)?)?;
        let console = runtime.folder.join("console");
        let listener = config.tty.then(|| crate::monitor::listen(&console)).transpose()?;
        let pid_file = runtime.folder.join("pid");
        let text = |path: &Path| path.display().to_string();
        let (folder, pid_path, console) = (text(&folder), text(&pid_file), text(&console));
        let mut words = vec!["create", "--bundle", &folder, "--pid-file", &pid_path];
        if listener.is_some() {
            words.extend(["--console-socket", &console]);
        }
        words.push(&runtime.id);
        let size = match &stdio {
            Stdio::Terminal { size } => *size,
            Stdio::Pipes { .. } => None,
        };
        runtime.run(&words, Some(stdio))?;
        let made = || -> Result<Self> {
            let pid = String::from_utf8(read_limited(&pid_file, LIMIT)?)?;
            let pid: i32 = pid.trim().parse().context("the runtime has written no pid")?;
            let process = Pid::from_raw(pid).context("the runtime has written no pid")?;
            let pidfd = rustix::process::pidfd_open(process, PidfdFlags::empty())
                .context("the container's init has ended already")?;
            let master = listener.as_ref().map(|listener| receive(listener, size)).transpose()?;
            let has_network = new_network(&spec);
            Ok(Self { runtime: runtime.clone(), pid, pidfd, master, has_network })
        };
        made().inspect_err(|_| runtime.delete())
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        self.runtime.delete();
        // A child of ours since the runtime's `create` has ended; collected already if it was served to its end.
        let _ = process::reap(self.pid);
    }
}

/// Mount the root where the runtime will find it, seen by us and what we start alone.
fn mount(bundle: &Bundle<'_>) -> Result<Root> {
    let deed = "cannot mount the root for another runtime";
    namespace::unshare(rustix::thread::UnshareFlags::NEWNS.bits() as i32).context(deed)?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).context(deed)?;
    runtime::mount_root(bundle).context(deed)
}

/// The specification, with what our own runtime finds out by itself.
fn complete(bundle: &Bundle<'_>, config: &Config, root: &Root) -> Result<Spec> {
    let mut spec = bundle.spec.clone();
    spec.set_version(OCI_VERSION.to_owned());
    if let Some(root) = spec.root_mut() {
        root.set_path(std::path::absolute(bundle.mount_point)?);
    }
    if let Some(process) = spec.process_mut() {
        let given = process.user().clone();
        if let Some(name) = given.username() {
            let user = user::resolve(root, name)?;
            let more: Vec<u32> = user.groups.iter().chain(&user.required).copied().collect();
            process.user_mut().set_uid(user.uid).set_gid(user.gid).set_username(None);
            process.user_mut().set_additional_gids((!more.is_empty()).then_some(more));
            let variables = process.env_mut().get_or_insert_default();
            if !variables.iter().any(|variable| variable.starts_with("HOME=")) {
                variables.push(format!("HOME={}", user.home));
            }
        }
    }
    if bundle.filter == Filter::Default {
        let set: Vec<Capability> =
            config.capabilities.iter().map(|name| capabilities::parse(name)).collect::<Result<_>>()?;
        if let Some(linux) = spec.linux_mut() {
            linux.set_seccomp(Some(runtime::portable_seccomp(&set)?));
        }
    }
    Ok(spec)
}

fn new_network(spec: &Spec) -> bool {
    let namespaces = spec.linux().iter().filter_map(|linux| linux.namespaces().as_ref()).flatten();
    namespaces.into_iter().any(|one| one.typ() == LinuxNamespaceType::Network && one.path().is_none())
}

/// The terminal's master, which the runtime has sent by now.
fn receive(listener: &std::os::unix::net::UnixListener, size: Option<(u16, u16)>) -> Result<OwnedFd> {
    let deed = "the runtime has sent no terminal";
    let (connection, _) = listener.accept().context(deed)?;
    let master = crate::sys::unix::receive_descriptor(connection.as_fd()).context(deed)?.context(deed)?;
    if let Some((rows, cols)) = size {
        tty::set_size(master.as_fd(), tty::Size { rows, cols }).context(deed)?;
    }
    Ok(master)
}

/// A runtime, and the container that it is to work on.
#[derive(Debug, Clone)]
struct Runtime {
    program: PathBuf,
    folder: PathBuf,
    id: String,
}

impl Runtime {
    fn name(&self) -> String {
        self.program.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Run one of its commands to the end; the container's streams are its own, if given.
    fn run(&self, words: &[&str], stdio: Option<Stdio>) -> Result<()> {
        let log = self.folder.join("log");
        let _ = std::fs::remove_file(&log);
        let mut command = Command::new(&self.program);
        if self.name().starts_with("crun") {
            // Others do without where they may not.
            command.arg("--cgroup-manager=disabled");
        }
        command.arg("--root").arg(self.folder.join("runtime"));
        command.arg("--log").arg(&log).args(["--log-format", "json"]).args(words);
        command.env_clear().env("PATH", program::search_path()).current_dir(&self.folder);
        let null = std::process::Stdio::null;
        match stdio {
            Some(Stdio::Pipes { stdin, stdout, stderr }) => {
                command.stdin(stdin).stdout(stdout).stderr(stderr);
            }
            _ => {
                command.stdin(null()).stdout(null()).stderr(null());
            }
        }
        let status = command.status();
        // Its copies of the container's streams must go with it.
        drop(command);
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(_) => Err(self.explain(&log)),
            Err(error) => {
                Err(Fault::new(Kind::Host, format!("cannot run `{}`", self.program.display())).because(error))
            }
        }
    }

    /// What it had to say: the last error of its log. By its words, as other engines do, we know what exit code is due.
    fn explain(&self, log: &Path) -> anyhow::Error {
        let text = read_limited(log, LIMIT).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let text = text.unwrap_or_default();
        let entries = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let mut errors = entries.filter(|entry| entry["level"] == "error");
        let said = errors.next_back().and_then(|entry| Some(entry["msg"].as_str()?.to_owned()));
        let said = said.unwrap_or_else(|| "it has failed, and its log does not say why".into());
        fault(kind_of(&said), format!("{}: {said}", self.name()))
    }

    fn delete(&self) {
        let _ = self.run(&["delete", "--force", &self.id], None);
    }
}

/// What kind of error another runtime means.
fn kind_of(said: &str) -> Kind {
    let text = said.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    match () {
        () if has(&["executable file not found", "not found in $path", "no such file or directory"]) => {
            Kind::CommandNotFound
        }
        () if has(&["permission denied", "exec format error"]) => Kind::CommandNotExecutable,
        () => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_other_runtimes_say() {
        for (said, kind) in [
            ("executable file `nope` not found in $PATH: No such file or directory", Kind::CommandNotFound),
            ("exec: \"nope\": executable file not found in $PATH", Kind::CommandNotFound),
            ("exec: \"/etc\": permission denied", Kind::CommandNotExecutable),
            ("cgroups in hybrid mode not supported", Kind::Other),
        ] {
            assert_eq!(kind_of(said), kind, "{said}");
        }
    }

    #[test]
    fn runtimes_are_found_or_refused() {
        let ask = |runtime: &str, init: bool| {
            let request = Request { runtime: Some(runtime.into()), init, ..Request::default() };
            decide(&request).map_err(|error| error.to_string())
        };
        assert_eq!(ask("box", true), Ok(None));
        assert!(ask("sh", false).unwrap().unwrap().is_absolute());
        assert_eq!(ask("/nowhere/crun", false).unwrap_err(), "there is no runtime `/nowhere/crun`");
        assert!(ask("sh", true).unwrap_err().contains("`--init` and `--runtime sh` do not go together"));
    }
}
