//! A side's own view of files: the process that opens one sees what the side sees, and nothing else after that.

use super::Side;
use crate::base::error::{Kind, fault};
use crate::base::lock::{Lock, Share};
use crate::container::record::{Container, Status};
use crate::container::root::{self, Fuse, Prepared};
use crate::container::{host, mounts, network, rights, spec};
use crate::engine::Engine;
use crate::runtime;
use crate::sys::root::Root;
use crate::sys::{namespace, proc};
use anyhow::{Context, Result};
use rustix::mount::MountPropagationFlags;
use rustix::thread::{ThreadNameSpaceType, UnshareFlags};
use std::path::{Path, PathBuf};

/// A root, and what keeps it there.
pub struct View {
    /// `/` of the side.
    pub root: Root,
    /// A stopped container is not started meanwhile.
    _lock: Option<Lock>,
    fuse: Option<(Fuse, PathBuf)>,
}

impl View {
    /// Open it. Changes the namespaces of the process, which does nothing else afterwards. In U0.
    pub fn open(engine: &Engine, side: &Side) -> Result<Self> {
        match side {
            Side::Host(_) | Side::Stream => Self::here(None, None),
            Side::Container(container, _) => {
                let lock = Lock::try_acquire(&container.lock_path(), Share::Shared)?;
                match (container.status(), lock) {
                    (Status::Running(run), None) => {
                        join(run.pid, run.pid_started)?;
                        Self::here(None, None)
                    }
                    (Status::Created | Status::Exited(_), Some(lock)) => mount(engine, container, lock),
                    _ => Err(fault(
                        Kind::WrongState,
                        format!("container `{}` is being started or removed", container.config.name),
                    )),
                }
            }
        }
    }

    fn here(lock: Option<Lock>, fuse: Option<(Fuse, PathBuf)>) -> Result<Self> {
        Ok(Self { root: Root::open(Path::new("/")).context("cannot open `/`")?, _lock: lock, fuse })
    }
}

impl Drop for View {
    fn drop(&mut self) {
        if let Some((fuse, mount_point)) = self.fuse.take() {
            fuse.stop(&mount_point);
        }
    }
}

/// Join the mount namespace of a container that runs, and its user namespace if it has one of its own.
fn join(pid: i32, started: u64) -> Result<()> {
    let pidfd = proc::open(pid, started).ok_or_else(|| fault(Kind::WrongState, "its process has ended"))?;
    let user = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/user")).ok();
    let mut namespaces = ThreadNameSpaceType::MOUNT;
    if user("self") != user(&pid.to_string()) {
        namespaces |= ThreadNameSpaceType::USER;
    }
    rustix::thread::move_into_thread_name_spaces(std::os::fd::AsFd::as_fd(&pidfd), namespaces)
        .context("cannot join the container's namespaces")?;
    if namespaces.contains(ThreadNameSpaceType::USER) {
        namespace::set_ids(0, 0).context("cannot become root in the container")?;
    }
    Ok(())
}

/// Mount the root of a container that does not run, in a mount namespace of our own, with what is bound into it.
fn mount(engine: &Engine, container: &Container, lock: Lock) -> Result<View> {
    let config = &container.config;
    let prepared = root::prepare(engine, container)?;
    network::write_files(engine, container)?;
    let lent = mounts::lend(engine, container)?;
    let spec = spec::spec(config, &host::facts(engine, &container.dir, config, lent)?)?;
    namespace::unshare(UnshareFlags::NEWNS.bits() as i32).context("cannot make a mount namespace")?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).context("cannot make the mounts private")?;
    let mount_point = container.dir.join("root");
    let fuse = match &prepared {
        Prepared::Folder(_, Some(overlay)) => Some((root::mount_fuse(&mount_point, overlay)?, mount_point.clone())),
        _ => None,
    };
    if rights::is_mapped(config) {
        // From where its own files are named.
        rustix::process::chdir(&container.dir).context("cannot enter its folder")?;
    }
    let root = runtime::view(&spec, prepared.rootfs(Path::new("")), &mount_point)?;
    Ok(View { root, _lock: Some(lock), fuse })
}
