//! Which variables are visible where, and what they are worth.
//!
//! The global scope has the automatic arguments (`TARGETARCH`, …) and the `ARG`s before the first `FROM`; `FROM` sees
//! only those. A stage sees the environment of what it begins with, and what its own `ENV` and `ARG` set: the last
//! one counts. A stage that begins with another one sees all of that one's. An `ARG` without a value takes the one
//! that was given for the build, or the global one. <https://docs.docker.com/reference/dockerfile/#scope>; moby/buildkit
//! `dockerfile2llb/convert.go`.

use super::expand::{Expansion, Lexer};
use super::mistake::Mistake;
use super::tree::Argument;
use crate::oci::platform::Platform;
use std::collections::{BTreeMap, BTreeSet};

/// The predefined arguments: there for `RUN` without an `ARG`, in either case, and in no history or cache key.
pub const PROXIES: [&str; 5] = ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"];

/// Arguments that are for the builder and never in an environment.
const NOT_IN_ENVIRONMENT: [&str; 2] = ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];

/// What an `ARG` came to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Declared {
    /// Its value, if it has one.
    pub value: Option<String>,
    /// The names in its default that have a value.
    pub used: BTreeSet<String>,
    /// The names in its default that have none.
    pub undefined: BTreeSet<String>,
}

/// The global scope.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Globals {
    /// Automatic arguments and global `ARG`s.
    values: BTreeMap<String, String>,
    /// What was given for the build (`--build-arg`).
    given: BTreeMap<String, String>,
}

impl Globals {
    /// The scope of a build on one platform for another, of a target stage if one was asked for, with build arguments.
    pub fn new(build: &Platform, target: &Platform, stage: Option<&str>, given: BTreeMap<String, String>) -> Self {
        let mut values = BTreeMap::new();
        for (side, platform) in [("BUILD", build), ("TARGET", target)] {
            let variant = platform.variant.clone().unwrap_or_default();
            for (name, value) in [
                ("PLATFORM", platform.to_string()),
                ("OS", platform.os.clone()),
                ("OSVERSION", String::new()),
                ("ARCH", platform.arch.clone()),
                ("VARIANT", variant),
            ] {
                values.insert(format!("{side}{name}"), value);
            }
        }
        values.insert("TARGETSTAGE".to_owned(), stage.unwrap_or("default").to_owned());
        for (name, value) in &mut values {
            if let Some(given) = given.get(name) {
                value.clone_from(given);
            }
        }
        Self { values, given }
    }

    /// The same as if nothing but the automatic arguments were given.
    pub fn without_given(self) -> Self {
        Self { given: BTreeMap::new(), ..self }
    }

    /// A global `ARG`.
    pub fn declare(&mut self, argument: &Argument, escape: char) -> Result<Declared, Mistake> {
        let declared = match (self.given.get(&argument.name), &argument.default) {
            (Some(given), _) => Declared { value: Some(given.clone()), ..Declared::default() },
            (None, Some(default)) => Lexer::new(escape).expand(default, &|name| self.get(name))?.into(),
            (None, None) => Declared::default(),
        };
        if let Some(value) = &declared.value {
            self.values.insert(argument.name.clone(), value.clone());
        }
        Ok(declared)
    }

    /// A value in `FROM` and the defaults of global `ARG`s.
    pub fn get(&self, name: &str) -> Option<String> {
        self.values.get(name).cloned()
    }

    /// The names that have a value.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// What was given for the build.
    pub fn given(&self) -> &BTreeMap<String, String> {
        &self.given
    }

    /// The predefined arguments that were given, as they were written.
    pub fn proxies(&self) -> impl Iterator<Item = (&str, &str)> {
        let proxy = |name: &str| PROXIES.iter().any(|own| own.eq_ignore_ascii_case(name));
        self.given.iter().filter(move |(name, _)| proxy(name)).map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl From<Expansion> for Declared {
    fn from(found: Expansion) -> Self {
        Self { value: Some(found.text), used: found.used, undefined: found.undefined }
    }
}

/// The scope at a place in a stage. A stage that begins with another stage begins with a copy of that one's.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scope {
    /// Names and values, in the order in which they came.
    variables: Vec<(String, String)>,
    /// The arguments that were declared, with their values.
    arguments: Vec<(String, Option<String>)>,
}

impl Scope {
    /// The scope of a stage that begins with an image of this environment (`NAME=value`).
    pub fn of_image<'a>(environment: impl IntoIterator<Item = &'a str>) -> Self {
        let mut scope = Self::default();
        for variable in environment {
            let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
            scope.set(name, value);
        }
        scope
    }

    /// `ENV`.
    pub fn set(&mut self, name: &str, value: &str) {
        match self.variables.iter_mut().find(|(own, _)| own == name) {
            Some((_, own)) => value.clone_into(own),
            None => self.variables.push((name.to_owned(), value.to_owned())),
        }
    }

    /// `ARG`.
    pub fn declare(&mut self, argument: &Argument, globals: &Globals, escape: char) -> Result<Declared, Mistake> {
        let given = globals.given.get(&argument.name).cloned();
        let declared = match (given, &argument.default) {
            (Some(given), _) => Declared { value: Some(given), ..Declared::default() },
            (None, Some(default)) => Lexer::new(escape).expand(default, &|name| self.get(name))?.into(),
            (None, None) => Declared { value: globals.get(&argument.name), ..Declared::default() },
        };
        if let Some(value) = &declared.value
            && !NOT_IN_ENVIRONMENT.contains(&argument.name.as_str())
        {
            self.set(&argument.name, value);
        }
        self.arguments.retain(|(name, _)| *name != argument.name);
        self.arguments.push((argument.name.clone(), declared.value.clone()));
        Ok(declared)
    }

    /// A value.
    pub fn get(&self, name: &str) -> Option<String> {
        self.variables.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone())
    }

    /// The environment of a `RUN` here, in the order in which it came.
    pub fn environment(&self) -> &[(String, String)] {
        &self.variables
    }

    /// The arguments declared so far, in the order of their last `ARG`: what a history entry tells.
    pub fn arguments(&self) -> &[(String, Option<String>)] {
        &self.arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argument(text: &str) -> Argument {
        let (name, default) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value.to_owned())));
        Argument { name: name.to_owned(), default, doc: None }
    }

    fn globals(given: &[(&str, &str)]) -> Globals {
        let given = given.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let (build, target) = (Platform::parse("linux/amd64").unwrap(), Platform::parse("linux/arm/v7").unwrap());
        Globals::new(&build, &target, None, given)
    }

    #[test]
    fn automatic_arguments() {
        let globals = globals(&[("TARGETOS", "plan9")]);
        for (name, value) in [
            ("BUILDPLATFORM", "linux/amd64"),
            ("BUILDVARIANT", ""),
            ("TARGETPLATFORM", "linux/arm/v7"),
            ("TARGETARCH", "arm"),
            ("TARGETVARIANT", "v7"),
            ("TARGETOS", "plan9"),
            ("TARGETSTAGE", "default"),
        ] {
            assert_eq!(globals.get(name).unwrap(), value, "{name}");
        }
        let mut scope = Scope::default();
        assert_eq!(scope.get("TARGETARCH"), None);
        scope.declare(&argument("TARGETARCH"), &globals, '\\').unwrap();
        assert_eq!(scope.get("TARGETARCH").unwrap(), "arm");
    }

    #[test]
    fn global_arguments_are_declared_again() {
        let mut globals = globals(&[("B", "given")]);
        globals.declare(&argument("A=1"), '\\').unwrap();
        globals.declare(&argument("B=default"), '\\').unwrap();
        globals.declare(&argument("C=$A-$B-$NO"), '\\').unwrap();
        globals.declare(&argument("D"), '\\').unwrap();
        assert_eq!((globals.get("C").unwrap().as_str(), globals.get("D")), ("1-given-", None));
        let mut scope = Scope::default();
        let value = |scope: &mut Scope, text: &str| scope.declare(&argument(text), &globals, '\\').unwrap().value;
        assert_eq!(value(&mut scope, "A").unwrap(), "1");
        assert_eq!(value(&mut scope, "A=2").unwrap(), "2");
        assert_eq!(value(&mut scope, "B=own").unwrap(), "given");
        assert_eq!(value(&mut scope, "C").unwrap(), "1-given-");
        assert_eq!(value(&mut scope, "NONE"), None);
    }

    #[test]
    fn the_last_of_env_and_arg_counts() {
        let globals = globals(&[("X", "given")]);
        let mut scope = Scope::of_image(["X=image", "PATH=/bin"]);
        assert_eq!(scope.get("X").unwrap(), "image");
        scope.declare(&argument("X"), &globals, '\\').unwrap();
        assert_eq!(scope.get("X").unwrap(), "given");
        scope.set("X", "env");
        assert_eq!(scope.get("X").unwrap(), "env");
        // Neither a value nor a default: it changes nothing.
        scope.declare(&argument("PATH"), &globals, '\\').unwrap();
        assert_eq!(scope.get("PATH").unwrap(), "/bin");
        assert_eq!(scope.arguments().len(), 2);
        let child = scope.clone();
        assert_eq!(child.environment()[0], ("X".to_owned(), "env".to_owned()));
    }

    #[test]
    fn proxies_are_there_without_being_declared() {
        let globals = globals(&[("HTTP_PROXY", "a"), ("all_proxy", "b"), ("other", "c")]);
        assert_eq!(globals.proxies().collect::<Vec<_>>(), [("HTTP_PROXY", "a"), ("all_proxy", "b")]);
    }
}
