//! The steps of a build: a graph. What a step is, not how it is done.

use crate::base::digest::Digest;
use crate::dockerfile::Span;
use serde::Serialize;
use std::path::PathBuf;

/// A step of one build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId(pub usize);

/// The files that a step stands on, or that it takes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// Layers that are known before the build begins: an image's, or none.
    Layers {
        /// By diff id, lowest first.
        layers: Vec<Digest>,
        /// The image's time, seconds since 1970.
        epoch: i64,
    },
    /// What another step has made, above what that stands on.
    Step(StepId),
}

/// A step.
#[derive(Debug, Clone)]
pub struct Step {
    /// As it is shown: `[builder 2/5] RUN make`.
    pub name: String,
    /// Where it stands in the Dockerfile.
    pub span: Span,
    /// What it changes.
    pub base: Base,
    /// What it does.
    pub op: Op,
    /// It is executed although its result is known.
    pub no_cache: bool,
}

impl Step {
    /// All that must be there before it begins.
    pub fn needs(&self) -> impl Iterator<Item = &Base> {
        let others: Vec<&Base> = match &self.op {
            Op::Run(run) => run.mounts.iter().filter_map(|mount| mount.from.as_ref()).filter_map(Files::base).collect(),
            Op::Copy(copy) => copy.from.base().into_iter().collect(),
            Op::Folder(_) => Vec::new(),
        };
        std::iter::once(&self.base).chain(others)
    }
}

/// Where files are taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Files {
    /// A folder of the host: a context, by its number.
    Context(usize),
    /// A stage or an image.
    Base(Base),
}

impl Files {
    /// The step or image, if it is one.
    pub fn base(&self) -> Option<&Base> {
        match self {
            Self::Context(_) => None,
            Self::Base(base) => Some(base),
        }
    }
}

/// What a step does. Serialized, it is a part of the step's key, so what does not change the result is left out.
#[derive(Debug, Clone, Serialize)]
pub enum Op {
    /// Execute a command.
    Run(RunOp),
    /// Copy files.
    Copy(CopyOp),
    /// Make the working folder.
    Folder(FolderOp),
}

/// `RUN`.
#[derive(Debug, Clone, Serialize)]
pub struct RunOp {
    /// The words to execute.
    pub args: Vec<String>,
    /// A script that is there as a file while it runs: name and content.
    pub file: Option<(String, String)>,
    /// `K=V`: `ENV` and `ARG`.
    pub env: Vec<String>,
    /// `K=V` that change no result: proxies.
    #[serde(skip)]
    pub passing_env: Vec<String>,
    /// The working folder.
    pub workdir: String,
    /// The user.
    pub user: String,
    /// What is mounted.
    pub mounts: Vec<RunMount>,
    /// `none` or `host`; else the build's.
    pub network: Option<&'static str>,
    /// `--security=insecure`.
    pub insecure: bool,
    /// CDI names, and whether each must exist.
    pub devices: Vec<(String, bool)>,
    /// `SOURCE_DATE_EPOCH`, if it was asked for.
    pub epoch: Option<i64>,
}

/// A mount of `RUN`.
#[derive(Debug, Clone, Serialize)]
pub struct RunMount {
    /// Where its files come from; their content is a part of the key.
    #[serde(skip)]
    pub from: Option<Files>,
    /// All else.
    pub mount: crate::dockerfile::mount::Mount,
}

/// `COPY` and `ADD`.
#[derive(Debug, Clone, Serialize)]
pub struct CopyOp {
    /// Where `sources` are.
    #[serde(skip)]
    pub from: Files,
    /// `--from`, for messages: what it is called changes no result.
    #[serde(skip)]
    pub from_name: Option<String>,
    /// Paths and patterns.
    pub sources: Vec<String>,
    /// Files from the Dockerfile itself: name and content.
    pub inline: Vec<(String, String)>,
    /// URLs and git repositories.
    pub remote: Vec<String>,
    /// Where to: absolute; with a slash at its end it is a folder.
    pub dest: String,
    /// `--chown`.
    pub chown: Option<String>,
    /// `--chmod`.
    pub chmod: Option<String>,
    /// `--link`: whatever the base has at the destination.
    pub link: bool,
    /// `--parents`.
    pub parents: bool,
    /// `--exclude`.
    pub exclude: Vec<String>,
    /// Which archives are unpacked.
    pub unpack: Unpack,
    /// `--checksum`.
    pub checksum: Option<String>,
    /// `--keep-git-dir`.
    pub keep_git_dir: bool,
}

/// Which archives are unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Unpack {
    /// None: COPY, and `ADD --unpack=false`.
    Never,
    /// Those of the context: ADD.
    Local,
    /// Those from elsewhere, too: `ADD --unpack`.
    All,
}

/// `WORKDIR`.
#[derive(Debug, Clone, Serialize)]
pub struct FolderOp {
    /// Absolute.
    pub path: PathBuf,
    /// Who owns what is made: the `USER`.
    pub user: String,
}
