//! Places for images, as skopeo names them: `docker://`, `oci:`, `oci-archive:`, `docker-archive:`, `dir:`.
//!
//! <https://github.com/containers/image/blob/main/docs/containers-transports.5.md>

use crate::base::error::{Fault, Kind};
use crate::oci::reference::Reference;
use anyhow::Result;
use std::path::PathBuf;

/// Where an image goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Destination {
    /// A registry.
    Registry(Reference),
    /// A folder with an OCI layout, and the image's name there.
    Layout(PathBuf, Option<String>),
    /// A tar archive of an OCI layout, and the image's name there.
    OciArchive(PathBuf, Option<String>),
    /// A tar archive for `docker load`, and the image's name there.
    DockerArchive(PathBuf, Option<String>),
    /// A folder with one image: its manifest and its blobs.
    Folder(PathBuf),
}

impl Destination {
    /// Parse `TRANSPORT:PLACE`, or a name in a registry.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let (transport, rest) = text.split_once(':').unwrap_or(("", text));
        let named = || match rest.split_once(':') {
            Some((path, name)) => (PathBuf::from(path), Some(name.to_owned()).filter(|name| !name.is_empty())),
            None => (PathBuf::from(rest), None),
        };
        let place = match transport {
            "docker" if rest.starts_with("//") => {
                return Ok(Self::Registry(Reference::parse(rest.trim_start_matches('/'))?));
            }
            "oci" => named(),
            "oci-archive" | "docker-archive" => named(),
            "dir" => (PathBuf::from(rest), None),
            "containers-storage" | "docker-daemon" | "ostree" | "sif" | "atomic" | "tarball" => {
                let text = format!("box does not send images to `{transport}:`");
                let hint =
                    "box save IMAGE | podman load, or a place of docker://, oci:, oci-archive:, docker-archive:, dir:";
                return Err(Fault::new(Kind::Usage, text).hint(hint).into());
            }
            _ => return Ok(Self::Registry(Reference::parse(text)?)),
        };
        if place.0.as_os_str().is_empty() {
            let text = format!("`{}` names no file or folder", text.escape_debug());
            return Err(Fault::new(Kind::Usage, text).hint(format!("{transport}:PATH")).into());
        }
        Ok(match transport {
            "oci" => Self::Layout(place.0, place.1),
            "oci-archive" => Self::OciArchive(place.0, place.1),
            "docker-archive" => Self::DockerArchive(place.0, place.1),
            _ => Self::Folder(place.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let registry = |text: &str| Destination::Registry(Reference::parse(text).unwrap());
        for (text, expected) in [
            ("quay.io/a/b:1", registry("quay.io/a/b:1")),
            ("localhost:5000/x", registry("localhost:5000/x")),
            ("docker://localhost:5000/x", registry("localhost:5000/x")),
            ("oci:dir", Destination::Layout("dir".into(), None)),
            ("oci:/a/b:tag", Destination::Layout("/a/b".into(), Some("tag".into()))),
            ("oci-archive:f.tar:x/y:1", Destination::OciArchive("f.tar".into(), Some("x/y:1".into()))),
            ("docker-archive:f.tar", Destination::DockerArchive("f.tar".into(), None)),
            ("dir:/x:y", Destination::Folder("/x:y".into())),
        ] {
            assert_eq!(Destination::parse(text).unwrap(), expected, "{text}");
        }
        for text in ["containers-storage:x", "docker-daemon:x:1", "oci:", "dir:", "Bad", "docker://"] {
            assert!(Destination::parse(text).is_err(), "{text}");
        }
    }
}
