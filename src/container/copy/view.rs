//! A side's own view of files: the process that opens one sees what the side sees, and nothing else after that.

use super::Side;
use crate::base::error::{Kind, fault};
use crate::base::lock::{Lock, Share};
use crate::container::fuse::{self, Fuse};
use crate::container::record::{Container, Status};
use crate::container::root::{self, Prepared};
use crate::container::{host, mounts, network, rights, spec};
use crate::engine::Engine;
use crate::runtime;
use crate::sys::root::Root;
use crate::sys::{namespace, proc};
use anyhow::{Context, Result};
use rustix::mount::MountPropagationFlags;
use rustix::thread::{ThreadNameSpaceType, UnshareFlags};
use std::path::{Path, PathBuf};

/// A root, and what keeps it there; given up in this order.
pub struct View {
    /// `/` of the side.
    pub root: Root,
    _served: Option<Served>,
    /// A stopped container is not started meanwhile.
    _lock: Option<Lock>,
}

/// A helper that serves the root, and where.
struct Served(Option<Fuse>, PathBuf);

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(fuse) = self.0.take() {
            fuse.stop(&self.1);
        }
    }
}

impl View {
    /// Open it. Changes the namespaces of the process, which does nothing else afterwards. In U0.
    pub fn open(engine: &Engine, side: &Side) -> Result<Self> {
        match side {
            Side::Host(_) | Side::Stream => Self::here(),
            Side::Container(container, _) => {
                let lock = Lock::try_acquire(&container.lock_path(), Share::Shared)?;
                match (container.status(), lock) {
                    (Status::Running(run), None) => {
                        join(run.pid, run.pid_started)?;
                        Self::here()
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

    fn here() -> Result<Self> {
        Ok(Self { root: Root::open(Path::new("/")).context("cannot open `/`")?, _served: None, _lock: None })
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
    let served = match &prepared {
        Prepared::Folder(_, Some(overlay)) => {
            Some(Served(Some(fuse::serve(&mount_point, overlay)?), mount_point.clone()))
        }
        _ => None,
    };
    if rights::is_mapped(config) {
        // From where its own files are named.
        rustix::process::chdir(&container.dir).context("cannot enter its folder")?;
    }
    let root = runtime::view(&spec, prepared.rootfs(Path::new("")), &mount_point)?;
    Ok(View { root, _served: served, _lock: Some(lock) })
}
