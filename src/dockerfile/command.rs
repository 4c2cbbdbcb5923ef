//! What is run: the words of `RUN`, `CMD`, `ENTRYPOINT` and `HEALTHCHECK`.

use super::heredoc::{Heredoc, heredoc_of};
use super::mistake::Mistake;
use super::mount::{Mount, MountWords};
use serde::Serialize;

/// A command as an instruction gives it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Command {
    /// A text for the shell (`SHELL`, or `/bin/sh -c`).
    Shell(String),
    /// The words themselves, from a JSON array.
    Exec(Vec<String>),
}

/// `RUN`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Run {
    /// The command, without heredocs.
    pub command: Command,
    /// The texts that it names as `<<NAME`, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub heredocs: Vec<Heredoc>,
    /// `--mount`, each as its fields; see [`Run::mounts`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<MountWords>,
    /// `--network`.
    #[serde(skip_serializing_if = "Network::is_default")]
    pub network: Network,
    /// `--security`.
    #[serde(skip_serializing_if = "Security::is_default")]
    pub security: Security,
    /// `--device`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<Device>,
}

/// `RUN --network`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub enum Network {
    /// What the build is given.
    #[default]
    Default,
    /// None.
    None,
    /// The host's.
    Host,
}

/// `RUN --security`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub enum Security {
    /// As any container.
    #[default]
    Sandbox,
    /// Privileged.
    Insecure,
}

/// `RUN --device`: a device by its CDI name.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Device {
    /// The name, such as `vendor.com/class=name`.
    pub name: String,
    /// Whether its absence is an error.
    pub required: bool,
}

impl Network {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Security {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What a `RUN` comes down to.
#[derive(Debug, Clone, PartialEq)]
pub enum Script {
    /// One text for the shell.
    Shell(String),
    /// Words to be executed.
    Exec(Vec<String>),
    /// A text that names its interpreter (`#!`): a file of this name, executable, to be executed.
    File {
        /// The heredoc's name.
        name: String,
        /// What is in the file.
        content: String,
    },
}

impl Run {
    /// The mounts. The words must be expanded.
    pub fn mounts(&self) -> Result<Vec<Mount>, Mistake> {
        self.mounts.iter().map(MountWords::mount).collect()
    }

    /// What is executed, with its heredocs.
    ///
    /// A heredoc alone is the script; with more words around, the shell is given it all and reads the heredocs itself.
    pub fn script(&self) -> Script {
        let text = match &self.command {
            Command::Exec(words) => return Script::Exec(words.clone()),
            Command::Shell(text) => text,
        };
        let Some(first) = self.heredocs.first() else { return Script::Shell(text.clone()) };
        if heredoc_of(text).is_none() {
            let mut whole = text.clone();
            for heredoc in &self.heredocs {
                whole.push('\n');
                whole.push_str(&heredoc.content);
                whole.push_str(&heredoc.name);
            }
            return Script::Shell(whole);
        }
        let content = first.text();
        if first.content.starts_with("#!") {
            return Script::File { name: first.name.clone(), content };
        }
        Script::Shell(content)
    }
}
