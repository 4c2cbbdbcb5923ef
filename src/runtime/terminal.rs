//! Standard streams: pipes as they come, or a pseudo-terminal of the container's own devpts.
//!
//! The slave is never opened by name: the container could have put something else there (CVE-2025-52565).

use crate::base::error::{Kind, fault};
use crate::sys::root::Root;
use anyhow::{Context, Result};
use oci_spec::runtime::Process;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Both ends.
#[derive(Debug)]
pub(super) struct Terminal {
    /// The monitor's end.
    pub master: OwnedFd,
    /// The container's end.
    pub slave: OwnedFd,
}

/// Rows and columns that a specification asks for.
pub(super) fn size_of(process: &Process) -> Option<(u16, u16)> {
    let size = process.console_size()?;
    Some((u16::try_from(size.height()).ok()?, u16::try_from(size.width()).ok()?))
}

/// A new terminal of this devpts, given by its root folder.
pub(super) fn open(devpts: BorrowedFd<'_>, size: Option<(u16, u16)>) -> Result<Terminal> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let master = rustix::fs::openat(devpts, "ptmx", flags, Mode::empty()).context("cannot open a terminal")?;
    from_master(master, size)
}

/// A new terminal of a running container's devpts. What is at `/dev/pts/ptmx` is checked before it is used.
pub(super) fn open_in(root: &Root, size: Option<(u16, u16)>) -> Result<Terminal> {
    const DEVPTS_MAGIC: i64 = 0x1cd1;
    let path = Path::new("/dev/pts/ptmx");
    let deed = "cannot open a terminal in the container";
    let found = root.open_at(path, OFlags::PATH, Mode::empty()).context(deed)?;
    let stat = rustix::fs::fstat(&found).context(deed)?;
    let is_ptmx = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && stat.st_rdev == rustix::fs::makedev(5, 2)
        && rustix::fs::fstatfs(&found).is_ok_and(|fs| fs.f_type == DEVPTS_MAGIC);
    if !is_ptmx {
        return Err(fault(Kind::BadData, "`/dev/pts/ptmx` in the container is not its terminal device"));
    }
    let master = root.open_at(path, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).context(deed)?;
    from_master(master, size)
}

fn from_master(master: OwnedFd, size: Option<(u16, u16)>) -> Result<Terminal> {
    let deed = "cannot set up the terminal";
    rustix::pty::unlockpt(&master).context(deed)?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags).context(deed)?;
    if let Some((rows, columns)) = size {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&master, size).context(deed)?;
    }
    Ok(Terminal { master, slave })
}

impl Terminal {
    /// The slave as controlling terminal and as descriptors 0, 1 and 2. The caller leads a session without one.
    pub(super) fn make_controlling(&self) -> Result<()> {
        rustix::process::ioctl_tiocsctty(&self.slave).context("cannot make the terminal ours")?;
        use_pipes(&self.slave, &self.slave, &self.slave)
    }
}

/// These as descriptors 0, 1 and 2, open across exec.
pub(super) fn use_pipes(stdin: &OwnedFd, stdout: &OwnedFd, stderr: &OwnedFd) -> Result<()> {
    let deed = "cannot set up the standard streams";
    // Each is above 2 or already in place: box never runs with one of the three closed.
    rustix::stdio::dup2_stdin(stdin.as_fd()).context(deed)?;
    rustix::stdio::dup2_stdout(stdout.as_fd()).context(deed)?;
    rustix::stdio::dup2_stderr(stderr.as_fd()).context(deed)
}
