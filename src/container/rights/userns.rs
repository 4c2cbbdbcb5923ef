//! Whose ids a container has: the words of `--userns`. Parsing is pure.

use crate::base::error::{Fault, Kind, fault};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// `--userns`: whose ids the container has.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Userns {
    /// Root in the container is the caller.
    #[default]
    Host,
    /// The caller's own ids are kept inside, or are these; root is a subordinate id.
    KeepId {
        /// The uid that the caller has inside.
        uid: Option<u32>,
        /// The gid.
        gid: Option<u32>,
        /// How many ids there are.
        size: Option<u32>,
    },
    /// A range of ids that no other container of this mode has.
    Auto {
        /// How many; `None`: as the image needs.
        size: Option<u32>,
        /// Further maps of uids, as `--uidmap` has them.
        uid_maps: Vec<String>,
        /// Of gids.
        gid_maps: Vec<String>,
    },
    /// The caller's ids are nobody's inside.
    NoMap,
    /// The maps of `--uidmap`, `--gidmap`, `--subuidname` or `--subgidname`.
    Private,
    /// That of a running container.
    Container(String),
    /// A namespace file.
    Path(PathBuf),
}

impl TryFrom<String> for Userns {
    type Error = anyhow::Error;

    fn try_from(text: String) -> Result<Self> {
        if text == "private" { Ok(Self::Private) } else { Self::parse(&text) }
    }
}

impl From<Userns> for String {
    fn from(userns: Userns) -> Self {
        userns.to_string()
    }
}

impl fmt::Display for Userns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with = |name: &str, fields: Vec<String>| {
            if fields.is_empty() { name.to_owned() } else { format!("{name}:{}", fields.join(",")) }
        };
        let field = |name: &str, value: &Option<u32>| value.map(|value| format!("{name}={value}"));
        let text = match self {
            Self::Host => "host".to_owned(),
            Self::KeepId { uid, gid, size } => {
                let fields = [field("uid", uid), field("gid", gid), field("size", size)];
                with("keep-id", fields.into_iter().flatten().collect())
            }
            Self::Auto { size, uid_maps, gid_maps } => {
                let uids = uid_maps.iter().map(|map| format!("uidmapping={map}"));
                let gids = gid_maps.iter().map(|map| format!("gidmapping={map}"));
                with("auto", field("size", size).into_iter().chain(uids).chain(gids).collect())
            }
            Self::NoMap => "nomap".to_owned(),
            Self::Private => "private".to_owned(),
            Self::Container(name) => format!("container:{name}"),
            Self::Path(path) => format!("ns:{}", path.display()),
        };
        f.write_str(&text)
    }
}

impl Userns {
    /// Parse `--userns`; nothing means `host`.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |why: String| Fault::new(Kind::Usage, why);
        let (name, fields) = text.split_once(':').unwrap_or((text, ""));
        match (name, fields) {
            ("container", name) if !name.is_empty() => return Ok(Self::Container(name.to_owned())),
            ("ns", path) if path.starts_with('/') => return Ok(Self::Path(path.into())),
            ("" | "host", "") => return Ok(Self::Host),
            ("nomap", "") => return Ok(Self::NoMap),
            ("keep-id" | "auto", _) => {}
            ("private", "") => {
                return Err(wrong("`--userns private` needs maps".into()).hint("--uidmap 0:1:65536").into());
            }
            _ => {
                return Err(wrong(format!("`{}` is no user namespace mode", text.escape_debug()))
                    .hint("it is one of: host keep-id[:uid=,gid=,size=] auto[:size=] nomap container:NAME ns:/PATH")
                    .into());
            }
        }
        let (mut uid, mut gid, mut size) = (None, None, None);
        let (mut uid_maps, mut gid_maps) = (Vec::new(), Vec::new());
        for part in fields.split(',').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let number = value.parse::<u32>().ok().filter(|number| *number <= i32::MAX as u32);
            match (name, key, number) {
                ("keep-id", "uid", Some(_)) => uid = number,
                ("keep-id", "gid", Some(_)) => gid = number,
                (_, "size", Some(1..)) => size = number,
                ("auto", "uidmapping", _) => uid_maps.push(value.to_owned()),
                ("auto", "gidmapping", _) => gid_maps.push(value.to_owned()),
                _ => {
                    let (text, part) = (text.escape_debug(), part.escape_debug());
                    return Err(fault(Kind::Usage, format!("`--userns {text}`: `{part}` is not understood")));
                }
            }
        }
        Ok(if name == "auto" { Self::Auto { size, uid_maps, gid_maps } } else { Self::KeepId { uid, gid, size } })
    }

    /// Whether the container has a user namespace other than the user's own.
    pub fn is_apart(&self) -> bool {
        *self != Self::Host
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_user_namespaces() {
        for text in [
            "host",
            "keep-id",
            "keep-id:uid=7,gid=8,size=100",
            "auto",
            "auto:size=4096",
            "auto:uidmapping=0:1:5,gidmapping=0:1:5",
            "nomap",
            "container:c",
            "ns:/x",
        ] {
            let userns = Userns::parse(text).unwrap();
            assert_eq!(userns.to_string(), text);
            let kept = serde_json::to_string(&userns).unwrap();
            assert_eq!(serde_json::from_str::<Userns>(&kept).unwrap(), userns);
        }
        assert_eq!(Userns::parse("").unwrap(), Userns::Host);
        for text in
            ["private", "keep-id:x=1", "keep-id:uid=-1", "auto:size=0", "auto:uid=1", "nomap:x", "host:1", "ns:x"]
        {
            assert!(Userns::parse(text).is_err(), "{text}");
        }
    }
}
