//! What a container sees of the host, of volumes and of other images: the type that the command line and the record
//! share, and what becomes of it.
//!
//! `words` reads `-v`, `--mount` and `--tmpfs`; `settle` looks at the host when the container is created; `lend` makes
//! ready what a start needs; `spec` is what the runtime is told.

mod lend;
mod options;
mod own;
mod settle;
mod spec;
mod timezone;
mod words;

pub use lend::{Lent, lend, remove, remove_anonymous, uses};
pub use options::{Options, Overlay};
pub use own::{outside, own};
pub use settle::{Settled, Wishes, gather, settle};
pub use spec::lent_mounts;
pub use timezone::timezone;
pub use words::{parse_image_volumes, parse_mount, parse_tmpfs, parse_volume};

use crate::base::digest::Digest;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One `-v`, `--mount` or `--tmpfs`, or a volume that the image declares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Absolute, in the container.
    pub target: PathBuf,
    /// What is mounted.
    #[serde(flatten)]
    pub source: Source,
    /// How.
    #[serde(default)]
    pub options: Options,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Source {
    /// A folder or file of the host.
    Bind {
        /// Absolute, or relative to the working folder (made absolute before it is kept).
        source: PathBuf,
    },
    /// Files of the host by a pattern; becomes binds before it is kept.
    Glob {
        /// The pattern's path; `*`, `?` and `[…]` within a name.
        pattern: PathBuf,
        /// A folder in the container for all of them; else each has the path that it has on the host.
        into: Option<PathBuf>,
    },
    /// A volume.
    Volume {
        /// Its name; empty until an anonymous one is made.
        name: String,
        /// Made for this container.
        #[serde(default)]
        anonymous: bool,
        /// What a volume that does not exist yet is made with.
        #[serde(default, skip_serializing_if = "VolumeWish::is_default")]
        make: VolumeWish,
    },
    /// The files of another image.
    Image {
        /// As typed.
        reference: String,
        /// Its layers, lowest first, once it is found.
        #[serde(default)]
        layers: Vec<Digest>,
    },
    /// Memory.
    Tmpfs,
    /// Pseudo-terminals of its own.
    Devpts,
}

/// `volume-driver`, `volume-opt` and `volume-label` of `--mount type=volume`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeWish {
    /// The driver; empty for `local`.
    pub driver: String,
    /// `KEY=VALUE`.
    pub options: Vec<(String, String)>,
    /// `KEY=VALUE`.
    pub labels: Vec<(String, String)>,
}

impl VolumeWish {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// `--image-volume`: what becomes of the volumes that the image declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ImageVolumes {
    /// An anonymous volume each.
    #[default]
    Anonymous,
    /// Memory.
    Tmpfs,
    /// Nothing is mounted.
    Ignore,
}

impl Mount {
    /// A bind, a tmpfs or another source on a target, with no options.
    pub fn new(source: Source, target: impl Into<PathBuf>) -> Self {
        Self { target: target.into(), source, options: Options::default() }
    }

    /// The volume's name, if it is one.
    pub fn volume(&self) -> Option<&str> {
        match &self.source {
            Source::Volume { name, .. } => Some(name),
            _ => None,
        }
    }
}
