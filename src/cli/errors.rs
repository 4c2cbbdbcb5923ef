//! Errors as the user sees them, and the exit codes they become: the one table.

use super::{absent, args};
use crate::base::env;
use crate::base::error::{Fault, Kind, kind};
use crate::base::nearest::nearest_of;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::process::ExitCode;

/// The exit code of a failure: what podman's and docker's are for `run`.
pub fn exit_code(kind: Kind) -> u8 {
    match kind {
        Kind::CommandNotExecutable => 126,
        Kind::CommandNotFound => 127,
        Kind::CommandFailed(code) => code,
        Kind::Interrupted(signal) => 128u8.saturating_add(u8::try_from(signal).unwrap_or(0)),
        _ => 125,
    }
}

/// Print an error with its advice; the exit code to end with.
pub fn report(error: &anyhow::Error) -> u8 {
    let fault = error.downcast_ref::<Fault>();
    let shown = fault.map(|fault| fault.shown.as_slice()).unwrap_or_default();
    let mut hints = fault.map(|fault| fault.hints.clone()).unwrap_or_default();
    if hints.is_empty() {
        hints.extend(advice(error).map(str::to_owned));
    }
    let hints = hints.as_slice();
    if !matches!(kind(error), Kind::Interrupted(_)) {
        print("box", 31, &format!("{error:#}"), shown, hints);
    }
    exit_code(kind(error))
}

/// What helps against errors of the disk and the kernel, wherever they were met.
fn advice(error: &anyhow::Error) -> Option<&'static str> {
    let text = format!("{error:#}");
    let says = |errno: i32| text.contains(&format!("(os error {errno})"));
    let (read_only, full, quota, not_there) = (30, 28, 122, 38);
    match () {
        () if says(read_only) => Some("keep images and containers elsewhere: export BOX_DATA=/var/tmp/box-$(id -u)"),
        () if says(full) || says(quota) => Some("make room: `box ps -a` and `box rm`, `box images` and `box rmi`"),
        () if says(not_there) => Some("Linux 5.13 or newer is needed, with no sandbox in between: `box doctor`"),
        () => None,
    }
}

/// Print something that the user should know although all went on.
pub fn warn(fault: &Fault) {
    print("warning", 33, &fault.text, &fault.shown, &fault.hints);
}

/// One message on stderr. A closed or full stderr is nobody's error.
fn print(label: &str, colour: u8, text: &str, shown: &[String], hints: &[String]) {
    let plain = env::no_color() || env::term().is_none_or(|term| term == "dumb") || !std::io::stderr().is_terminal();
    let paint = |label: &str, colour: u8| match plain {
        true => label.to_owned(),
        false => format!("\x1b[1;{colour}m{label}\x1b[0m"),
    };
    let mut out = format!("{}: {}\n", paint(label, colour), escape(text));
    for line in shown {
        let _ = writeln!(out, "{}", escape(line));
    }
    for hint in hints {
        let _ = writeln!(out, "{}: {}", paint("hint", 36), escape(hint));
    }
    let _ = std::io::stderr().write_all(out.as_bytes());
}

/// Text from outside without what could drive a terminal or forge another line.
pub fn escape(text: &str) -> String {
    // Beside control characters, those that change the direction of what follows.
    let dangerous = |c: char| {
        c.is_control() || matches!(c, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(dangerous) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if dangerous(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// What clap has to say, in our words; help and version go to stdout with code 0.
pub fn usage(error: clap::Error, words: &[OsString]) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp => {
            let _ = std::io::stdout().write_all(args::help(words).unwrap_or(error.to_string()).as_bytes());
            return ExitCode::SUCCESS;
        }
        ErrorKind::DisplayVersion => {
            let _ = std::io::stdout().write_all(error.to_string().as_bytes());
            return ExitCode::SUCCESS;
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = std::io::stderr().write_all(args::help(words).unwrap_or(error.to_string()).as_bytes());
            return ExitCode::from(exit_code(Kind::Usage));
        }
        _ => {}
    }
    let path = path(words);
    let fault = translate(&error, &path).hint(format!("{path} --help"));
    print("box", 31, &fault.text, &fault.shown, &fault.hints);
    ExitCode::from(exit_code(fault.kind))
}

/// `box image rm` for the words `box --root x image rm -z y`.
fn path(words: &[OsString]) -> String {
    let mut command = args::for_people();
    let mut path = "box".to_owned();
    let mut words = words.iter().skip(1).filter_map(|word| word.to_str());
    while let Some(word) = words.next() {
        if let Some(sub) = command.find_subcommand(word) {
            let _ = write!(path, " {}", sub.get_name());
            command = sub.clone();
        } else if ["--root", "--storage-driver", "--log", "--log-format", "--cgroup-manager"].contains(&word) {
            words.next();
        } else if !word.starts_with('-') {
            break;
        }
    }
    path
}

fn context(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) if texts.is_empty() => None,
        ContextValue::Strings(texts) => Some(texts.join("`, `")),
        _ => None,
    }
}

/// `--rm` of `--rm[=<RM>]` and `--name` of `--name <NAME>`.
fn flag(text: &str) -> &str {
    match text.starts_with('-') {
        true => text.split([' ', '[', '=']).next().unwrap_or(text),
        false => text.trim_end_matches("...").trim_matches(['[', ']', '<', '>']),
    }
}

fn translate(error: &clap::Error, path: &str) -> Fault {
    let usage = |text: String| Fault::new(Kind::Usage, text);
    let arg = context(error, ContextKind::InvalidArg).unwrap_or_default();
    let value = context(error, ContextKind::InvalidValue).unwrap_or_default();
    let mean = |fault: Fault, kind: ContextKind, before: &str| match context(error, kind) {
        Some(text) => fault.hint(format!("did you mean `{before}{}`?", flag(&text))),
        None => fault,
    };
    match error.kind() {
        ErrorKind::UnknownArgument if arg.starts_with('-') => {
            if let Some((why, hint)) = absent::why(path, flag(&arg)) {
                return usage(format!("`{path}` has no flag `{}`: {why}", flag(&arg))).hint(hint);
            }
            let fault = usage(format!("`{path}` has no flag `{}`", flag(&arg)));
            mean(fault, ContextKind::SuggestedArg, "")
        }
        ErrorKind::UnknownArgument => usage(format!("`{path}` does not know what to do with `{arg}`")),
        ErrorKind::InvalidSubcommand => {
            let unknown = context(error, ContextKind::InvalidSubcommand).unwrap_or_default();
            let fault = usage(format!("there is no command `{path} {unknown}`"));
            if let Some((why, hint)) = absent::why(path, &unknown) {
                return usage(format!("there is no command `{path} {unknown}`: {why}")).hint(hint);
            }
            match nearest(path, &unknown) {
                Some(name) => fault.hint(format!("did you mean `{path} {name}`?")),
                None => fault,
            }
        }
        ErrorKind::MissingSubcommand => usage(format!("`{path}` needs a command")),
        ErrorKind::MissingRequiredArgument => {
            let names = arg.replace(['<', '>'], "").replace("...", "");
            let names = if names.starts_with("--") { flag(&names).to_owned() } else { names };
            usage(format!("`{path}` needs `{}`", names.trim_end_matches("|--all|--latest")))
        }
        ErrorKind::InvalidValue if value.is_empty() => usage(format!("`{}` needs a value", flag(&arg))),
        ErrorKind::InvalidValue => {
            let fault = usage(format!("`{}` cannot be `{value}`", flag(&arg)));
            let fault = mean(fault, ContextKind::SuggestedValue, &format!("{} ", flag(&arg)));
            match context(error, ContextKind::ValidValue) {
                Some(values) => fault.hint(format!("it is one of: {}", values.replace('`', ""))),
                None => fault,
            }
        }
        ErrorKind::ValueValidation => {
            let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
            // What Rust says of a number.
            let cause = cause.replace("invalid digit found in string", "it is not a number");
            usage(format!("`{}` cannot be `{value}`{cause}", flag(&arg)))
        }
        ErrorKind::ArgumentConflict => {
            let prior = context(error, ContextKind::PriorArg).unwrap_or_default();
            usage(format!("`{}` and `{}` do not go together", flag(&arg), flag(&prior)))
        }
        ErrorKind::TooManyValues => usage(format!("`{}` does not take `{value}`", flag(&arg))),
        ErrorKind::NoEquals => usage(format!("the value of `{}` must stand after an equals sign", flag(&arg))),
        ErrorKind::InvalidUtf8 => usage("an argument is not valid UTF-8".to_owned()),
        _ => usage(error.to_string().lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()),
    }
}

/// The command below `path` that is at most two slips away.
fn nearest(path: &str, unknown: &str) -> Option<String> {
    let top = args::for_people();
    let command = path.split(' ').skip(1).try_fold(&top, |command, word| command.find_subcommand(word))?;
    nearest_of(unknown, command.get_subcommands().map(clap::Command::get_name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> (String, Vec<String>) {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let error = crate::cli::parse(&words).unwrap_err();
        let fault = translate(&error, &path(&words));
        (fault.text, fault.hints)
    }

    fn check(line: &str, text: &str, hints: &[&str]) {
        assert_eq!(said(line), (text.to_owned(), hints.iter().map(|hint| (*hint).to_owned()).collect()), "{line}");
    }

    #[test]
    fn wrong_words() {
        check("box run --nmae x alpine", "`box run` has no flag `--nmae`", &["did you mean `--name`?"]);
        check("box run -Q alpine", "`box run` has no flag `-Q`", &[]);
        check("box rnu alpine", "there is no command `box rnu`", &["did you mean `box run`?"]);
        check("box image lss", "there is no command `box image lss`", &["did you mean `box image ls`?"]);
        check("box run", "`box run` needs `IMAGE`", &[]);
        check(
            "box run --pull sometimes alpine",
            "`--pull` cannot be `sometimes`",
            &["it is one of: always, missing, never, newer, ifmissing, ifnotpresent, ifnewer"],
        );
        check("box run --rm=maybe alpine", "`--rm` cannot be `maybe`", &["it is one of: true, false"]);
        check("box run --name", "`--name` needs a value", &[]);
        check("box run --stop-timeout soon alpine", "`--stop-timeout` cannot be `soon`: it is not a number", &[]);
        check("box stop -a web", "`--all` and `CONTAINER` do not go together", &[]);
        check("box --root", "`--root` needs a value", &[]);
        check("box attach a b", "`box attach` does not know what to do with `b`", &[]);
    }

    #[test]
    fn every_kind_has_a_code() {
        for (kind, code) in [
            (Kind::Usage, 125),
            (Kind::NotFound, 125),
            (Kind::CommandNotExecutable, 126),
            (Kind::CommandNotFound, 127),
            (Kind::Interrupted(2), 130),
            (Kind::Interrupted(15), 143),
            (Kind::Other, 125),
        ] {
            assert_eq!(exit_code(kind), code, "{kind:?}");
        }
    }

    #[test]
    fn nothing_from_outside_drives_the_terminal() {
        assert_eq!(escape("a\x1b[2Jb\nc\u{202e}d"), "a\\u{1b}[2Jb\\nc\\u{202e}d");
        assert_eq!(escape("grün `x`"), "grün `x`");
    }
}
