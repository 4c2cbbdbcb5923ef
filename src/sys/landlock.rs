//! landlock(7): a thread gives up the file system but for some folders. Linux 5.13; 5.19 for what is needed here.

use rustix::io::Errno;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

const CREATE_RULESET_VERSION: u32 = 1;
const RULE_PATH_BENEATH: u32 = 1;

/// `LANDLOCK_ACCESS_FS_…` 0 to 12: execute, write, read, list, remove and make every kind of file. First version.
const FIRST: u64 = (1 << 13) - 1;
const EXECUTE: u64 = 1;
/// `LANDLOCK_ACCESS_FS_REFER`: link and rename between folders. Second version, Linux 5.19.
const REFER: u64 = 1 << 13;
/// `LANDLOCK_ACCESS_FS_TRUNCATE`. Third version, Linux 6.2.
const TRUNCATE: u64 = 1 << 14;

/// `struct landlock_path_beneath_attr`, which the kernel declares packed.
#[repr(C, packed)]
struct PathBeneath {
    allowed_access: u64,
    parent_fd: i32,
}

/// What writes, makes, links or removes, or executes.
const NOT_READING: u64 = FIRST & !(1 << 2 | 1 << 3);

/// Restrict the calling thread, for good: nothing is opened, made, linked or removed but below `folder`, and nothing
/// is executed. Descriptors that are open already are not affected; neither are `chmod` and the like.
///
/// Sets `no_new_privs` of the thread. False where the kernel has no Landlock, or only its first version, which
/// forbids every hard link between folders.
pub fn restrict_thread_to(folder: BorrowedFd<'_>) -> io::Result<bool> {
    restrict(FIRST, &[folder])
}

/// As [`restrict_thread_to`], but for reading, which stays possible everywhere.
pub fn restrict_writes_to(folders: &[BorrowedFd<'_>]) -> io::Result<bool> {
    restrict(NOT_READING, folders)
}

fn restrict(first: u64, folders: &[BorrowedFd<'_>]) -> io::Result<bool> {
    let handled = match version() {
        0 | 1 => return Ok(false),
        2 => first | REFER,
        _ => first | REFER | TRUNCATE,
    };
    // SAFETY: the attribute is its first field alone, which every version accepts, and outlives the call.
    let ruleset =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, &raw const handled, size_of::<u64>(), 0u32) };
    if ruleset < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just returned this descriptor, which nobody else owns.
    let ruleset = unsafe { OwnedFd::from_raw_fd(ruleset as i32) };
    for folder in folders {
        let rule = PathBeneath { allowed_access: handled & !EXECUTE, parent_fd: folder.as_raw_fd() };
        // SAFETY: both descriptors are open, and `rule` outlives the call.
        let added = unsafe {
            libc::syscall(libc::SYS_landlock_add_rule, ruleset.as_raw_fd(), RULE_PATH_BENEATH, &raw const rule, 0u32)
        };
        if added < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    rustix::thread::set_no_new_privs(true)?;
    // SAFETY: restricts what this thread may do; takes no memory.
    match unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0u32) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(true),
    }
}

/// The version of Landlock's interface; 0 where it is missing or switched off.
fn version() -> i64 {
    // SAFETY: with this flag, the attribute is null and its size 0; see landlock_create_ruleset(2).
    unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u64>(), 0usize, CREATE_RULESET_VERSION) }
        .max(0)
}

/// Whether an error of [`restrict_thread_to`] means only that this host does not let us have it.
pub fn is_unavailable(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    [Errno::NOSYS, Errno::OPNOTSUPP, Errno::PERM].iter().any(|errno| code == Some(errno.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_restricted_thread_writes_below_the_folder_only() {
        let root = std::env::temp_dir().join(format!("box-landlock-{}", crate::base::id::ContainerId::random()));
        std::fs::create_dir_all(root.join("in")).unwrap();
        let (inside, outside) = (root.join("in/a"), root.join("b"));
        let thread = std::thread::spawn(move || {
            let folder = std::fs::File::open(inside.parent().unwrap()).unwrap();
            if !restrict_thread_to(folder.as_fd()).unwrap() {
                return true;
            }
            std::fs::write(&inside, b"x").is_ok()
                && std::fs::write(&outside, b"x").is_err()
                && std::fs::hard_link(&inside, &outside).is_err()
                && std::fs::read("/etc/passwd").is_err()
        });
        assert!(thread.join().unwrap());
        // Other threads are as before.
        std::fs::write(root.join("c"), b"x").unwrap();
        crate::base::fs::remove_tree(&root).unwrap();
    }
}
