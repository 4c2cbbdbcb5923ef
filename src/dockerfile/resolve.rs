//! Instructions with the values of variables in them.
//!
//! Which words of which instruction are expanded is as in moby/buildkit `instructions/commands.go`.

use super::command::Run;
use super::expand::{Lexer, Values};
use super::heredoc::Inline;
use super::mistake::Mistake;
use super::mount::MountWords;
use super::tree::{Argument, Instruction, Op, Pair};
use std::collections::BTreeSet;

/// An instruction's meaning with values in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// What it says.
    pub op: Op,
    /// The names that it used and that have a value: what its result depends on.
    pub used: BTreeSet<String>,
    /// The names that it used and that have none.
    pub undefined: BTreeSet<String>,
}

impl Instruction {
    /// Put values into the words that are expanded; what is run is never.
    ///
    /// `escape` is the file's ([`Directives`](super::tree::Directives)); all words see the values from before.
    pub fn expand(&self, escape: char, values: &Values) -> Result<Resolved, Mistake> {
        let mut words = Words { lexer: Lexer::new(escape), values, used: BTreeSet::new(), undefined: BTreeSet::new() };
        let op = words.op(&self.op)?;
        Ok(Resolved { op, used: words.used, undefined: words.undefined })
    }
}

struct Words<'a> {
    lexer: Lexer,
    values: &'a Values<'a>,
    used: BTreeSet<String>,
    undefined: BTreeSet<String>,
}

impl Words<'_> {
    fn with(&mut self, lexer: Lexer, word: &str) -> Result<(String, Vec<String>), Mistake> {
        let found = lexer.expand(word, self.values)?;
        self.used.extend(found.used);
        self.undefined.extend(found.undefined);
        Ok((found.text, found.words))
    }

    fn word(&mut self, word: &str) -> Result<String, Mistake> {
        self.with(self.lexer, word).map(|(text, _)| text)
    }

    fn list(&mut self, words: &[String]) -> Result<Vec<String>, Mistake> {
        words.iter().map(|word| self.word(word)).collect()
    }

    fn maybe(&mut self, word: Option<&String>) -> Result<Option<String>, Mistake> {
        let text = word.map(|word| self.word(word)).transpose()?;
        Ok(text.filter(|text| !text.is_empty()))
    }

    fn pairs(&mut self, pairs: &[Pair]) -> Result<Vec<Pair>, Mistake> {
        let pair = |pair: &Pair| {
            let (name, value) = (self.word(&pair.name)?, self.word(&pair.value)?);
            Ok(Pair { name, value, legacy: pair.legacy })
        };
        pairs.iter().map(pair).collect()
    }

    fn arguments(&mut self, arguments: &[Argument]) -> Result<Vec<Argument>, Mistake> {
        let argument = |argument: &Argument| {
            let default = argument.default.as_ref().map(|word| self.word(word)).transpose()?;
            Ok(Argument { default, ..argument.clone() })
        };
        arguments.iter().map(argument).collect()
    }

    fn files(&mut self, files: &[Inline]) -> Result<Vec<Inline>, Mistake> {
        let file = |file: &Inline| {
            let content = match file.expand {
                true => self.with(Lexer::for_heredocs(), &file.content)?.0,
                false => file.content.clone(),
            };
            Ok(Inline { content, ..file.clone() })
        };
        files.iter().map(file).collect()
    }

    fn mounts(&mut self, mounts: &[MountWords]) -> Result<Vec<MountWords>, Mistake> {
        let mut mount = |words: &MountWords| {
            let field = |(key, value): &(String, Option<String>)| {
                let value = value.as_ref().map(|value| self.word(value)).transpose()?;
                Ok((key.clone(), value))
            };
            let words = MountWords(words.0.iter().map(field).collect::<Result<_, Mistake>>()?);
            words.mount()?;
            Ok(words)
        };
        mounts.iter().map(&mut mount).collect()
    }

    fn op(&mut self, op: &Op) -> Result<Op, Mistake> {
        Ok(match op {
            Op::Run(run) => Op::Run(Run { mounts: self.mounts(&run.mounts)?, ..run.clone() }),
            Op::Copy(copy) => {
                let mut copy = copy.clone();
                copy.sources = self.list(&copy.sources)?;
                copy.files = self.files(&copy.files)?;
                copy.dest = self.word(&copy.dest)?;
                copy.chown = self.maybe(copy.chown.as_ref())?;
                copy.chmod = self.maybe(copy.chmod.as_ref())?;
                copy.exclude = self.list(&copy.exclude)?;
                Op::Copy(copy)
            }
            Op::Add(add) => {
                let mut add = add.clone();
                add.sources = self.list(&add.sources)?;
                add.files = self.files(&add.files)?;
                add.dest = self.word(&add.dest)?;
                add.chown = self.maybe(add.chown.as_ref())?;
                add.chmod = self.maybe(add.chmod.as_ref())?;
                add.checksum = self.maybe(add.checksum.as_ref())?;
                add.exclude = self.list(&add.exclude)?;
                Op::Add(add)
            }
            Op::Env(pairs) => Op::Env(self.pairs(pairs)?),
            Op::Label(pairs) => Op::Label(self.pairs(pairs)?),
            Op::Arg(arguments) => Op::Arg(self.arguments(arguments)?),
            Op::Expose(words) => {
                let mut ports = Vec::new();
                for word in words {
                    ports.extend(self.with(self.lexer, word)?.1);
                }
                for port in &ports {
                    super::ports::parse(port)?;
                }
                Op::Expose(ports)
            }
            Op::User(user) => Op::User(self.word(user)?),
            Op::Workdir(folder) => Op::Workdir(self.word(folder)?),
            Op::Volume(folders) => Op::Volume(self.list(folders)?),
            Op::StopSignal(signal) => Op::StopSignal(self.word(signal)?),
            Op::Cmd(_) | Op::Entrypoint(_) | Op::HealthCheck(_) | Op::Shell(_) | Op::OnBuild(_) | Op::Maintainer(_) => {
                op.clone()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse_trigger;
    use super::*;

    fn values(name: &str) -> Option<String> {
        ["A", "TWO"].contains(&name).then(|| if name == "A" { "a".to_owned() } else { "80 81".to_owned() })
    }

    fn expand(text: &str) -> Resolved {
        parse_trigger(text).unwrap().expand('\\', &values).unwrap()
    }

    #[test]
    fn which_words_are_expanded() {
        for (text, expected) in [
            ("ENV B=$A C=\"$A b\" D='$A'", "ENV B=a C=\"a b\" D='$A'"),
            ("LABEL $A=$A", "LABEL a=a"),
            ("EXPOSE $TWO 82", "EXPOSE 80 81 82"),
            ("USER $A:${A}", "USER a:a"),
            ("WORKDIR /$A", "WORKDIR /a"),
            ("VOLUME /$A [x", "VOLUME /a [x"),
            ("VOLUME [\"/$A b\"]", "VOLUME [\"/a b\"]"),
            ("COPY --chown=$A --chmod=$A --exclude=$A $A '$A' /$A", "COPY --chown=a --chmod=a --exclude=a a $A /a"),
            ("ADD --checksum=$A $A /$A", "ADD --checksum=a a /a"),
            ("ADD <<E <<'F' /\n\"$A\"\nE\n$A\nF", "ADD <<E <<'F' /\n\"a\"\nE\n$A\nF"),
            ("RUN --mount=type=cache,target=/$A echo $A", "RUN --mount=type=cache,target=/a echo $A"),
            ("CMD $A", "CMD $A"),
            ("ENTRYPOINT [\"$A\"]", "ENTRYPOINT [\"$A\"]"),
            ("HEALTHCHECK CMD $A", "HEALTHCHECK CMD $A"),
            ("SHELL [\"$A\"]", "SHELL [\"$A\"]"),
            ("ARG B=$A", "ARG B=a"),
        ] {
            let mut expected = parse_trigger(expected).unwrap();
            // What is quoted in the expected text keeps its quotes until it is expanded itself.
            if text.starts_with("ENV") {
                expected.op = expected.expand('\\', &values).unwrap().op;
            }
            if text.starts_with("COPY") {
                let Op::Copy(copy) = &mut expected.op else { panic!() };
                copy.sources[1] = "$A".to_owned();
            }
            assert_eq!(expand(text).op, expected.op, "{text}");
        }
    }

    #[test]
    fn names_are_told() {
        let found = expand("ENV B=$A C=$NO");
        assert_eq!((found.used.len(), found.undefined.into_iter().collect::<Vec<_>>()), (1, vec!["NO".to_owned()]));
        assert!(expand("RUN echo $NO").undefined.is_empty());
    }

    #[test]
    fn what_is_wrong_only_with_its_values() {
        for text in ["EXPOSE $A", "RUN --mount=type=$A true", "WORKDIR ${NO:?}"] {
            assert!(parse_trigger(text).unwrap().expand('\\', &values).is_err(), "{text}");
        }
    }
}
