//! What a Dockerfile offers: its targets, and what each of them can be given (`--call=targets`, `--call=outline`).
//!
//! The fields are those of moby/buildkit's subrequests, so that what reads its JSON reads ours.

use super::expand::Lexer;
use super::mount::{Mount, MountWords};
use super::scope::{Globals, Scope};
use super::tree::{Argument, Dockerfile, Op};
use serde::Serialize;
use std::collections::BTreeMap;

/// A stage that can be built.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Target {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether it is built if no target is asked for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub default: bool,
    /// What its comment says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What it begins with, with values in it.
    pub base: String,
    /// Its platform, as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
}

/// What can be given for a target.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outline {
    /// The target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What its comment says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its arguments, those of the stages that it needs among them.
    pub args: Vec<Given>,
    /// The secrets.
    pub secrets: Vec<Needed>,
    /// The SSH agents.
    pub ssh: Vec<Needed>,
    /// The caches that are kept.
    pub cache: Vec<String>,
}

/// An argument.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Given {
    /// Its name.
    pub name: String,
    /// What its comment says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The value that it would have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// A secret or agent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Needed {
    /// What the build calls it.
    pub name: String,
    /// Whether there is no build without it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
}

impl Dockerfile {
    /// The global scope after the file's own global arguments, whose errors are left to the build.
    fn globals(&self, mut globals: Globals) -> Globals {
        for argument in self.args.iter().flat_map(|instruction| instruction.op.arguments()) {
            let _ = globals.declare(argument, self.directives.escape);
        }
        globals
    }

    /// The expanded bases of all stages; what cannot be expanded is as written.
    fn bases(&self, globals: &Globals) -> Vec<String> {
        let lexer = Lexer::new(self.directives.escape);
        let base =
            |word: &str| lexer.expand(word, &|name| globals.get(name)).map_or(word.to_owned(), |found| found.text);
        self.stages.iter().map(|stage| base(&stage.base)).collect()
    }

    /// All targets.
    pub fn targets(&self, globals: Globals) -> Vec<Target> {
        let bases = self.bases(&self.globals(globals));
        let last = self.stages.len() - 1;
        let target = |(index, base): (usize, String)| {
            let stage = &self.stages[index];
            Target {
                name: stage.name.clone(),
                default: index == last,
                description: stage.doc.clone(),
                base,
                platform: stage.platform.clone(),
            }
        };
        bases.into_iter().enumerate().map(target).collect()
    }

    /// What can be given for a target.
    pub fn outline(&self, target: usize, globals: Globals) -> Outline {
        let globals = self.globals(globals);
        let bases = self.bases(&globals);
        let needed = self.needed(target, &bases);
        let mut args: Vec<Given> = Vec::new();
        let mut add = |argument: &Argument, value: Option<String>| {
            let given = Given { name: argument.name.clone(), description: argument.doc.clone(), value };
            match args.iter_mut().find(|own| own.name == given.name) {
                Some(own) => own.description = own.description.take().or(given.description),
                None => args.push(given),
            }
        };
        for argument in self.args.iter().flat_map(|instruction| instruction.op.arguments()) {
            add(argument, globals.get(&argument.name));
        }
        let (mut secrets, mut ssh, mut cache) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for stage in self.stages.iter().zip(&needed).filter(|(_, needed)| **needed).map(|(stage, _)| stage) {
            let mut scope = Scope::default();
            for instruction in &stage.instructions {
                for argument in instruction.op.arguments() {
                    let declared = scope.declare(argument, &globals, self.directives.escape).unwrap_or_default();
                    add(argument, declared.value);
                }
                let Op::Run(run) = &instruction.op else { continue };
                for mount in run.mounts.iter().filter_map(|words| MountWords::mount(words).ok()) {
                    match mount {
                        Mount::Secret { id, required, .. } => *secrets.entry(id).or_insert(false) |= required,
                        Mount::Ssh { id, required, .. } => *ssh.entry(id).or_insert(false) |= required,
                        Mount::Cache { id, .. } => drop(cache.insert(id, ())),
                        Mount::Bind { .. } | Mount::Tmpfs { .. } => {}
                    }
                }
            }
        }
        let needed = |names: BTreeMap<String, bool>| -> Vec<Needed> {
            names.into_iter().map(|(name, required)| Needed { name, required }).collect()
        };
        let stage = &self.stages[target];
        Outline {
            name: stage.name.clone(),
            description: stage.doc.clone(),
            args,
            secrets: needed(secrets),
            ssh: needed(ssh),
            cache: cache.into_keys().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;
    use crate::oci::platform::Platform;

    #[test]
    fn targets_and_their_outlines() {
        let text = "# VERSION is the release\nARG VERSION=3\n\
            # build compiles\nFROM alpine:$VERSION AS build\n# TOOLS are more packages\nARG TOOLS\n\
            RUN --mount=type=secret,id=token,required --mount=type=ssh --mount=type=cache,target=/c make\n\
            FROM alpine AS other\nARG OTHER=1\nRUN --mount=type=secret,id=other x\n\
            FROM --platform=$BUILDPLATFORM scratch\nCOPY --from=build a /\nARG VERSION\n";
        let dockerfile = parse(text.as_bytes(), "Dockerfile").unwrap();
        let platform = Platform::parse("linux/amd64").unwrap();
        let given = [("TOOLS".to_owned(), "gdb".to_owned())].into_iter().collect();
        let globals = Globals::new(&platform, &platform, None, given);
        let told = serde_json::to_value(dockerfile.targets(globals.clone())).unwrap();
        assert_eq!(
            told,
            serde_json::json!([
                {"name": "build", "description": "compiles", "base": "alpine:3"},
                {"name": "other", "base": "alpine"},
                {"default": true, "base": "scratch", "platform": "$BUILDPLATFORM"},
            ])
        );
        let told = serde_json::to_value(dockerfile.outline(2, globals)).unwrap();
        assert_eq!(
            told,
            serde_json::json!({
                "args": [
                    {"name": "VERSION", "description": "is the release", "value": "3"},
                    {"name": "TOOLS", "description": "are more packages", "value": "gdb"},
                ],
                "secrets": [{"name": "token", "required": true}],
                "ssh": [{"name": "default"}],
                "cache": ["/c"],
            })
        );
    }
}
