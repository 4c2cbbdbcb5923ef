//! Making a container: clone init straight into its namespaces, wait until it is ready, open the gate.

use super::hooks::Point;
use super::init::{self, Init};
use super::naming::Naming;
use super::report::{self, Message};
use super::{Bundle, Filter, Stdio, hooks, idmap, ids, notify, seccomp, stage, supported, tree};
use crate::base::error::{Kind, fault};
use crate::base::timing;
use crate::sys::namespace;
use crate::sys::process::{self, Cloned, Ended};
use anyhow::{Context, Result};
use oci_spec::runtime::{LinuxNamespaceType, Process, Spec};
use rustix::fs::{Mode, OFlags};
use rustix::thread::LinkNameSpaceType;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// A container whose init prepares, or waits at the gate.
///
/// Dropped before [`Starting::start`], init ends by itself; the caller still has its status to collect.
#[derive(Debug)]
pub struct Starting<'a> {
    /// Init's pid, in the caller's pid namespace.
    pub pid: i32,
    /// Init, as a descriptor.
    pub pidfd: OwnedFd,
    socket: OwnedFd,
    filter: Vec<u8>,
    spec: &'a Spec,
    owner: hooks::Owner<'a>,
    /// Init sends its network namespace first.
    network_awaited: bool,
}

/// A container whose command runs.
#[derive(Debug)]
pub struct Running {
    /// Init's pid, in the caller's pid namespace.
    pub pid: i32,
    /// Init, as a descriptor.
    pub pidfd: OwnedFd,
}

/// The namespaces of a specification: which to make, which to join.
pub(super) struct Namespaces {
    /// `CLONE_NEW…` flags.
    pub new: u64,
    /// Those that exist, but for the pid namespace.
    pub join: Vec<(LinkNameSpaceType, OwnedFd)>,
    /// An existing pid namespace: only children are born into it.
    pub pid: Option<OwnedFd>,
    /// An existing user namespace, which owns those that are made.
    pub user: Option<OwnedFd>,
    /// An existing mount namespace, in which the root is made.
    pub mount: Option<OwnedFd>,
}

impl Namespaces {
    pub(super) fn of(spec: &Spec, naming: Naming) -> Result<Self> {
        let mut found = Self { new: 0, join: Vec::new(), pid: None, user: None, mount: None };
        let listed = spec.linux().iter().filter_map(|linux| linux.namespaces().as_ref()).flatten();
        for (index, namespace) in listed.enumerate() {
            let Some(path) = namespace.path() else {
                found.new |= namespace.typ() as u64;
                continue;
            };
            let opened =
                open(path, namespace.typ()).with_context(|| format!("cannot join namespace `{}`", path.display()));
            let fd = naming.name(|| format!("linux.namespaces[{index}].path"), opened)?;
            let kind = match namespace.typ() {
                LinuxNamespaceType::Pid => {
                    found.pid = Some(fd);
                    continue;
                }
                LinuxNamespaceType::User => {
                    found.user = Some(fd);
                    continue;
                }
                LinuxNamespaceType::Mount => {
                    found.mount = Some(fd);
                    continue;
                }
                LinuxNamespaceType::Network => LinkNameSpaceType::Network,
                LinuxNamespaceType::Ipc => LinkNameSpaceType::InterProcessCommunication,
                LinuxNamespaceType::Uts => LinkNameSpaceType::HostNameAndNISDomainName,
                LinuxNamespaceType::Cgroup => LinkNameSpaceType::ControlGroup,
                LinuxNamespaceType::Time => LinkNameSpaceType::Time,
            };
            found.join.push((kind, fd));
        }
        Ok(found)
    }

    /// The flags for the clone. Made by that, a cgroup namespace would be rooted where the maker is; so if init is
    /// cloned into a cgroup, it makes it itself.
    pub(super) fn to_clone(&self, into_cgroup: bool) -> u64 {
        if into_cgroup { self.new & !(LinuxNamespaceType::Cgroup as u64) } else { self.new }
    }

    /// Whether this kind of namespace is made for the container.
    pub(super) fn is_new(&self, kind: LinuxNamespaceType) -> bool {
        self.new & kind as u64 != 0
    }
}

/// Open a namespace, and see that it is one of this kind.
fn open(path: &Path, kind: LinuxNamespaceType) -> Result<OwnedFd> {
    const NSFS_MAGIC: rustix::fs::FsWord = 0x6e73_6673;
    let wrong = || fault(Kind::BadData, format!("it is no namespace of type `{kind}`"));
    // Not for reading before it is known what it is: it may be a FIFO.
    let found = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    if rustix::fs::fstatfs(&found)?.f_type != NSFS_MAGIC {
        return Err(wrong());
    }
    let opened = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    // Its name tells nothing: ip-netns(8) binds it to another.
    match namespace::kind(&opened)? == kind as u64 {
        true => Ok(opened),
        false => Err(wrong()),
    }
}

/// Clone the container's init, which begins to prepare at once.
///
/// The caller is single-threaded and root in the user namespace that owns the container's namespaces; it may do other
/// work before it calls [`Starting::ready`]. Errors of init come from there.
pub fn create<'a>(bundle: &Bundle<'a>, stdio: Stdio) -> Result<Starting<'a>> {
    supported::check(bundle.spec)?;
    let process = process_of(bundle.spec)?;
    let naming = Naming::of(bundle);
    let mut namespaces = Namespaces::of(bundle.spec, naming)?;
    let mut mapped = idmap::prepare(bundle.spec, naming)?;
    mapped.extend(tree::out_of_reach(bundle.spec, &mapped, naming)?);
    let network_awaited = namespaces.is_new(LinuxNamespaceType::Network);
    let (ours, theirs) = report::pair()?;
    let cloned = clone_init(bundle, &mut namespaces).context("cannot make the container's namespaces")?;
    let Some(Cloned { pid, pidfd }) = cloned else {
        drop(ours);
        init::main(Init { bundle, process, namespaces, stdio, socket: theirs, mapped })
    };
    // Our copies of the container's stdio must go: its reader waits for the last writer.
    drop((theirs, stdio, mapped));
    timing::phase("init cloned");
    let Bundle { spec, owner, .. } = *bundle;
    let mut starting = Starting { pid, pidfd, socket: ours, filter: Vec::new(), spec, owner, network_awaited };
    match prepare_beside(bundle, process, &starting) {
        Ok(filter) => starting.filter = filter,
        Err(error) => {
            starting.abort();
            return Err(error);
        }
    }
    Ok(starting)
}

/// What the maker does while init prepares: the id maps of a user namespace, the seccomp program.
fn prepare_beside(bundle: &Bundle<'_>, process: &Process, starting: &Starting<'_>) -> Result<Vec<u8>> {
    if let Some(linux) = bundle.spec.linux()
        && linux.namespaces().iter().flatten().any(|ns| ns.typ() == LinuxNamespaceType::User && ns.path().is_none())
    {
        ids::write_maps(starting.pid, linux, Naming::of(bundle))?;
        report::send_mapped(starting.socket.as_fd())?;
    }
    filter_program(bundle.filter, bundle.spec, process)
}

/// The compiled seccomp program for a process of this container.
pub(super) fn filter_program(filter: Filter, spec: &Spec, process: &Process) -> Result<Vec<u8>> {
    let program = match filter {
        Filter::Default => {
            seccomp::compile_default(super::capabilities::Sets::of(process.capabilities().as_ref()).bounding)?
        }
        Filter::Spec => match spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref()) {
            Some(profile) => seccomp::compile(profile)?,
            None => return Ok(Vec::new()),
        },
    };
    Ok(seccomp::to_bytes(&program))
}

/// The process of a specification.
pub(super) fn process_of(spec: &Spec) -> Result<&Process> {
    spec.process().as_ref().ok_or_else(|| fault(Kind::Usage, "the specification has no process"))
}

/// clone3, with our next children's pid namespace changed for a moment if the container joins one.
fn clone_init(bundle: &Bundle<'_>, namespaces: &mut Namespaces) -> Result<Option<Cloned>> {
    if stage::is_needed(namespaces, bundle.spec) {
        return stage::clone_init(bundle.spec, namespaces, bundle.cgroup);
    }
    if namespaces.is_new(LinuxNamespaceType::User) {
        // Having joined a user namespace we are not dumpable, nor would be init, and its map not ours to write.
        process::set_dumpable(true)?;
    }
    let new = namespaces.to_clone(bundle.cgroup.is_some());
    let Some(theirs) = &namespaces.pid else { return Ok(process::clone3(new, bundle.cgroup)?) };
    let ours = rustix::fs::open("/proc/self/ns/pid", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::thread::move_into_link_name_space(theirs.as_fd(), Some(LinkNameSpaceType::ProcessID))
        .context("cannot join the pid namespace")?;
    let cloned = process::clone3(new, bundle.cgroup);
    if matches!(cloned, Ok(Some(_))) {
        leave_pid_namespace(&ours);
    }
    Ok(cloned?)
}

/// Have our next children in our own pid namespace again. Refused (EPERM) to an ordinary user, whose user namespace does
/// not own it; nothing that we do depends on it.
pub(super) fn leave_pid_namespace(ours: &OwnedFd) {
    let _ = rustix::thread::move_into_link_name_space(ours.as_fd(), Some(LinkNameSpaceType::ProcessID));
}

impl Starting<'_> {
    /// The container's new network namespace, which is there before init is ready; `None` if it shares one.
    ///
    /// Errors as those of [`Starting::ready`], before which this is called, or not at all.
    pub fn network(&mut self) -> Result<Option<OwnedFd>> {
        if self.network_awaited {
            self.network_awaited = false;
            match report::receive(self.socket.as_fd())? {
                Message::Network(namespace) => return Ok(Some(namespace)),
                Message::Failed(error) => {
                    self.abort();
                    return Err(error);
                }
                _ => return Err(self.died("while it prepared")),
            }
        }
        Ok(None)
    }

    /// Wait until init has done all but the gate. Returns the terminal's master, if it has one.
    ///
    /// An error is init's own, with its kind; init has ended then.
    pub fn ready(&mut self) -> Result<Option<OwnedFd>> {
        self.network()?;
        loop {
            match report::receive(self.socket.as_fd())? {
                Message::Created => self.run_hooks().inspect_err(|_| self.abort())?,
                Message::Ready(master) => return Ok(master),
                Message::Failed(error) => {
                    self.abort();
                    return Err(error);
                }
                _ => return Err(self.died("while it prepared")),
            }
        }
    }

    /// The hooks before the root is entered, for which init waits.
    fn run_hooks(&self) -> Result<()> {
        hooks::run(self.spec, self.owner, Point::Prestart, Some(self.pid))?;
        hooks::run(self.spec, self.owner, Point::CreateRuntime, Some(self.pid))?;
        report::send_created(self.socket.as_fd())
    }

    /// Open the gate, and wait until the command was executed.
    ///
    /// Errors: `CommandNotFound`, `CommandNotExecutable`, and whatever init's last steps refuse.
    pub fn start(self) -> Result<Running> {
        report::send_go(self.socket.as_fd(), &self.filter)?;
        loop {
            match report::receive(self.socket.as_fd())? {
                Message::Listener(Some(listener)) => {
                    let pids = (self.pid, Some(self.pid));
                    notify::hand_over(self.spec, self.owner, pids, &listener, self.socket.as_fd())
                        .inspect_err(|_| self.abort())?;
                }
                // End of file: executed, or killed in between; the caller sees that by the pidfd.
                Message::End => return Ok(Running { pid: self.pid, pidfd: self.pidfd }),
                Message::Failed(error) => {
                    self.abort();
                    return Err(error);
                }
                _ => return Err(self.died("before its command ran")),
            }
        }
    }

    /// Leave init, which is ready, at the gate of [`super::gate`]; the caller may end then.
    pub fn leave(self) -> Result<Running> {
        report::send_go(self.socket.as_fd(), &self.filter)?;
        Ok(Running { pid: self.pid, pidfd: self.pidfd })
    }

    /// Kill init and collect it. For when something else that the container needs has failed.
    pub fn abort(&self) {
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, rustix::process::Signal::KILL);
        let _ = process::wait(self.pid);
    }

    fn died(&self, when: &str) -> anyhow::Error {
        let how = match process::wait(self.pid) {
            Ok(Ended::Signaled(signal)) => format!("was killed by {}", crate::base::signal::name(signal)),
            Ok(Ended::Exited(code)) => format!("ended with code {code}"),
            Err(_) => "ended".to_owned(),
        };
        fault(Kind::Other, format!("the container's init {how} {when}"))
    }
}
