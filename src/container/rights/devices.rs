//! `--device`: devices of the host in a container. Parsing is pure; [`nodes`] then looks at the host.
//!
//! A device is bound from the host, so that the container may do with it what the caller may: mknod(2) is not possible
//! in a user namespace, and there is no device cgroup that an ordinary user could use.

use crate::base::error::{Fault, Kind, fault};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// One `--device HOST[:CTR][:rwm]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// A device of the host, or a folder of such.
    pub host: PathBuf,
    /// Where it is in the container.
    pub container: PathBuf,
    /// Letters of `rwm`: read, write, mknod.
    pub access: String,
}

/// A device node: where it is on the host, where in the container.
pub type Node = (PathBuf, PathBuf);

/// A folder with more devices than this is not meant.
const LIMIT: usize = 4096;

/// Parse `HOST[:CTR][:rwm]`.
pub fn parse(text: &str) -> Result<Device> {
    let wrong = |why: &str| {
        let fault = Fault::new(Kind::Usage, format!("`--device {}`: {why}", text.escape_debug()));
        anyhow::Error::from(fault.hint("--device /dev/fuse, or --device /dev/sda:/dev/xvda:rwm"))
    };
    let parts: Vec<&str> = text.split(':').collect();
    let is_access = |word: &str| !word.is_empty() && word.bytes().all(|letter| b"rwm".contains(&letter));
    let (host, container, access) = match parts[..] {
        [host] => (host, host, "rwm"),
        [host, access] if is_access(access) => (host, host, access),
        [host, container] => (host, container, "rwm"),
        [host, container, access] if is_access(access) => (host, container, access),
        [_, _, _] => return Err(wrong("the last part is made of the letters r, w and m")),
        _ => return Err(wrong("it is not HOST[:CONTAINER][:rwm]")),
    };
    let plain = |path: &str| path.starts_with('/') && !path.split('/').any(|part| part == "..");
    if !plain(host) || !plain(container) || container.chars().any(char::is_control) {
        return Err(wrong("a device has an absolute path"));
    }
    Ok(Device { host: host.into(), container: container.into(), access: access.to_owned() })
}

/// The nodes that the devices are, links resolved and folders read.
pub fn nodes(devices: &[Device]) -> Result<Vec<Node>> {
    let mut found = Vec::new();
    for device in devices {
        let deed = || format!("cannot give device `{}`", device.host.display());
        let host = std::fs::canonicalize(&device.host).with_context(deed)?;
        let before = found.len();
        if host.is_dir() {
            walk(&host, &device.container, &mut found).with_context(deed)?;
        } else if is_device(&host) {
            found.push((host, device.container.clone()));
        }
        if found.len() == before {
            return Err(fault(Kind::Usage, "there is no device").context(deed()));
        }
        if !device.access.contains('w') {
            for (host, _) in found.get(before..).unwrap_or_default() {
                refuse_writable(host).with_context(deed)?;
            }
        }
    }
    Ok(found)
}

fn is_device(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.file_type().is_char_device() || meta.file_type().is_block_device())
}

/// The devices that a privileged container gets: all that the caller can open, without terminals and what box mounts
/// itself.
pub fn all() -> Vec<PathBuf> {
    const OWN: [&str; 12] =
        ["null", "zero", "full", "random", "urandom", "tty", "console", "ptmx", "pts", "shm", "mqueue", "fd"];
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/dev").into_iter().flatten().flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        let name = name.to_string_lossy();
        // A file system of its own is none of devices: /dev/hugepages.
        if OWN.contains(&name.as_ref()) || name.starts_with("tty") || name.starts_with("vcs") || name == "hugepages" {
            continue;
        }
        let mut nodes = Vec::new();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => drop(walk(&path, &path, &mut nodes)),
            Ok(kind) if kind.is_char_device() || kind.is_block_device() => nodes.push((path.clone(), path)),
            _ => {}
        }
        let openable = |path: &PathBuf| rustix::fs::access(path, rustix::fs::Access::READ_OK).is_ok();
        found.extend(nodes.into_iter().map(|node| node.0).filter(openable));
    }
    found
}

/// All devices below a folder, but for terminals that belong to others.
fn walk(host: &Path, container: &Path, found: &mut Vec<Node>) -> Result<()> {
    for entry in std::fs::read_dir(host)? {
        let entry = entry?;
        let (path, target) = (entry.path(), container.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() && path != Path::new("/dev/pts") {
            walk(&path, &target, found)?;
        } else if kind.is_char_device() || kind.is_block_device() {
            found.push((path, target));
        }
        if found.len() > LIMIT {
            return Err(fault(Kind::Usage, format!("the folder has more than {LIMIT} devices")));
        }
    }
    Ok(())
}

/// `:r` holds by itself where the caller may not write; elsewhere nothing could keep the container from it, as a
/// read-only mount does not (the kernel lets devices be written there).
fn refuse_writable(host: &Path) -> Result<()> {
    if rustix::fs::access(host, rustix::fs::Access::WRITE_OK).is_err() {
        return Ok(());
    }
    let text = "it cannot be made read-only, as you may write to it and only a device cgroup could forbid that";
    Err(Fault::new(Kind::Host, text).hint(format!("--device {}", host.display())).into())
}

/// Check `--device-cgroup-rule`: `a|b|c MAJOR:MINOR rwm`. Such rules allow, and box forbids no device by number.
pub fn check_rule(text: &str) -> Result<()> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let number = |text: &str| text == "*" || text.parse::<u32>().is_ok();
    let fits = |words: &[&str]| match words {
        [kind, numbers, access] => {
            ["a", "b", "c"].contains(kind)
                && numbers.split_once(':').is_some_and(|(major, minor)| number(major) && number(minor))
                && (1..=3).contains(&access.len())
                && access.bytes().all(|letter| b"rwm".contains(&letter))
        }
        _ => false,
    };
    if fits(&words) {
        return Ok(());
    }
    Err(Fault::new(Kind::Usage, format!("`--device-cgroup-rule {}` is not understood", text.escape_debug()))
        .hint("--device-cgroup-rule 'c 189:* rwm'")
        .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        for (text, expected) in [
            ("/dev/fuse", "/dev/fuse /dev/fuse rwm"),
            ("/dev/fuse:rw", "/dev/fuse /dev/fuse rw"),
            ("/dev/sda:/dev/xvda", "/dev/sda /dev/xvda rwm"),
            ("/dev/sda:/dev/xvda:r", "/dev/sda /dev/xvda r"),
            ("/dev/dri", "/dev/dri /dev/dri rwm"),
        ] {
            let device = parse(text).unwrap();
            let shown = format!("{} {} {}", device.host.display(), device.container.display(), device.access);
            assert_eq!(shown, expected, "{text}");
        }
        for text in ["", "fuse", "/dev/fuse:x", "/dev/fuse:/dev/x:z", "/a:/b:r:w", "/dev/../x", "/dev/x:", "/dev/x::r"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rules() {
        for text in ["c 189:* rwm", "a *:* r", "b 8:0 w"] {
            assert!(check_rule(text).is_ok(), "{text}");
        }
        for text in ["", "c 189 r", "d 1:1 r", "c 1:1 x", "c 1:1", "c a:1 r", "c 1:1 rwmr"] {
            assert!(check_rule(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_a_device() {
        let device = |path: &str| nodes(&[parse(path).unwrap()]);
        assert_eq!(device("/dev/null").unwrap(), [("/dev/null".into(), "/dev/null".into())]);
        for path in ["/dev/nonesuch", "/etc/passwd", "/etc", "/dev/null:r"] {
            assert!(device(path).is_err(), "{path}");
        }
    }
}
