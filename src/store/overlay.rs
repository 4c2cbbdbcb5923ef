//! What to mount for a container: a plan, which the runtime carries out in the container's mount namespace; and layers
//! mounted to be looked at.

use anyhow::Result;
use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};
use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The folders of an overlay mount.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OverlayPlan {
    /// The unpacked layers, topmost first.
    pub lower: Vec<PathBuf>,
    /// A data-only layer, in which files of a lower folder have their content (see `mapped`).
    pub data: Option<PathBuf>,
    /// Where the container's own changes go. Its mode and owner are those of the container's `/`.
    pub upper: PathBuf,
    /// Overlay's work folder: on the same file system as `upper`.
    pub work: PathBuf,
    /// Whether to skip the syncs of the container (`volatile`), for one that is removed after its exit.
    pub volatile: bool,
    /// The program that mounts it in place of the kernel; `None` for the fuse-overlayfs that is found.
    pub helper: Option<PathBuf>,
}

impl OverlayPlan {
    /// The mount options as one string, for fuse-overlayfs and for kernels without `lowerdir+`.
    ///
    /// Colons, commas and backslashes in paths are escaped. Without an upper folder, nothing can be written.
    pub fn options(&self) -> OsString {
        let mut text = b"lowerdir=".to_vec();
        for (i, path) in self.lower.iter().enumerate() {
            if i > 0 {
                text.push(b':');
            }
            escape(path.as_os_str().as_bytes(), b"\\:,", &mut text);
        }
        let above = [("upperdir", &self.upper), ("workdir", &self.work)];
        for (key, path) in above.into_iter().filter(|(_, path)| !path.as_os_str().is_empty()) {
            text.extend_from_slice(format!(",{key}=").as_bytes());
            escape(path.as_os_str().as_bytes(), b"\\,", &mut text);
        }
        OsString::from_vec(text)
    }
}

/// Lay folders over each other and mount what that shows, read-only, for this process's mount namespace. The caller is
/// root in its namespace. `data` is a data-only layer.
///
/// Errors: the kernel cannot do it here.
pub fn mount_read_only(lower: &[PathBuf], data: Option<&Path>, target: &Path) -> Result<()> {
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NODEV;
    let tree = match lower {
        // An overlay of one folder is none.
        [only] if data.is_none() => {
            let tree = open_tree(CWD, only, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)?;
            crate::sys::mount::set_attributes(
                tree.as_fd(),
                crate::sys::mount::Depth::Top,
                attributes.bits().into(),
                0,
                0,
            )?;
            tree
        }
        _ => {
            let fs = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
            fsconfig_set_string(&fs, "source", "overlay")?;
            fsconfig_set_flag(&fs, "userxattr")?;
            add_layers(&fs, lower)?;
            if let Some(data) = data {
                fsconfig_set_string(&fs, "datadir+", data)?;
            }
            fsconfig_create(&fs)?;
            fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?
        }
    };
    Ok(move_mount(&tree, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
}

/// Mount a plan for this process's mount namespace, to be written to. The caller is root in its namespace.
pub fn mount_for_writing(plan: &OverlayPlan, target: &Path) -> Result<()> {
    let fs = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&fs, "source", "overlay")?;
    fsconfig_set_flag(&fs, "userxattr")?;
    add_layers(&fs, &plan.lower)?;
    if let Some(data) = &plan.data {
        fsconfig_set_string(&fs, "datadir+", data.as_path())?;
    }
    fsconfig_set_string(&fs, "upperdir", plan.upper.as_path())?;
    fsconfig_set_string(&fs, "workdir", plan.work.as_path())?;
    fsconfig_create(&fs)?;
    let tree = fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_NODEV)?;
    Ok(move_mount(&tree, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
}

/// Layers one by one by `lowerdir+` (Linux 6.5), which has no limit of a page; else as one string.
fn add_layers(fs: &OwnedFd, lower: &[PathBuf]) -> rustix::io::Result<()> {
    for (index, layer) in lower.iter().enumerate() {
        match fsconfig_set_string(fs, "lowerdir+", layer.as_path()) {
            // An older kernel does not know the option. Nothing was added yet, so the context is still good.
            Err(Errno::INVAL) if index == 0 => {
                let mut text = Vec::new();
                for layer in lower {
                    if !text.is_empty() {
                        text.push(b':');
                    }
                    escape(layer.as_os_str().as_bytes(), b"\\:,", &mut text);
                }
                return fsconfig_set_string(fs, "lowerdir", text.as_slice());
            }
            result => result?,
        }
    }
    Ok(())
}

fn escape(bytes: &[u8], special: &[u8], text: &mut Vec<u8>) {
    for byte in bytes {
        if special.contains(byte) {
            text.push(b'\\');
        }
        text.push(*byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_escape_what_separates() {
        let plan = OverlayPlan {
            lower: vec!["/l/b".into(), "/l/a:1,2".into()],
            data: None,
            upper: "/c/u,p".into(),
            work: "/c/work".into(),
            volatile: false,
            helper: None,
        };
        assert_eq!(plan.options(), r"lowerdir=/l/b:/l/a\:1\,2,upperdir=/c/u\,p,workdir=/c/work");
        let read_only = OverlayPlan { upper: PathBuf::new(), work: PathBuf::new(), ..plan };
        assert_eq!(read_only.options(), r"lowerdir=/l/b:/l/a\:1\,2");
    }
}
