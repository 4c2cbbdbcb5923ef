//! One more process in a running container: clone into its pid namespace, join the others through one pidfd, execute.
//!
//! The child belongs to the caller directly (no double fork): the caller's own pid namespace for children is changed
//! for the moment of the clone. Where the caller may not, or could be seen on the way, a process between joins all and
//! clones it.

use super::capabilities::{self, Sets};
use super::cgroup::Cgroup;
use super::create::{filter_program, process_of};
use super::labels::Labels;
use super::naming::Naming;
use super::report::{self, Message};
use super::{Filter, Stdio, hooks, notify, process as steps, scheduling, settings, stage, terminal};
use crate::base::error::{Kind, fault};
use crate::base::signal::SIGKILL;
use crate::sys::descriptors;
use crate::sys::process::{self, Cloned};
use crate::sys::root::Root;
use anyhow::{Context, Result};
use oci_spec::runtime::{Capability, LinuxNamespaceType, Process, Spec};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::ThreadNameSpaceType as Kinds;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

const PID_NAMESPACE: Kinds = Kinds::from_bits_retain(LinuxNamespaceType::Pid as u32);
const USER_NAMESPACE: Kinds = Kinds::from_bits_retain(LinuxNamespaceType::User as u32);

/// The container to run in.
#[derive(Debug, Clone, Copy)]
pub struct ExecTarget<'a> {
    /// Its init.
    pub pidfd: BorrowedFd<'a>,
    /// Its cgroup, to be born into, or moved into before the command runs.
    pub cgroup: Option<&'a Cgroup>,
    /// The system call filter.
    pub filter: Filter,
    /// Whose container it is, for a seccomp agent.
    pub owner: hooks::Owner<'a>,
    /// Descriptors that the command inherits from the caller of box, by their numbers.
    pub preserved: &'a [RawFd],
}

/// The process, a child of the caller.
#[derive(Debug)]
pub struct ExecChild {
    /// Its pid in the caller's pid namespace.
    pub pid: i32,
    /// It, as a descriptor.
    pub pidfd: OwnedFd,
    /// The terminal's master, if it has one.
    pub master: Option<OwnedFd>,
}

/// Run `process` in the container; `spec` is the container's, for its namespaces and seccomp profile.
///
/// Returns when the command was executed; the caller waits for its status. The caller is single-threaded and has joined
/// the user's namespace, as for `create`. Errors have the kinds of [`super::Starting::start`].
pub fn exec(target: ExecTarget<'_>, process: &Process, spec: &Spec, stdio: Stdio) -> Result<ExecChild> {
    process_of(spec)?;
    super::supported::check_process(process)?;
    let join = joined(spec);
    let (ours, theirs) = report::pair()?;
    // While `/proc` is the host's.
    let labels = Labels::of(process)?;
    // Inherited by the child, which cannot write its own once it is in the container.
    settings::set_oom_score(process)?;
    let initial = process.exec_cpu_affinity().as_ref().and_then(|affinity| affinity.initial().as_deref());
    let affinity = initial.map(scheduling::set_affinity).transpose()?;
    let folder = target.cgroup.map(Cgroup::open).transpose()?;
    let mut outside = false;
    let joined = if may_trace(join, process, spec) { None } else { join_pid_namespace(target.pidfd, join)? };
    let (cloned, rest) = if let Some(left) = joined {
        let cgroup = folder.as_ref().map(AsFd::as_fd);
        (clone_into(cgroup, &mut outside, left.as_ref())?, join.difference(PID_NAMESPACE))
    } else {
        let mut kept = vec![ours.as_fd(), theirs.as_fd(), target.pidfd];
        kept.extend(labels.as_ref().map(Labels::as_fd));
        if let Stdio::Pipes { stdin, stdout, stderr } = &stdio {
            kept.extend([stdin.as_fd(), stdout.as_fd(), stderr.as_fd()]);
        }
        (stage::clone_by(|reports| clone_inside(target, join, [kept, reports.into()].concat()))?, Kinds::empty())
    };
    let Some(Cloned { pid, pidfd }) = cloned else {
        drop(ours);
        let join = Join { rest, user: join.intersects(USER_NAMESPACE) };
        let error = run(target, join, (process, spec, labels), stdio, theirs.as_fd());
        report::send_failed(theirs.as_fd(), &error);
        process::exit_now(125)
    };
    drop((theirs, stdio));
    if let Some(before) = affinity {
        rustix::thread::sched_setaffinity(None, &before).context("cannot return to the processors of before")?;
    }
    // It waits for our word, so nothing of the command runs outside of its limits.
    let moved = target.cgroup.filter(|_| outside).map_or(Ok(()), |cgroup| cgroup.adopt(pid));
    let result = moved.and_then(|()| converse(ours.as_fd(), target, pid, spec, process));
    match result {
        Ok(master) => Ok(ExecChild { pid, pidfd, master }),
        Err(error) => {
            let _ = rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::KILL);
            let _ = process::wait(pid);
            Err(error)
        }
    }
}

/// The maker's side: hand over the filter, take the terminal, wait for the end of file that says "executed".
fn converse(
    socket: BorrowedFd<'_>,
    target: ExecTarget<'_>,
    pid: i32,
    spec: &Spec,
    process: &Process,
) -> Result<Option<OwnedFd>> {
    report::send_go(socket, &filter_program(target.filter, spec, process)?)?;
    let mut master = None;
    loop {
        match report::receive(socket)? {
            Message::Ready(fd) => master = fd,
            Message::Listener(Some(listener)) => {
                notify::hand_over(spec, target.owner, (pid, init_of(target.pidfd)), &listener, socket)?;
            }
            Message::End => return Ok(master),
            Message::Failed(error) => return Err(error),
            _ => return Err(fault(Kind::Other, "the process in the container answered out of turn")),
        }
    }
}

/// The number of a process in our pid namespace (proc_pid_fdinfo(5), Linux 5.4).
fn init_of(pidfd: BorrowedFd<'_>) -> Option<i32> {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
    info.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok())
}

/// The namespaces that the container does not share with us.
fn joined(spec: &Spec) -> Kinds {
    let mut join = Kinds::empty();
    for namespace in spec.linux().iter().filter_map(|linux| linux.namespaces().as_ref()).flatten() {
        join |= Kinds::from_bits_retain(namespace.typ() as u32);
    }
    join
}

/// Whether the container's processes may trace one of ours that is in their pid namespace, dumpable or not: where no
/// user namespace of the container's own stands between (ptrace(2), `PTRACE_MODE_ATTACH_FSCREDS`).
fn may_trace(join: Kinds, process: &Process, spec: &Spec) -> bool {
    let may = |process: &Process| {
        let traces = 1 << capabilities::number(Capability::SysPtrace);
        Sets::of(process.capabilities().as_ref()).bounding & traces != 0
    };
    let is_shared = !join.intersects(USER_NAMESPACE) && join.intersects(PID_NAMESPACE);
    is_shared && (may(process) || spec.process().as_ref().is_some_and(may))
}

/// In the process between: join the cgroup and all namespaces, with only these descriptors, and clone the child.
fn clone_inside(target: ExecTarget<'_>, join: Kinds, kept: Vec<BorrowedFd<'_>>) -> Result<Option<Cloned>> {
    process::set_parent_death_signal(SIGKILL)?;
    if let Some(cgroup) = target.cgroup {
        cgroup.adopt(rustix::process::getpid().as_raw_nonzero().get())?;
    }
    let kept = kept.iter().map(AsRawFd::as_raw_fd).chain(target.preserved.iter().copied());
    descriptors::close_all_but(&kept.collect::<Vec<_>>())?;
    enter(target.pidfd, join)?;
    process::set_dumpable(false)?;
    process::clone3(stage::CLONE_PARENT, None).context("cannot make a process in the container")
}

fn enter(pidfd: BorrowedFd<'_>, kinds: Kinds) -> Result<()> {
    rustix::thread::move_into_thread_name_spaces(pidfd, kinds).map_err(cannot_join)
}

fn cannot_join(error: Errno) -> anyhow::Error {
    match error {
        Errno::SRCH => fault(Kind::WrongState, "the container is not running"),
        error => anyhow::Error::new(error).context("cannot join the container's namespaces"),
    }
}

/// Have what we clone be born into the container's pid namespace; that of before, if it is another. `None` where we may
/// not: an ordinary user may join it only together with the user namespace that owns it, and could not come back.
fn join_pid_namespace(pidfd: BorrowedFd<'_>, join: Kinds) -> Result<Option<Option<OwnedFd>>> {
    if !join.intersects(PID_NAMESPACE) {
        return Ok(Some(None));
    }
    let ours = rustix::fs::open("/proc/self/ns/pid", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    match rustix::thread::move_into_thread_name_spaces(pidfd, PID_NAMESPACE) {
        Ok(()) => Ok(Some(Some(ours))),
        Err(Errno::PERM) if join.intersects(USER_NAMESPACE) => Ok(None),
        Err(error) => Err(cannot_join(error)),
    }
}

/// Clone a child, not dumpable from its first moment in the container's pid namespace: processes of the container see
/// it before it has joined the rest, and must not reach our descriptors (CVE-2016-9962). Then go back to the pid
/// namespace that we `left`.
///
/// A cgroup into which we may not clone leaves it in ours, which `outside` tells.
fn clone_into(cgroup: Option<BorrowedFd<'_>>, outside: &mut bool, left: Option<&OwnedFd>) -> Result<Option<Cloned>> {
    process::set_dumpable(false)?;
    let mut cloned = process::clone3(0, cgroup);
    if cgroup.is_some() && matches!(&cloned, Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied) {
        *outside = true;
        cloned = process::clone3(0, None);
    }
    if matches!(cloned, Ok(None)) {
        return Ok(None);
    }
    process::set_dumpable(true)?;
    if let Some(left) = left {
        super::create::leave_pid_namespace(left);
    }
    Ok(cloned?)
}

/// What the child has to join.
#[derive(Debug, Clone, Copy)]
struct Join {
    /// The namespaces that it is not in yet.
    rest: Kinds,
    /// The container has a user namespace of its own.
    user: bool,
}

/// The child's side. Returns only with an error.
fn run(
    target: ExecTarget<'_>,
    join: Join,
    (process, spec, labels): (&Process, &Spec, Option<Labels>),
    stdio: Stdio,
    socket: BorrowedFd<'_>,
) -> anyhow::Error {
    match prepare(target, join, (process, spec, labels), stdio, socket) {
        Ok((prepared, filter)) => match steps::become_process(prepared, process, &filter, 0, socket) {
            Ok(command) => command.execute(),
            Err(error) => error,
        },
        Err(error) => error,
    }
}

fn prepare(
    target: ExecTarget<'_>,
    join: Join,
    (process, spec, labels): (&Process, &Spec, Option<Labels>),
    stdio: Stdio,
    socket: BorrowedFd<'_>,
) -> Result<(steps::Prepared, Vec<u8>)> {
    process::close_on_exec_from(3)?;
    process::survive_exec(target.preserved).context("cannot hand on a descriptor")?;
    crate::sys::signals::reset()?;
    let Message::Go(filter) = report::receive(socket)? else {
        return Err(fault(Kind::Other, "box died while it started the process"));
    };
    if let Some(processors) =
        process.exec_cpu_affinity().as_ref().and_then(|affinity| affinity.cpu_affinity_final().as_deref())
    {
        scheduling::set_affinity(processors)?;
    }
    if !join.rest.is_empty() {
        enter(target.pidfd, join.rest)?;
    }
    if join.user {
        steps::become_root()?;
    }
    rustix::process::setsid().context("cannot make a session")?;
    let root = Root::open(Path::new("/")).context("cannot open the container's root")?;
    steps::enter_existing(&root, process)?;
    match stdio {
        Stdio::Pipes { stdin, stdout, stderr } => terminal::use_pipes(&stdin, &stdout, &stderr)?,
        Stdio::Terminal { size } => {
            let size = size.or_else(|| terminal::size_of(process));
            let terminal = terminal::open_in(&root, size)?;
            report::send_ready(socket, Some(terminal.master.as_fd()))?;
            terminal.make_controlling()?;
        }
    }
    Ok((steps::prepare(&root, process, spec.linux().as_ref(), labels, Naming::none())?, filter))
}
