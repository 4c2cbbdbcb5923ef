//! Parser directives: the comments at the head of a Dockerfile that say how to read it.
//!
//! <https://docs.docker.com/reference/dockerfile/#parser-directives>; moby/buildkit `parser/directives.go`.

use super::mistake::Mistake;
use serde::Serialize;

/// What the head of a Dockerfile says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Directives {
    /// `# syntax=`: the image of the frontend; always one of those that are built in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub syntax: Option<String>,
    /// `# escape=`: what continues lines and takes the meaning of characters; `\` or a backtick.
    pub escape: char,
    /// `# check=`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<CheckOptions>,
}

impl Directives {
    /// Whether there are none.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Directives {
    fn default() -> Self {
        Self { syntax: None, escape: '\\', check: None }
    }
}

/// `# check=skip=…;error=…`: how the checks are made.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct CheckOptions {
    /// The checks that are not made, or `all`.
    pub skip: Vec<String>,
    /// Whether a warning fails the build.
    pub error: bool,
    /// The experimental checks that are made, or `all`.
    pub experimental: Vec<String>,
}

impl CheckOptions {
    /// Parse `skip=A,B;error=true;experimental=C`, as the directive and the build argument
    /// `BUILDKIT_DOCKERFILE_CHECK` have it.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        let mut options = Self::default();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let wrong = |what: &str| {
                Mistake::new(format!("check option `{part}`: {what}")).hint("# check=skip=RuleA,RuleB;error=true")
            };
            let Some((key, value)) = part.split_once('=') else { return Err(wrong("a `=` is missing")) };
            let names = || value.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
            match key.trim() {
                "skip" => options.skip = names().collect(),
                "experimental" => options.experimental = names().collect(),
                "error" => {
                    options.error = go_bool(value.trim()).ok_or_else(|| wrong("it is either true or false"))?;
                }
                other => {
                    let mistake = wrong("there is no such option");
                    return Err(mistake.did_you_mean(other, ["skip", "error", "experimental"]));
                }
            }
        }
        Ok(options)
    }
}

/// Go's `strconv.ParseBool`.
pub fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Reads the head of a file, line by line.
#[derive(Debug, Default)]
pub(super) struct Head {
    seen: Vec<String>,
    done: bool,
    /// A `#!` line came first: `escape` does not count after it.
    shebang: bool,
}

impl Head {
    /// Take a line without its end and the blanks before it, the `number`th of the file. Whether it is a directive.
    pub(super) fn line(&mut self, number: usize, line: &str, into: &mut Directives) -> Result<bool, Mistake> {
        if self.done {
            return Ok(false);
        }
        if number == 1 && line.starts_with("#!") {
            self.shebang = true;
            return Ok(false);
        }
        let Some((key, value)) = directive(line) else {
            self.done = true;
            return Ok(false);
        };
        let key = key.to_ascii_lowercase();
        if !["syntax", "escape", "check"].contains(&key.as_str()) {
            self.done = true;
            return Ok(false);
        }
        if self.seen.contains(&key) {
            return Err(Mistake::new(format!("the directive `{key}` is there twice: one is allowed")));
        }
        match key.as_str() {
            "syntax" => {
                let name = value.split(' ').next().unwrap_or_default();
                into.syntax = Some(built_in(name)?);
            }
            "escape" if !self.shebang => {
                into.escape = match value {
                    "\\" => '\\',
                    "`" => '`',
                    _ => {
                        return Err(Mistake::new(format!("the escape character is `\\` or a backtick, not `{value}`")));
                    }
                };
            }
            "check" => into.check = Some(CheckOptions::parse(value)?),
            _ => {}
        }
        self.seen.push(key);
        Ok(true)
    }
}

/// `# key = value`.
fn directive(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.strip_prefix('#')?.trim_start().split_once('=')?;
    let (key, value) = (key.trim_end(), value.trim());
    let word = key.starts_with(|c: char| c.is_ascii_alphabetic()) && key.bytes().all(|b| b.is_ascii_alphanumeric());
    (word && !value.is_empty()).then_some((key, value))
}

/// A syntax that box has: Docker's own frontend, of any version, from any registry's copy. Also what the build argument
/// `BUILDKIT_SYNTAX` may say.
pub fn built_in(name: &str) -> Result<String, Mistake> {
    let repository = name.split('@').next().unwrap_or_default();
    let repository = match repository.rsplit_once(':') {
        Some((before, tag)) if !tag.contains('/') => before,
        _ => repository,
    };
    let own = repository == "dockerfile.v0"
        || ["docker/dockerfile", "docker/dockerfile-upstream"]
            .iter()
            .any(|own| repository.strip_suffix(own).is_some_and(|host| host.is_empty() || host.ends_with('/')));
    if own {
        return Ok(name.to_owned());
    }
    let text = format!("the syntax `{name}` is a frontend of its own, and box has `docker/dockerfile` built in");
    Err(Mistake::new(text).hint("# syntax=docker/dockerfile:1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Directives, Mistake> {
        let (mut head, mut directives) = (Head::default(), Directives::default());
        for (index, line) in text.lines().enumerate() {
            head.line(index + 1, line.trim_start(), &mut directives)?;
        }
        Ok(directives)
    }

    #[test]
    fn the_head_ends_with_the_first_other_line() {
        assert_eq!(read("# escape=`\nFROM x").unwrap().escape, '`');
        assert_eq!(read("#escape = `").unwrap().escape, '`');
        assert_eq!(read("# ESCAPE=`").unwrap().escape, '`');
        for late in
            ["# comment\n# escape=`", "\n# escape=`", "FROM x\n# escape=`", "# other=1\n# escape=`", "#!x\n# escape=`"]
        {
            assert_eq!(read(late).unwrap().escape, '\\', "{late}");
        }
        assert_eq!(
            read("#!/usr/bin/env box\n# syntax=docker/dockerfile:1").unwrap().syntax.unwrap(),
            "docker/dockerfile:1"
        );
        assert!(read("# escape=`\n# escape=`").unwrap_err().text.contains("twice"));
        assert!(read("# escape=x").unwrap_err().text.contains("not `x`"));
    }

    #[test]
    fn syntaxes_that_are_built_in() {
        for name in [
            "docker/dockerfile",
            "docker/dockerfile:1",
            "docker/dockerfile:1.7-labs",
            "docker.io/docker/dockerfile:1.4",
            "docker/dockerfile-upstream:master",
            "localhost:5000/mirror/docker/dockerfile:1",
            "dockerfile.v0",
            "docker/dockerfile:1@sha256:0000000000000000000000000000000000000000000000000000000000000000",
        ] {
            assert_eq!(built_in(name).unwrap(), name);
        }
        for name in ["tonistiigi/dockerfile:runmount", "docker/dockerfiles", "mydocker/dockerfile", "hlb"] {
            assert!(built_in(name).unwrap_err().text.contains(name));
        }
    }

    #[test]
    fn check_options() {
        let parsed = CheckOptions::parse("skip=A, B ; error=true;experimental=all").unwrap();
        assert_eq!(
            parsed,
            CheckOptions { skip: vec!["A".into(), "B".into()], error: true, experimental: vec!["all".into()] }
        );
        assert_eq!(CheckOptions::parse("").unwrap(), CheckOptions::default());
        for wrong in ["skip", "error=maybe", "skp=A"] {
            assert!(CheckOptions::parse(wrong).is_err(), "{wrong}");
        }
    }
}
