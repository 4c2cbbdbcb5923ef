//! Instructions as text again: what is printed says the same when it is parsed.
//!
//! Comments go, but for descriptions; an instruction is one line, with its heredocs under it.

use super::command::{Command, Network, Run, Security};
use super::csv;
use super::heredoc::{Inline, heredoc_of};
use super::tree::{Add, Copy, Dockerfile, HealthCheck, Instruction, Op, Pair, Stage};
use crate::base::time::format_duration;
use std::fmt::{self, Write as _};

impl fmt::Display for Dockerfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let directives = &self.directives;
        if let Some(syntax) = &directives.syntax {
            writeln!(f, "# syntax={syntax}")?;
        }
        if directives.escape != '\\' {
            writeln!(f, "# escape={}", directives.escape)?;
        }
        if let Some(check) = &directives.check {
            let mut parts = Vec::new();
            if !check.skip.is_empty() {
                parts.push(format!("skip={}", check.skip.join(",")));
            }
            if !check.experimental.is_empty() {
                parts.push(format!("experimental={}", check.experimental.join(",")));
            }
            parts.push(format!("error={}", check.error));
            writeln!(f, "# check={}", parts.join(";"))?;
        }
        // A description must not be read as a directive.
        writeln!(f)?;
        for instruction in &self.args {
            described(f, instruction, directives.escape)?;
        }
        for stage in &self.stages {
            from(f, stage, directives.escape)?;
            for instruction in &stage.instructions {
                described(f, instruction, directives.escape)?;
            }
        }
        Ok(())
    }
}

fn from(f: &mut fmt::Formatter<'_>, stage: &Stage, escape: char) -> fmt::Result {
    let Stage { name, base, platform, doc, .. } = stage;
    if let (Some(name), Some(doc)) = (name, doc) {
        writeln!(f, "# {name} {doc}")?;
    }
    let mut line = "FROM".to_owned();
    flag(&mut line, "platform", platform.as_deref());
    rest(&mut line, base);
    if let Some(name) = name {
        let _ = write!(line, " AS {name}");
    }
    ended(&mut line, escape);
    writeln!(f, "{line}")
}

/// Keep a line that ends like one that goes on from going on.
fn ended(line: &mut String, escape: char) {
    if line.ends_with(escape) && !line.ends_with(&format!("{escape}{escape}")) {
        // This blank is trimmed, and continues nothing.
        line.push('\u{b}');
    }
}

/// An instruction under the descriptions of what it declares.
fn described(f: &mut fmt::Formatter<'_>, instruction: &Instruction, escape: char) -> fmt::Result {
    if let Op::Arg(arguments) = &instruction.op {
        for argument in arguments {
            if let Some(doc) = &argument.doc {
                writeln!(f, "# {} {doc}", argument.name)?;
            }
        }
    }
    let Printed { mut line, under } = printed(&instruction.op);
    ended(&mut line, escape);
    writeln!(f, "{line}")?;
    f.write_str(&under)
}

/// An instruction's line, and what stands under it: its heredocs.
struct Printed {
    line: String,
    under: String,
}

fn printed(op: &Op) -> Printed {
    let (mut line, mut under) = (String::new(), String::new());
    let with = |keyword: &str, text: &str| {
        let mut line = keyword.to_owned();
        rest(&mut line, text);
        line
    };
    match op {
        Op::Run(run) => return self::run(run),
        Op::Copy(copy) => return self::copy(copy),
        Op::Add(add) => return self::add(add),
        Op::Env(pairs) => line = with("ENV", &self::pairs(pairs)),
        Op::Label(pairs) => line = with("LABEL", &self::pairs(pairs)),
        Op::Arg(arguments) => {
            let word = |argument: &super::tree::Argument| match &argument.default {
                Some(default) => format!("{}={default}", argument.name),
                None => argument.name.clone(),
            };
            line = with("ARG", &arguments.iter().map(word).collect::<Vec<_>>().join(" "));
        }
        Op::Cmd(command) => line = with("CMD", &self::command(command)),
        Op::Entrypoint(command) => line = with("ENTRYPOINT", &self::command(command)),
        Op::Expose(ports) => line = with("EXPOSE", &ports.join(" ")),
        Op::User(text) => line = with("USER", text),
        Op::Workdir(text) => line = with("WORKDIR", text),
        Op::Volume(folders) => line = with("VOLUME", &list(folders.iter().map(String::as_str), &[])),
        Op::StopSignal(text) => line = with("STOPSIGNAL", text),
        Op::Maintainer(text) => line = with("MAINTAINER", text),
        Op::Shell(words) => line = with("SHELL", &json(words)),
        Op::HealthCheck(check) => health_check(&mut line, check),
        Op::OnBuild(trigger) => {
            let inner = printed(&trigger.instruction.op);
            line = format!("ONBUILD {}", inner.line);
            under = inner.under;
        }
    }
    Printed { line, under }
}

/// Add what follows the flags.
fn rest(line: &mut String, text: &str) {
    if text.starts_with("--") {
        line.push_str(" --");
    }
    line.push(' ');
    line.push_str(text);
}

/// Add a flag, if it has a value.
fn flag(line: &mut String, name: &str, value: Option<&str>) {
    let Some(value) = value else { return };
    let _ = write!(line, " --{name}=");
    for c in value.chars() {
        if c.is_whitespace() || matches!(c, '\'' | '"' | '\\') {
            line.push('\\');
        }
        line.push(c);
    }
}

fn json(words: &[String]) -> String {
    serde_json::to_string(words).unwrap_or_default()
}

fn command(command: &Command) -> String {
    match command {
        Command::Shell(text) => text.clone(),
        Command::Exec(words) => json(words),
    }
}

fn pairs(pairs: &[Pair]) -> String {
    let pair = |pair: &Pair| format!("{}{}{}", pair.name, if pair.legacy { ' ' } else { '=' }, pair.value);
    pairs.iter().map(pair).collect::<Vec<_>>().join(" ")
}

/// Words with blanks between them; as JSON if they would not be read as they are. The heredocs come first.
fn list<'a>(words: impl Iterator<Item = &'a str>, heredocs: &[String]) -> String {
    let words: Vec<String> = words.map(str::to_owned).collect();
    let plain = |word: &String| {
        !word.is_empty() && !word.contains(char::is_whitespace) && heredoc_of(word).is_none() && !word.starts_with('[')
    };
    if heredocs.is_empty() && !words.iter().all(plain) {
        return json(&words);
    }
    heredocs.iter().chain(&words).map(String::as_str).collect::<Vec<_>>().join(" ")
}

fn run(run: &Run) -> Printed {
    let mut line = "RUN".to_owned();
    for mount in &run.mounts {
        flag(&mut line, "mount", Some(&String::from(mount.clone())));
    }
    let network = match run.network {
        Network::Default => None,
        Network::None => Some("none"),
        Network::Host => Some("host"),
    };
    flag(&mut line, "network", network);
    flag(&mut line, "security", (run.security == Security::Insecure).then_some("insecure"));
    for device in &run.devices {
        let name = format!("name={}", device.name);
        let required = device.required.then_some("required");
        flag(&mut line, "device", Some(&csv::line([name.as_str()].into_iter().chain(required))));
    }
    rest(&mut line, &command(&run.command));
    let under = run.heredocs.iter().map(|heredoc| format!("{}{}\n", heredoc.content, heredoc.name)).collect();
    Printed { line, under }
}

/// The words that open these files, and the files.
fn files(files: &[Inline]) -> (Vec<String>, String) {
    let word = |file: &Inline| {
        let mut name = String::new();
        for c in file.name.chars() {
            if matches!(c, '\'' | '"' | '\\' | '$') {
                name.push('\\');
            }
            name.push(c);
        }
        if file.expand { format!("<<{name}") } else { format!("<<\"{}\"", name.replace("\\'", "'")) }
    };
    (files.iter().map(word).collect(), files.iter().map(|file| format!("{}{}\n", file.content, file.name)).collect())
}

fn copy(copy: &Copy) -> Printed {
    let mut line = "COPY".to_owned();
    flag(&mut line, "from", copy.from.as_deref());
    flag(&mut line, "chown", copy.chown.as_deref());
    flag(&mut line, "chmod", copy.chmod.as_deref());
    flag(&mut line, "link", copy.link.then_some("true"));
    flag(&mut line, "parents", copy.parents.then_some("true"));
    copy.exclude.iter().for_each(|pattern| flag(&mut line, "exclude", Some(pattern)));
    let (heredocs, under) = files(&copy.files);
    rest(&mut line, &list(copy.sources.iter().map(String::as_str).chain([copy.dest.as_str()]), &heredocs));
    Printed { line, under }
}

fn add(add: &Add) -> Printed {
    let mut line = "ADD".to_owned();
    let switch = |on: bool| if on { "true" } else { "false" };
    flag(&mut line, "chown", add.chown.as_deref());
    flag(&mut line, "chmod", add.chmod.as_deref());
    flag(&mut line, "link", add.link.then_some("true"));
    flag(&mut line, "keep-git-dir", add.keep_git_dir.map(switch));
    flag(&mut line, "checksum", add.checksum.as_deref());
    flag(&mut line, "unpack", add.unpack.map(switch));
    add.exclude.iter().for_each(|pattern| flag(&mut line, "exclude", Some(pattern)));
    let (heredocs, under) = files(&add.files);
    rest(&mut line, &list(add.sources.iter().map(String::as_str).chain([add.dest.as_str()]), &heredocs));
    Printed { line, under }
}

fn health_check(line: &mut String, check: &HealthCheck) {
    line.push_str("HEALTHCHECK");
    match check {
        HealthCheck::None => line.push_str(" NONE"),
        HealthCheck::Check { command, interval, timeout, start_period, start_interval, retries } => {
            for (name, nanos) in [
                ("interval", interval),
                ("timeout", timeout),
                ("start-period", start_period),
                ("start-interval", start_interval),
            ] {
                flag(line, name, nanos.map(format_duration).as_deref());
            }
            flag(line, "retries", retries.map(|retries| retries.to_string()).as_deref());
            rest(line, &format!("CMD {}", self::command(command)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{corpus, parse};

    #[test]
    fn what_is_printed_says_the_same() {
        for path in corpus::files() {
            let Ok(mut read) = parse(&std::fs::read(&path).unwrap(), "Dockerfile") else { continue };
            read.empty_continuations.clear();
            let printed = read.to_string();
            let again = parse(printed.as_bytes(), "Dockerfile").unwrap_or_else(|error| panic!("{error:#}\n{printed}"));
            assert_eq!(corpus::tree(&again), corpus::tree(&read), "{}:\n{printed}", path.display());
            assert_eq!(again.to_string(), printed);
        }
    }
}
