//! System calls by name: their numbers on each architecture, and which of their arguments are 32-bit numbers.

use oci_spec::runtime::Arch;

/// An architecture whose calls this machine takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// x86_64, and above its numbers x32.
    X86_64,
    /// i386.
    X86,
    /// aarch64.
    Aarch64,
    /// 32-bit ARM (EABI).
    Arm,
}

impl Table {
    /// All that are known.
    pub fn all() -> &'static [Self] {
        &[Self::X86_64, Self::X86, Self::Aarch64, Self::Arm]
    }

    /// This machine's.
    pub fn native() -> Self {
        if cfg!(target_arch = "aarch64") { Self::Aarch64 } else { Self::X86_64 }
    }

    /// This machine's, and the 32-bit one that its processor also takes.
    pub fn with_compatible() -> &'static [Self] {
        if cfg!(target_arch = "aarch64") { &[Self::Aarch64, Self::Arm] } else { &[Self::X86_64, Self::X86] }
    }

    /// `AUDIT_ARCH_…` (linux/audit.h).
    pub fn audit(self) -> u32 {
        match self {
            Self::X86_64 => 0xc000_003e,
            Self::X86 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
            Self::Arm => 0x4000_0028,
        }
    }

    /// Its name in a specification.
    pub fn arch(self) -> Arch {
        match self {
            Self::X86_64 => Arch::ScmpArchX86_64,
            Self::X86 => Arch::ScmpArchX86,
            Self::Aarch64 => Arch::ScmpArchAarch64,
            Self::Arm => Arch::ScmpArchArm,
        }
    }

    /// Whether a second ABI sits above its numbers.
    pub fn has_x32(self) -> bool {
        self == Self::X86_64
    }

    /// The number that x32 has for a call beside x86_64's (arch/x86/entry/syscalls/syscall_64.tbl, from 512 on).
    pub fn x32_number(name: &str) -> Option<u32> {
        const FIRST: u32 = 512;
        const NAMES: [&str; 36] = [
            "rt_sigaction",
            "rt_sigreturn",
            "ioctl",
            "readv",
            "writev",
            "recvfrom",
            "sendmsg",
            "recvmsg",
            "execve",
            "ptrace",
            "rt_sigpending",
            "rt_sigtimedwait",
            "rt_sigqueueinfo",
            "sigaltstack",
            "timer_create",
            "mq_notify",
            "kexec_load",
            "waitid",
            "set_robust_list",
            "get_robust_list",
            "vmsplice",
            "move_pages",
            "preadv",
            "pwritev",
            "rt_tgsigqueueinfo",
            "recvmmsg",
            "sendmmsg",
            "process_vm_readv",
            "process_vm_writev",
            "setsockopt",
            "getsockopt",
            "io_setup",
            "io_submit",
            "execveat",
            "preadv2",
            "pwritev2",
        ];
        NAMES.iter().position(|known| *known == name).map(|index| FIRST + index as u32)
    }

    /// The number of a call; `None` if this architecture does not have it.
    pub fn number(self, name: &str) -> Option<u32> {
        match self {
            Self::X86_64 => name.parse::<syscalls::x86_64::Sysno>().ok().map(|call| call.id() as u32),
            Self::X86 => name.parse::<syscalls::x86::Sysno>().ok().map(|call| call.id() as u32),
            Self::Aarch64 => name.parse::<syscalls::aarch64::Sysno>().ok().map(|call| call.id() as u32),
            Self::Arm => name.parse::<syscalls::arm::Sysno>().ok().map(|call| call.id() as u32),
        }
    }
}

/// Which arguments the kernel takes as `int` or `unsigned int`, as a mask: their upper halves are never looked at, so
/// neither may the filter (the kernel's `SYSCALL_DEFINE`s). Calls that are not listed are compared in full.
pub fn int_arguments(name: &str) -> u8 {
    const ARGUMENTS: [(&str, u8); 27] = [
        ("bpf", 0b101),
        // An unsigned long, of which the kernel takes lower_32_bits().
        ("clone", 0b1),
        ("epoll_ctl", 0b111),
        ("fcntl", 0b11),
        ("fcntl64", 0b11),
        ("futex", 0b110),
        ("getsockopt", 0b111),
        ("ioctl", 0b11),
        ("keyctl", 0b1),
        ("kill", 0b11),
        ("mknod", 0b110),
        ("mknodat", 0b1101),
        ("openat", 0b1101),
        ("perf_event_open", 0b1110),
        ("personality", 0b1),
        ("prctl", 0b1),
        ("prlimit64", 0b11),
        ("sched_setscheduler", 0b11),
        ("seccomp", 0b11),
        ("setns", 0b11),
        ("setpriority", 0b111),
        ("setsockopt", 0b10111),
        ("socket", 0b111),
        ("socketcall", 0b1),
        ("socketpair", 0b111),
        ("tgkill", 0b111),
        ("umount2", 0b10),
    ];
    ARGUMENTS.iter().find(|known| known.0 == name).map_or(0, |known| known.1)
}
