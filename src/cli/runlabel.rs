//! `container runlabel`: runs the command that a label of an image holds.

use super::args::Globals;
use super::args::seldom::Runlabel;
use super::output::print_line;
use super::progress::Shown;
use super::{access, session};
use crate::base::error::{Fault, Kind, fault};
use crate::container;
use crate::image::{self, PullOptions};
use anyhow::{Context, Result};
use std::process::Command;

/// `box container runlabel`: its exit code is the command's.
pub fn runlabel(args: &Runlabel, globals: &Globals) -> Result<u8> {
    let access = access::access(&args.access, None)?;
    let engine = session::open(globals)?;
    let found = match image::find(&engine.store, &args.image)? {
        Some(found) => found,
        None => {
            let options = PullOptions { reference: &args.image, platform: None, access: &access };
            container::pull(&engine, &options, &Shown::new(args.quiet))?
        }
    };
    let text = found.config.labels.get(&args.label).ok_or_else(|| {
        let text = format!("image `{}` has no label `{}`", args.image, args.label.escape_debug());
        Fault::new(Kind::NotFound, text).hint(format!("box image inspect -f '{{{{json .Labels}}}}' {}", args.image))
    })?;
    let name = args.name.clone().unwrap_or_else(|| last_part(&args.image));
    let mut words = command(text, &args.image, &name)?;
    words.extend(args.words.iter().cloned());
    if args.replace && words.first().is_some_and(|word| word == "run") {
        words.insert(1, "--replace".to_owned());
    }
    if args.display || !args.quiet {
        print_line(&format!("command: box {}", words.join(" ")))?;
    }
    if args.display {
        return Ok(0);
    }
    let own = std::env::current_exe().context("cannot find box itself")?;
    let mut command = Command::new(own);
    command.args(globals.root.iter().flat_map(|root| ["--root".into(), root.clone().into_os_string()]));
    let status = command.args(&words).status().context("cannot run box")?;
    Ok(status.code().map_or(125, session::exit_code))
}

/// The repository's last part, without tag and digest.
fn last_part(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    last.split(['@', ':']).next().unwrap_or(last).to_owned()
}

/// The words of a label after the program's name, with its variables replaced. Errors: it is no command of ours.
fn command(text: &str, image: &str, name: &str) -> Result<Vec<String>> {
    let words = split(text).ok_or_else(|| fault(Kind::BadData, "the label's command has a quote without its other"))?;
    let replace = |word: String| {
        ["IMAGE", "NAME"].iter().zip([image, name]).fold(word, |word, (key, value)| match word == *key {
            true => value.to_owned(),
            false => word.replace(&format!("${{{key}}}"), value).replace(&format!("${key}"), value),
        })
    };
    let mut words = words.into_iter().map(replace);
    let program = words.next().unwrap_or_default();
    match program.rsplit('/').next() {
        Some("box" | "docker" | "podman") => Ok(words.collect()),
        _ => {
            let text =
                format!("the label's command runs `{}` on this host, which box does not do", program.escape_debug());
            Err(Fault::new(Kind::BadData, text)
                .hint("see it with --display's help, and type it if you trust it")
                .into())
        }
    }
}

/// Words between spaces; quotes keep spaces. `None` for a quote that is not closed.
fn split(text: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in text.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_become_words() {
        let words = |text: &str| command(text, "example.org/a/app:1", "app").map(|words| words.join("|"));
        assert_eq!(words("podman run --name NAME IMAGE").unwrap(), "run|--name|app|example.org/a/app:1");
        assert_eq!(
            words("/usr/bin/docker run -e 'A=b c' ${IMAGE} x$NAME").unwrap(),
            "run|-e|A=b c|example.org/a/app:1|xapp"
        );
        assert_eq!(words("box").unwrap(), "");
        for wrong in ["", "rm -rf /", "sh -c 'podman run IMAGE'", "podman run 'x", "./podmanx run"] {
            assert!(words(wrong).is_err(), "{wrong}");
        }
        assert_eq!(last_part("example.org:5000/a/app:1@sha256:0"), "app");
    }
}
