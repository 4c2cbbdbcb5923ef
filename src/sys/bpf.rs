//! bpf(2), as far as the device filter of a cgroup needs it: load, attach, ask, detach. Wants real root.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// `BPF_PROG_TYPE_CGROUP_DEVICE`, Linux 4.15.
const CGROUP_DEVICE_PROGRAM: u32 = 15;
/// `BPF_CGROUP_DEVICE`, where it is attached.
const CGROUP_DEVICE: u32 = 6;
/// `BPF_F_ALLOW_MULTI`: others may attach theirs, too, and all must agree.
const ALLOW_MULTI: u32 = 2;
/// Programs on one cgroup that are looked at.
const MAX_PROGRAMS: usize = 64;

const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const PROG_DETACH: libc::c_int = 9;
const PROG_GET_FD_BY_ID: libc::c_int = 13;
const PROG_QUERY: libc::c_int = 16;

/// One instruction (`struct bpf_insn`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// The operation.
    pub code: u8,
    /// The destination register in the lower four bits, the source in the upper.
    pub registers: u8,
    /// Where to jump, or where to read.
    pub offset: i16,
    /// A number.
    pub immediate: i32,
}

/// The beginning of `union bpf_attr` for `BPF_PROG_LOAD`; what is missing counts as zero.
#[repr(C)]
struct Load {
    program_type: u32,
    count: u32,
    instructions: u64,
    license: u64,
}

/// The same for `BPF_PROG_ATTACH` and `BPF_PROG_DETACH`.
#[repr(C)]
struct Attach {
    target: u32,
    program: u32,
    attach_type: u32,
    flags: u32,
}

/// The same for `BPF_PROG_QUERY`.
#[repr(C)]
struct Query {
    target: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    ids: u64,
    count: u32,
    padding: u32,
}

fn bpf<T>(command: libc::c_int, attributes: &mut T) -> io::Result<RawFd> {
    // SAFETY: each caller below passes the structure that its command reads, which outlives the call, as do the buffers
    // that it points to.
    match unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<T>()) } {
        -1 => Err(io::Error::last_os_error()),
        result => Ok(result as RawFd),
    }
}

/// Load a device filter.
pub fn load(program: &[Instruction]) -> io::Result<OwnedFd> {
    let mut attributes = Load {
        program_type: CGROUP_DEVICE_PROGRAM,
        count: program.len() as u32,
        instructions: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
    };
    let fd = bpf(PROG_LOAD, &mut attributes)?;
    // SAFETY: the kernel has just made this descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Attach a device filter to a cgroup; it stays until the cgroup goes.
pub fn attach(cgroup: BorrowedFd<'_>, program: &OwnedFd) -> io::Result<()> {
    let mut attributes = on(cgroup, program.as_raw_fd(), ALLOW_MULTI);
    bpf(PROG_ATTACH, &mut attributes).map(drop)
}

fn on(cgroup: BorrowedFd<'_>, program: RawFd, flags: u32) -> Attach {
    Attach { target: cgroup.as_raw_fd() as u32, program: program as u32, attach_type: CGROUP_DEVICE, flags }
}

/// The device filters that are attached to this cgroup itself.
pub fn attached(cgroup: BorrowedFd<'_>) -> io::Result<Vec<OwnedFd>> {
    let mut ids = [0u32; MAX_PROGRAMS];
    let mut attributes = Query {
        target: cgroup.as_raw_fd() as u32,
        attach_type: CGROUP_DEVICE,
        query_flags: 0,
        attach_flags: 0,
        ids: ids.as_mut_ptr() as u64,
        count: ids.len() as u32,
        padding: 0,
    };
    bpf(PROG_QUERY, &mut attributes)?;
    let count = (attributes.count as usize).min(ids.len());
    let open = |id: &u32| -> io::Result<OwnedFd> {
        // The identifier, and twice the zero of what follows it.
        let fd = bpf(PROG_GET_FD_BY_ID, &mut [*id, 0, 0])?;
        // SAFETY: the kernel has just made this descriptor, which nobody else owns.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    };
    ids[..count].iter().map(open).collect()
}

/// Take a device filter off a cgroup.
pub fn detach(cgroup: BorrowedFd<'_>, program: &OwnedFd) -> io::Result<()> {
    bpf(PROG_DETACH, &mut on(cgroup, program.as_raw_fd(), 0)).map(drop)
}
