//! Looking at the files of images and containers without running anything: mounted in the caller's own mount namespace,
//! with which they go. An ordinary user has one in `box unshare`.

use super::record::{Container, Status};
use super::root::{self, Prepared};
use crate::base::error::{Fault, Kind, fault, kind};
use crate::engine::Engine;
use crate::image::Image;
use crate::store::overlay::{OverlayPlan, mount_for_writing};
use anyhow::{Context, Result};
use rustix::io::Errno;
use rustix::mount::UnmountFlags;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What can be mounted; each has a folder of its own in the run folder, with a mount point for each id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mountable {
    /// Images, read-only.
    Images,
    /// Containers.
    Containers,
}

impl Mountable {
    fn folder(self, engine: &Engine) -> PathBuf {
        engine.dirs.run.join("mounts").join(match self {
            Self::Images => "images",
            Self::Containers => "containers",
        })
    }
}

/// What is mounted: ids and where.
pub fn mounted(engine: &Engine, what: Mountable) -> Result<Vec<(String, PathBuf)>> {
    let folder = what.folder(engine);
    let table = std::fs::read("/proc/self/mountinfo").context("cannot list mounts")?;
    let points = table.split(|byte| *byte == b'\n').filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    let mut found = Vec::new();
    for point in points.map(unescape) {
        let path = Path::new(std::ffi::OsStr::from_bytes(&point));
        if let Ok(id) = path.strip_prefix(&folder) {
            found.push((id.display().to_string(), path.to_path_buf()));
        }
    }
    Ok(found)
}

/// `\040` is a blank (proc_pid_mountinfo(5)).
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut rest = text;
    while let Some((first, others)) = rest.split_first() {
        let digits = others.get(..3).filter(|_| *first == b'\\');
        match digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()) {
            Some(byte) => {
                plain.push(byte);
                rest = others.get(3..).unwrap_or_default();
            }
            None => {
                plain.push(*first);
                rest = others;
            }
        }
    }
    plain
}

/// Mount an image, read-only; where it is.
pub fn mount_image(engine: &Engine, image: &Image) -> Result<PathBuf> {
    let deed = || format!("cannot mount image `{}`", image.names.first().map_or(image.id.digits(), String::as_str));
    let lower: Vec<PathBuf> = image.layers.iter().rev().map(|layer| engine.store.layer_path(&layer.diff_id)).collect();
    if lower.iter().any(|layer| !layer.is_dir()) {
        let fault = Fault::new(Kind::BadData, "a layer is missing in the store").hint("box system check --repair");
        return Err(fault.because(anyhow::anyhow!("it was removed by somebody else"))).with_context(deed);
    }
    if lower.is_empty() {
        return Err(fault(Kind::BadData, "it has no layers").context(deed()));
    }
    engine.enter()?;
    let driver = engine.driver()?;
    let plan = OverlayPlan { lower, helper: engine.storage.mount_program.clone(), ..OverlayPlan::default() };
    let mount = |place: &Path| super::fuse::mount_read_only(driver, &plan, place);
    at(engine, Mountable::Images, image.id.digits(), mount).with_context(deed)
}

/// Mount a container's files, or show where they are if it runs; where they are. Two mounts must not write at once: it
/// is not to be started meanwhile.
pub fn mount_container(engine: &Engine, container: &Container) -> Result<PathBuf> {
    let deed = || format!("cannot mount container `{}`", container.config.name);
    if let Status::Running(run) = container.status() {
        // Its own view, as the kernel has it.
        return Ok(PathBuf::from(format!("/proc/{}/root", run.pid)));
    }
    engine.enter()?;
    let place = |mount: &dyn Fn(&Path) -> Result<()>| {
        at(engine, Mountable::Containers, container.config.id.as_str(), mount).with_context(deed)
    };
    match root::prepare(engine, container).with_context(deed)? {
        Prepared::Folder(path, None) => match place(&|place| Ok(rustix::mount::mount_bind_recursive(&path, place)?)) {
            // Who cannot mount can still go there.
            Err(error) if kind(&error) == Kind::Usage => Ok(path),
            placed => placed,
        },
        Prepared::Folder(_, Some(plan)) => place(&|place| super::fuse::mount(&plan, place)),
        Prepared::Overlay(plan) => {
            let plan = OverlayPlan { volatile: false, ..plan };
            place(&|place| mount_for_writing(&plan, place))
        }
    }
}

/// Mount on the place of an id, unless it is mounted.
fn at(engine: &Engine, what: Mountable, id: &str, mount: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    engine.enter()?;
    let place = what.folder(engine).join(id);
    if mounted(engine, what)?.iter().any(|(_, path)| *path == place) {
        return Ok(place);
    }
    std::fs::create_dir_all(&place).with_context(|| format!("cannot make folder `{}`", place.display()))?;
    mount(&place).map_err(|error| match error.downcast_ref::<Errno>() {
        Some(&Errno::PERM) => {
            let _ = place.ancestors().take(3).try_for_each(std::fs::remove_dir);
            let text = "an ordinary user can mount only in a namespace of his own";
            Fault::new(Kind::Usage, text).hint("box unshare   # a shell in which it works").because(error)
        }
        _ => error,
    })?;
    Ok(place)
}

/// Unmount what has this id; false if it is not mounted. With `force` at once, even if somebody is in it.
pub fn unmount(engine: &Engine, what: Mountable, id: &str, force: bool) -> Result<bool> {
    let Some((_, place)) = mounted(engine, what)?.into_iter().rfind(|(mounted, _)| mounted == id) else {
        return Ok(false);
    };
    engine.enter()?;
    let flags = if force { UnmountFlags::DETACH } else { UnmountFlags::empty() };
    rustix::mount::unmount(&place, flags).map_err(|error| match error {
        Errno::BUSY => {
            let text = format!("cannot unmount `{}`: somebody is at work in it", place.display());
            Fault::new(Kind::InUse, text).hint("unmount --force   # lets them finish").because(error)
        }
        error => anyhow::Error::from(error).context(format!("cannot unmount `{}`", place.display())),
    })?;
    // The last one takes the folders along.
    let _ = place.ancestors().take(3).try_for_each(std::fs::remove_dir);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_in_mount_tables() {
        for (text, plain) in [("/a", "/a"), (r"/a\040b\134", r"/a b\"), (r"\04", r"\04"), (r"\", r"\")] {
            assert_eq!(unescape(text.as_bytes()), plain.as_bytes());
        }
    }
}
