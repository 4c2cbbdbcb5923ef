//! Which namespaces a container has: the words of `--pid`, `--ipc` and `--uts`. Parsing is pure.

use crate::base::error::{Fault, Kind};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// A namespace of a container: its own or another's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "String")]
pub enum Namespace {
    /// Its own.
    #[default]
    Private,
    /// The one that box was called in.
    Host,
    /// That of a running container: what was typed, its id once that is known.
    Container(String),
    /// A namespace file, as in `/proc/PID/ns/net`.
    Path(PathBuf),
    /// `--ipc none`: its own, without `/dev/shm`.
    Closed,
}

/// A namespace in a record; before there were other modes than `host`, a truth value.
#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    Host(bool),
    Words(String),
}

impl TryFrom<Stored> for Namespace {
    type Error = String;

    fn try_from(stored: Stored) -> Result<Self, String> {
        match stored {
            Stored::Host(true) => Ok(Self::Host),
            Stored::Host(false) => Ok(Self::Private),
            Stored::Words(text) => Self::of(&text).ok_or_else(|| format!("`{text}` is no namespace")),
        }
    }
}

impl From<Namespace> for String {
    fn from(namespace: Namespace) -> Self {
        namespace.to_string()
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Private => f.write_str("private"),
            Self::Host => f.write_str("host"),
            Self::Container(name) => write!(f, "container:{name}"),
            Self::Path(path) => write!(f, "ns:{}", path.display()),
            Self::Closed => f.write_str("none"),
        }
    }
}

impl Namespace {
    fn of(text: &str) -> Option<Self> {
        Some(match text.split_once(':') {
            None if text.is_empty() || text == "private" || text == "shareable" => Self::Private,
            None if text == "host" => Self::Host,
            None if text == "none" => Self::Closed,
            Some(("container", name)) if !name.is_empty() => Self::Container(name.to_owned()),
            Some(("ns", path)) if path.starts_with('/') => Self::Path(path.into()),
            _ => return None,
        })
    }

    /// Parse the value of `flag`, one of `--pid`, `--ipc` and `--uts`.
    pub fn parse(flag: &str, text: &str) -> Result<Self> {
        let ipc_alone = matches!(text, "none" | "shareable");
        Self::of(text).filter(|_| flag == "--ipc" || !ipc_alone).ok_or_else(|| {
            let more = if flag == "--ipc" { " shareable none" } else { "" };
            Fault::new(Kind::Usage, format!("`{flag}` cannot be `{}`", text.escape_debug()))
                .hint(format!("it is one of: private host{more} container:NAME ns:/PATH"))
                .into()
        })
    }

    /// Whether it is the container's own.
    pub fn is_own(&self) -> bool {
        matches!(self, Self::Private | Self::Closed)
    }

    /// Whether it is the caller's.
    pub fn is_host(&self) -> bool {
        *self == Self::Host
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_namespaces() {
        for (flag, text, shown) in [
            ("--pid", "", "private"),
            ("--pid", "host", "host"),
            ("--uts", "private", "private"),
            ("--ipc", "shareable", "private"),
            ("--ipc", "none", "none"),
            ("--pid", "container:web", "container:web"),
            ("--uts", "ns:/proc/7/ns/uts", "ns:/proc/7/ns/uts"),
        ] {
            let namespace = Namespace::parse(flag, text).unwrap();
            assert_eq!(namespace.to_string(), shown);
            let kept = serde_json::to_string(&namespace).unwrap();
            assert_eq!(serde_json::from_str::<Namespace>(&kept).unwrap(), namespace);
        }
        for (flag, text) in
            [("--pid", "none"), ("--uts", "shareable"), ("--pid", "container:"), ("--ipc", "ns:x"), ("--pid", "Host")]
        {
            assert!(Namespace::parse(flag, text).is_err(), "{flag} {text}");
        }
        // As it was kept before there were other modes.
        assert_eq!(serde_json::from_str::<Namespace>("true").unwrap(), Namespace::Host);
    }
}
