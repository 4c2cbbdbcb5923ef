//! Where a container's cgroup can be: which driver this host has, and the path of a process's cgroup.
//!
//! Looking costs one statfs(2) where there is no cgroup v2, and nothing is asked of anybody.

use crate::base::error::{Fault, Kind, fault};
use crate::systemd::Manager;
use anyhow::{Context, Result};
use rustix::fs::{Access, AtFlags, CWD};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Where cgroup v2 is mounted on a host that has nothing else.
pub(super) const MOUNT: &str = "/sys/fs/cgroup";
/// CGROUP2_SUPER_MAGIC of statfs(2).
const CGROUP2: rustix::fs::FsWord = 0x6367_7270;

/// Who makes cgroups here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Driver {
    /// A manager of systemd, on request.
    Systemd(Manager),
    /// We ourselves, below this folder, which is ours to write.
    Folder(PathBuf),
    /// Nobody: there are no limits, for this reason.
    None(Why),
}

impl Driver {
    /// podman's word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Systemd(_) => "systemd",
            Self::Folder(_) => "cgroupfs",
            Self::None(_) => "none",
        }
    }

    /// The controllers that a container can be limited with.
    pub fn controllers(&self) -> Vec<String> {
        let folder = match self {
            Self::Systemd(Manager::System) => MOUNT.into(),
            Self::Systemd(Manager::User(uid)) => {
                Path::new(MOUNT).join(format!("user.slice/user-{uid}.slice/user@{uid}.service"))
            }
            Self::Folder(folder) => folder.clone(),
            Self::None(_) => return Vec::new(),
        };
        let text = std::fs::read_to_string(folder.join("cgroup.controllers")).unwrap_or_default();
        text.split_whitespace().map(str::to_owned).collect()
    }
}

/// Why there are no cgroups for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// `/sys/fs/cgroup` is not cgroup v2: v1, or both side by side.
    OldVersion,
    /// No manager of systemd serves the user, and the user's own cgroup cannot be written to.
    NotDelegated(PathBuf),
}

impl Why {
    /// The reason as an error, with the way out.
    pub fn fault(&self, what: &str) -> Fault {
        match self {
            Self::OldVersion => Fault::new(
                Kind::Host,
                format!("{what} needs cgroup v2 alone in `{MOUNT}`, and this host has v1 or both"),
            )
            .hint("boot it with the kernel parameter: systemd.unified_cgroup_hierarchy=1"),
            Self::NotDelegated(folder) => Fault::new(
                Kind::Host,
                format!(
                    "{what} needs a cgroup of your own: no systemd manager serves you, and `{}` is not yours to write",
                    folder.display()
                ),
            )
            .hint("log in by ssh, on the console or with `machinectl shell`, so that `systemctl --user` works")
            .hint("or keep your manager running: sudo loginctl enable-linger \"$USER\""),
        }
    }
}

/// The driver for this uid, as counted outside of any namespace: systemd's manager where one runs, else the topmost
/// writable folder on the way to our own cgroup.
pub fn driver(uid: u32) -> Driver {
    if !is_cgroup2() {
        return Driver::None(Why::OldVersion);
    }
    if let Some(manager) = Manager::find(uid) {
        return Driver::Systemd(manager);
    }
    folder()
}

/// The driver for who wants no systemd.
pub fn folder() -> Driver {
    if !is_cgroup2() {
        return Driver::None(Why::OldVersion);
    }
    let own = of_process("self").unwrap_or_else(|_| MOUNT.into());
    let root = own.ancestors().take_while(|folder| folder.starts_with(MOUNT) && is_ours(folder)).last();
    root.map_or_else(|| Driver::None(Why::NotDelegated(own.clone())), |root| Driver::Folder(root.to_path_buf()))
}

fn is_cgroup2() -> bool {
    rustix::fs::statfs(MOUNT).is_ok_and(|found| found.f_type == CGROUP2)
}

/// Whether folders may be made here and processes moved, which is what delegation means (cgroup-v2.rst, "Model of
/// Delegation").
fn is_ours(folder: &Path) -> bool {
    let writable = |path: &Path| rustix::fs::accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS).is_ok();
    writable(folder) && writable(&folder.join("cgroup.procs"))
}

/// The folder of a process's cgroup; `self` for our own. From `/proc/PID/cgroup`, see cgroups(7).
pub fn of_process(pid: &str) -> Result<PathBuf> {
    let file = format!("/proc/{pid}/cgroup");
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read `{file}`"))?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"));
    match path {
        // Outside of our cgroup namespace.
        Some(path) if path.starts_with("..") => Err(fault(Kind::Host, format!("cgroup `/{path}` is out of reach"))),
        Some(path) => Ok(Path::new(MOUNT).join(path)),
        None => Err(fault(Kind::Host, format!("`{file}` names no cgroup of version 2"))),
    }
}

/// A path below the mount, from the words of a user: no `..`, nothing that is not a name.
pub fn below(parent: &Path, words: &str) -> Result<PathBuf> {
    let parts: Vec<&str> = words.split('/').filter(|part| !part.is_empty()).collect();
    let wrong = parts.iter().any(|part| matches!(*part, "." | "..") || part.chars().any(char::is_control));
    if parts.is_empty() || wrong {
        return Err(fault(Kind::Usage, format!("`{}` is not the path of a cgroup", words.escape_debug())));
    }
    // From the mount if it begins with a slash, as with other engines.
    let start = if words.starts_with('/') { Path::new(MOUNT) } else { parent };
    Ok(start.join(parts.join("/")))
}

/// Whether a word is the name of a slice.
pub fn is_slice(word: &str) -> bool {
    word.ends_with(".slice") && is_unit(word)
}

/// Whether a word can be the name of a unit (systemd.unit(5)).
pub fn is_unit(word: &str) -> bool {
    word.len() < 256 && word.bytes().all(|b| b.is_ascii_alphanumeric() || b":-_.\\@".contains(&b))
}

/// A text as part of a unit's name: what may not be in one is escaped as `\xNN`, like systemd-escape(1) does.
pub fn escape(text: &str) -> String {
    text.bytes().fold(String::new(), |mut name, byte| {
        match byte.is_ascii_alphanumeric() || b":-_.@".contains(&byte) {
            true => name.push(char::from(byte)),
            false => drop(write!(name, "\\x{byte:02x}")),
        }
        name
    })
}

/// Our uid outside of the user namespace that an engine may have put us in.
pub fn outer_uid() -> u32 {
    let own = rustix::process::geteuid().as_raw();
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    outer_id(&map, own).unwrap_or(own)
}

/// The id outside that is `id` inside, by a map as user_namespaces(7) has it.
fn outer_id(map: &str, id: u32) -> Option<u32> {
    map.lines().find_map(|line| {
        let mut numbers = line.split_whitespace().map(|word| word.parse::<u32>().ok());
        let (inside, outside, count) = (numbers.next()??, numbers.next()??, numbers.next()??);
        let offset = id.checked_sub(inside).filter(|offset| *offset < count)?;
        outside.checked_add(offset)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_the_mount() {
        let parent = Path::new("/sys/fs/cgroup/a");
        for (words, expected) in
            [("b", "/sys/fs/cgroup/a/b"), ("b//c/", "/sys/fs/cgroup/a/b/c"), ("/b", "/sys/fs/cgroup/b")]
        {
            assert_eq!(below(parent, words).unwrap(), Path::new(expected));
        }
        for words in ["", "/", "..", "a/../b", "./a", "a\nb"] {
            assert!(below(parent, words).is_err(), "{words}");
        }
    }

    #[test]
    fn names_of_units() {
        assert!(is_slice("user-a_b.slice") && !is_slice("a/b.slice") && !is_slice("user"));
        assert_eq!(escape("a b/ü"), "a\\x20b\\x2f\\xc3\\xbc");
    }

    #[test]
    fn ids_are_followed_outside() {
        let map = "         0       1000          1\n         1     100000      65536\n";
        for (id, expected) in [(0, Some(1000)), (1, Some(100_000)), (65536, Some(165_535)), (65537, None)] {
            assert_eq!(outer_id(map, id), expected);
        }
        assert_eq!(outer_id("0 0 4294967295\n", 7), Some(7));
    }
}
