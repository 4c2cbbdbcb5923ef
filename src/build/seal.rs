//! What a command has changed becomes a layer: the folder in which an overlay has left it above other layers, or a copy
//! of all files, which is compared with what it was.

use super::marks;
use super::tree::Tree;
use crate::base::digest::{Algorithm, Digest, Hasher};
use crate::image::{Keep, write_layer};
use crate::store::driver::Driver;
use crate::store::{Change, ChangeKind, PackOptions, Store, changes_between, names_in, pack};
use anyhow::{Context, Result};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// What became of the folder.
#[derive(Debug)]
pub struct Sealed {
    /// The layer; `None` if there were no changes.
    pub layer: Option<Digest>,
    /// The bytes of file content in it.
    pub size: u64,
}

/// The times that a layer's files have.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// What was changed at this time or later, seconds since 1970, was changed by the step.
    pub since: i64,
    /// The time that it gets.
    pub epoch: i64,
}

/// Make a layer of what is below `changes`, where a container on this storage driver has left it above `base`; `made` are
/// the places that the runtime has made only to mount something on them. Times are those of an archive, whole seconds and
/// none from the step itself. The caller holds a lease.
pub fn seal(
    store: &Store,
    driver: Driver,
    changes: &Path,
    base: &Tree,
    made: &[&Path],
    times: Times,
) -> Result<Sealed> {
    let (upper, copy) = (changes.join("upper"), changes.join("rootfs"));
    let folder = if driver == Driver::Copy { &copy } else { &upper };
    if driver == Driver::FuseOverlayfs {
        marks::translate(folder, base)?;
    }
    remove_mount_points(folder, base, made, driver)?;
    match driver {
        Driver::Overlay | Driver::FuseOverlayfs => adopt(store, folder, times),
        Driver::Copy => compared(store, folder, base, times),
    }
}

/// The folder `upper` is moved into the store.
fn adopt(store: &Store, upper: &Path, times: Times) -> Result<Sealed> {
    let top = open(CWD, upper.as_os_str()).with_context(|| format!("cannot open `{}`", upper.display()))?;
    let mut size = 0;
    if !settle(&top, times, &mut size)? {
        return Ok(Sealed { layer: None, size: 0 });
    }
    crate::store::drop_overlay_marks(&top)?;
    set_time(&top, "", times.epoch, AtFlags::EMPTY_PATH)?;
    let mut out = Hashed(Hasher::new(Algorithm::Sha256));
    pack(upper, &PackOptions { top: true, whiteouts: true, ..PackOptions::default() }, &mut out)?;
    let layer = out.0.finish();
    store.adopt_layer(&layer, upper, size)?;
    Ok(Sealed { layer: Some(layer), size })
}

/// All that differs from what was copied.
fn compared(store: &Store, copy: &Path, base: &Tree, times: Times) -> Result<Sealed> {
    let found = changes_between(&base.path, copy)?;
    if found.is_empty() {
        return Ok(Sealed { layer: None, size: 0 });
    }
    let (gone, kept): (Vec<_>, Vec<_>) = found.into_iter().partition(|change| change.kind == ChangeKind::Deleted);
    let path = |change: Change| change.path.get(1..).unwrap_or_default().to_vec();
    let gone: Vec<Vec<u8>> = gone.into_iter().map(path).collect();
    let kept: BTreeSet<Vec<u8>> = kept.into_iter().map(path).collect();
    settle(&open(CWD, copy.as_os_str())?, times, &mut 0)?;
    let skip = |path: &[u8]| !kept.contains(path);
    let layer = write_layer(store, "of the changes", Keep::Packed, |out| {
        pack(copy, &PackOptions { skip: &skip, deleted: &gone, ..PackOptions::default() }, out)
    })?;
    Ok(Sealed { layer: Some(layer.diff_id), size: layer.size })
}

/// Give all below a folder its time; whether there is anything.
fn settle(folder: &OwnedFd, times: Times, size: &mut u64) -> Result<bool> {
    let mut found = false;
    for name in names_in(folder)? {
        found = true;
        let stat = rustix::fs::statat(folder, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let child = open(folder, name.as_slice())?;
                settle(&child, times, size)?;
                crate::store::drop_overlay_marks(&child)?;
            }
            FileType::RegularFile => {
                *size += u64::try_from(stat.st_size).unwrap_or(0);
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let file = rustix::fs::openat(folder, name.as_slice(), flags, Mode::empty())?;
                crate::store::drop_overlay_marks(&file)?;
            }
            // Means something to the process that made it only, and no archive holds it.
            FileType::Socket => {
                rustix::fs::unlinkat(folder, name.as_slice(), AtFlags::empty())?;
                continue;
            }
            _ => {}
        }
        let time = if stat.st_mtime >= times.since { times.epoch } else { stat.st_mtime };
        if (time, 0) != (stat.st_mtime, stat.st_mtime_nsec) {
            set_time(folder, name.as_slice(), time, AtFlags::SYMLINK_NOFOLLOW)?;
        }
    }
    Ok(found)
}

fn set_time(folder: &OwnedFd, name: impl rustix::path::Arg, time: i64, flags: AtFlags) -> Result<()> {
    let time = Timespec { tv_sec: time, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(folder, name, &times, flags).context("cannot set a file's time")
}

fn open(parent: impl std::os::fd::AsFd, name: impl rustix::path::Arg) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

/// Remove what the runtime has made only to mount something on it: the paths, as far as they are empty and in no layer
/// below, and then their folders. A folder that is as it is below goes, too: the overlay has copied it up to put
/// something into it.
///
/// Nothing outside of `upper` is touched, whatever a command has put there: no link is followed (CVE-2024-23652).
fn remove_mount_points(upper: &Path, below: &Tree, paths: &[&Path], driver: Driver) -> Result<()> {
    let root = crate::sys::root::Root::open(upper).context("cannot open a step's changes")?;
    let mut all: Vec<PathBuf> = Vec::new();
    for path in paths {
        all.extend(path.ancestors().filter(|path| path.parent().is_some()).map(Path::to_owned));
    }
    all.sort();
    all.dedup();
    // The deepest first.
    for path in all.iter().rev() {
        remove_mount_point(&root, below, path, driver)?;
    }
    Ok(())
}

fn remove_mount_point(root: &crate::sys::root::Root, below: &Tree, path: &Path, driver: Driver) -> Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let Ok(folder) = root.open_without_links(parent, OFlags::RDONLY | OFlags::DIRECTORY) else { return Ok(()) };
    let Ok(stat) = rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) else { return Ok(()) };
    let lower = below.root.open_at(path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty());
    let lower = lower.and_then(rustix::fs::fstat).ok();
    let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    // In a copy, what was below is not gone with it.
    let unchanged = lower.is_some_and(|lower| {
        driver != Driver::Copy
            && is_folder
            && (lower.st_mode, lower.st_uid, lower.st_gid) == (stat.st_mode, stat.st_uid, stat.st_gid)
    });
    let empty_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_size == 0;
    let result = match is_folder {
        true if lower.is_none() || unchanged => {
            let made = open(&folder, name)?;
            let hides = crate::store::is_opaque(&made);
            if hides && lower.is_some() { Ok(()) } else { rustix::fs::unlinkat(&folder, name, AtFlags::REMOVEDIR) }
        }
        false if empty_file && lower.is_none() => rustix::fs::unlinkat(&folder, name, AtFlags::empty()),
        _ => Ok(()),
    };
    match result {
        // A command has put something into it.
        Ok(()) | Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot remove the mount point `{}`", path.display())),
    }
}

/// Hashes what is written.
struct Hashed(Hasher);

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
