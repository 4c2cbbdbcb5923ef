//! What a cgroup's processes do: freezing, killing, counting, and the end.

use super::{Cgroup, write};
use crate::base::error::{Kind, fault};
use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use std::io::{Read, Seek};
use std::path::Path;

/// How long a frozen cgroup may take to say so, or a killed one to be empty, in nanoseconds.
const PATIENCE: i64 = 10_000_000_000;

impl Cgroup {
    /// Stop every process in it until [`Cgroup::thaw`]; returns when all have stopped. `cgroup.freeze`, Linux 5.2.
    pub fn freeze(&self) -> Result<()> {
        self.set_frozen(true)
    }

    /// Let them go on.
    pub fn thaw(&self) -> Result<()> {
        self.set_frozen(false)
    }

    fn set_frozen(&self, on: bool) -> Result<()> {
        let (value, word) = if on { ("1", "freeze") } else { ("0", "thaw") };
        match write(&self.folder.join("cgroup.freeze"), value) {
            // It has ended meanwhile, as a frozen one does that was killed.
            Err(Errno::NOENT | Errno::NODEV) if !on => return Ok(()),
            result => result.with_context(|| format!("cannot {word} cgroup `{}`", self.folder.display()))?,
        }
        self.await_event(&format!("frozen {value}"))
    }

    /// Whether it was asked to freeze.
    pub fn is_frozen(&self) -> bool {
        self.number("cgroup.freeze") == Some(1)
    }

    /// Whether any process is in it or below it. A cgroup that is gone has none.
    pub fn is_populated(&self) -> bool {
        self.text("cgroup.events").lines().any(|line| line == "populated 1")
    }

    /// Kill every process in it and below it, frozen or not, and wait until they are gone. `cgroup.kill`, Linux 5.14;
    /// before that one by one, again and again, as they may fork.
    pub fn kill(&self) -> Result<()> {
        let deed = || format!("cannot kill the processes of cgroup `{}`", self.folder.display());
        match write(&self.folder.join("cgroup.kill"), "1") {
            Ok(()) => {}
            Err(Errno::NOENT) if !self.folder.exists() => return Ok(()),
            Err(Errno::NOENT) => {
                for _ in 0..100 {
                    let pids = self.pids();
                    if pids.is_empty() {
                        break;
                    }
                    for pid in pids.into_iter().filter_map(rustix::process::Pid::from_raw) {
                        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
                    }
                }
            }
            Err(error) => return Err(error).with_context(deed),
        }
        self.await_event("populated 0").with_context(deed)
    }

    /// The processes in it and below it, as seen from our pid namespace.
    pub fn pids(&self) -> Vec<i32> {
        let mut pids = Vec::new();
        collect_pids(&self.folder, &mut pids);
        pids
    }

    /// How often the out-of-memory killer has struck in it.
    pub fn oom_kills(&self) -> u64 {
        self.keyed("memory.events", "oom_kill").unwrap_or(0)
    }

    /// Kill what is left and remove the folder, with all below it. Whatever cannot be removed stays: a scope's end takes
    /// its folders with it.
    pub fn remove(&self) {
        if self.is_populated() {
            let _ = self.kill();
        }
        remove_tree(&self.folder);
    }

    /// Wait until `cgroup.events` has this line; the kernel wakes whoever polls it (cgroup-v2.rst, "[Un]populated
    /// Notification").
    fn await_event(&self, line: &str) -> Result<()> {
        let path = self.folder.join("cgroup.events");
        let mut file = match std::fs::File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            file => file.with_context(|| format!("cannot read `{}`", path.display()))?,
        };
        let deadline = crate::base::timing::now() + PATIENCE;
        loop {
            let mut text = String::new();
            // ENODEV: it was removed.
            if file.rewind().and_then(|()| file.read_to_string(&mut text)).is_err()
                || text.lines().any(|found| found == line)
            {
                return Ok(());
            }
            let left = deadline - crate::base::timing::now();
            if left <= 0 {
                let text = format!("`{}` does not come to `{line}`", path.display());
                return Err(fault(Kind::Other, text));
            }
            let timeout = Timespec { tv_sec: left / 1_000_000_000, tv_nsec: left % 1_000_000_000 };
            let _ = rustix::event::poll(&mut [PollFd::new(&file, PollFlags::PRI)], Some(&timeout));
        }
    }

    /// A file's text; empty if there is none.
    pub(super) fn text(&self, file: &str) -> String {
        std::fs::read_to_string(self.folder.join(file)).unwrap_or_default()
    }

    /// A file that is one number; `None` for `max` or if there is none.
    pub fn number(&self, file: &str) -> Option<u64> {
        self.text(file).trim_end().parse().ok()
    }

    /// The number after a key at a line's beginning.
    pub(super) fn keyed(&self, file: &str, key: &str) -> Option<u64> {
        keyed(&self.text(file), key)
    }
}

/// The number after a key at a line's beginning.
pub(super) fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.parse().ok())
}

fn collect_pids(folder: &Path, pids: &mut Vec<i32>) {
    let text = std::fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0));
    for_each_below(folder, &mut |below| collect_pids(below, pids));
}

/// Remove a cgroup and those below it, as far as nobody is in them. Files in them go by themselves.
pub(super) fn remove_tree(folder: &Path) {
    for_each_below(folder, &mut |below| remove_tree(below));
    let _ = std::fs::remove_dir(folder);
}

fn for_each_below(folder: &Path, deed: &mut dyn FnMut(&Path)) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            deed(&entry.path());
        }
    }
}
