//! The options of one mount, as `-v` and `--mount` share them. Pure.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How something is mounted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// `ro`.
    #[serde(skip_serializing_if = "is_false")]
    pub read_only: bool,
    /// `bind`: without the mounts below the source (`rbind`, the default).
    #[serde(skip_serializing_if = "is_false")]
    pub single: bool,
    /// `exec` `noexec` `suid` `nosuid` `dev` `nodev` and the access times, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// `shared`, `slave`, `private` and the same with an r.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub propagation: Option<String>,
    /// `U`: the files are given to the container's user.
    #[serde(skip_serializing_if = "is_false")]
    pub chown: bool,
    /// `O`: changes stay above the source, in an overlay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlay: Option<Overlay>,
    /// `idmap`: the files' owners are shown through this map; empty for the container's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idmap: Option<String>,
    /// `nocopy`: a new volume stays empty, a tmpfs too (`notmpcopyup`).
    #[serde(skip_serializing_if = "is_false")]
    pub no_copy: bool,
    /// Only this folder or file of the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subpath: Option<PathBuf>,
    /// `z` or `Z`: the label for SELinux; nothing where there is no SELinux.
    #[serde(skip_serializing_if = "is_false")]
    pub relabel: bool,
    /// Options of the file system, `size=64m`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<String>,
}

/// Where the changes above an overlay's source go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlay {
    /// `upperdir=`: a folder of the user's, kept; else one of the container's own.
    pub upper: Option<PathBuf>,
    /// `workdir=`: goes with `upperdir`, on the same file system.
    pub work: Option<PathBuf>,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// Words that only set a flag of the mount.
const FLAGS: [&str; 10] =
    ["exec", "noexec", "suid", "nosuid", "dev", "nodev", "noatime", "relatime", "strictatime", "nodiratime"];
/// Words on propagation.
const PROPAGATION: [&str; 8] =
    ["private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable", "runbindable"];

impl Options {
    /// Take an option of a bind or a volume; whether it is one.
    pub fn take(&mut self, word: &str) -> bool {
        let (key, value) = word.split_once('=').map_or((word, None), |(key, value)| (key, Some(value)));
        match (key, value) {
            ("ro", None) => self.read_only = true,
            ("rw", None) => self.read_only = false,
            ("rbind", None) => self.single = false,
            ("bind", None) => self.single = true,
            ("U", None) => self.chown = true,
            ("O", None) => drop(self.overlay.get_or_insert_default()),
            ("upperdir", Some(path)) => self.overlay.get_or_insert_default().upper = Some(path.into()),
            ("workdir", Some(path)) => self.overlay.get_or_insert_default().work = Some(path.into()),
            ("idmap", map) => self.idmap = Some(map.unwrap_or_default().to_owned()),
            ("copy", None) => self.no_copy = false,
            ("nocopy", None) => self.no_copy = true,
            ("z" | "Z", None) => self.relabel = true,
            // What box does anyway, or what only a virtual machine means something by.
            ("cached" | "delegated" | "consistent", None) => {}
            (word, None) if FLAGS.contains(&word) => self.flags.push(word.to_owned()),
            (word, None) if PROPAGATION.contains(&word) => self.propagation = Some(word.to_owned()),
            _ => return false,
        }
        true
    }
}

/// What [`Options::take`] knows, for advice.
pub const KNOWN: &str = "ro rw bind rbind z Z U O upperdir= workdir= idmap copy nocopy exec noexec suid nosuid dev nodev \
                         private rprivate slave rslave shared rshared";
