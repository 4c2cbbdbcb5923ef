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
    let attributes = libc::mount_attr { attr_set: set, attr_clr: clear, propagation, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | if depth == Depth::Recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a C string and `attributes` is of the size given; both outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
