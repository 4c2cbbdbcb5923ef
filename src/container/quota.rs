//! `--storage-opt size=`: what a container may write to its root at most.
//!
//! A quota of the disk's file system only the host's root can set (quotactl(2)). What anybody can bound is memory: the
//! changes of a container that is removed at its end may lie there, in a tmpfs of that size that the monitor mounts in
//! a mount namespace of its own, below the overlay. Of a container that is kept it is refused, as they would be lost.

use super::config::{Config, RootSource};
use super::record::{Container, Status};
use super::request::Request;
use super::root::own_mounts;
use crate::base::error::{Fault, Kind, fault};
use crate::base::units::parse_bytes;
use anyhow::{Context, Result};
use rustix::fs::{CWD, Mode};
use rustix::mount::MountFlags;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The words of `--storage-opt`, to bytes.
pub fn parse(words: &[String]) -> Result<Option<u64>> {
    let mut size = None;
    for word in words {
        size = match word.split_once('=') {
            Some(("size", bytes)) => Some(parse_bytes(bytes)?).filter(|size| *size > 0),
            _ => {
                let text = format!("`--storage-opt {word}`: only size=SIZE can be set for a container");
                return Err(Fault::new(Kind::Usage, text).hint("box run --rm --storage-opt size=64m IMAGE").into());
            }
        };
    }
    Ok(size)
}

/// Errors: it cannot be kept for such a container.
pub fn decide(request: &Request, root: &RootSource) -> Result<Option<u64>> {
    let Some(size) = request.size else { return Ok(None) };
    if !request.remove {
        let text =
            "cannot limit what a container that is kept writes: only root can set quotas of a disk (quotactl(2))";
        let hint = "box run --rm --storage-opt size=64m IMAGE   # what it writes stays in memory, and goes with it";
        return Err(Fault::new(Kind::Host, text).hint(hint).into());
    }
    if matches!(root, RootSource::Rootfs { overlay: false, .. }) {
        return Err(fault(Kind::Usage, "`--storage-opt size` cannot limit what is written to a folder of the host"));
    }
    Ok(Some(size))
}

/// The folder in which the container's overlay has its own, as it is seen from its monitor.
pub fn changes(container: &Container) -> PathBuf {
    match container.config.size {
        Some(_) => container.dir.join("memory"),
        None => container.dir.clone(),
    }
}

/// The same as it is seen from here.
pub fn changes_from_here(container: &Container) -> PathBuf {
    match (container.config.size, container.status()) {
        (Some(_), Status::Running(run)) => {
            let path = changes(container);
            Path::new(&format!("/proc/{}/root", run.monitor)).join(path.strip_prefix("/").unwrap_or(&path))
        }
        _ => changes(container),
    }
}

/// In the monitor, before the overlay is mounted: the memory, with the folders of the overlay, whose owner is that of
/// the folder below. A further run goes on with what there is.
pub fn mount(container: &Container, config: &Config) -> Result<()> {
    let Some(size) = config.size else { return Ok(()) };
    let folder = changes(container);
    let upper = folder.join("upper");
    if upper.exists() {
        return Ok(());
    }
    let deed = "cannot make the memory that the container writes to";
    own_mounts().context(deed)?;
    let owner = std::fs::metadata(&folder).context(deed)?;
    let options = std::ffi::CString::new(format!("size={size},mode=0755"))?;
    let flags = MountFlags::NODEV | MountFlags::NOSUID;
    rustix::mount::mount("box", &folder, "tmpfs", flags, Some(options.as_c_str())).context(deed)?;
    for name in ["upper", "work"] {
        rustix::fs::mkdirat(CWD, folder.join(name), Mode::from_raw_mode(0o755)).context(deed)?;
    }
    std::os::unix::fs::chown(&upper, Some(owner.uid()), Some(owner.gid())).context(deed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_size_can_be_set() {
        let parse = |words: &[&str]| parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(parse(&[]).unwrap(), None);
        assert_eq!(parse(&["size=64m"]).unwrap(), Some(64 << 20));
        assert_eq!(parse(&["size=64m", "size=0"]).unwrap(), None);
        for wrong in ["size", "size=x", "overlay.size=1", "inodes=3"] {
            assert!(parse(&[wrong]).is_err(), "{wrong}");
        }
    }
}
