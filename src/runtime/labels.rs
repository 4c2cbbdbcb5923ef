//! What security modules call the command: `process.apparmorProfile` and `selinuxLabel`, taken on with the exec.
//!
//! They are written through a procfs that was opened while it was the host's: one that the container has would take
//! the write and do nothing (CVE-2019-16884, CVE-2025-52881).

use crate::base::error::{Fault, Kind, fault};
use anyhow::Result;
use oci_spec::runtime::Process;
use rustix::fs::{Mode, OFlags};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Labels to take on with the exec.
#[derive(Debug)]
pub(super) struct Labels {
    proc: OwnedFd,
    /// The file below a process's `attr`, and what is written into it.
    writes: Vec<(&'static str, String)>,
}

impl Labels {
    /// Those of a process, `None` if it has none. An error where the host has no such module. Called while `/proc` is
    /// the host's.
    pub(super) fn of(process: &Process) -> Result<Option<Self>> {
        let given = |label: &Option<String>| label.clone().filter(|label| !label.is_empty());
        let (apparmor, selinux) = (given(process.apparmor_profile()), given(process.selinux_label()));
        let mut writes = Vec::new();
        if let Some(profile) = apparmor.filter(|profile| profile != "unconfined" || has_apparmor()) {
            if !has_apparmor() {
                return Err(missing("process.apparmorProfile", "AppArmor"));
            }
            let stacked = Path::new("/proc/self/attr/apparmor/exec").exists();
            writes.push((if stacked { "apparmor/exec" } else { "exec" }, format!("exec {profile}")));
        }
        if let Some(label) = selinux {
            if !has_selinux() {
                return Err(missing("process.selinuxLabel", "SELinux"));
            }
            writes.push(("exec", label));
        }
        if writes.is_empty() {
            return Ok(None);
        }
        const PROC_MAGIC: i64 = 0x9fa0;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let proc = rustix::fs::open("/proc", flags, Mode::empty())?;
        if rustix::fs::fstatfs(&proc)?.f_type != PROC_MAGIC {
            return Err(fault(Kind::Host, "`/proc` of the host is not a procfs"));
        }
        Ok(Some(Self { proc, writes }))
    }

    /// The descriptor that they are written through.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.proc.as_fd()
    }

    /// Take them on. Only the process that will execute can, and nothing that it starts before may.
    pub(super) fn apply(&self) -> Result<()> {
        for (file, text) in &self.writes {
            let path = format!("self/attr/{file}");
            let flags = OFlags::WRONLY | OFlags::CLOEXEC;
            rustix::fs::openat(&self.proc, path, flags, Mode::empty())
                .and_then(|file| rustix::io::write(&file, text.as_bytes()))
                .map_err(|error| {
                    Fault::new(Kind::Host, format!("cannot take on the label `{}`", text.escape_debug())).because(error)
                })?;
        }
        Ok(())
    }
}

/// Why mounts are given no label (`linux.mountLabel`).
pub(super) fn refuse_mount_label() -> anyhow::Error {
    if has_selinux() {
        let text = "`linux.mountLabel` is not supported: the files would keep the labels that they have";
        return fault(Kind::Usage, text);
    }
    missing("linux.mountLabel", "SELinux")
}

pub(super) fn has_apparmor() -> bool {
    std::fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.first() == Some(&b'Y'))
}

pub(super) fn has_selinux() -> bool {
    Path::new("/sys/fs/selinux/enforce").exists()
}

fn missing(property: &str, module: &str) -> anyhow::Error {
    fault(Kind::Host, format!("`{property}` needs {module}, which this host does not have"))
}
