//! What a build is asked for: the one type that every front end fills in. It decides nothing and touches nothing.

use crate::container::request::{PullPolicy, Request};
use crate::image::ManifestFormat;
use crate::oci::platform::Platform;
use crate::oci::reference::Reference;
use crate::registry::Access;
use std::path::PathBuf;

/// Everything that `build` can ask for.
#[derive(Debug, Default)]
pub struct BuildRequest {
    /// The context.
    pub context: ContextSource,
    /// `-f`.
    pub file: FileSource,
    /// `--ignorefile`, instead of those that lie beside the Dockerfile and in the context.
    pub ignore_file: Option<PathBuf>,
    /// `--build-context`, by name.
    pub contexts: Vec<(String, ContextSource)>,
    /// `--build-arg`; a later one wins.
    pub args: Vec<(String, String)>,
    /// `--label`.
    pub labels: Vec<(String, String)>,
    /// `--annotation`, on the manifest.
    pub annotations: Vec<(String, String)>,
    /// `--env`, in the built image.
    pub env: Vec<(String, String)>,
    /// `--unsetenv`.
    pub unset_env: Vec<String>,
    /// `--inherit-labels=false`: bases lend no labels.
    pub drop_labels: bool,
    /// `--unsetlabel`.
    pub unset_labels: Vec<String>,
    /// `--secret`.
    pub secrets: Vec<Secret>,
    /// `--ssh`.
    pub ssh: Vec<Ssh>,
    /// `--target`: a stage's name or number; `None`: the last.
    pub target: Option<String>,
    /// `--platform`; none: the host's. Several make a list.
    pub platforms: Vec<Platform>,
    /// `-t`.
    pub tags: Vec<Reference>,
    /// `--manifest`: a list that the results are added to.
    pub manifest: Option<Reference>,
    /// `--pull`.
    pub pull: PullPolicy,
    /// `--from`: instead of the base of the first stage.
    pub from: Option<String>,
    /// How registries are talked to.
    pub access: Access,
    /// `--no-cache`, `--no-cache-filter`.
    pub no_cache: NoCache,
    /// `--cache-from`.
    pub cache_from: Vec<CachePlace>,
    /// `--cache-to`.
    pub cache_to: Vec<CachePlace>,
    /// `--cache-ttl`, seconds: older results are not used.
    pub cache_ttl: Option<u64>,
    /// `--output`; none: an image in the store.
    pub outputs: Vec<Output>,
    /// `--squash`, `--squash-all`, `--layers=false`.
    pub squash: Squash,
    /// `--format`.
    pub format: ManifestFormat,
    /// `--source-date-epoch`, `--timestamp`, or the variable: seconds since 1970.
    pub epoch: Option<i64>,
    /// `--timestamp`, `--rewrite-timestamp`: no file in the image's own layers is younger than `epoch`.
    pub rewrite_timestamps: bool,
    /// What the containers of RUN are made with: network, limits, capabilities, mounts, hosts. Its source, command,
    /// environment, user and folder are the step's.
    pub run: Request,
    /// `--allow`.
    pub allow: Vec<Entitlement>,
    /// `--jobs`: steps at a time; `None`: as many as the processors can use.
    pub jobs: Option<usize>,
    /// `--provenance`.
    pub provenance: Option<Provenance>,
    /// `--sbom`.
    pub sbom: Option<Sbom>,
    /// `--cache-mount-from`: what empty cache mounts begin with.
    pub cache_mounts_from: Vec<CacheMounts>,
    /// `--cache-mount-to`: where cache mounts go after the build.
    pub cache_mounts_to: Vec<CacheMounts>,
}

/// Where files come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContextSource {
    /// A folder.
    Folder(PathBuf),
    /// `-`: an archive, packed or not, or a Dockerfile alone.
    Stdin,
    /// A git repository, with `#REF:FOLDER`.
    Git(String),
    /// An archive, or a Dockerfile alone, from a web server.
    Url(String),
    /// `docker-image://`, `container-image://`: the files of an image.
    Image(String),
    /// `oci-layout://PATH[:TAG|@DIGEST]`.
    Layout(String),
    /// `target:`: another target of the same bake.
    Target(String),
    /// No files.
    Empty,
}

impl Default for ContextSource {
    fn default() -> Self {
        Self::Folder(PathBuf::from("."))
    }
}

/// Where the Dockerfile is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum FileSource {
    /// `Dockerfile` or `Containerfile` in the context.
    #[default]
    Default,
    /// A file: in the context, or on the host where the context is a folder.
    Path(PathBuf),
    /// `-`.
    Stdin,
    /// A web server.
    Url(String),
    /// The text itself (bake's `dockerfile-inline`).
    Inline(String),
}

/// One `--secret`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// By which `RUN --mount=type=secret` asks for it.
    pub id: String,
    /// Where its value is.
    pub source: SecretSource,
}

/// Where a secret's value is. It is read when the first step that asks for it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A file.
    File(PathBuf),
    /// A variable.
    Env(String),
}

/// One `--ssh`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ssh {
    /// By which `RUN --mount=type=ssh` asks for it; `default` where it asks for none.
    pub id: String,
    /// An agent's socket, or keys; none: `$SSH_AUTH_SOCK`.
    pub paths: Vec<PathBuf>,
}

/// Which steps are executed although their results are known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum NoCache {
    /// None.
    #[default]
    Never,
    /// Those of these stages.
    Stages(Vec<String>),
    /// All.
    All,
}

/// One `--cache-from` or `--cache-to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CachePlace {
    /// In a registry.
    Registry {
        /// The image that holds it.
        reference: String,
        /// The steps of all stages, or of the image alone.
        max: bool,
        /// A failure to write it is told and does not fail the build.
        ignore_error: bool,
    },
    /// In a folder, as an OCI layout.
    Local {
        /// The folder.
        path: PathBuf,
        /// The steps of all stages, or of the image alone.
        max: bool,
        /// A failure to write it is told and does not fail the build.
        ignore_error: bool,
    },
    /// In the built image itself.
    Inline,
}

/// One `--cache-mount-from` or `--cache-mount-to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheMounts {
    /// Where they are kept.
    pub place: CachePlace,
    /// Which; none: all.
    pub ids: Vec<String>,
}

/// Who tells what is in an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sbom {
    /// Box itself.
    Own,
    /// An image that knows BuildKit's protocol of scanners.
    Scanner(String),
}

/// One `--output`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// An image in the store, under the tags and these names.
    Image {
        /// `name=`.
        names: Vec<String>,
        /// `push=true`, `type=registry`, `--push`.
        push: bool,
        /// `compression=`, for what is pushed: `gzip`, `zstd`, `uncompressed`.
        compression: Option<String>,
        /// `compression-level=`.
        level: Option<i32>,
    },
    /// The files, into a folder.
    Local(PathBuf),
    /// The files, as an archive; `None`: to standard output.
    Tar(Option<PathBuf>),
    /// An OCI archive (or layout, with `tar=false`); `None`: to standard output.
    Oci {
        /// Where to.
        path: Option<PathBuf>,
        /// An archive, rather than a folder.
        tar: bool,
    },
    /// An archive that `docker load` reads; `None`: to standard output.
    Docker(Option<PathBuf>),
    /// Nothing but the cache.
    CacheOnly,
}

/// What becomes of layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Squash {
    /// Each step's is kept.
    #[default]
    No,
    /// Those of the build become one.
    New,
    /// All become one.
    All,
}

/// One `--allow`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entitlement {
    /// `network.host`.
    NetworkHost,
    /// `security.insecure`.
    SecurityInsecure,
    /// `device`, or one device by its CDI name.
    Device(Option<String>),
}

/// How much `--provenance` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provenance {
    /// What was built from what.
    Min,
    /// The Dockerfile and the build's arguments, too.
    Max,
}
