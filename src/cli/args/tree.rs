//! The tree of commands as clap sees it: whole, or with the one command that the words name.
//!
//! clap gives each command of a tree a copy of every global flag before it parses the first word; for sixty commands
//! that is a third of what parsing costs. So the words are first parsed by a tree of one branch.

use super::{Cli, Globals, Root, Verb};
use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::{ArgMatches, Args, Command, CommandFactory, Error, FromArgMatches, Subcommand};
use std::cell::Cell;
use std::ffi::OsString;

/// The verbs of one noun, as in `box image ls`: built when that noun is used, as a verb's flags are.
#[derive(Debug)]
pub struct Family<V>(pub V);

impl<V: Subcommand> FromArgMatches for Family<V> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        V::from_arg_matches(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.update_from_arg_matches(matches)
    }
}

impl<V: Subcommand> Args for Family<V> {
    fn augment_args(command: Command) -> Command {
        // The noun is explained where it is a variant; what explains `V` is for readers of the code.
        let (about, long_about) = (command.get_about().cloned(), command.get_long_about().cloned());
        let command = command.subcommand_required(true).arg_required_else_help(true);
        V::augment_subcommands(command).about(Resettable::from(about)).long_about(Resettable::from(long_about))
    }

    fn augment_args_for_update(command: Command) -> Command {
        V::augment_subcommands_for_update(command)
    }
}

thread_local! {
    /// Whether the declarations are read for people (help, man pages, completions) or for parsing.
    static FOR_PEOPLE: Cell<bool> = const { Cell::new(false) };
}

/// Whether the declarations are read for people.
pub(super) fn is_for_people() -> bool {
    FOR_PEOPLE.get()
}

impl Cli {
    /// What the words that were parsed say.
    pub fn of(matches: &mut ArgMatches) -> Result<Self, Error> {
        let globals = Globals::from_arg_matches_mut(matches)?;
        Ok(Self { globals, command: Verb::from_arg_matches_mut(matches)? })
    }
}

/// Parse a command line, its first word being the program's.
pub fn parse(words: &[OsString]) -> Result<ArgMatches, Error> {
    match branch(words).try_get_matches_from(words) {
        // What is wrong with the words is said by the tree that knows all of them.
        Err(error) if !is_answer(&error) => whole().try_get_matches_from(words),
        parsed => parsed,
    }
}

/// The help that was asked for, from the declarations as people see them: without `[=<VALUE>]` at each switch.
pub fn help(words: &[OsString]) -> Option<String> {
    FOR_PEOPLE.set(true);
    let error = branch(words).try_get_matches_from(words).err().filter(is_answer);
    let error = error.or_else(|| whole().try_get_matches_from(words).err().filter(is_answer));
    FOR_PEOPLE.set(false);
    error.map(|error| error.to_string())
}

/// The declarations as help, man pages and completions show them.
///
/// For parsing, each switch takes `=true` and `=false`, as in Go; shown, that would be `--rm[=<RM>]` in every line.
pub fn for_people() -> Command {
    FOR_PEOPLE.set(true);
    let mut command = whole();
    // What is deferred is built now, while the words are for people.
    command.build();
    FOR_PEOPLE.set(false);
    command
}

fn whole() -> Command {
    Family::<Verb>::augment_args(Root::command())
}

/// The top and the command that is named first; the top alone if there is none of that name.
fn branch(words: &[OsString]) -> Command {
    let top = Root::command();
    let takes_value = |word: &str| top.get_arguments().any(|arg| takes_next(arg, word));
    let mut words = words.iter().skip(1).filter_map(|word| word.to_str());
    let verb = loop {
        match words.next() {
            Some(word) if takes_value(word) => drop(words.next()),
            Some(word) if word.starts_with('-') => {}
            other => break other,
        }
    };
    let verbs = verb.map(|verb| (verb, Verb::augment_subcommands(Command::new("verbs"))));
    match verbs.as_ref().and_then(|(verb, all)| all.find_subcommand(verb)) {
        Some(named) => top.subcommand(named.clone()),
        None => top,
    }
}

/// Whether the word after this one is the flag's value.
fn takes_next(arg: &clap::Arg, word: &str) -> bool {
    let named = word.strip_prefix("--").is_some_and(|name| arg.get_long() == Some(name));
    named && matches!(arg.get_action(), clap::ArgAction::Set) && !arg.is_require_equals_set()
}

/// Whether clap's error is what was asked for.
fn is_answer(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::DisplayVersion
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn the_declarations_are_sound() {
        for_people().debug_assert();
        whole().debug_assert();
    }

    #[test]
    fn a_branch_has_the_command_that_is_named() {
        for (line, named) in [
            ("box run alpine ps", Some("run")),
            ("box --root ps images", Some("images")),
            ("box --root=x --timing ps", Some("ps")),
            ("box --timing=false image ls", Some("image")),
            ("box -v", None),
            ("box runn", None),
            ("box help run", None),
        ] {
            let branch = branch(&words(line));
            assert_eq!(branch.get_subcommands().map(Command::get_name).next(), named, "{line}");
            assert!(branch.get_subcommands().count() <= 1);
        }
    }

    #[test]
    fn errors_are_those_of_the_whole_tree() {
        for line in ["box runn", "box run --nmae x y", "box image lss", "box --rot x ps", "box ps --storage-driver"] {
            let whole = whole().try_get_matches_from(words(line)).unwrap_err().to_string();
            assert_eq!(parse(&words(line)).unwrap_err().to_string(), whole, "{line}");
        }
        for line in ["box help run", "box run --help", "box", "box --help", "box image ls -h"] {
            let all = for_people().try_get_matches_from(words(line)).unwrap_err().to_string();
            assert_eq!(help(&words(line)).unwrap(), all, "{line}");
        }
    }
}
