//! One instruction: its keyword, flags and words, made into what it says.
//!
//! moby/buildkit `instructions/parse.go`.

use super::command::{Command, Device, Network, Run, Security};
use super::csv;
use super::directives::go_bool;
use super::flags::{Flags, Form};
use super::heredoc::{Heredoc, Inline, heredoc_of};
use super::mistake::Mistake;
use super::mount::MountWords;
use super::ports;
use super::tree::{Add, Argument, Copy, HealthCheck, Instruction, Op, Pair, Span, Stage, Trigger};
use super::words::{self, Word};
use crate::base::time::parse_duration;

/// All instructions.
pub(super) const KEYWORDS: [&str; 18] = [
    "FROM",
    "RUN",
    "COPY",
    "ADD",
    "ENV",
    "ARG",
    "LABEL",
    "CMD",
    "ENTRYPOINT",
    "EXPOSE",
    "USER",
    "WORKDIR",
    "VOLUME",
    "STOPSIGNAL",
    "HEALTHCHECK",
    "SHELL",
    "ONBUILD",
    "MAINTAINER",
];

/// What an instruction is: the beginning of a stage, or a part of one.
pub(super) enum Parsed {
    Stage(Stage),
    Instruction(Instruction),
}

/// The keyword at `at`, and where what follows it begins.
pub(super) fn split(line: &str, at: usize) -> (Word, usize) {
    let rest = line.get(at..).unwrap_or_default();
    let begin = at + rest.len() - rest.trim_start().len();
    let rest = rest.trim_start();
    let length = rest.find(words::is_blank).unwrap_or(rest.len());
    (Word { text: rest[..length].to_owned(), at: begin }, begin + length)
}

/// Parse a joined line, whose heredocs have been read.
pub(super) fn parse(
    line: &str,
    span: Span,
    comments: &[String],
    escape: char,
    heredocs: Vec<Heredoc>,
) -> Result<Parsed, Mistake> {
    let words = Words::new(line, 0, comments, escape, heredocs);
    let source = line.trim().to_owned();
    if words.keyword.text.eq_ignore_ascii_case("FROM") {
        return stage(&words, span, source).map(Parsed::Stage);
    }
    let op = words.op(span)?;
    Ok(Parsed::Instruction(Instruction { span, source, comments: comments.to_vec(), op }))
}

/// The comment that begins with a name, without it.
fn doc(comments: &[String], name: &str) -> Option<String> {
    comments.iter().find_map(|comment| comment.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned))
}

fn stage(words: &Words, span: Span, source: String) -> Result<Stage, Mistake> {
    let flags = words.take_flags(&[("platform", Form::Value)])?;
    let (base, name) = match words.plain().as_slice() {
        [base] => (base.clone(), None),
        [base, keyword, name] if keyword.text.eq_ignore_ascii_case("as") => (base.clone(), Some(name.clone())),
        [_, keyword, _] => {
            return Err(Mistake::new(format!("`{}` stands where `AS` is expected", keyword.text)).at(keyword));
        }
        all => {
            let mistake = Mistake::new("FROM takes an image, and `AS` with a name if the stage is to have one");
            return Err(mistake.at(all.last().unwrap_or(&words.keyword)).hint("FROM IMAGE [AS NAME]"));
        }
    };
    let lower = name.as_ref().map(|name| name.text.to_ascii_lowercase());
    if let (Some(word), Some(name)) = (&name, &lower) {
        let valid = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b));
        if !valid {
            let text =
                format!("`{}` cannot be a stage's name: a letter, then letters, digits, `-`, `_`, `.`", word.text);
            return Err(Mistake::new(text).at(word));
        }
    }
    Ok(Stage {
        doc: lower.as_deref().and_then(|name| doc(&words.comments, name)),
        name: lower,
        base: base.text,
        platform: flags.value("platform"),
        instructions: Vec::new(),
        span,
        source,
        comments: words.comments.clone(),
    })
}

/// An instruction's parts.
struct Words<'a> {
    line: &'a str,
    keyword: Word,
    flags: Vec<Word>,
    /// Where what follows the flags begins.
    at: usize,
    comments: Vec<String>,
    escape: char,
    heredocs: Vec<Heredoc>,
}

impl<'a> Words<'a> {
    fn new(line: &'a str, at: usize, comments: &[String], escape: char, heredocs: Vec<Heredoc>) -> Self {
        let (keyword, rest) = split(line, at);
        let (flags, at) = words::flags(line, rest);
        Self { line, keyword, flags, at, comments: comments.to_vec(), escape, heredocs }
    }

    /// What follows the flags, without blanks around it.
    fn rest(&self) -> &'a str {
        self.line.get(self.at..).unwrap_or_default().trim()
    }

    /// The keyword, for messages.
    fn name(&self) -> String {
        self.keyword.text.to_ascii_uppercase()
    }

    fn take_flags(&self, known: &[(&'static str, Form)]) -> Result<Flags, Mistake> {
        Flags::take(&self.name(), &self.flags, known)
    }

    fn plain(&self) -> Vec<Word> {
        words::plain(self.line.trim_end(), self.at)
    }

    /// What follows, which must be something.
    fn text(&self, expected: &str) -> Result<String, Mistake> {
        match self.rest() {
            "" => Err(Mistake::new(format!("{} takes {expected}, and nothing follows", self.name()))),
            rest => Ok(rest.to_owned()),
        }
    }

    fn json(&self, text: &str) -> Result<Option<Vec<String>>, Mistake> {
        words::json(text)
    }

    /// Words from a JSON array, or between blanks.
    fn list(&self) -> Result<(Vec<Word>, bool), Mistake> {
        let at = self.at;
        match self.json(self.rest())? {
            Some(list) => Ok((list.into_iter().map(|text| Word { text, at }).collect(), true)),
            None => Ok((self.plain(), false)),
        }
    }

    /// What the instruction says.
    fn op(&self, span: Span) -> Result<Op, Mistake> {
        let op = match self.name().as_str() {
            "RUN" => return self.run().map(Op::Run),
            "COPY" => return self.copy().map(Op::Copy),
            "ADD" => return self.add().map(Op::Add),
            "HEALTHCHECK" => return self.health_check().map(Op::HealthCheck),
            "ENV" => Op::Env(self.pairs()?),
            "LABEL" => Op::Label(self.pairs()?),
            "ARG" => Op::Arg(self.arguments()?),
            "CMD" => Op::Cmd(self.command(self.text("a command")?)?),
            "ENTRYPOINT" => Op::Entrypoint(self.command(self.text("a command")?)?),
            "EXPOSE" => Op::Expose(self.expose()?),
            "USER" => Op::User(self.text("a user")?),
            "WORKDIR" => Op::Workdir(self.text("a folder")?),
            "STOPSIGNAL" => Op::StopSignal(self.text("a signal")?),
            "MAINTAINER" => Op::Maintainer(self.text("a name")?),
            "VOLUME" => Op::Volume(self.volumes()?),
            "SHELL" => Op::Shell(self.shell()?),
            "ONBUILD" => Op::OnBuild(self.trigger(span)?),
            _ => {
                let text = format!("there is no instruction `{}`", self.keyword.text);
                return Err(Mistake::new(text).at(&self.keyword).did_you_mean(&self.name(), KEYWORDS));
            }
        };
        self.take_flags(&[])?;
        Ok(op)
    }

    fn command(&self, text: String) -> Result<Command, Mistake> {
        Ok(match self.json(&text)? {
            Some(words) => Command::Exec(words),
            None => Command::Shell(text),
        })
    }

    fn run(&self) -> Result<Run, Mistake> {
        let known =
            [("mount", Form::Values), ("network", Form::Value), ("security", Form::Value), ("device", Form::Values)];
        let flags = self.take_flags(&known)?;
        let mounts = flags.values("mount").map(|(text, word)| MountWords::parse(text).map_err(|m| m.at(word)));
        let devices = flags.values("device").map(|(text, word)| device(text).map_err(|m| m.at(word)));
        let one_of = |name: &str, values: [&str; 3]| {
            let Some(value) = flags.value(name) else { return Ok(0) };
            values.iter().position(|own| !own.is_empty() && *own == value).ok_or_else(|| {
                let values = values.iter().copied().filter(|value| !value.is_empty());
                let text = format!("`--{name}={value}`: it is {}", values.clone().collect::<Vec<_>>().join(" or "));
                let mistake = Mistake::new(text).did_you_mean(&value, values);
                flags.word(name).map_or(mistake.clone(), |word| mistake.at(word))
            })
        };
        Ok(Run {
            mounts: mounts.collect::<Result<_, _>>()?,
            network: [Network::Default, Network::None, Network::Host][one_of("network", ["default", "none", "host"])?],
            security: [Security::Sandbox, Security::Insecure, Security::Sandbox]
                [one_of("security", ["sandbox", "insecure", ""])?],
            devices: devices.collect::<Result<_, _>>()?,
            command: self.command(self.text("a command")?)?,
            heredocs: self.heredocs.clone(),
        })
    }

    /// What is copied, the files among it that stand in the Dockerfile, and where to.
    fn sources(&self) -> Result<(Vec<String>, Vec<Inline>, String), Mistake> {
        let (mut words, json) = self.list()?;
        let Some(dest) = words.pop().filter(|_| !words.is_empty()) else {
            let mistake = Mistake::new(format!("{} takes what is copied, and where to", self.name()));
            return Err(mistake.hint(format!("{} SOURCE… DESTINATION", self.name())));
        };
        if !json && heredoc_of(&dest.text).is_some() {
            return Err(Mistake::new("a heredoc cannot be the destination").at(&dest));
        }
        let (mut sources, mut files) = (Vec::new(), Vec::new());
        for word in words {
            let opened = if json { None } else { heredoc_of(&word.text) };
            // Of two heredocs of one name the last counts.
            let read = opened.and_then(|opened| self.heredocs.iter().rfind(|own| own.name == opened.name));
            match read {
                Some(heredoc) => {
                    let (name, expand) = (heredoc.name.clone(), heredoc.expand);
                    files.push(Inline { name, content: heredoc.text(), expand });
                }
                None => sources.push(word.text),
            }
        }
        Ok((sources, files, dest.text))
    }

    fn copy(&self) -> Result<Copy, Mistake> {
        let flags = self.take_flags(&[
            ("from", Form::Value),
            ("chown", Form::Value),
            ("chmod", Form::Value),
            ("link", Form::Switch),
            ("parents", Form::Switch),
            ("exclude", Form::Values),
        ])?;
        if let Some(from) = flags.value("from").filter(|from| from.contains('$')) {
            let mistake = Mistake::new(format!("`--from={from}`: variables are not expanded here"));
            let mistake = mistake.hint(format!("name a stage, and copy from that: FROM {from} AS name"));
            return Err(flags.word("from").map_or(mistake.clone(), |word| mistake.at(word)));
        }
        let (sources, files, dest) = self.sources()?;
        Ok(Copy {
            sources,
            files,
            dest,
            from: flags.value("from"),
            chown: flags.value("chown"),
            chmod: flags.value("chmod"),
            link: flags.switch("link").unwrap_or(false),
            parents: flags.switch("parents").unwrap_or(false),
            exclude: flags.values("exclude").map(|(text, _)| text.to_owned()).collect(),
        })
    }

    fn add(&self) -> Result<Add, Mistake> {
        let flags = self.take_flags(&[
            ("chown", Form::Value),
            ("chmod", Form::Value),
            ("link", Form::Switch),
            ("keep-git-dir", Form::Switch),
            ("checksum", Form::Value),
            ("unpack", Form::Switch),
            ("exclude", Form::Values),
        ])?;
        let (sources, files, dest) = self.sources()?;
        Ok(Add {
            sources,
            files,
            dest,
            chown: flags.value("chown"),
            chmod: flags.value("chmod"),
            link: flags.switch("link").unwrap_or(false),
            keep_git_dir: flags.switch("keep-git-dir"),
            checksum: flags.value("checksum"),
            unpack: flags.switch("unpack"),
            exclude: flags.values("exclude").map(|(text, _)| text.to_owned()).collect(),
        })
    }

    /// `name=value …`, or one name and its value with a blank between them.
    fn pairs(&self) -> Result<Vec<Pair>, Mistake> {
        let text = self.text("names with values")?;
        let words = words::quoted(self.line.trim_end(), self.at, self.escape);
        if let Some(first) = words.first()
            && !first.text.contains('=')
        {
            let Some((name, value)) = text.split_once(words::is_blank) else {
                let mistake = Mistake::new(format!("`{text}` has no value")).at(first);
                return Err(mistake.hint(format!("{} {text}=VALUE", self.name())));
            };
            let value = value.trim_start_matches(words::is_blank).to_owned();
            return Ok(vec![Pair { name: name.to_owned(), value, legacy: true }]);
        }
        let pair = |word: &Word| match word.text.split_once('=') {
            None => {
                let mistake = Mistake::new(format!("`{}` is not of the form NAME=VALUE", word.text)).at(word);
                Err(mistake.hint("put a value with blanks into double quotes: NAME=\"a b\""))
            }
            Some(("", _)) => Err(Mistake::new(format!("`{}` has no name before the `=`", word.text)).at(word)),
            Some((name, value)) => Ok(Pair { name: name.to_owned(), value: value.to_owned(), legacy: false }),
        };
        words.iter().map(pair).collect()
    }

    fn arguments(&self) -> Result<Vec<Argument>, Mistake> {
        self.text("a name")?;
        let words = words::quoted(self.line.trim_end(), self.at, self.escape);
        let argument = |word: &Word| {
            let (name, default) = word.text.split_once('=').map_or((word.text.as_str(), None), |(n, v)| (n, Some(v)));
            if name.is_empty() {
                return Err(Mistake::new(format!("`{}` has no name before the `=`", word.text)).at(word));
            }
            let doc = doc(&self.comments, name);
            Ok(Argument { name: name.to_owned(), default: default.map(str::to_owned), doc })
        };
        words.iter().map(argument).collect()
    }

    fn expose(&self) -> Result<Vec<String>, Mistake> {
        self.text("ports")?;
        let words = self.plain();
        for word in words.iter().filter(|word| !word.text.contains(['$', '\'', '"', self.escape])) {
            ports::parse(&word.text).map_err(|mistake| mistake.at(word))?;
        }
        let mut ports: Vec<String> = words.into_iter().map(|word| word.text).collect();
        ports.sort();
        Ok(ports)
    }

    fn volumes(&self) -> Result<Vec<String>, Mistake> {
        self.text("folders")?;
        let (words, _) = self.list()?;
        let folders: Vec<String> = words.iter().map(|word| word.text.trim().to_owned()).collect();
        if folders.is_empty() {
            return Err(Mistake::new("VOLUME takes folders, and the list is empty"));
        }
        if folders.iter().any(String::is_empty) {
            return Err(Mistake::new("VOLUME takes folders, and one has an empty name"));
        }
        Ok(folders)
    }

    fn shell(&self) -> Result<Vec<String>, Mistake> {
        match self.json(self.rest())? {
            Some(words) if !words.is_empty() => Ok(words),
            _ => {
                let mistake = Mistake::new("SHELL takes a JSON array of words in double quotes");
                Err(mistake.hint("SHELL [\"/bin/sh\", \"-c\"]"))
            }
        }
    }

    fn trigger(&self, span: Span) -> Result<Trigger, Mistake> {
        self.text("an instruction")?;
        let inner = Words::new(self.line, self.at, &self.comments, self.escape, self.heredocs.clone());
        let source = self.rest().to_owned();
        if let name @ ("ONBUILD" | "FROM" | "MAINTAINER") = inner.name().as_str() {
            return Err(Mistake::new(format!("{name} cannot be a trigger of ONBUILD")).at(&inner.keyword));
        }
        let op = inner.op(span)?;
        let mut text = source.clone();
        for heredoc in &self.heredocs {
            text = format!("{text}\n{}{}", heredoc.content, heredoc.name);
        }
        let instruction = Instruction { span, source, comments: Vec::new(), op };
        Ok(Trigger { text, instruction: Box::new(instruction) })
    }

    fn health_check(&self) -> Result<HealthCheck, Mistake> {
        let known = ["interval", "timeout", "start-period", "start-interval", "retries"];
        let flags = self.take_flags(&known.map(|name| (name, Form::Value)))?;
        let text = self.text("NONE, or CMD with a command")?;
        let (kind, command) = text.split_once(char::is_whitespace).unwrap_or((&text, ""));
        let command = command.trim();
        let kind_word = Word { text: kind.to_owned(), at: self.at };
        match kind.to_ascii_uppercase().as_str() {
            "NONE" if command.is_empty() && self.flags.is_empty() => return Ok(HealthCheck::None),
            "NONE" => return Err(Mistake::new("HEALTHCHECK NONE stands alone")),
            "CMD" if command.is_empty() => return Err(Mistake::new("a command is missing after HEALTHCHECK CMD")),
            "CMD" => {}
            _ => {
                let mistake = Mistake::new(format!("HEALTHCHECK takes NONE or CMD, not `{kind}`")).at(&kind_word);
                return Err(mistake.hint(format!("HEALTHCHECK CMD {text}")));
            }
        }
        let command = self.command(command.to_owned())?;
        if command == Command::Exec(Vec::new()) {
            return Err(Mistake::new("a command is missing after HEALTHCHECK CMD"));
        }
        let wrong = |name: &str, what: &str| {
            let value = flags.value(name).unwrap_or_default();
            let mistake = Mistake::new(format!("`--{name}={value}`: {what}"));
            flags.word(name).map_or(mistake.clone(), |word| mistake.at(word))
        };
        let duration = |name: &str| match flags.value(name) {
            None => Ok(None),
            Some(text) => match parse_duration(&text) {
                Some(0) => Ok(None),
                Some(nanos) if nanos >= 1_000_000 => Ok(Some(nanos)),
                Some(_) => Err(wrong(name, "the least is 1ms")),
                None => Err(wrong(name, "a duration is expected, such as 30s or 1m30s")),
            },
        };
        let retries = flags.value("retries").map(|text| {
            let number = text.parse::<u32>().ok().filter(|number| *number <= i32::MAX as u32);
            number.ok_or_else(|| wrong("retries", "a number from 0 is expected"))
        });
        let retries = retries.transpose()?.filter(|number| *number > 0);
        Ok(HealthCheck::Check {
            command,
            interval: duration("interval")?,
            timeout: duration("timeout")?,
            start_period: duration("start-period")?,
            start_interval: duration("start-interval")?,
            retries,
        })
    }
}

/// `RUN --device`: `NAME[,required]`, or `name=NAME,required=true`.
fn device(text: &str) -> Result<Device, Mistake> {
    let mut device = Device { name: String::new(), required: false };
    for field in csv::fields(text)? {
        match field.split_once('=').map(|(key, value)| (key.to_ascii_lowercase(), value)) {
            None if field.eq_ignore_ascii_case("required") => device.required = true,
            Some((key, value)) if key == "required" => {
                let on = go_bool(value);
                device.required = on.ok_or_else(|| Mistake::new(format!("`{field}`: it is either true or false")))?;
            }
            Some((key, value)) if key == "name" && device.name.is_empty() => device.name = value.to_owned(),
            // A CDI name has a `=` of its own.
            _ if device.name.is_empty() => device.name = field,
            _ => return Err(Mistake::new(format!("`{field}`: a device has one name, and perhaps `required`"))),
        }
    }
    if device.name.is_empty() {
        return Err(Mistake::new("a device needs a name").hint("RUN --device=vendor.com/class=name"));
    }
    Ok(device)
}
