//! Where a volume's files are, by its driver and options. Pure.
//!
//! `local` without options keeps them in the volume's own folder. With `type`, `device` and `o` (as mount(8) has them;
//! see docker-volume-create(1)) it stands for a mount, which each container makes in its own mount namespace.

use crate::base::error::{Fault, Kind, fault};
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a volume stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Driver {
    /// Its own folder.
    Folder,
    /// A folder of the host.
    Bind {
        /// Absolute.
        device: PathBuf,
        /// Mount options.
        options: Vec<String>,
    },
    /// Memory: each container has its own.
    Tmpfs {
        /// Mount options.
        options: Vec<String>,
    },
    /// The kernel mounts it: `nfs`, `overlay`, `ext4`.
    Kernel {
        /// The file system's type.
        kind: String,
        /// What it is mounted from.
        device: String,
        /// Mount options.
        options: Vec<String>,
    },
    /// The files of an image, read only.
    Image {
        /// Its name.
        reference: String,
    },
}

/// The options that `local` knows.
const LOCAL: &str = "type device o uid gid";

impl Driver {
    /// Understand a driver's name and its options.
    pub fn parse(driver: &str, options: &BTreeMap<String, String>) -> Result<Self> {
        match driver {
            "" | "local" => Self::local(options),
            "image" => Self::image(options),
            other => {
                let text = format!("there is no volume driver `{}`", other.escape_debug());
                Err(Fault::new(Kind::Usage, text).hint("the drivers are: local image").into())
            }
        }
    }

    fn image(options: &BTreeMap<String, String>) -> Result<Self> {
        if let Some(key) = options.keys().find(|key| *key != "image") {
            return Err(unknown("image", key, "image"));
        }
        match options.get("image").filter(|name| !name.is_empty()) {
            Some(name) => Ok(Self::Image { reference: name.clone() }),
            None => {
                let fault = Fault::new(Kind::Usage, "a volume of the driver `image` needs the image's name");
                Err(fault.hint("box volume create --driver image --opt image=alpine NAME").into())
            }
        }
    }

    fn local(options: &BTreeMap<String, String>) -> Result<Self> {
        if let Some(key) = options.keys().find(|key| !LOCAL.split(' ').any(|known| known == *key)) {
            return Err(unknown("local", key, LOCAL));
        }
        let words: Vec<String> = options
            .get("o")
            .map(|text| text.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect())
            .unwrap_or_default();
        let device = options.get("device").map(String::as_str).unwrap_or_default();
        let is_bind = words.iter().any(|word| word == "bind" || word == "rbind");
        match options.get("type").map(String::as_str).unwrap_or_default() {
            "" | "none" | "bind" if is_bind || options.get("type").is_some_and(|kind| kind == "bind") => {
                if !Path::new(device).is_absolute() {
                    let text = format!("`device={}` is not the absolute path of a folder", device.escape_debug());
                    let hint = "box volume create --opt type=bind --opt device=/srv/data NAME";
                    return Err(Fault::new(Kind::Usage, text).hint(hint).into());
                }
                let options = words.into_iter().filter(|word| word != "bind" && word != "rbind").collect();
                Ok(Self::Bind { device: device.into(), options })
            }
            "tmpfs" => Ok(Self::Tmpfs { options: words }),
            "" | "none" if device.is_empty() && words.iter().all(|word| own(word).is_some()) => Ok(Self::Folder),
            "" => Err(fault(Kind::Usage, "a volume with `device` or `o` needs `type`, as mount(8) has it")),
            kind if device.is_empty() => {
                Err(fault(Kind::Usage, format!("a volume of type `{}` needs `device`", kind.escape_debug())))
            }
            kind => Ok(Self::Kernel { kind: kind.to_owned(), device: device.to_owned(), options: words }),
        }
    }
}

/// The owner that `o=uid=…,gid=…` or the options `uid` and `gid` give the volume's own folder.
pub fn owner(options: &BTreeMap<String, String>) -> Result<(Option<u32>, Option<u32>)> {
    let mut found = (None, None);
    let words = options.get("o").into_iter().flat_map(|text| text.split(',')).filter_map(own);
    let direct = ["uid", "gid"].into_iter().filter_map(|key| Some((key, options.get(key)?.as_str())));
    for (key, value) in words.chain(direct) {
        let id = value.parse::<u32>();
        let id = id.map_err(|_| fault(Kind::Usage, format!("`{key}={}` is not an id", value.escape_debug())))?;
        match key {
            "uid" => found.0 = Some(id),
            _ => found.1 = Some(id),
        }
    }
    Ok(found)
}

/// `uid=…` or `gid=…`.
fn own(word: &str) -> Option<(&str, &str)> {
    word.split_once('=').filter(|(key, _)| matches!(*key, "uid" | "gid"))
}

fn unknown(driver: &str, key: &str, known: &str) -> anyhow::Error {
    Fault::new(Kind::Usage, format!("the volume driver `{driver}` has no option `{}`", key.escape_debug()))
        .hint(format!("the options are: {known}"))
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> BTreeMap<String, String> {
        let split = |word: &str| word.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
        text.split(' ').filter_map(split).collect()
    }

    #[test]
    fn drivers() {
        let bind = |device: &str, options: &[&str]| {
            let options = options.iter().map(ToString::to_string).collect();
            Some(Driver::Bind { device: device.into(), options })
        };
        for (driver, text, expected) in [
            ("local", "", Some(Driver::Folder)),
            ("", "o=uid=5,gid=6", Some(Driver::Folder)),
            ("local", "type=bind device=/a", bind("/a", &[])),
            ("local", "type=none device=/a o=bind,ro", bind("/a", &["ro"])),
            ("local", "type=bind device=a", None),
            ("local", "type=tmpfs device=tmpfs o=size=1m", Some(Driver::Tmpfs { options: vec!["size=1m".into()] })),
            (
                "local",
                "type=nfs device=:/export o=addr=10.0.0.1,rw",
                Some(Driver::Kernel {
                    kind: "nfs".into(),
                    device: ":/export".into(),
                    options: vec!["addr=10.0.0.1".into(), "rw".into()],
                }),
            ),
            ("local", "type=nfs", None),
            ("local", "device=/a", None),
            ("local", "nope=1", None),
            ("image", "image=alpine", Some(Driver::Image { reference: "alpine".into() })),
            ("image", "", None),
            ("nfs", "", None),
        ] {
            assert_eq!(Driver::parse(driver, &options(text)).ok(), expected, "{driver} {text}");
        }
    }

    #[test]
    fn owners() {
        assert_eq!(owner(&options("o=uid=5,gid=6,ro")).unwrap(), (Some(5), Some(6)));
        assert_eq!(owner(&options("uid=7")).unwrap(), (Some(7), None));
        assert!(owner(&options("uid=x")).is_err());
    }
}
