//! Which way of stacking layers works here: the kernel's overlay, fuse-overlayfs, or copying. Found out by doing it.
//!
//! Kernel, file system and namespaces each can refuse an overlay (NFS, another overlay below, a kernel before 5.11, a
//! sandbox around us), so a small one is mounted and used. The answer is remembered in `data/driver`, for this kernel
//! and this file system:
//!
//! ```text
//! 1 overlay 6.1.0-18-amd64 9d3c1f2ab4
//! ```

use super::overlay::OverlayPlan;
use crate::base::dirs::Dirs;
use crate::base::env;
use crate::base::error::{Fault, Kind};
use crate::base::fs::{Durability, read_limited, replace};
use crate::base::program;
use crate::base::temp::TempDir;
use crate::sys::process::{Ended, Fork, exit_now, fork, wait};
use anyhow::{Context, Result};
use nix::sched::{CloneFlags, unshare};
use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount_change, move_mount, unmount,
};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// A way to make a container's root file system of layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    /// The kernel's overlay with `userxattr`.
    Overlay,
    /// The program fuse-overlayfs.
    FuseOverlayfs,
    /// Every container has a copy, with shared blocks where the file system can.
    Copy,
}

impl Driver {
    /// The name, as `--storage-driver` takes it and `info` shows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Overlay => "overlay",
            Self::FuseOverlayfs => "fuse-overlayfs",
            Self::Copy => "copy",
        }
    }

    /// The driver of that name; `overlay2` and `vfs` are what others call two of them.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "overlay" | "overlay2" => Some(Self::Overlay),
            "fuse-overlayfs" => Some(Self::FuseOverlayfs),
            "copy" | "vfs" => Some(Self::Copy),
            _ => None,
        }
    }
}

/// The driver to use: the one asked for (`--storage-driver`, else `STORAGE_DRIVER`), else the best that works.
///
/// The first call on a host forks, so the process is single-threaded then; it is root in its user namespace.
pub fn choose(dirs: &Dirs, forced: Option<&str>) -> Result<Driver> {
    if let Some(name) = forced.map(str::to_owned).or_else(env::storage_driver) {
        return Driver::parse(&name).ok_or_else(|| {
            Fault::new(Kind::Usage, format!("there is no storage driver `{name}`"))
                .hint("choose one of overlay, fuse-overlayfs, copy; or none, for the best that works here")
                .into()
        });
    }
    let memory = dirs.data.join("driver");
    let host = host(dirs)?;
    if let Some(driver) = remembered(&memory, &host) {
        return Ok(driver);
    }
    let Some(driver) = probe(dirs)? else { return Ok(Driver::Copy) };
    // On a full or read-only disk it is found out again next time.
    let _ = replace(&memory, format!("1 {} {host}\n", driver.name()).as_bytes(), Durability::Cached);
    Ok(driver)
}

/// What the answer depends on: the kernel and the file system.
fn host(dirs: &Dirs) -> Result<String> {
    let stat = rustix::fs::statvfs(&dirs.data).with_context(|| format!("cannot look at `{}`", dirs.data.display()))?;
    let kernel = rustix::system::uname();
    Ok(format!("{} {:x}", kernel.release().to_string_lossy().replace(' ', "_"), stat.f_fsid))
}

fn remembered(memory: &Path, host: &str) -> Option<Driver> {
    let text = String::from_utf8(read_limited(memory, 4096).ok()?).ok()?;
    let (name, known) = text.trim_end().strip_prefix("1 ")?.split_once(' ')?;
    Driver::parse(name).filter(|_| known == host)
}

/// Why a probe says no.
pub(super) enum No {
    /// This way does not work here.
    Refused,
    /// Nothing can be mounted at all: we are not root in our namespace, or the host forbids it.
    NoMounts,
}

/// The best that works; `None` if nothing can be mounted by us now, which says nothing of the host.
fn probe(dirs: &Dirs) -> Result<Option<Driver>> {
    let temp = TempDir::new(dirs)?;
    for (driver, works) in [
        (Driver::Overlay, overlay_works as fn(&Path) -> std::result::Result<(), No>),
        (Driver::FuseOverlayfs, fuse_overlayfs_works),
    ] {
        let folder = temp.path().join(driver.name());
        for part in ["lower/folder", "upper", "work", "merged"] {
            let path = folder.join(part);
            std::fs::create_dir_all(&path).with_context(|| format!("cannot make folder `{}`", path.display()))?;
        }
        for file in ["lower/file", "lower/folder/file"] {
            std::fs::write(folder.join(file), b"x").with_context(|| format!("cannot write `{file}`"))?;
        }
        let code = match fork().context("cannot fork")? {
            Fork::Parent(pid) => wait(pid).context("cannot wait for a child")?,
            Fork::Child => exit_now(match works(&folder) {
                Ok(()) => 0,
                Err(No::Refused) => 1,
                Err(No::NoMounts) => 2,
            }),
        };
        match code {
            Ended::Exited(0) => return Ok(Some(driver)),
            Ended::Exited(2) => return Ok(None),
            _ => {}
        }
    }
    Ok(Some(Driver::Copy))
}

/// In the child: a mount namespace of its own, from which nothing gets out.
pub(super) fn own_mounts() -> std::result::Result<(), No> {
    unshare(CloneFlags::CLONE_NEWNS).map_err(|_| No::NoMounts)?;
    mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE).map_err(|_| No::NoMounts)
}

fn overlay_works(folder: &Path) -> std::result::Result<(), No> {
    own_mounts()?;
    mount_overlay(&plan(folder), &folder.join("merged")).map_err(|_| No::Refused)?;
    use_it(folder)
}

fn fuse_overlayfs_works(folder: &Path) -> std::result::Result<(), No> {
    let program = program::find("fuse-overlayfs").ok_or(No::Refused)?;
    own_mounts()?;
    let merged = folder.join("merged");
    let status = Command::new(program)
        .env_clear()
        .arg("-o")
        .arg(plan(folder).options())
        .arg(&merged)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !status.is_ok_and(|status| status.success()) {
        return Err(No::Refused);
    }
    let works = use_it(folder);
    // Its process lives in our mount namespace, so that would not end with us.
    let _ = unmount(&merged, UnmountFlags::DETACH);
    works
}

fn plan(folder: &Path) -> OverlayPlan {
    OverlayPlan {
        lower: vec![folder.join("lower")],
        upper: folder.join("upper"),
        work: folder.join("work"),
        ..OverlayPlan::default()
    }
}

/// Mount an overlay as the runtime does.
fn mount_overlay(plan: &OverlayPlan, target: &Path) -> rustix::io::Result<()> {
    let overlay = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_flag(&overlay, "userxattr")?;
    for lower in &plan.lower {
        match fsconfig_set_string(&overlay, "lowerdir+", lower) {
            // Before Linux 6.7, and here there is one layer only.
            Err(Errno::INVAL) => fsconfig_set_string(&overlay, "lowerdir", lower)?,
            result => result?,
        }
    }
    fsconfig_set_string(&overlay, "upperdir", &plan.upper)?;
    fsconfig_set_string(&overlay, "workdir", &plan.work)?;
    fsconfig_create(&overlay)?;
    let mount = fsmount(&overlay, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    move_mount(&mount, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// What containers do: read from below, hide files and folders, put new ones in their place.
fn use_it(folder: &Path) -> std::result::Result<(), No> {
    let merged = folder.join("merged");
    let work = || -> std::io::Result<bool> {
        let read = std::fs::read(merged.join("file"))? == b"x";
        std::fs::remove_file(merged.join("file"))?;
        std::fs::remove_dir_all(merged.join("folder"))?;
        std::fs::create_dir(merged.join("folder"))?;
        let hidden = std::fs::read_dir(merged.join("folder"))?.next().is_none() && !merged.join("file").exists();
        let whiteout = std::fs::symlink_metadata(folder.join("upper/file"))?.file_type();
        Ok(read && hidden && (whiteout.is_char_device() || whiteout.is_file()))
    };
    if work().unwrap_or(false) { Ok(()) } else { Err(No::Refused) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{Scratch, in_namespaces};

    #[test]
    fn a_driver_is_found_and_remembered() {
        alone!();
        let scratch = Scratch::new();
        let dirs = scratch.dirs.clone();
        in_namespaces(move || {
            let driver = choose(&dirs, None).unwrap();
            let memory = dirs.data.join("driver");
            assert_eq!(std::fs::read_to_string(&memory).unwrap().split(' ').nth(1), Some(driver.name()));
            assert_eq!(std::fs::read_dir(dirs.tmp()).unwrap().count(), 0);
            // What is remembered is believed, for this host.
            std::fs::write(&memory, format!("1 copy {}\n", host(&dirs).unwrap())).unwrap();
            assert_eq!(choose(&dirs, None).unwrap(), Driver::Copy);
            std::fs::write(&memory, "1 copy 2.6.32 0\n").unwrap();
            assert_eq!(choose(&dirs, None).unwrap(), driver);
            std::fs::write(&memory, "nonsense").unwrap();
            assert_eq!(choose(&dirs, None).unwrap(), driver);
        });
    }

    #[test]
    fn a_forced_driver_is_taken() {
        let scratch = Scratch::new();
        assert_eq!(choose(&scratch.dirs, Some("vfs")).unwrap(), Driver::Copy);
        assert_eq!(choose(&scratch.dirs, Some("overlay")).unwrap(), Driver::Overlay);
        assert_eq!(crate::base::error::kind(&choose(&scratch.dirs, Some("zfs")).unwrap_err()), Kind::Usage);
    }

    #[test]
    fn layers_as_unpacked_are_layers_to_overlay() {
        alone!();
        let scratch = Scratch::new();
        let root = scratch.dirs.data.clone();
        in_namespaces(move || {
            let mut layers = Vec::new();
            for (name, entries) in [
                ("low", &[("a/hidden", "x"), ("a/kept", "x"), ("o/hidden", "x")][..]),
                ("high", &[("a/.wh.hidden", ""), ("o/.wh..wh..opq", ""), ("o/new", "y")][..]),
            ] {
                let mut builder = tar::Builder::new(Vec::new());
                for (path, content) in entries {
                    let mut header = tar::Header::new_gnu();
                    header.set_size(content.len() as u64);
                    header.set_mode(0o644);
                    header.set_uid(0);
                    header.set_gid(0);
                    builder.append_data(&mut header, path, content.as_bytes()).unwrap();
                }
                let path = root.join(name);
                std::fs::create_dir(&path).unwrap();
                let folder = std::fs::File::open(&path).unwrap();
                let folder = std::os::fd::AsFd::as_fd(&folder);
                let limits = crate::store::unpack::Limits::for_folder(folder).unwrap();
                crate::store::unpack::unpack(&mut builder.into_inner().unwrap().as_slice(), folder, &limits).unwrap();
                layers.insert(0, path);
            }
            for part in ["upper", "work", "merged"] {
                std::fs::create_dir(root.join(part)).unwrap();
            }
            own_mounts().ok().unwrap();
            let overlay = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
            fsconfig_set_flag(&overlay, "userxattr").unwrap();
            let lower = format!("{}:{}", layers[0].display(), layers[1].display());
            fsconfig_set_string(&overlay, "lowerdir", lower).unwrap();
            fsconfig_create(&overlay).unwrap();
            let mount = fsmount(&overlay, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty()).unwrap();
            move_mount(&mount, "", CWD, root.join("merged"), MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).unwrap();
            let names = |folder: &str| {
                let entries = std::fs::read_dir(root.join("merged").join(folder)).unwrap();
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
            };
            assert_eq!((names("a"), names("o")), (vec!["kept".to_owned()], vec!["new".to_owned()]));
        });
    }
}
