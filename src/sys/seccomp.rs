//! seccomp(2): loading a filter.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// One instruction of classic BPF, as the kernel takes it (linux/filter.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// The operation.
    pub code: u16,
    /// How many to skip if true.
    pub jt: u8,
    /// How many to skip if false.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

/// `SECCOMP_SET_MODE_FILTER` for the calling thread, with `SECCOMP_FILTER_FLAG_…` flags. Returns the listener, if they
/// ask for one (`SECCOMP_FILTER_FLAG_NEW_LISTENER`, Linux 5.0).
///
/// Needs no_new_privs or CAP_SYS_ADMIN in the user namespace.
pub fn load(program: &[Instruction], flags: u64) -> io::Result<Option<OwnedFd>> {
    let length = u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let header = libc::sock_fprog { len: length, filter: program.as_ptr().cast::<libc::sock_filter>().cast_mut() };
    // SAFETY: `Instruction` has the layout of `sock_filter` (repr(C), the same fields), the kernel only reads `len` of
    // them, and both outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const header) };
    match result {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: with this flag, the result is a fresh descriptor that nobody else owns.
        fd if flags & 8 != 0 => Ok(Some(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })),
        _ => Ok(None),
    }
}
