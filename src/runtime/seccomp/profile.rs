//! The default profile. Data table.
//!
//! An allow-list of docker's shape (moby `profiles/seccomp`, container-libs `pkg/seccomp`): no user namespaces, mounts
//! or keyrings without CAP_SYS_ADMIN. What is known to be dangerous or bound to a capability that is missing gets
//! EPERM; what the list does not know gets ENOSYS, so that programs built for a newer kernel fall back (glibc does).

use super::{ALLOW, ERRNO};
use crate::runtime::capabilities::bits;
use oci_spec::runtime::Capability::{self, *};
use oci_spec::runtime::LinuxSeccompOperator::{self as Operator, *};

/// The argument's index, the operator, the value (or mask), the masked value.
pub type Condition = (u8, Operator, u64, u64);
/// Names, conditions, verdict.
pub type Group = (&'static str, &'static [Condition], u32);

/// ENOSYS.
pub const DEFAULT_ACTION: u32 = ERRNO | 38;
const EPERM: u32 = ERRNO | 1;
const EINVAL: u32 = ERRNO | 22;

/// Always allowed.
const ALLOWED: &str = "
_llseek _newselect accept accept4 access adjtimex alarm arch_prctl arm_fadvise64_64 arm_sync_file_range bind
breakpoint brk cachestat cacheflush capget capset chdir chmod chown chown32 clock_adjtime clock_adjtime64 clock_getres
clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64 close close_range connect
copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2
epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fadvise64_64
fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync file_getattr
file_setattr fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync
ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake futimesat get_robust_list
get_thread_area getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups
getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresgid32 getresuid
getresuid32 getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getuid32 getxattr getxattrat
inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents
io_pgetevents_time64 io_setup io_submit ioctl ioprio_get ioprio_set ipc kill landlock_add_rule landlock_create_ruleset
landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listmount listns listxattr listxattrat llistxattr
lremovexattr lseek lsetxattr lsm_get_self_attr lsm_list_modules lstat lstat64 madvise map_shadow_stack membarrier
memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 modify_ldt mprotect
mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink
mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat open
openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll
ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease process_vm_readv process_vm_writev pselect6
pselect6_time64 ptrace pwrite64 pwritev pwritev2 read readahead readdir readlink readlinkat readv recv recvfrom
recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr removexattrat rename renameat renameat2
restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min
sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64
sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop
semtimedop semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto set_robust_list set_thread_area
set_tid_address set_tls setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer
setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit
setsid setsockopt setuid setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaction sigaltstack signal
signalfd signalfd4 sigpending sigprocmask sigreturn sigsuspend socketpair splice stat stat64 statfs statfs64 statmount
statx symlink symlinkat sync sync_file_range sync_file_range2 syncfs sysinfo tee tgkill time timer_create timer_delete
timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime
timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname unlink
unlinkat uretprobe utime utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev";

/// Known to be dangerous, or gone: never allowed.
const FORBIDDEN: &str = "
add_key bdflush kexec_file_load kexec_load keyctl migrate_pages move_pages nfsservctl nice oldfstat oldlstat oldolduname
oldstat olduname open_tree_attr request_key sgetmask ssetmask swapoff swapon sysfs uselib userfaultfd ustat vm86
vm86old";

/// What a container engine needs to make namespaces, mounts and key rings of its own.
pub const NESTED: &str = "
add_key chroot clone clone3 fsconfig fsmount fsopen fspick keyctl mount mount_setattr move_mount open_tree
open_tree_attr pidfd_getfd pivot_root request_key setdomainname sethostname setns umount umount2 unshare";

/// Allowed with a capability, EPERM without.
const BOUND: [(Capability, &str); 14] = [
    (Bpf, "bpf"),
    (DacReadSearch, "open_by_handle_at"),
    (Perfmon, "perf_event_open"),
    (
        SysAdmin,
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_set_self_attr mount \
         mount_setattr move_mount open_tree perf_event_open pivot_root quotactl quotactl_fd setdomainname sethostname \
         setns syslog umount umount2 unshare",
    ),
    (SysBoot, "reboot"),
    (SysChroot, "chroot"),
    (SysModule, "delete_module finit_module init_module query_module"),
    (SysNice, "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    (SysPacct, "acct"),
    (SysPtrace, "kcmp pidfd_getfd process_madvise"),
    (SysRawio, "ioperm iopl"),
    (SysTime, "clock_settime clock_settime64 settimeofday stime"),
    (SysTtyConfig, "vhangup"),
    (Syslog, "syslog"),
];

/// `CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET`.
const NEW_NAMESPACES: u64 = 0x7e02_0000;
/// How many families of sockets Linux knows (`AF_MAX`).
pub const FAMILIES: u64 = 46;
const AF_NETLINK: u64 = 16;
const AF_ALG: u64 = 38;
const AF_VSOCK: u64 = 40;
const NETLINK_AUDIT: u64 = 9;
/// `SYS_SOCKET` of socketcall(2): its arguments lie in memory, out of the filter's sight.
const CALL_SOCKET: u64 = 1;

/// What depends on arguments: families that reach into the kernel's crypto and the host's hypervisor (CVE-2026-31431),
/// the audit socket, execution domains other than Linux and 32-bit Linux.
const CONDITIONAL: [Group; 11] = [
    ("personality", &[(0, ScmpCmpEq, 0, 0)], ALLOW),
    ("personality", &[(0, ScmpCmpEq, 8, 0)], ALLOW),
    ("personality", &[(0, ScmpCmpEq, 0x2_0000, 0)], ALLOW),
    ("personality", &[(0, ScmpCmpEq, 0x2_0008, 0)], ALLOW),
    ("personality", &[(0, ScmpCmpEq, 0xffff_ffff, 0)], ALLOW),
    ("personality", &[], EPERM),
    ("socket", &[(0, ScmpCmpNe, AF_ALG, 0), (0, ScmpCmpNe, AF_VSOCK, 0), (0, ScmpCmpNe, AF_NETLINK, 0)], ALLOW),
    ("socket", &[(0, ScmpCmpEq, AF_NETLINK, 0), (2, ScmpCmpNe, NETLINK_AUDIT, 0)], ALLOW),
    ("socket", &[], EPERM),
    ("socketcall", &[(0, ScmpCmpNe, CALL_SOCKET, 0)], ALLOW),
    ("socketcall", &[], EPERM),
];

/// The groups of the profile for a bounding set. Of several for one call, conditional ones count in order, then the
/// first that has no condition.
pub fn rules(bounding: u64) -> Vec<Group> {
    let has = |capability: Capability| bounding & bits(&[capability]) != 0;
    let mut groups: Vec<Group> = vec![(ALLOWED, &[], ALLOW)];
    groups.extend(BOUND.iter().filter(|bound| has(bound.0)).map(|bound| (bound.1, &[][..], ALLOW)));
    if !has(SysAdmin) {
        groups.push(("clone", &[(0, ScmpCmpMaskedEq, NEW_NAMESPACES, 0)], ALLOW));
        // Its flags lie in memory: without it, programs take clone, whose flags can be seen.
        groups.push(("clone3", &[], DEFAULT_ACTION));
    }
    const AUDIT: [Condition; 2] = [(0, ScmpCmpEq, AF_NETLINK, 0), (2, ScmpCmpEq, NETLINK_AUDIT, 0)];
    groups.push(("socket", &AUDIT, if has(AuditWrite) { ALLOW } else { EINVAL }));
    groups.extend(CONDITIONAL);
    groups.extend(BOUND.iter().filter(|bound| !has(bound.0)).map(|bound| (bound.1, &[][..], EPERM)));
    groups.push((FORBIDDEN, &[], EPERM));
    groups
}
