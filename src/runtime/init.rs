//! The container's first process, from the clone to the exec: a straight list of steps.
//!
//! Runs as the only thread, root in the user namespace that owns the container's namespaces, and in the container's
//! own mount namespace, so that nothing that it mounts is seen by anybody else or can be left mounted. Every path in
//! the container goes through the confined resolver; nothing here trusts what is in the image.

use super::create::Namespaces;
use super::hooks::{self, Point};
use super::labels::Labels;
use super::naming::Naming;
use super::report::{self, Message};
use super::terminal::Terminal;
use super::{Bundle, Stdio, devices, gate, mounts, paths, process as steps, reaper, rootfs, settings, terminal};
use crate::base::error::{Kind, fault};
use crate::base::signal::SIGKILL;
use crate::base::timing;
use crate::sys::process;
use anyhow::{Context, Result};
use oci_spec::runtime::{LinuxNamespaceType, Process};
use rustix::fs::{Mode, OFlags};
use rustix::thread::LinkNameSpaceType;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What init starts with.
pub(super) struct Init<'a> {
    pub bundle: &'a Bundle<'a>,
    pub process: &'a Process,
    pub namespaces: Namespaces,
    pub stdio: Stdio,
    pub socket: OwnedFd,
    /// Mounts that the maker has made, by their index.
    pub mapped: Vec<(usize, OwnedFd)>,
}

/// Walk the list; on an error, report it and end.
pub(super) fn main(mut init: Init<'_>) -> ! {
    // Only phases of our own are reported.
    timing::take();
    let error = match walk(&mut init) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    report::send_failed(init.socket.as_fd(), &error);
    process::exit_now(125)
}

/// The list. Each step says why it stands where it stands.
fn walk(init: &mut Init<'_>) -> Result<std::convert::Infallible> {
    let Init { bundle, process, namespaces, stdio, socket, mapped } = init;
    let spec = bundle.spec;
    let linux = spec.linux().as_ref();
    let unmonitored = bundle.unmonitored;
    let naming = Naming::of(bundle);

    stand_apart(bundle, process, namespaces, socket.as_fd())?;
    let labels = Labels::of(process)?;

    mounts::stop_propagation(spec)?;
    let root = rootfs::mount(bundle)?;
    timing::phase("init: root mounted");
    let mounted = mounts::mount_all(spec, &root, namespaces, mapped, naming)?;
    timing::phase("init: file systems mounted");
    super::tree::attach_all(bundle.trees, &root)?;
    super::emulator::register(bundle.emulator, mounted.proc.as_ref())?;
    let dev = devices::populate(spec, &root, naming)?;
    // Needs the container's devpts, and its /dev for the console.
    let terminal = match stdio {
        Stdio::Terminal { size } => Some(make_terminal(&mounted, dev.as_ref(), *size, process)?),
        Stdio::Pipes { .. } => None,
    };
    timing::phase("init: devices made");
    // Before masks and read-only binds cover /proc/sys; through our own procfs (CVE-2025-52881).
    settings::set_sysctls(spec, mounted.proc.as_ref(), naming)?;
    paths::mask(linux, &root, naming)?;
    paths::make_read_only(linux, &root, naming)?;
    timing::phase("init: paths masked");
    run_early_hooks(bundle, namespaces, socket.as_fd())?;
    // The working folder may have to be made, so before the root becomes read-only.
    let made = steps::working_folder(&root, process, steps::Missing::Make);
    let working_folder = naming.name(|| "process.cwd".to_owned(), made)?;
    // As long as the root can be written to.
    if let Some(accounts) = bundle.accounts {
        super::accounts::complete(accounts, &root, process)?;
    }
    rootfs::seal(spec, &root)?;
    rootfs::pivot(&root, unmonitored.is_some_and(|with| with.no_pivot))?;
    rootfs::set_propagation(linux)?;
    steps::enter_working_folder(working_folder.as_fd())?;
    timing::phase("init: root entered");

    settings::set_host_names(spec, naming)?;
    if namespaces.is_new(LinuxNamespaceType::Network) {
        crate::sys::net::loopback_up().context("cannot bring up the loopback interface")?;
    }
    // Here and not after the gate, so that it costs nothing while the network comes up.
    let prepared = steps::prepare(&root, process, linux, labels, naming)?;
    timing::phase("init: ready");

    let mut death_signal = SIGKILL;
    if let Some(with) = unmonitored {
        // From here on we see the maker's end by the socket's, and live on when it ends with all done.
        process::set_parent_death_signal(0)?;
        death_signal = 0;
        gate::prepare(with.keyring)?;
        naming.name(|| "process.args[0]".to_owned(), prepared.must_exist())?;
    }
    // The gate. The monitor opens it when the network is there; its end means that it died.
    report::send_ready(socket.as_fd(), terminal.as_ref().map(|terminal| terminal.master.as_fd()))?;
    let Message::Go(filter) = report::receive(socket.as_fd())? else { return Err(monitor_died()) };
    if let Some(with) = unmonitored {
        // Errors go to whoever has opened it.
        *socket = gate::await_opening(with.gate)?;
    }

    hooks::run(spec, bundle.owner, Point::StartContainer, Some(own_pid()))?;
    match (terminal, stdio) {
        (Some(terminal), _) => terminal.make_controlling()?,
        (None, Stdio::Pipes { stdin, stdout, stderr }) => terminal::use_pipes(stdin, stdout, stderr)?,
        (None, Stdio::Terminal { .. }) => {}
    }
    if bundle.init {
        // Returns in the child, which becomes the command; the parent stays as pid 1, with which all others end.
        reaper::stay_behind()?;
        death_signal = 0;
    }
    Err(steps::become_process(prepared, process, &filter, death_signal, socket.as_fd())?.execute())
}

/// The list's first part: what init is and whom it listens to, before it makes anything.
fn stand_apart(bundle: &Bundle<'_>, process: &Process, namespaces: &Namespaces, socket: BorrowedFd<'_>) -> Result<()> {
    // First of all die with the monitor: until the command runs nobody else would end us.
    process::set_parent_death_signal(SIGKILL)?;
    // Whatever descriptors the caller leaked are not the container's (CVE-2024-21626).
    process::close_on_exec_from(3 + bundle.unmonitored.map_or(0, |with| with.preserve_fds))?;
    process::survive_exec(bundle.preserved).context("cannot hand on a descriptor")?;
    // Handlers are the monitor's; what it ignores or blocks must not be inherited by the command.
    crate::sys::signals::reset()?;
    // A user namespace of its own: wait for the id maps, then be its root.
    if namespaces.is_new(LinuxNamespaceType::User) {
        let Message::Mapped = report::receive(socket)? else { return Err(monitor_died()) };
        steps::become_root()?;
    }
    // The monitor brings up the network beside what follows. While our files in /proc can still be opened.
    if namespaces.is_new(LinuxNamespaceType::Network) {
        let namespace = rustix::fs::open("/proc/self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .context("cannot open the network namespace")?;
        report::send_network(socket, namespace.as_fd())?;
    }
    // Through the host's /proc, which the container cannot have touched, and while our files there are ours.
    settings::set_oom_score(process)?;
    // From here on nobody in the container's namespaces may trace us or open our files (CVE-2016-9962).
    process::set_dumpable(false)?;
    // No terminal of the caller's can be ours: TIOCSTI (CVE-2017-5226).
    rustix::process::setsid().context("cannot make a session")?;
    // Before anything is mounted: existing namespaces decide what proc, sysfs and mqueue show.
    for (kind, fd) in &namespaces.join {
        rustix::thread::move_into_link_name_space(fd.as_fd(), Some(*kind)).context("cannot join a namespace")?;
    }
    if let Some(mount) = &namespaces.mount {
        rustix::thread::move_into_link_name_space(mount.as_fd(), Some(LinkNameSpaceType::Mount))
            .context("cannot join the mount namespace")?;
    }
    if bundle.cgroup.is_some() && namespaces.is_new(LinuxNamespaceType::Cgroup) {
        crate::sys::namespace::unshare(LinuxNamespaceType::Cgroup as i32).context("cannot make a cgroup namespace")?;
    }
    // Modes of what we make are exactly those given.
    rustix::process::umask(Mode::empty());
    Ok(())
}

/// The hooks between the mounts and the pivot: the maker's, for which we wait, then ours.
fn run_early_hooks(bundle: &Bundle<'_>, namespaces: &Namespaces, socket: BorrowedFd<'_>) -> Result<()> {
    let spec = bundle.spec;
    if hooks::are_given(spec, Point::Prestart) || hooks::are_given(spec, Point::CreateRuntime) {
        // They look for our namespaces by our pid. Nobody of the container is there yet who could do the same.
        let is_alone = namespaces.is_new(LinuxNamespaceType::Pid);
        process::set_dumpable(is_alone)?;
        report::send_created(socket)?;
        let Message::Created = report::receive(socket)? else { return Err(monitor_died()) };
        process::set_dumpable(false)?;
    }
    hooks::run(spec, bundle.owner, Point::CreateContainer, Some(own_pid()))
}

fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

fn make_terminal(
    mounted: &mounts::Mounted,
    dev: Option<&OwnedFd>,
    size: Option<(u16, u16)>,
    process: &Process,
) -> Result<Terminal> {
    let devpts = mounted.devpts.as_ref().ok_or_else(|| {
        fault(Kind::Usage, "cannot make a terminal: the container has no devpts of its own at `/dev/pts`")
    })?;
    let terminal = terminal::open(devpts.as_fd(), size.or_else(|| terminal::size_of(process)))?;
    if let Some(dev) = dev {
        devices::bind_console(dev, &terminal)?;
    }
    Ok(terminal)
}

fn monitor_died() -> anyhow::Error {
    fault(Kind::Other, "the container's monitor died")
}
