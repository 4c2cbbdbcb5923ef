//! mount_setattr(2), Linux 5.12; the rest of the mount API is rustix's.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// How far a change goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// This mount only.
    Top,
    /// All mounts below it too, or none if one refuses.
    Recursive,
}

/// Set and clear attributes (`MOUNT_ATTR_…`) and, if not 0, the propagation (`MS_PRIVATE`, …) of an open mount.
///
/// Attributes that are locked because the mount comes from a more privileged namespace stay set; only clearing them
/// is refused (EPERM).
pub fn set_attributes(mount: BorrowedFd<'_>, depth: Depth, set: u64, clear: u64, propagation: u64) -> io::Result<()> {
    mount_setattr(mount, depth, &libc::mount_attr { attr_set: set, attr_clr: clear, propagation, userns_fd: 0 })
}

/// Show the files of a mount that nobody has used yet with the owners that a user namespace maps them to
/// (`MOUNT_ATTR_IDMAP`). Linux 5.12; root of the user namespace that owns the file system.
pub fn map_ids(mount: BorrowedFd<'_>, depth: Depth, namespace: BorrowedFd<'_>) -> io::Result<()> {
    let userns_fd = namespace.as_raw_fd() as u64;
    let attributes = libc::mount_attr { attr_set: libc::MOUNT_ATTR_IDMAP, attr_clr: 0, propagation: 0, userns_fd };
    mount_setattr(mount, depth, &attributes)
}

fn mount_setattr(mount: BorrowedFd<'_>, depth: Depth, attributes: &libc::mount_attr) -> io::Result<()> {
    let flags = libc::AT_EMPTY_PATH | if depth == Depth::Recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a C string and `attributes` is of the size given; both outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(attributes),
            size_of::<libc::mount_attr>(),
        )
    };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
