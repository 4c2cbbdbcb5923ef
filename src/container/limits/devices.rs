//! Which devices a container of real root may use: those that it was given, and no other that it could make a node of.
//!
//! An ordinary user's needs no such rule: nobody in a user namespace makes device nodes.

use super::super::config::Config;
use anyhow::Result;
use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceCgroupBuilder, LinuxDeviceType, Spec};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// The rules: nothing, but the devices that are bound in, and those that `--device-cgroup-rule` names.
pub fn rules(config: &Config, spec: &Spec) -> Result<Vec<LinuxDeviceCgroup>> {
    let mut rules = vec![LinuxDeviceCgroupBuilder::default().allow(false).access("rwm").build()?];
    for mount in spec.mounts().iter().flatten() {
        if let Some(device) = mount.source().as_deref().and_then(device) {
            rules.push(allow(device.0, Some(device.1), Some(device.2), "rwm")?);
        }
    }
    for device in spec.linux().iter().filter_map(|linux| linux.devices().as_ref()).flatten() {
        rules.push(allow(device.typ(), Some(device.major()), Some(device.minor()), "rwm")?);
    }
    for text in &config.rights.device_rules {
        rules.push(parse(text)?);
    }
    Ok(rules)
}

fn allow(kind: LinuxDeviceType, major: Option<i64>, minor: Option<i64>, access: &str) -> Result<LinuxDeviceCgroup> {
    let mut builder = LinuxDeviceCgroupBuilder::default().allow(true).typ(kind).access(access);
    if let Some(major) = major {
        builder = builder.major(major);
    }
    if let Some(minor) = minor {
        builder = builder.minor(minor);
    }
    Ok(builder.build()?)
}

/// What a path is, if it is a device.
fn device(path: &Path) -> Option<(LinuxDeviceType, i64, i64)> {
    let meta = path.metadata().ok()?;
    let kind = match meta.file_type() {
        kind if kind.is_block_device() => LinuxDeviceType::B,
        kind if kind.is_char_device() => LinuxDeviceType::C,
        _ => return None,
    };
    Some((kind, rustix::fs::major(meta.rdev()).into(), rustix::fs::minor(meta.rdev()).into()))
}

/// `a|b|c MAJOR:MINOR rwm`, which was checked when the container was created; `*` for any number.
fn parse(text: &str) -> Result<LinuxDeviceCgroup> {
    let mut words = text.split_ascii_whitespace();
    let kind = match words.next() {
        Some("b") => LinuxDeviceType::B,
        Some("c") => LinuxDeviceType::C,
        _ => LinuxDeviceType::A,
    };
    let (major, minor) = words.next().and_then(|numbers| numbers.split_once(':')).unwrap_or(("*", "*"));
    allow(kind, major.parse().ok(), minor.parse().ok(), words.next().unwrap_or("rwm"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_rules() {
        let rule = parse("c 189:* rw").unwrap();
        assert_eq!((rule.typ(), rule.major(), rule.minor()), (Some(LinuxDeviceType::C), Some(189), None));
        assert_eq!(rule.access().as_deref(), Some("rw"));
        assert_eq!(parse("a *:* m").unwrap().typ(), Some(LinuxDeviceType::A));
    }

    #[test]
    fn devices_are_known_by_their_numbers() {
        assert_eq!(device(Path::new("/dev/null")), Some((LinuxDeviceType::C, 1, 3)));
        assert_eq!(device(Path::new("/dev")), None);
    }
}
