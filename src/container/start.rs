//! `start`: the monitor is forked, init is cloned, the gate opens; and what the monitor does until the end.

use super::again::{self, Again};
use super::attending::Attending;
use super::config::{Config, RootSource};
use super::foreign::{self, Foreign};
use super::fuse::{self, Fuse};
use super::happened;
use super::health::{Target, Watch};
use super::life::RestartPolicy;
use super::passed::{self, Passed};
use super::record::{Container, Exit, Run, Status};
use super::request::LogDriver;
use super::root::{self, Prepared};
use super::sdnotify::Notifier;
use super::{host, limits, mounts, network as names, network_live, quota, requires, rights, sdnotify, secrets, spec};
use crate::base::dirs::Dirs;
use crate::base::error::{Fault, Kind, fault};
use crate::base::lock::{Lock, Share};
use crate::base::{signal, timing};
use crate::engine::Engine;
use crate::events as journal;
use crate::monitor::confine::Duty;
use crate::monitor::{self, AttachOptions, End, Outcome, Streams};
use crate::network::{self, Listener, NetworkMode, PortMapping};
use crate::runtime::hooks::{self, Point};
use crate::runtime::{self, Bundle, RootFs, Stdio};
use crate::sys::proc;
use crate::sys::process;
use anyhow::{Context, Result};
use oci_spec::runtime::Spec;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

/// What the caller wants of a start.
#[derive(Debug)]
pub enum Mode {
    /// Return when the command runs.
    Detached,
    /// Stay until it ends or is detached from.
    Attached(AttachOptions),
}

/// The caller's own streams.
#[derive(Debug, Clone, Copy)]
pub struct Terminal<'a> {
    /// Descriptor 0.
    pub stdin: BorrowedFd<'a>,
    /// Descriptor 1.
    pub stdout: BorrowedFd<'a>,
    /// Descriptor 2.
    pub stderr: BorrowedFd<'a>,
    /// Others that the command gets, by their numbers.
    pub preserved: &'a [RawFd],
}

/// How a start went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// It runs, and nobody is attached any more.
    Running,
    /// It has ended.
    Ended(End),
}

/// Start a container that exists. One that runs already is left alone, or attached to.
pub fn start(engine: &Engine, container: &Container, mode: Mode, terminal: Terminal<'_>) -> Result<Started> {
    let container = &container.clone().with_updates();
    // Without the lock, which their monitors would keep.
    requires::start(engine, container, terminal)?;
    let lock = match Lock::try_acquire(&container.lock_path(), Share::Exclusive)? {
        Some(lock) => lock,
        None => {
            if matches!(container.status(), Status::Restarting(_)) {
                super::stop::wake(engine, container)?;
                return start(engine, container, mode, terminal);
            }
            if matches!(container.status(), Status::Created | Status::Exited(_)) {
                // Somebody looks at its files; the start waits for that.
                let lock = Lock::acquire(&container.lock_path(), Share::Exclusive)?;
                return launch(engine, container, lock, mode, terminal, &["start"]);
            }
            return match (container.status(), mode) {
                (_, Mode::Detached) => Ok(Started::Running),
                (_, Mode::Attached(options)) => {
                    attend(container, monitor::connect(&container.socket())?, &options, terminal)
                }
            };
        }
    };
    launch(engine, container, lock, mode, terminal, &["start"])
}

/// Start a container whose lock the caller holds; `events` are what is told of it when it runs.
pub(super) fn launch(
    engine: &Engine,
    container: &Container,
    lock: Lock,
    mode: Mode,
    terminal: Terminal<'_>,
    events: &[&str],
) -> Result<Started> {
    again::forget(container);
    let named = || format!("cannot start container `{}`", container.config.name);
    let plan = match prepare(engine, container, &mode, terminal) {
        Ok(plan) => plan,
        Err(error) => {
            abandon(&engine.dirs, container);
            return Err(error.context(named()));
        }
    };
    timing::phase("prepare");
    // The lock goes with the fork: the child's copy keeps it when ours is closed, with the closure.
    let kept = plan.passed.as_ref().map(Passed::again).transpose()?;
    let caller = rustix::process::getpid();
    let mut connection = monitor::fork_with(terminal.preserved, move |connection| {
        if container.config.is_step() {
            // It is of use to its build alone.
            let _ = process::set_parent_death_signal(signal::SIGKILL);
            if rustix::process::getppid() != Some(caller) {
                return 1;
            }
        }
        let anew = || {
            let terminal = Terminal { preserved: &[], ..terminal };
            let plan = prepare(engine, &container.clone().with_updates(), &Mode::Detached, terminal)?;
            Ok(Plan { passed: kept.as_ref().map(Passed::again).transpose()?, ..plan })
        };
        supervise(&engine.dirs, container, plan, lock, connection, events, &anew)
    })?;
    monitor::await_started(&mut connection).with_context(named)?;
    timing::phase("started");
    match mode {
        Mode::Detached => Ok(Started::Running),
        Mode::Attached(options) => attend(container, connection, &options, terminal),
    }
}

/// Do what a start does before it forks, and let go of it. Errors: those of a start, or that it is not at rest.
pub fn init(engine: &Engine, container: &Container, terminal: Terminal<'_>) -> Result<()> {
    let container = &container.clone().with_updates();
    let deed = || format!("cannot prepare container `{}`", container.config.name);
    let before = container.status();
    let Some(_lock) = Lock::try_acquire(&container.lock_path(), Share::Exclusive)? else {
        let text = format!("it is {}", before.word());
        return Err(fault(Kind::WrongState, text)).with_context(deed);
    };
    let prepared = prepare(engine, container, &Mode::Detached, terminal);
    let _ = crate::base::fs::remove_tree(&container.run_dir);
    // How the last run ended is still so.
    if let Status::Exited(exit) = before {
        container.write_exit(&exit)?;
    }
    prepared.map(drop).with_context(deed)
}

/// Be attached until the end.
fn attend(
    container: &Container,
    connection: UnixStream,
    options: &AttachOptions,
    terminal: Terminal<'_>,
) -> Result<Started> {
    let outcome = monitor::attach(connection, options, terminal.stdin, terminal.stdout, terminal.stderr)?;
    timing::phase("ended");
    match outcome {
        Outcome::Exited(end) => Ok(Started::Ended(end)),
        Outcome::Detached => Ok(Started::Running),
        Outcome::MonitorGone => match container.status() {
            Status::Exited(exit) => Ok(Started::Ended(End { code: exit.code, out_of_memory: exit.oom_killed })),
            _ => Err(fault(Kind::Other, format!("the monitor of container `{}` was killed", container.config.name))),
        },
    }
}

/// Attach to a container that runs.
pub fn attach(
    engine: &Engine,
    container: &Container,
    options: &AttachOptions,
    terminal: Terminal<'_>,
) -> Result<Started> {
    container.running()?;
    happened::tell(&engine.dirs, container, &["attach"]);
    attend(container, monitor::connect(&container.socket())?, options, terminal)
}

/// What the monitor is handed.
struct Plan {
    spec: Spec,
    root: Prepared,
    size: Option<(u16, u16)>,
    listeners: Vec<Listener>,
    network: network_live::Wanted,
    ports: Vec<PortMapping>,
    trees: Vec<runtime::Tree>,
    restarts: u32,
    cgroup: Option<limits::Plan>,
    passed: Option<Passed>,
    preserved: Vec<RawFd>,
    notifier: Option<Notifier>,
}

/// Everything on disk that a run needs, made before the fork.
fn prepare(engine: &Engine, container: &Container, mode: &Mode, terminal: Terminal<'_>) -> Result<Plan> {
    let config = &container.config;
    let mut cgroup = limits::Plan::of(container, engine.caller().0)?;
    if config.damaged {
        let fault = Fault::new(Kind::BadData, "its config.json cannot be read");
        return Err(fault.hint(format!("box rm {}", config.name)).into());
    }
    // Ports first: a conflict is told before anything is made, and from outside the user's namespace, as whoever is in
    // it cannot see what other programs have open.
    let mut ports = config.ports.clone();
    let listeners = match config.network {
        NetworkMode::Host => Vec::new(),
        _ => network::bind_ports(&mut ports, &|pid| owner(engine, pid))?,
    };
    super::logs::check(container)?;
    passed::check_preserved(config, terminal.preserved)?;
    let notifier = Notifier::of(config)?;
    let passed = Passed::of(config, terminal)?;
    let secrets = secrets::read(engine, &config.secrets)?;
    engine.enter()?;
    match std::fs::create_dir(&container.run_dir) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(error).context("cannot make its run folder");
        }
        _ => {}
    }
    container.clear_run()?;
    let root = root::prepare(engine, container)?;
    let network = network_live::Wanted {
        hosts_base: names::write_files(engine, container)?,
        member: super::networks::member(engine, container)?,
    };
    let lent = mounts::lend(engine, container)?;
    let facts = host::facts(engine, &container.dir, config, lent)?;
    rights::give_files(engine, container)?;
    let mut spec = spec::spec(config, &facts)?;
    secrets::deliver(container, &secrets, &mut spec)?;
    if let Some(notifier) = &notifier {
        notifier.lend(&mut spec)?;
    }
    mounts::own(engine, container, &spec)?;
    let trees = rights::trees(engine, config)?;
    if let Some(cgroup) = &mut cgroup {
        cgroup.limit_devices(container, &spec)?;
    }
    let attached = matches!(mode, Mode::Attached(_));
    let size = if config.tty && attached {
        crate::sys::tty::size(terminal.stdout).map(|size| (size.rows, size.cols))
    } else {
        None
    };
    Ok(Plan {
        spec,
        root,
        size,
        listeners,
        network,
        ports,
        trees,
        restarts: 0,
        cgroup,
        passed,
        preserved: terminal.preserved.to_vec(),
        notifier,
    })
}

/// The container whose monitor this is.
pub(super) fn owner(engine: &Engine, pid: i32) -> Option<String> {
    let running = super::list(engine).into_iter().find(|row| row.run().is_some_and(|run| run.monitor == pid))?;
    Some(running.container.config.name)
}

/// A start that failed leaves a container as it was before, or nothing if it was to be removed.
fn abandon(dirs: &Dirs, container: &Container) {
    if container.config.remove {
        let _ = container.delete(dirs);
    } else {
        let _ = container.clear_run();
        let _ = crate::base::fs::remove_tree(&container.run_dir);
    }
}

/// The monitor's whole life: a run, and as many more as the restart policy wants; its exit code goes nowhere.
fn supervise(
    dirs: &Dirs,
    container: &Container,
    plan: Plan,
    lock: Lock,
    connection: UnixStream,
    events: &[&str],
    anew: &dyn Fn() -> Result<Plan>,
) -> i32 {
    // The invocation prints what came before.
    timing::take();
    timing::phase("monitor");
    let mut live = match begin(dirs, container, plan) {
        Ok(live) => live,
        Err(error) => {
            abandon(dirs, container);
            drop(lock);
            monitor::report_failed(&connection, &error);
            return 1;
        }
    };
    // Before the report, so that whoever has heard of the start finds it in the journal.
    happened::tell(dirs, container, events);
    monitor::report_started(&connection);
    confine(dirs, container, &live);
    let mut again = Again::new(container);
    let mut first = Some(connection);
    loop {
        let (result, forced) = live.serve(dirs, container, first.take());
        let finished = result.ok();
        let code = finished.as_ref().map_or(137, |finished| finished.ended.code());
        let error = if finished.is_none() { "the monitor failed" } else { "" };
        let (started, restarts, oom_killed) = (live.started, again.times, live.cgroup.oom_killed());
        let end = End { code, out_of_memory: oom_killed };
        let mut exit = Exit { code, started, finished: super::now(), error: error.into(), restarts, oom_killed };
        live.end(container);
        let removed = container.config.remove && !again.may_follow(container, &exit, forced);
        happened::died(dirs, container, code, removed);
        if again.may_follow(container, &exit, forced) {
            if let Some(finished) = finished {
                finished.announce(end);
            }
            match again.follows(container, &exit).then(|| rerun(dirs, container, anew, again.times)) {
                Some(Ok(next)) => {
                    happened::tell(dirs, container, &["restart", "start"]);
                    live = next;
                    continue;
                }
                Some(Err(error)) => exit = Exit { error: format!("{error:#}"), finished: super::now(), ..exit },
                None => {}
            }
            finish(dirs, container, &exit, lock);
            return 0;
        }
        finish(dirs, container, &exit, lock);
        if let Some(finished) = finished {
            finished.announce(end);
        }
        return 0;
    }
}

/// One more run, by the monitor itself.
fn rerun<'a>(
    dirs: &'a Dirs,
    container: &'a Container,
    anew: &dyn Fn() -> Result<Plan>,
    times: u32,
) -> Result<Live<'a>> {
    let plan = anew()?;
    again::forget_health(container);
    begin(dirs, container, Plan { restarts: times, ..plan })
}

/// The last act: the end is written, or the container removed; then the lock goes, before anybody hears of the end, as
/// whoever does may start or remove it at once.
fn finish(dirs: &Dirs, container: &Container, exit: &Exit, lock: Lock) {
    if container.config.remove {
        let _ = container.delete(dirs);
    } else {
        let _ = container.write_exit(exit);
        let _ = crate::base::fs::remove_tree(&container.run_dir);
    }
    drop(lock);
}

/// Give up what this monitor has no need of any more. After the start is reported: nobody waits for it.
fn confine(dirs: &Dirs, container: &Container, live: &Live) {
    let config = &container.config;
    let alone = matches!(config.network, NetworkMode::None | NetworkMode::Host)
        && live.fuse.is_none()
        && config.log_driver != LogDriver::Journald;
    let duty = match () {
        () if config.life.restart != RestartPolicy::No || config.life.health.is_some() => Duty::Run,
        // Somebody else's program is run at the end, and does what it likes.
        () if hooks::are_given(&live.spec, Point::Poststop) => Duty::Run,
        () if alone => Duty::Serve,
        () => Duty::Help,
    };
    let files = [&config.cidfile, &config.life.pidfile, &config.life.monitor_pidfile, &config.life.log.path];
    let mut folders = vec![dirs.data.as_path(), dirs.run.as_path(), Path::new("/sys/fs/cgroup")];
    folders.extend(files.into_iter().flatten().filter_map(|file| file.parent()));
    folders.extend(journal::settings().path.as_deref().and_then(Path::parent));
    monitor::confine::confine(duty, &folders);
}

/// A container that runs, and its helpers, as the monitor holds them.
struct Live<'a> {
    pid: i32,
    pidfd: OwnedFd,
    streams: Option<Streams>,
    listener: Option<UnixListener>,
    network: network_live::Live<'a>,
    fuse: Option<Fuse>,
    cgroup: limits::Held,
    foreign: Option<Foreign>,
    notifier: Option<Notifier>,
    started: i64,
    spec: Spec,
}

/// From the prepared folders to a command that runs: the list of a container's birth.
fn begin<'a>(dirs: &'a Dirs, container: &'a Container, plan: Plan) -> Result<Live<'a>> {
    let config = &container.config;
    // Clients may come as soon as the start is reported.
    let listener = monitor::listen(&container.socket())?;
    let absolute = container.dir.join("root");
    // Root of a mapped container need not be able to walk the user's folders: what is of the container is below here.
    let mapped = rights::is_mapped(config);
    let mount_point = if mapped { Path::new("root") } else { &absolute };
    let fuse = match &plan.root {
        Prepared::Folder(_, Some(overlay)) => Some(fuse::serve(&absolute, overlay)?),
        _ => None,
    };
    let tree = tree(container, &plan)?;
    let (stdio, mut streams) = match plan.passed {
        Some(passed) => (passed.into_stdio(), Some(Streams::Passed)),
        None => stdio(config, plan.size)?,
    };
    let accounts = rights::accounts::of(config);
    // Before init, which is born into it.
    let cgroup = limits::Held::make(plan.cgroup.as_ref())?;
    let cgroup_folder = cgroup.open()?;
    let bundle = Bundle {
        spec: &plan.spec,
        root: match &tree {
            Some(tree) => RootFs::Tree(tree.as_fd()),
            None => plan.root.rootfs(if mapped { &container.dir } else { Path::new("") }),
        },
        mount_point,
        init: config.init,
        filter: rights::filter(config),
        owner: hooks::Owner { id: config.id.as_str(), bundle: &container.dir },
        cgroup: cgroup_folder.as_ref().map(AsFd::as_fd),
        trees: &plan.trees,
        accounts: accounts.as_ref(),
        emulator: config.emulator.as_ref(),
        preserved: &plan.preserved,
        unmonitored: None,
    };
    if mapped {
        rustix::process::chdir(&container.dir).context("cannot enter its folder")?;
    }
    let mut starting = foreign::create(container, &bundle, stdio)?;
    if mapped {
        rustix::process::chdir("/")?;
    }
    timing::phase("clone init");
    cgroup.leave()?;
    let mut network = network_live::Live::begin(dirs, container, plan.listeners, plan.network, &mut starting)?;
    let pid = starting.pid();
    if let Some(master) = starting.ready()? {
        streams = Some(Streams::Terminal(master));
    }
    timing::phase("init ready");
    network.ready()?;
    let started = super::now();
    let pid_started = proc::start_time(pid).context("the container's init died")?;
    container.write_run(&Run {
        monitor: rustix::process::getpid().as_raw_nonzero().get(),
        pid,
        pid_started,
        boot: proc::boot_id(),
        started,
        ports: plan.ports,
        restarts: plan.restarts,
        waits: None,
        cgroup: cgroup.kept(),
        paused: false,
    })?;
    again::write_pids(container, pid)?;
    let (pidfd, foreign) = starting.start()?;
    timing::phase("exec");
    // Another runtime runs the hooks of its containers itself.
    if foreign.is_none() {
        run_poststart(&plan.spec, bundle.owner, (pid, &pidfd))?;
    }
    sdnotify::tell_outside(&plan.preserved, plan.notifier.as_ref());
    let (listener, notifier, spec) = (Some(listener), plan.notifier, plan.spec);
    Ok(Live { notifier, pid, pidfd, foreign, streams, listener, network, fuse, cgroup, started, spec })
}

/// The hooks after the start; the command ends with one that fails.
fn run_poststart(spec: &Spec, owner: hooks::Owner<'_>, (pid, pidfd): (i32, &OwnedFd)) -> Result<()> {
    hooks::run(spec, owner, Point::Poststart, Some(pid)).inspect_err(|_| {
        proc::kill_and_wait(pidfd, 10_000);
    })
}

/// The root, mounted here and attached nowhere, where init could not do it or should not.
fn tree(container: &Container, plan: &Plan) -> Result<Option<OwnedFd>> {
    let config = &container.config;
    quota::mount(container, config)?;
    let mapped = rights::is_mapped(config);
    match &config.root {
        RootSource::Rootfs { path, idmap: true, .. } if mapped => runtime::mapped_root(&plan.spec, path).map(Some),
        _ if mapped || config.size.is_some() => plan.root.tree(),
        _ => Ok(None),
    }
}

/// The container's end of its streams, and ours; a terminal's comes from init.
fn stdio(config: &Config, size: Option<(u16, u16)>) -> Result<(Stdio, Option<Streams>)> {
    if config.tty {
        return Ok((Stdio::Terminal { size }, None));
    }
    let (theirs, ours) = monitor::pipes(config.interactive)?;
    Ok((Stdio::Pipes { stdin: theirs.stdin, stdout: theirs.stdout, stderr: theirs.stderr }, Some(ours)))
}

impl Live<'_> {
    /// Serve streams and clients until init ends; and whether a failed health check wants it started anew.
    fn serve(
        &mut self,
        dirs: &Dirs,
        container: &Container,
        connection: Option<UnixStream>,
    ) -> (Result<monitor::Finished>, bool) {
        let (Some(streams), Some(listener)) = (self.streams.take(), self.listener.take()) else {
            return (Err(fault(Kind::Other, "the container has no streams")), false);
        };
        let log = super::logs::config(container);
        let target = Target { container, dirs, pidfd: self.pidfd.as_fd(), spec: &self.spec, age: 0 };
        let notifier = self.notifier.as_ref();
        let mut attending = Attending { network: &mut self.network, watch: Watch::new(target), notifier };
        let result = monitor::serve(monitor::Session {
            pidfd: self.pidfd.as_fd(),
            pid: self.pid,
            streams,
            log: &log,
            listener,
            first: connection,
            stdin_once: container.config.stdin_once,
            attendant: &mut attending,
        });
        attending.watch.end();
        (result, attending.watch.restart)
    }

    /// The helpers end with the container, whatever became of each.
    fn end(self, container: &Container) {
        self.network.stop();
        if self.foreign.is_none() {
            let owner = hooks::Owner { id: container.config.id.as_str(), bundle: &container.dir };
            // Nobody is left to be told of one that fails.
            drop(hooks::run_all(&self.spec, owner, Point::Poststop, None));
        }
        // Deletes it in the runtime that has made it.
        drop(self.foreign);
        if let Some(fuse) = self.fuse {
            fuse.stop(&container.dir.join("root"));
        }
    }
}
