//! How a process is scheduled and where its memory lies: sched_setattr(2), ioprio_set(2), set_mempolicy(2),
//! personality(2).

use std::io;

/// `struct sched_attr` (sched_setattr(2)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Scheduling {
    /// Filled in by [`set_scheduling`].
    pub size: u32,
    /// `SCHED_…`.
    pub policy: u32,
    /// `SCHED_FLAG_…`.
    pub flags: u64,
    /// From -20 to 19, for SCHED_OTHER and SCHED_BATCH.
    pub nice: i32,
    /// From 1 to 99, for SCHED_FIFO and SCHED_RR.
    pub priority: u32,
    /// Nanoseconds, for SCHED_DEADLINE, as are the next two.
    pub runtime: u64,
    /// Nanoseconds.
    pub deadline: u64,
    /// Nanoseconds.
    pub period: u64,
}

/// sched_setattr(2) of the calling thread. Linux 3.14.
pub fn set_scheduling(mut scheduling: Scheduling) -> io::Result<()> {
    scheduling.size = size_of::<Scheduling>() as u32;
    // SAFETY: the kernel reads `size` bytes of it, which outlive the call.
    checked(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const scheduling, 0) })
}

/// ioprio_set(2) of the calling thread: a class (1 real time, 2 best effort, 3 idle) and its level from 0 to 7.
pub fn set_io_priority(class: u16, level: u16) -> io::Result<()> {
    let value = libc::c_int::from(class) << 13 | libc::c_int::from(level);
    // SAFETY: takes integers; 1 is IOPRIO_WHO_PROCESS, 0 the caller.
    checked(unsafe { libc::syscall(libc::SYS_ioprio_set, 1, 0, value) })
}

/// set_mempolicy(2) of the calling thread: `MPOL_…` with its flags, and the nodes as a mask of any length.
pub fn set_memory_policy(mode: i32, nodes: &[u64]) -> io::Result<()> {
    // The kernel takes one bit less than it is told.
    let (mask, bits) = if nodes.is_empty() { (std::ptr::null(), 0) } else { (nodes.as_ptr(), nodes.len() * 64 + 1) };
    // SAFETY: the kernel reads `bits - 1` bits of the mask, which are all there and outlive the call.
    checked(unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, mask, bits) })
}

/// personality(2): the execution domain of the calling process (`PER_LINUX` 0, `PER_LINUX32` 8).
pub fn set_personality(domain: u32) -> io::Result<()> {
    // SAFETY: takes an integer.
    checked(unsafe { libc::personality(libc::c_ulong::from(domain)) }.into())
}

fn checked(result: libc::c_long) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
