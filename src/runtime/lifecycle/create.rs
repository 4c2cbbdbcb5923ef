//! `create`: all but the start of the command.

use super::{Bundle, CgroupManager, Container, Home, State, cgroups, check_id, console, lock};
use crate::base::error::{Kind, fault};
use crate::base::fs::{Durability, create_new, ensure_private_dir, remove_tree, replace};
use crate::base::timing;
use crate::runtime::cgroup::Cgroup;
use crate::runtime::hooks::Owner;
use crate::runtime::{self, Filter, RootFs, Running, Starting, Stdio, Unmonitored, gate};
use anyhow::{Context, Result};
use rustix::fs::FlockOperation;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

/// What a creation can be told.
#[derive(Debug, Clone, Default)]
pub struct CreateOptions {
    /// Where the terminal's master goes; only for a process with a terminal.
    pub console_socket: Option<PathBuf>,
    /// Where init's pid is written.
    pub pid_file: Option<PathBuf>,
    /// How many descriptors from 3 on the command inherits; [`check_preserved`] has found them open.
    pub preserve_fds: u32,
    /// See [`Unmonitored::no_pivot`].
    pub no_pivot: bool,
    /// The command keeps the caller's session keyring.
    pub no_new_keyring: bool,
    /// Who makes the cgroup.
    pub cgroup_manager: CgroupManager,
    /// The caller stays with the container, and takes the terminal itself if there is no console socket.
    pub foreground: bool,
}

/// A container that is created, and what a caller that stays with it needs.
#[derive(Debug)]
pub struct Created {
    /// It.
    pub container: Container,
    /// Init, a child of ours.
    pub pid: i32,
    /// The same.
    pub pidfd: OwnedFd,
    /// The master of its terminal, if nobody else has it.
    pub master: Option<OwnedFd>,
}

/// Whether the descriptors 3 to 3 + `count` are open: to be asked before anything is opened that could become one.
pub fn check_preserved(count: u32) -> Result<()> {
    for number in 3..3 + count {
        if !std::path::Path::new(&format!("/proc/self/fd/{number}")).exists() {
            return Err(fault(Kind::Usage, format!("cannot preserve descriptor {number}: it is not open")));
        }
    }
    Ok(())
}

/// Create a container of a bundle. Its init becomes the child of our parent or subreaper when we end.
///
/// Errors: [`Kind::NameInUse`] for a known id; whatever the bundle asks for that cannot be. Nothing is left then.
pub fn create(home: &Home, id: &str, bundle: &Bundle, options: &CreateOptions) -> Result<Created> {
    let deed = || format!("cannot create container `{id}`");
    check_id(id)?;
    let folder = home.0.join(id);
    ensure_private_dir(&home.0)?;
    match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(fault(Kind::NameInUse, format!("container `{id}` exists already")));
        }
        result => result.with_context(deed)?,
    }
    let container = Container { id: id.to_owned(), state: None, folder };
    make(container, bundle, options).with_context(deed)
}

fn make(mut container: Container, bundle: &Bundle, options: &CreateOptions) -> Result<Created> {
    let folder = container.folder.clone();
    let made = (|| {
        let _lock = lock(&folder, FlockOperation::LockExclusive)?;
        create_new(&folder.join("config.json"), &bundle.bytes)?;
        let gate = gate::listen(&container.gate())?;
        let keyring = (!options.no_new_keyring).then(|| CString::new(format!("_ses.{}", container.id))).transpose()?;
        let unmonitored = Unmonitored {
            gate: gate.as_fd(),
            preserve_fds: options.preserve_fds,
            no_pivot: options.no_pivot,
            keyring: keyring.as_deref(),
        };
        let socket = console_of(bundle, options)?;
        timing::phase("folder made");
        let cgroup = cgroups::make(options.cgroup_manager, &bundle.spec, &container.id)?;
        timing::phase("cgroup made");
        let made = clone_and_publish(&mut container, bundle, options, unmonitored, socket, cgroup.clone());
        if let (Err(_), Some(cgroup)) = (&made, cgroup) {
            cgroup.remove();
        }
        made
    })();
    match made {
        Ok((pid, pidfd, master)) => Ok(Created { container, pid, pidfd, master }),
        Err(error) => {
            let _ = remove_tree(&folder);
            Err(error)
        }
    }
}

fn clone_and_publish(
    container: &mut Container,
    bundle: &Bundle,
    options: &CreateOptions,
    unmonitored: Unmonitored<'_>,
    socket: Option<OwnedFd>,
    cgroup: Option<Cgroup>,
) -> Result<(i32, OwnedFd, Option<OwnedFd>)> {
    let id = container.id.clone();
    let owner = Owner { id: &id, bundle: &bundle.folder };
    let inside = cgroup.as_ref().map(Cgroup::open).transpose()?;
    let mut starting = begin(owner, bundle, unmonitored, inside.as_ref().map(AsFd::as_fd))?;
    match publish(container, bundle, options, socket, cgroup, &mut starting) {
        Ok(master) => {
            let Running { pid, pidfd } = starting.leave()?;
            Ok((pid, pidfd, master))
        }
        Err(error) => {
            starting.abort();
            Err(error)
        }
    }
}

/// The console socket, connected; or an error if the terminal would be nobody's.
fn console_of(bundle: &Bundle, options: &CreateOptions) -> Result<Option<OwnedFd>> {
    match (has_terminal(bundle), &options.console_socket) {
        (true, Some(path)) => Ok(Some(console::connect(path)?)),
        (true, None) if !options.foreground => {
            Err(fault(Kind::Usage, "a process with a terminal (`process.terminal`) needs --console-socket"))
        }
        (false, Some(_)) => {
            Err(fault(Kind::Usage, "--console-socket needs a process with a terminal (`process.terminal`)"))
        }
        (_, None) => Ok(None),
    }
}

fn has_terminal(bundle: &Bundle) -> bool {
    bundle.spec.process().as_ref().and_then(|process| process.terminal()) == Some(true)
}

fn begin<'a>(
    owner: Owner<'a>,
    bundle: &'a Bundle,
    unmonitored: Unmonitored<'a>,
    cgroup: Option<BorrowedFd<'a>>,
) -> Result<Starting<'a>> {
    let stdio = if has_terminal(bundle) { Stdio::Terminal { size: None } } else { own_streams()? };
    let made_of = runtime::Bundle {
        spec: &bundle.spec,
        root: RootFs::Directory(&bundle.rootfs),
        mount_point: &bundle.rootfs,
        init: false,
        filter: Filter::Spec,
        owner,
        cgroup,
        trees: &[],
        accounts: None,
        emulator: None,
        preserved: &[],
        unmonitored: Some(unmonitored),
    };
    runtime::create(&made_of, stdio)
}

/// Our own streams, as an OCI runtime hands them on.
pub(super) fn own_streams() -> Result<Stdio> {
    let own = |fd: BorrowedFd<'_>| fd.try_clone_to_owned().context("cannot hand on a stream");
    Ok(Stdio::Pipes {
        stdin: own(rustix::stdio::stdin())?,
        stdout: own(rustix::stdio::stdout())?,
        stderr: own(rustix::stdio::stderr())?,
    })
}

/// Wait until init is at its gate, and tell the world of it: the terminal, the pid, last the state.
fn publish(
    container: &mut Container,
    bundle: &Bundle,
    options: &CreateOptions,
    socket: Option<OwnedFd>,
    cgroup: Option<Cgroup>,
    starting: &mut Starting<'_>,
) -> Result<Option<OwnedFd>> {
    let mut master = starting.ready()?;
    timing::phase("init ready");
    if let (Some(socket), Some(master)) = (socket, master.take_if(|_| options.console_socket.is_some())) {
        console::send(&socket, master)?;
    }
    if let Some(path) = &options.pid_file {
        replace(path, starting.pid.to_string().as_bytes(), Durability::Cached)?;
    }
    let state = State::new(starting.pid, bundle, cgroup)?;
    state.write(&container.folder)?;
    container.state = Some(state);
    Ok(master)
}
