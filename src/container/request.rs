//! The one request that every front end fills in; it decides nothing and touches nothing.
//!
//! Words stay as the user wrote them where their meaning depends on the image or the host (environment, user,
//! command); what has a syntax of its own is parsed by whoever fills this in, with the parsers of the rooms below.

use super::environment::Changes;
use super::life::LifeRequest;
use super::limits::Limits;
use super::mounts::{ImageVolumes, Mount};
use super::rights::Rights;
use super::rights::namespaces::Namespace;
use super::rights::userns::Userns;
use super::secrets::Given;
use crate::base::digest::Digest;
use crate::network::{NetworkMode, PortMapping, Settings};
use crate::oci::platform::Platform;
use crate::registry::Access;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::rc::Rc;

/// Everything that `run` and `create` can ask for.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// What the root file system is.
    pub source: Source,
    /// The arguments after the image; empty: the image's own command.
    pub command: Vec<String>,
    /// `--name`; `None`: a made-up one.
    pub name: Option<String>,
    /// `--entrypoint`; `Some` of nothing clears the image's.
    pub entrypoint: Option<Vec<String>>,
    /// `-e`, in order: `K=V`, `K` (copied from the host if set) or `PREFIX*`.
    pub env: Vec<String>,
    /// `--env-file`, in order; before `env`.
    pub env_files: Vec<PathBuf>,
    /// `-w`.
    pub workdir: Option<String>,
    /// `-u`: `user[:group]`, names or numbers.
    pub user: Option<String>,
    /// `--hostname`.
    pub hostname: Option<String>,
    /// `--tz`: a zone's name, or `local`.
    pub timezone: Option<String>,
    /// `-v`, `--mount`, `--tmpfs`, in order.
    pub mounts: Vec<Mount>,
    /// `--volumes-from`: `CONTAINER[:ro|rw|z]`.
    pub volumes_from: Vec<String>,
    /// `--image-volume`.
    pub image_volumes: ImageVolumes,
    /// `--secret`.
    pub secrets: Vec<Given>,
    /// `--read-only`.
    pub read_only: bool,
    /// `--storage-opt size`: what it may write to its root, in bytes.
    pub size: Option<u64>,
    /// `--network`; `None`: slirp4netns.
    pub network: Option<NetworkMode>,
    /// All else about the network.
    pub networking: Settings,
    /// `-p`.
    pub ports: Vec<PortMapping>,
    /// `--init`: a small init as process 1, which reaps.
    pub init: bool,
    /// `--label`.
    pub labels: BTreeMap<String, String>,
    /// `--pull`.
    pub pull: PullPolicy,
    /// `--platform`; `None`: this machine's.
    pub platform: Option<Platform>,
    /// `-q`: no progress.
    pub quiet: bool,
    /// `--tls-verify`, `--authfile`, `--creds`, `--cert-dir`, `--retry`, `--retry-delay`.
    pub access: Rc<Access>,
    /// `--privileged`.
    pub privileged: bool,
    /// `--cap-add`: names with or without `CAP_`, or `ALL`.
    pub cap_add: Vec<String>,
    /// `--cap-drop`: the same.
    pub cap_drop: Vec<String>,
    /// `--stop-signal`: a name or number.
    pub stop_signal: Option<String>,
    /// `--stop-timeout`, seconds.
    pub stop_timeout: Option<u64>,
    /// What the user's configuration says where nothing else does.
    pub defaults: Defaults,
    /// `--log-driver`.
    pub log_driver: LogDriver,
    /// `--pid`.
    pub pid: Namespace,
    /// `--ipc`.
    pub ipc: Namespace,
    /// `--uts`.
    pub uts: Namespace,
    /// The other options for security and namespaces.
    pub rights: Rights,
    /// `--env-merge`, `--unsetenv`, `--unsetenv-all`.
    pub env_changes: Changes,
    /// `--runtime`: a name or path; `None`: box itself.
    pub runtime: Option<String>,
    /// `--userns`.
    pub userns: Userns,
    /// Memory, processors, processes and all else that is limited.
    pub limits: Limits,
    /// `-t`.
    pub tty: bool,
    /// `-i`.
    pub interactive: bool,
    /// `--rm`.
    pub remove: bool,
    /// `-d`; decides only whether the first attached stdin's end is the container's (`stdin once`).
    pub detach: bool,
    /// `--cidfile`.
    pub cidfile: Option<PathBuf>,
    /// Restarts, health, the log and the end.
    pub life: LifeRequest,
}

/// What stands in place of box's own defaults.
#[derive(Debug, Clone, Default)]
pub struct Defaults {
    /// The capabilities that a container has unless it is asked otherwise, with or without `CAP_`.
    pub capabilities: Option<Vec<String>>,
    /// How long `stop` waits, seconds.
    pub stop_timeout: Option<u64>,
    /// Where logs are kept, in a folder for each container.
    pub log_folder: Option<PathBuf>,
    /// The addresses that ports without one are published on; none: all.
    pub host_ips: Vec<IpAddr>,
    /// A host name is made of the name, not of the id.
    pub name_as_hostname: bool,
}

/// Where the root file system comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// An image by name, id or digest, as typed.
    Image(String),
    /// Layers of the store, and a folder of the caller's for the changes: a step of a build. The container is in no
    /// listing, and it ends when its caller does.
    Layers {
        /// By diff id, lowest first, all unpacked.
        layers: Vec<Digest>,
        /// `upper` and `work` are made in it.
        folder: PathBuf,
    },
    /// `--rootfs DIR[:O|:idmap]`: a folder, with an overlay above it or written to directly.
    Rootfs {
        /// The folder.
        path: PathBuf,
        /// `:O`: changes go to the container's own upper folder.
        overlay: bool,
        /// `:idmap`: its files' owners are shown through the container's own map.
        idmap: bool,
    },
}

impl Default for Source {
    fn default() -> Self {
        Self::Image(String::new())
    }
}

/// `--pull`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PullPolicy {
    /// Ask the registry each time.
    Always,
    /// Pull what is not there.
    #[default]
    Missing,
    /// Only what is there.
    Never,
    /// Pull if the registry's is another; without a registry, what is there.
    Newer,
}

/// `--log-driver`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogDriver {
    /// A text line an output line: time, stream, F or P, text.
    #[default]
    K8sFile,
    /// docker's JSON lines.
    JsonFile,
    /// systemd's journal.
    Journald,
    /// The container has the caller's own streams, which must be no terminal; nothing is kept.
    Passthrough,
    /// The same, and they may be one.
    PassthroughTty,
    /// Nothing is kept.
    None,
}

impl LogDriver {
    /// All of them by their words.
    pub const ALL: [(&str, Self); 6] = [
        ("k8s-file", Self::K8sFile),
        ("json-file", Self::JsonFile),
        ("journald", Self::Journald),
        ("none", Self::None),
        ("passthrough", Self::Passthrough),
        ("passthrough-tty", Self::PassthroughTty),
    ];

    /// Its word.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, driver)| *driver == self).map_or("", |(word, _)| word)
    }

    /// Whether the container has the caller's streams.
    pub fn passes(self) -> bool {
        matches!(self, Self::Passthrough | Self::PassthroughTty)
    }
}
