//! What a monitor gives up once its container runs: system calls by a seccomp filter, files by Landlock.
//!
//! The filter says what a monitor may never do, rather than what it does: children that it makes later (network
//! helpers) have the filter, too. One that makes none any more gives up far more. Where the kernel refuses either, it
//! goes without: this is a second wall, and the first one, being an ordinary user, stands. Landlock: Linux 5.19.

use crate::runtime::seccomp;
use crate::sys::landlock;
use rustix::fs::{Mode, OFlags};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// What a monitor still has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// Streams, logs, clients, and the end.
    Serve,
    /// That, and starting a network helper anew.
    Help,
    /// Running processes in the container, or it again: what they inherit must not confine them.
    Run,
}

/// Refused in any case: looking into other processes, the kernel's keys, modules, clocks and program loaders.
const NEVER: &str = "
acct add_key adjtimex bpf clock_adjtime clock_adjtime64 clock_settime clock_settime64 delete_module fanotify_init
finit_module init_module io_uring_enter io_uring_register io_uring_setup ioperm iopl kcmp kexec_file_load kexec_load
keyctl lookup_dcookie migrate_pages modify_ldt move_pages name_to_handle_at open_by_handle_at perf_event_open
pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace quotactl quotactl_fd reboot request_key
setdomainname sethostname settimeofday stime swapoff swapon syslog uselib userfaultfd vhangup vm86 vm86old";

/// Refused to one that starts nothing any more: programs, namespaces, mounts, devices, connections.
const NO_MORE: &str = "
bind chroot clone3 connect execve execveat fsconfig fsmount fsopen fspick listen listmount mknod mknodat mount
mount_setattr move_mount open_tree open_tree_attr pivot_root setns socket socketcall statmount umount umount2 unshare";

/// Give up what this duty does not need. `writable` are the folders below which files are still written.
pub fn confine(duty: Duty, writable: &[&Path]) {
    let refused = match duty {
        Duty::Run => return,
        Duty::Help => NEVER.to_owned(),
        Duty::Serve => format!("{NEVER}{NO_MORE}"),
    };
    if duty == Duty::Serve {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = |path: &&Path| rustix::fs::open(*path, flags, Mode::empty()).ok();
        let folders: Vec<OwnedFd> = writable.iter().filter_map(open).collect();
        let _ = landlock::restrict_writes_to(&folders.iter().map(AsFd::as_fd).collect::<Vec<_>>());
    }
    if let Ok(filter) = seccomp::compile_refusals(&refused) {
        let _ = crate::sys::seccomp::load(&filter.program, filter.flags);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process::{self, Ended, Fork};
    use rustix::io::Errno;

    /// The errno of a deed, 0 if it was allowed.
    fn outcome<T>(result: std::io::Result<T>) -> i32 {
        result.map_or_else(|error| error.raw_os_error().unwrap_or(-1), |_| 0)
    }

    /// Whether a confined child finds each deed as expected; the deed that it does not, as exit code.
    fn in_child(duty: Duty, deeds: &dyn Fn(&Path) -> Vec<bool>) -> Ended {
        let base = std::env::temp_dir().join(format!("box-confine-{}", crate::base::id::ContainerId::random()));
        let folder = base.join("own");
        std::fs::create_dir_all(&folder).unwrap();
        let ended = match process::fork().unwrap() {
            Fork::Child => {
                // As for a monitor in the user's namespace: only then may it load filters.
                let _ = rustix::thread::set_no_new_privs(true);
                confine(duty, &[&folder]);
                let failed = deeds(&base).iter().position(|held| !held);
                process::exit_now(failed.map_or(0, |number| number as i32 + 1))
            }
            Fork::Parent(pid) => process::wait(pid).unwrap(),
        };
        crate::base::fs::remove_tree(&base).unwrap();
        ended
    }

    #[test]
    fn one_that_serves_gives_up_nearly_all() {
        alone!();
        let deeds = |base: &Path| {
            let refused = Errno::PERM.raw_os_error();
            vec![
                outcome(std::fs::write(base.join("own/log"), "x")) == 0,
                outcome(std::fs::read("/proc/self/maps")) == 0,
                outcome(std::fs::write(base.join("else"), "x")) == Errno::ACCESS.raw_os_error(),
                outcome(std::os::unix::net::UnixStream::connect(base.join("none"))) == refused,
                outcome(crate::sys::namespace::unshare(0x1000_0000)) == refused,
                outcome(std::os::unix::fs::chroot("/")) == refused,
                process::execve(c"/bin/true", &[], &[]).raw_os_error() == Some(refused),
                rustix::process::getpid().as_raw_nonzero().get() > 0,
                std::os::unix::net::UnixStream::pair().is_ok(),
            ]
        };
        assert_eq!(in_child(Duty::Serve, &deeds), Ended::Exited(0));
    }

    #[test]
    fn one_that_helps_starts_programs_and_no_user_namespaces() {
        alone!();
        let deeds = |base: &Path| {
            let refused = Errno::PERM.raw_os_error();
            let status = match process::fork() {
                Ok(Fork::Child) => {
                    let words = [c"sh".to_owned(), c"-c".to_owned(), c"exit 7".to_owned()];
                    drop(process::execve(c"/bin/sh", &words, &[]));
                    process::exit_now(1)
                }
                Ok(Fork::Parent(pid)) => process::wait(pid).ok(),
                Err(_) => None,
            };
            vec![
                status == Some(Ended::Exited(7)),
                outcome(std::fs::write(base.join("else"), "x")) == 0,
                outcome(crate::sys::namespace::unshare(0x1000_0000)) == refused,
                rustix::system::sethostname(b"x").err() == Some(Errno::PERM),
            ]
        };
        assert_eq!(in_child(Duty::Help, &deeds), Ended::Exited(0));
    }

    #[test]
    fn one_that_runs_others_is_left_alone() {
        alone!();
        let deeds = |base: &Path| vec![outcome(std::fs::write(base.join("else"), "x")) == 0];
        assert_eq!(in_child(Duty::Run, &deeds), Ended::Exited(0));
    }
}
