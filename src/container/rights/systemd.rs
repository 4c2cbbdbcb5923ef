//! `--systemd`: what systemd wants to find as a container's command. <https://systemd.io/CONTAINER_INTERFACE>

use crate::base::id::ContainerId;
use anyhow::Result;
use oci_spec::runtime::{Mount, MountBuilder};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// When a container is made ready for systemd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Systemd {
    /// If its command is systemd.
    #[default]
    IfCommand,
    /// Whatever its command is.
    Always,
    /// Never.
    Never,
}

/// What tells systemd to halt.
pub const STOP_SIGNAL: i32 = 34 + 3;

impl Systemd {
    /// Whether a container with this command is made ready.
    pub fn applies(self, args: &[String]) -> bool {
        const INIT: [&str; 3] = ["/sbin/init", "/usr/sbin/init", "/usr/local/sbin/init"];
        let command = args.first().map_or("", String::as_str);
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::IfCommand => {
                INIT.contains(&command) || Path::new(command).file_name().is_some_and(|name| name == "systemd")
            }
        }
    }
}

/// The id as systemd takes it for the machine's (machine-id(5)).
pub fn uuid(id: &ContainerId) -> String {
    let digits = id.as_str().get(..32).unwrap_or_default();
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    format!("container_uuid={}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

/// Memory where systemd writes, but for what is mounted already; and a cgroup that it may divide.
pub fn prepare(mounts: &mut Vec<Mount>, size: Option<u64>) -> Result<()> {
    for (target, mode) in [("/run", "755"), ("/run/lock", "1777"), ("/tmp", "1777"), ("/var/log/journal", "755")] {
        if mounts.iter().all(|mount| mount.destination() != Path::new(target)) {
            let mode = format!("mode={mode}");
            let mut options = ["rw", "nosuid", "nodev", "tmpcopyup", &mode].map(str::to_owned).to_vec();
            options.extend(size.map(|size| format!("size={size}")));
            mounts.push(
                MountBuilder::default().destination(target).typ("tmpfs").source("tmpfs").options(options).build()?,
            );
        }
    }
    let cgroup = mounts.iter_mut().find(|mount| mount.destination() == Path::new("/sys/fs/cgroup"));
    if let Some(options) = cgroup.and_then(|mount| mount.options_mut().as_mut()) {
        options.retain(|option| option != "ro");
        options.push("rw".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_commands_are_systemd() {
        for (word, expected) in [
            ("/sbin/init", true),
            ("/usr/lib/systemd/systemd", true),
            ("systemd", true),
            ("init", false),
            ("/bin/sh", false),
            ("/usr/bin/systemd-run", false),
        ] {
            assert_eq!(Systemd::IfCommand.applies(&[word.to_owned()]), expected, "{word}");
            assert!(Systemd::Always.applies(&[word.to_owned()]) && !Systemd::Never.applies(&[word.to_owned()]));
        }
    }
}
