//! What was decided when a container was created, as kept on disk: `containers/<id>/config.json`.
//!
//! Written once. Everything that depends on the image or the host at that time is resolved here, so that starting
//! needs neither.

use super::life::Life;
use super::limits::Limits;
use super::mounts::{Mount, Source};
use super::request::LogDriver;
use super::rights::Rights;
use super::rights::namespaces::Namespace;
use super::rights::userns::Userns;
use super::secrets::Given;
use crate::base::digest::Digest;
use crate::base::id::ContainerId;
use crate::network::{NetworkMode, PortMapping, Settings};
use crate::runtime::emulator::Emulator;
use crate::store::Store;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The version of the file that this program writes.
pub const VERSION: u32 = 1;

/// A container as it was decided.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Config {
    /// [`VERSION`].
    pub version: u32,
    /// 64 digits.
    pub id: ContainerId,
    /// The name it is claimed under.
    pub name: String,
    /// When, in nanoseconds since 1970.
    pub created: i64,
    /// Where the root file system comes from.
    pub root: RootSource,
    /// The command: entrypoint and arguments.
    pub args: Vec<String>,
    /// How many of `args` are the entrypoint.
    pub entrypoint_len: usize,
    /// `K=V`, each key once.
    pub env: Vec<String>,
    /// The working folder, absolute.
    pub workdir: String,
    /// `user[:group]` as asked, resolved at each start in the container's own files; empty: root.
    pub user: String,
    /// The host name.
    pub hostname: String,
    /// What is mounted besides the root, the image's volumes too; sources absolute.
    pub mounts: Vec<Mount>,
    /// Secrets, without their values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<Given>,
    /// The root is read-only.
    pub read_only: bool,
    /// What it may write to its root, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The network.
    pub network: NetworkMode,
    /// All else about the network.
    #[serde(default)]
    pub networking: Settings,
    /// Published ports, as asked; 0 is decided at each start.
    pub ports: Vec<PortMapping>,
    /// The image's exposed ports, `80/tcp`.
    pub exposed: Vec<String>,
    /// A small init is process 1.
    pub init: bool,
    /// Labels, the image's and the request's.
    pub labels: BTreeMap<String, String>,
    /// All rights, no filters.
    pub privileged: bool,
    /// `--cap-add`, normalised.
    pub cap_add: Vec<String>,
    /// `--cap-drop`, normalised.
    pub cap_drop: Vec<String>,
    /// The bounding set, `CAP_…`.
    pub capabilities: Vec<String>,
    /// What `stop` sends.
    pub stop_signal: i32,
    /// How long `stop` waits before SIGKILL, seconds.
    pub stop_timeout: u64,
    /// Who keeps the output.
    pub log_driver: LogDriver,
    /// Whose processes it sees.
    #[serde(alias = "host_pid")]
    pub pid: Namespace,
    /// Whose shared memory and queues it has.
    #[serde(alias = "host_ipc")]
    pub ipc: Namespace,
    /// Whose host name it has.
    #[serde(alias = "host_uts")]
    pub uts: Namespace,
    /// How ids are mapped.
    pub userns: Userns,
    /// The other options for security and namespaces.
    #[serde(default)]
    pub rights: Rights,
    /// What limits it.
    #[serde(default)]
    pub limits: Limits,
    /// The program of another OCI runtime that makes it.
    #[serde(default)]
    pub runtime: Option<PathBuf>,
    /// Who executes its programs, if the image is for another processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emulator: Option<Emulator>,
    /// A terminal.
    pub tty: bool,
    /// Stdin is kept open.
    pub interactive: bool,
    /// Stdin ends with the first client's.
    pub stdin_once: bool,
    /// Removed when it ends.
    pub remove: bool,
    /// A file to remove with the container.
    pub cidfile: Option<PathBuf>,
    /// Restart policy, health check and what else outlives a run.
    #[serde(default)]
    pub life: Life,
    /// Not kept: the file could not be read, and everything else here is made up.
    #[serde(skip)]
    pub damaged: bool,
}

/// Where a root file system comes from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum RootSource {
    /// The layers of an image.
    Image {
        /// As the user called it, normalised; the id where it has no name.
        name: String,
        /// The config's digest.
        id: Digest,
        /// The manifest's digest.
        manifest: Digest,
        /// Unpacked layers, lowest first.
        layers: Vec<Digest>,
    },
    /// Layers, and a folder for the changes that outlives the container: a step of a build.
    Layers {
        /// Unpacked layers, lowest first.
        layers: Vec<Digest>,
        /// Where `upper` and `work` are; absolute.
        folder: PathBuf,
    },
    /// A folder of the host.
    Rootfs {
        /// Absolute.
        path: PathBuf,
        /// With an overlay above it.
        overlay: bool,
        /// Its files' owners are shown through the container's own map.
        #[serde(default)]
        idmap: bool,
    },
}

impl RootSource {
    /// The folders that the root is made of, topmost first.
    pub fn lower(&self, store: &Store) -> Vec<PathBuf> {
        match self {
            Self::Rootfs { path, .. } => vec![path.clone()],
            Self::Image { layers, .. } | Self::Layers { layers, .. } => {
                layers.iter().rev().map(|layer| store.layer_path(layer)).collect()
            }
        }
    }

    /// The id of the image that it is made from.
    pub fn image(&self) -> Option<&Digest> {
        match self {
            Self::Image { id, .. } => Some(id),
            Self::Layers { .. } | Self::Rootfs { .. } => None,
        }
    }
}

impl Config {
    /// Whether this is a step of a build: in no listing, and gone with the build.
    pub fn is_step(&self) -> bool {
        matches!(self.root, RootSource::Layers { .. })
    }

    /// Stands for a config that cannot be read, so that the container can be listed and removed.
    pub fn damaged(id: ContainerId) -> Self {
        Self {
            version: VERSION,
            name: id.short().to_owned(),
            id,
            created: 0,
            root: RootSource::Rootfs { path: "damaged".into(), overlay: false, idmap: false },
            args: Vec::new(),
            entrypoint_len: 0,
            env: Vec::new(),
            workdir: "/".into(),
            user: String::new(),
            hostname: String::new(),
            mounts: Vec::new(),
            secrets: Vec::new(),
            read_only: false,
            size: None,
            network: NetworkMode::None,
            networking: Settings::default(),
            ports: Vec::new(),
            exposed: Vec::new(),
            init: false,
            labels: BTreeMap::new(),
            privileged: false,
            cap_add: Vec::new(),
            cap_drop: Vec::new(),
            capabilities: Vec::new(),
            stop_signal: crate::base::signal::SIGTERM,
            stop_timeout: 10,
            log_driver: LogDriver::K8sFile,
            pid: Namespace::Private,
            ipc: Namespace::Private,
            uts: Namespace::Private,
            userns: Userns::Host,
            rights: Rights::default(),
            limits: Limits::default(),
            runtime: None,
            emulator: None,
            tty: false,
            interactive: false,
            stdin_once: false,
            remove: false,
            cidfile: None,
            life: Life::default(),
            damaged: true,
        }
    }

    /// The image's name, or the folder.
    pub fn image_name(&self) -> String {
        match &self.root {
            RootSource::Image { name, .. } => name.clone(),
            RootSource::Layers { .. } => String::new(),
            RootSource::Rootfs { path, .. } => path.display().to_string(),
        }
    }

    /// The layers it stands on, lowest first.
    pub fn layers(&self) -> &[Digest] {
        match &self.root {
            RootSource::Image { layers, .. } | RootSource::Layers { layers, .. } => layers,
            RootSource::Rootfs { .. } => &[],
        }
    }

    /// All layers that it needs: of its root and of images that it mounts.
    pub fn layers_in_use(&self) -> impl Iterator<Item = &Digest> {
        let mounted = self.mounts.iter().filter_map(|mount| match &mount.source {
            Source::Image { layers, .. } => Some(layers),
            _ => None,
        });
        self.layers().iter().chain(mounted.flatten())
    }
}
