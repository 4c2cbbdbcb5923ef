//! The root file system: mounting it, making it read-only, entering it.

use super::create::Namespaces;
use super::naming::Naming;
use super::options::Options;
use super::{Bundle, RootFs};
use crate::base::error::{Fault, Kind, fault};
use crate::sys::mount;
use crate::sys::root::Root;
use anyhow::{Context, Result};
use oci_spec::runtime::{Linux, Spec};
use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The files of a container that does not run: its root, mounted with what is bound into it in the caller's mount
/// namespace, which must be its own.
pub fn view(spec: &Spec, root: RootFs<'_>, mount_point: &Path) -> Result<Root> {
    let root = mount_at(root, mount_point)?;
    super::mounts::mount_files(spec, &root, &Namespaces::of(spec, Naming::none())?)?;
    Ok(root)
}

/// Mount the root on the bundle's mount point, in our mount namespace.
pub fn mount(bundle: &Bundle<'_>) -> Result<Root> {
    mount_at(bundle.root, bundle.mount_point)
}

fn mount_at(root: RootFs<'_>, mount_point: &Path) -> Result<Root> {
    let tree = match root {
        RootFs::Overlay { .. } => tree(root)?,
        RootFs::Tree(tree) => tree.try_clone_to_owned().context("cannot use the root file system")?,
        RootFs::Directory(path) => rustix::mount::open_tree(CWD, path, clone_flags() | OpenTreeFlags::AT_RECURSIVE)
            .with_context(|| format!("cannot use `{}` as root file system", path.display()))?,
    };
    rustix::mount::move_mount(tree.as_fd(), "", CWD, mount_point, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .with_context(|| format!("cannot mount the root file system on `{}`", mount_point.display()))?;
    Ok(Root::from(tree))
}

/// An overlay, mounted and nowhere attached: by a process that may mount, for one whose user namespace has not the
/// rights to all of the layers' files. What is no overlay is an error.
pub fn tree(root: RootFs<'_>) -> Result<OwnedFd> {
    let RootFs::Overlay { lower, data, upper, work, volatile } = root else {
        return Err(fault(Kind::Usage, "the root file system is no overlay"));
    };
    overlay(lower, data, upper, work, volatile).map_err(|error| overlay_fault(error, lower, upper))
}

fn clone_flags() -> OpenTreeFlags {
    OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC
}

/// An overlay, not yet attached.
fn overlay(
    lower: &[PathBuf],
    data: Option<&Path>,
    upper: &Path,
    work: &Path,
    volatile: bool,
) -> rustix::io::Result<OwnedFd> {
    let fs = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    // What mount(8) and df(1) show as the device.
    rustix::mount::fsconfig_set_string(&fs, "source", "overlay")?;
    add_layers(fs.as_fd(), lower)?;
    if let Some(data) = data {
        rustix::mount::fsconfig_set_string(&fs, "datadir+", data)?;
    }
    rustix::mount::fsconfig_set_string(&fs, "upperdir", upper)?;
    rustix::mount::fsconfig_set_string(&fs, "workdir", work)?;
    rustix::mount::fsconfig_set_flag(&fs, "userxattr")?;
    if volatile {
        rustix::mount::fsconfig_set_flag(&fs, "volatile")?;
    }
    rustix::mount::fsconfig_create(&fs)?;
    rustix::mount::fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
}

/// An overlay as a mount of the specification asks for it: `lowerdir=A:B`, or `lowerdir+=A` for each layer.
pub(super) fn overlay_of(options: &Options) -> Result<OwnedFd> {
    let fs = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_set_string(&fs, "source", "overlay")?;
    let mut lower = Vec::new();
    for (key, value) in &options.data {
        match (key.as_str(), value) {
            ("lowerdir+", Some(layer)) => lower.push(PathBuf::from(layer)),
            ("lowerdir", Some(layers)) if !layers.contains("::") => lower.extend(split_layers(layers)),
            _ => {}
        }
    }
    let refused = |key: &str| format!("overlay refuses option `{}`", key.escape_debug());
    add_layers(fs.as_fd(), &lower).with_context(|| refused("lowerdir"))?;
    for (key, value) in &options.data {
        match value {
            Some(layers) if key == "lowerdir+" || key == "lowerdir" && !layers.contains("::") => continue,
            Some(value) => rustix::mount::fsconfig_set_string(&fs, key.as_str(), value.as_str()),
            None => rustix::mount::fsconfig_set_flag(&fs, key.as_str()),
        }
        .with_context(|| refused(key))?;
    }
    rustix::mount::fsconfig_create(&fs)?;
    let attributes = MountAttrFlags::from_bits_retain(options.fresh() as u32);
    Ok(rustix::mount::fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

/// The layers of `lowerdir=`, in which a backslash takes the next character as it is.
fn split_layers(text: &str) -> Vec<PathBuf> {
    let (mut layers, mut layer) = (Vec::new(), String::new());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => layer.extend(chars.next()),
            ':' => layers.push(PathBuf::from(std::mem::take(&mut layer))),
            c => layer.push(c),
        }
    }
    layers.push(layer.into());
    layers
}

/// Layers one by one by `lowerdir+` (Linux 6.5), which has no limit of a page; else as one string.
fn add_layers(fs: std::os::fd::BorrowedFd<'_>, lower: &[PathBuf]) -> rustix::io::Result<()> {
    for (index, layer) in lower.iter().enumerate() {
        match rustix::mount::fsconfig_set_string(fs, "lowerdir+", layer.as_path()) {
            // An older kernel does not know the option. Nothing was added yet, so the context is still good.
            Err(Errno::INVAL) if index == 0 => return add_layers_as_string(fs, lower),
            result => result?,
        }
    }
    Ok(())
}

fn add_layers_as_string(fs: std::os::fd::BorrowedFd<'_>, lower: &[PathBuf]) -> rustix::io::Result<()> {
    let mut text = Vec::new();
    for layer in lower {
        if !text.is_empty() {
            text.push(b':');
        }
        for byte in layer.as_os_str().as_encoded_bytes() {
            if matches!(byte, b':' | b'\\' | b',') {
                text.push(b'\\');
            }
            text.push(*byte);
        }
    }
    rustix::mount::fsconfig_set_string(fs, "lowerdir", text.as_slice())
}

fn overlay_fault(error: Errno, lower: &[PathBuf], upper: &Path) -> anyhow::Error {
    if let Some(missing) = lower.iter().find(|layer| !layer.is_dir()) {
        return Fault::new(Kind::BadData, format!("layer `{}` is missing", missing.display())).because(error);
    }
    Fault::new(Kind::Host, format!("cannot mount an overlay over `{}`", upper.display()))
        .hint("box --storage-driver fuse-overlayfs run …")
        .because(error)
}

/// Make the root read-only, if the specification says so; what is mounted in it stays as it is.
pub(super) fn seal(spec: &Spec, root: &Root) -> Result<()> {
    if spec.root().as_ref().and_then(oci_spec::runtime::Root::readonly) != Some(true) {
        return Ok(());
    }
    mount::set_attributes(root.as_fd(), mount::Depth::Top, MountAttrFlags::MOUNT_ATTR_RDONLY.bits().into(), 0, 0)
        .context("cannot make the root file system read-only")
}

/// Make the root `/`, and let go of the old one, which is stacked below it for a moment: pivot_root(2), NOTES.
///
/// Without pivot_root(2) it is moved over the old one, which stays below it.
pub(super) fn pivot(root: &Root, no_pivot: bool) -> Result<()> {
    let deed = "cannot enter the root file system";
    rustix::process::fchdir(root).context(deed)?;
    if no_pivot {
        // What is below the new root could be looked for by whoever may chroot: at least the host's proc and sysfs,
        // which would show and change what the container's hide, are not there.
        for path in ["/proc", "/sys"] {
            let _ = rustix::mount::unmount(path, UnmountFlags::DETACH);
        }
        let whole = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        rustix::mount::move_mount(root.as_fd(), "", CWD, "/", whole).context(deed)?;
        rustix::process::chroot(".").context(deed)?;
        return rustix::process::chdir("/").context(deed);
    }
    rustix::process::pivot_root(".", ".").context(deed)?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).context(deed)?;
    rustix::process::chdir("/").context(deed)
}

/// `linux.rootfsPropagation`, after the pivot: it is about what is mounted inside from now on.
pub(super) fn set_propagation(linux: Option<&Linux>) -> Result<()> {
    let Some(text) = linux.and_then(|linux| linux.rootfs_propagation().as_deref()) else { return Ok(()) };
    let (kind, recursive) = text.strip_prefix('r').map_or((text, false), |kind| (kind, true));
    let mut flags = match kind {
        "private" | "" => MountPropagationFlags::PRIVATE,
        "slave" => MountPropagationFlags::DOWNSTREAM,
        "shared" => MountPropagationFlags::SHARED,
        "unbindable" => MountPropagationFlags::UNBINDABLE,
        _ => return Err(fault(Kind::Usage, format!("there is no mount propagation `{}`", text.escape_debug()))),
    };
    if recursive {
        flags |= MountPropagationFlags::REC;
    }
    rustix::mount::mount_change("/", flags).with_context(|| format!("cannot make the root `{text}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_of_a_string() {
        let shown = |text: &str| split_layers(text).iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
        assert_eq!(shown("/a:/b"), ["/a", "/b"]);
        assert_eq!(shown(r"/a\:b:/c\\d"), ["/a:b", r"/c\d"]);
    }
}
