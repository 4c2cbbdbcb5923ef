//! What a Dockerfile says: stages, and in them instructions, each with its place in the text.
//!
//! Words are as they were written: variables are not put in, quotes and escapes are still there where an instruction
//! expands its words. Serialized, it is the tree that `tests/dockerfiles` holds.

pub use super::command::{Command, Run, Script};
pub use super::directives::Directives;
pub use super::heredoc::{Heredoc, Inline};
use serde::Serialize;

/// Where something stands in the text: lines and columns from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Span {
    /// The first line.
    pub line: u32,
    /// The column in the first line.
    pub column: u32,
    /// How many characters it is wide; 0 for whole lines.
    pub width: u32,
    /// The last line, heredocs included.
    pub last_line: u32,
}

/// A parsed Dockerfile.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Dockerfile {
    /// What messages call the file.
    #[serde(skip)]
    pub file: String,
    /// The parser directives at its head.
    #[serde(skip_serializing_if = "Directives::is_default")]
    pub directives: Directives,
    /// The `ARG`s before the first `FROM`: the global scope.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Instruction>,
    /// The stages, in order; never empty.
    pub stages: Vec<Stage>,
    /// The lines of the text, for messages.
    #[serde(skip)]
    pub lines: Vec<String>,
    /// Instructions that go on over empty lines (the check `NoEmptyContinuation`): their last lines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub empty_continuations: Vec<u32>,
}

impl Dockerfile {
    /// The stage of this name (in any case) that counts for whoever stands after `before` stages: the last such one.
    pub fn stage_named(&self, name: &str, before: usize) -> Option<usize> {
        let stages = self.stages.get(..before).unwrap_or(&self.stages);
        stages.iter().rposition(|stage| stage.name.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name)))
    }

    /// The stage that `--from` or `--target` means: by its name or, counted from 0, its number.
    pub fn stage_meant(&self, word: &str) -> Option<usize> {
        let number = word.parse::<usize>().ok().filter(|number| *number < self.stages.len());
        number.or_else(|| self.stage_named(word, self.stages.len()))
    }

    /// Which stages a target needs, itself among them. `bases` are the expanded bases of all stages.
    pub fn needed(&self, target: usize, bases: &[String]) -> Vec<bool> {
        let mut needed = vec![false; self.stages.len()];
        let mut next = vec![target];
        while let Some(index) = next.pop() {
            if std::mem::replace(&mut needed[index], true) {
                continue;
            }
            next.extend(bases.get(index).and_then(|base| self.stage_named(base, index)));
            let sources = self.stages[index].instructions.iter().flat_map(|instruction| instruction.op.sources());
            next.extend(sources.filter_map(|from| self.stage_meant(from)));
        }
        needed
    }
}

/// From one `FROM` to the next.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stage {
    /// The name after `AS`, in lower case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The image, stage or `scratch` that it begins with, as written.
    pub base: String,
    /// `--platform`, as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// What is done in it.
    pub instructions: Vec<Instruction>,
    /// Where its `FROM` stands.
    #[serde(skip)]
    pub span: Span,
    /// The text of its `FROM`, continued lines joined.
    #[serde(skip)]
    pub source: String,
    /// The comments directly above.
    #[serde(skip)]
    pub comments: Vec<String>,
    /// Its description: the comment above that begins with its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doc: Option<String>,
}

/// One instruction.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Instruction {
    /// Where it stands.
    #[serde(skip)]
    pub span: Span,
    /// Its text, continued lines joined, without heredocs.
    #[serde(skip)]
    pub source: String,
    /// The comments directly above.
    #[serde(skip)]
    pub comments: Vec<String>,
    /// What it says.
    #[serde(flatten)]
    pub op: Op,
}

impl Instruction {
    /// Its first word, as written.
    pub fn keyword(&self) -> &str {
        keyword(&self.source)
    }
}

/// The first word of an instruction's text.
pub fn keyword(source: &str) -> &str {
    source.split(super::words::is_blank).next().unwrap_or_default()
}

/// What an instruction does.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Op {
    /// `RUN`.
    Run(Run),
    /// `COPY`.
    Copy(Copy),
    /// `ADD`.
    Add(Add),
    /// `ENV`.
    Env(Vec<Pair>),
    /// `ARG`.
    Arg(Vec<Argument>),
    /// `LABEL`.
    Label(Vec<Pair>),
    /// `CMD`.
    Cmd(Command),
    /// `ENTRYPOINT`.
    Entrypoint(Command),
    /// `EXPOSE`: ports, sorted; see [`ports`](super::ports).
    Expose(Vec<String>),
    /// `USER`.
    User(String),
    /// `WORKDIR`.
    Workdir(String),
    /// `VOLUME`.
    Volume(Vec<String>),
    /// `STOPSIGNAL`.
    StopSignal(String),
    /// `HEALTHCHECK`.
    HealthCheck(HealthCheck),
    /// `SHELL`; never empty.
    Shell(Vec<String>),
    /// `ONBUILD`.
    OnBuild(Trigger),
    /// `MAINTAINER`.
    Maintainer(String),
}

impl Op {
    /// The build arguments that it declares.
    pub fn arguments(&self) -> &[Argument] {
        if let Self::Arg(arguments) = self { arguments } else { &[] }
    }

    /// The stages, images and contexts that it takes files from.
    pub fn sources(&self) -> Vec<&str> {
        match self {
            Self::Copy(copy) => copy.from.as_deref().into_iter().collect(),
            Self::Run(run) => run.mounts.iter().filter_map(super::mount::MountWords::from).collect(),
            _ => Vec::new(),
        }
    }
}

/// A name with its value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
    /// Whether a space stands between them, as in `ENV name value`.
    #[serde(skip_serializing_if = "no")]
    pub legacy: bool,
}

/// A build argument.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Argument {
    /// The name.
    pub name: String,
    /// The value it has if none is given.
    pub default: Option<String>,
    /// Its description: the comment above that begins with its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doc: Option<String>,
}

/// `COPY`.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Copy {
    /// What is copied, without the heredocs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// Files whose content stands in the Dockerfile.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<Inline>,
    /// Where to.
    pub dest: String,
    /// `--from`: a stage by name or number, an image or a named context; never expanded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// `--chown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chown: Option<String>,
    /// `--chmod`; see [`Chmod`](super::chmod::Chmod).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chmod: Option<String>,
    /// `--link`.
    #[serde(skip_serializing_if = "no")]
    pub link: bool,
    /// `--parents`.
    #[serde(skip_serializing_if = "no")]
    pub parents: bool,
    /// `--exclude`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
}

/// `ADD`.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Add {
    /// What is added, without the heredocs: paths, URLs, git repositories.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// Files whose content stands in the Dockerfile.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<Inline>,
    /// Where to.
    pub dest: String,
    /// `--chown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chown: Option<String>,
    /// `--chmod`; see [`Chmod`](super::chmod::Chmod).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chmod: Option<String>,
    /// `--link`.
    #[serde(skip_serializing_if = "no")]
    pub link: bool,
    /// `--keep-git-dir`, if given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_git_dir: Option<bool>,
    /// `--checksum`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
    /// `--unpack`, if given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unpack: Option<bool>,
    /// `--exclude`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
}

/// `HEALTHCHECK`. Durations are nanoseconds; what is 0 is as not given.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum HealthCheck {
    /// `NONE`: that of the base image does not count.
    None,
    /// `CMD`.
    Check {
        /// What is run.
        command: Command,
        /// `--interval`.
        #[serde(skip_serializing_if = "Option::is_none")]
        interval: Option<i64>,
        /// `--timeout`.
        #[serde(skip_serializing_if = "Option::is_none")]
        timeout: Option<i64>,
        /// `--start-period`.
        #[serde(skip_serializing_if = "Option::is_none")]
        start_period: Option<i64>,
        /// `--start-interval`.
        #[serde(skip_serializing_if = "Option::is_none")]
        start_interval: Option<i64>,
        /// `--retries`.
        #[serde(skip_serializing_if = "Option::is_none")]
        retries: Option<u32>,
    },
}

/// `ONBUILD`: an instruction for whoever builds on the image.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trigger {
    /// Its text, with heredocs: what the image's config holds.
    #[serde(skip)]
    pub text: String,
    /// What it says.
    pub instruction: Box<Instruction>,
}

/// For leaving out what is not set.
fn no(flag: &bool) -> bool {
    !flag
}
