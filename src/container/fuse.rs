//! Roots by fuse-overlayfs, where the kernel's overlay does not work or is not wanted: for a container that runs, and
//! to be looked at. fuse-overlayfs(1).

use crate::base::error::{Fault, Kind, fault};
use crate::base::program;
use crate::store::driver::Driver;
use crate::store::overlay::{self, OverlayPlan};
use crate::sys::process::{self, Fork};
use anyhow::{Context, Result};
use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, memfd_create};
use rustix::mount::{MoveMountFlags, OpenTreeFlags, UnmountFlags, move_mount, open_tree};
use rustix::thread::LinkNameSpaceType;
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How many milliseconds a helper has to end by itself when its mount is gone.
const PATIENCE: u32 = 100;

/// A fuse-overlayfs that serves the root, in a mount namespace of the monitor's own.
#[derive(Debug)]
pub struct Fuse {
    /// Its process, a child of the monitor.
    pub pid: i32,
}

/// Mount the root by fuse-overlayfs, in the monitor: its mount namespace becomes its own, so that the mount goes
/// with it, and the helper dies with the monitor.
pub fn serve(mount_point: &Path, plan: &OverlayPlan) -> Result<Fuse> {
    let deed = "cannot mount the root with fuse-overlayfs";
    super::root::own_mounts().context(deed)?;
    let program = program(plan).context(deed)?;
    let options = plan.options();
    let text = |bytes: &[u8]| CString::new(bytes).context(deed);
    let argv = [
        text(b"fuse-overlayfs")?,
        text(b"-f")?,
        text(b"-o")?,
        text(options.as_bytes())?,
        text(mount_point.as_os_str().as_bytes())?,
    ];
    let program = text(program.as_os_str().as_bytes())?;
    let said = std::fs::File::from(memfd_create("fuse-overlayfs", MemfdFlags::CLOEXEC).context(deed)?);
    let before = rustix::fs::stat(mount_point).context(deed)?.st_dev;
    match process::fork().context(deed)? {
        Fork::Child => {
            // It warns of options that it does not know: not for the user, but for who asks why it failed.
            let _ = rustix::stdio::dup2_stderr(&said);
            let _ = process::set_parent_death_signal(crate::base::signal::SIGKILL);
            let _ = process::close_on_exec_from(3);
            drop(process::execve(&program, &argv, &[]));
            process::exit_now(127)
        }
        Fork::Parent(pid) => {
            for _ in 0..2000 {
                if rustix::fs::stat(mount_point).is_ok_and(|stat| stat.st_dev != before) {
                    return Ok(Fuse { pid });
                }
                if let Ok(Some((_, ended))) = process::reap(pid) {
                    return Err(failed(&said, ended.code())).context(deed);
                }
                super::wait::pause(Some(1));
            }
            Err(fault(Kind::Host, "fuse-overlayfs is not ready after two seconds").context(deed))
        }
    }
}

impl Fuse {
    /// Unmount, which ends the helper, whatever is mounted above it. No descriptor of its files is open.
    pub fn stop(self, mount_point: &Path) {
        while rustix::mount::unmount(mount_point, UnmountFlags::DETACH).is_ok() {}
        for _ in 0..PATIENCE {
            if !matches!(process::reap(self.pid), Ok(None)) {
                return;
            }
            super::wait::pause(Some(1));
        }
        // A namespace of another runtime's still has the mount. What wrote to it has ended, and so is written.
        let _ = crate::sys::signals::kill(self.pid, crate::base::signal::SIGKILL);
        let _ = process::wait(self.pid);
    }
}

/// Mount a plan for this thread's mount namespace, to be there as long as the namespace is; read-only without an upper
/// folder. The caller is root in its namespace.
///
/// The helper lives in another mount namespace, in which the mount is not: it would keep its own alive, and itself.
///
/// Errors: fuse-overlayfs is missing or does not work here; nothing can be mounted by us.
pub fn mount(plan: &OverlayPlan, target: &Path) -> Result<()> {
    let program = program(plan)?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let here = rustix::fs::open("/proc/thread-self/ns/mnt", flags, Mode::empty())?;
    super::root::own_mounts()?;
    let mounted = tree(&program, plan, target);
    rustix::thread::move_into_link_name_space(here.as_fd(), Some(LinkNameSpaceType::Mount))?;
    Ok(move_mount(mounted?, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
}

/// Lay folders, topmost first, over each other and mount what that shows, read-only, for this thread's mount namespace:
/// with the driver's means, as other means do not read the marks of what a container has removed. The caller is root in
/// its namespace.
pub fn mount_read_only(driver: Driver, plan: &OverlayPlan, target: &Path) -> Result<()> {
    match driver {
        Driver::FuseOverlayfs if plan.lower.len() > 1 && plan.data.is_none() => mount(plan, target),
        _ => overlay::mount_read_only(&plan.lower, plan.data.as_deref(), target),
    }
}

/// Mount there, and give what was mounted, attached nowhere.
fn tree(program: &Path, plan: &OverlayPlan, target: &Path) -> Result<OwnedFd> {
    let mut command = Command::new(program);
    command.env_clear().arg("-o").arg(plan.options()).arg(target);
    // It goes into the background when it serves. What it had open of ours, nobody would see the end of.
    let said = std::fs::File::from(memfd_create("fuse-overlayfs", MemfdFlags::CLOEXEC)?);
    let ended = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said.try_clone()?).status();
    let ended = ended.with_context(|| format!("cannot start `{}`", program.display()))?;
    if !ended.success() {
        return Err(failed(&said, ended.code().unwrap_or(-1)));
    }
    let tree = open_tree(CWD, target, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)?;
    rustix::mount::unmount(target, UnmountFlags::DETACH)?;
    Ok(tree)
}

/// What it has said of why it failed, in one line.
fn failed(said: &std::fs::File, code: i32) -> anyhow::Error {
    use std::os::unix::fs::FileExt;
    let mut bytes = [0; 1000];
    let length = said.read_at(&mut bytes, 0).unwrap_or(0);
    let text = String::from_utf8_lossy(bytes.get(..length).unwrap_or_default()).into_owned();
    let last = text.trim().lines().last().unwrap_or("without a word").to_owned();
    fault(Kind::Host, format!("fuse-overlayfs ended with code {code}: {last}"))
}

/// The program that is configured, or found.
fn program(plan: &OverlayPlan) -> Result<PathBuf> {
    match &plan.helper {
        Some(path) if !path.is_file() => {
            let fault = Fault::new(Kind::Host, format!("mount_program `{}` is missing", path.display()));
            Err(fault.hint("box info --config   # says which storage.conf names it").into())
        }
        Some(path) => Ok(path.clone()),
        None => program::find("fuse-overlayfs").ok_or_else(|| {
            let fault = Fault::new(Kind::Host, "fuse-overlayfs is missing");
            fault.hint(program::how_to_install("fuse-overlayfs", &[])).into()
        }),
    }
}
