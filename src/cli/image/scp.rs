//! `image scp`: an image from host to host, as `save` on one side of ssh(1) and `load` on the other.
//!
//! The other side needs box, podman or docker, and nothing that runs. Digests stay what they are where both sides are box.

use crate::base::error::{Fault, Kind, fault};
use crate::base::program;
use crate::cli::args::Globals;
use crate::cli::args::image::Scp;
use crate::cli::session;
use anyhow::{Context, Result};
use std::process::{Command, ExitStatus, Stdio};

/// Where an image is, or goes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    /// `[USER@]HOST` and the port; `None`: here.
    host: Option<(String, Option<u16>)>,
    /// Empty where it goes to.
    image: String,
}

/// `box image scp`.
pub fn scp(args: &Scp, globals: &Globals) -> Result<u8> {
    let (from, to) = (Place::parse(&args.image)?, args.destination.as_deref().map(Place::parse).transpose()?);
    let to = to.unwrap_or(Place { host: None, image: String::new() });
    if from.image.is_empty() {
        return Err(fault(Kind::Usage, format!("`{}` names no image", args.image.escape_debug())));
    }
    if from.host.is_none() && to.host.is_none() {
        let fault = Fault::new(Kind::Usage, "both sides are this host");
        return Err(fault.hint(format!("box image scp {} USER@HOST::", from.image)).into());
    }
    if !to.image.is_empty() {
        let fault = Fault::new(Kind::Usage, "an image keeps its name on the other side");
        return Err(fault.hint(format!("box tag {} {}, then copy that", from.image, to.image)).into());
    }
    if from.host.is_none() {
        // Before anybody is asked for a password.
        session::image(&session::open(globals)?, &from.image)?;
    }
    let quiet: &[&str] = if args.quiet { &["-q"] } else { &[] };
    let mut save = from.command(&[&["save"], quiet, &[from.image.as_str()]].concat(), globals)?;
    let mut load = to.command(&[&["load"], quiet].concat(), globals)?;
    let deed = || format!("cannot copy image `{}`", from.image);
    let mut saving = save.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().with_context(deed)?;
    let archive = saving.stdout.take().context("cannot make a pipe").with_context(deed)?;
    let loading = load.stdin(archive).spawn();
    // The pipe's ends are theirs alone: one that dies ends the other.
    drop(load);
    let loaded = loading.and_then(|mut loading| loading.wait());
    let saved = saving.wait().with_context(deed)?;
    // Whoever fails has said why. One that nobody reads from any more has not failed by itself.
    for status in [loaded.with_context(deed)?, saved] {
        if !status.success() {
            return Ok(code(status));
        }
    }
    Ok(0)
}

fn code(status: ExitStatus) -> u8 {
    // ssh(1) has 255 for its own errors, which is no code of ours.
    status.code().map_or(125, |code| if code == 255 { 125 } else { session::exit_code(code) })
}

impl Place {
    /// Parse `[[USER@]HOST[:PORT]::][IMAGE]`.
    fn parse(text: &str) -> Result<Self> {
        let wrong = |what: &str| {
            let fault = Fault::new(Kind::Usage, format!("`{}`: {what}", text.escape_debug()));
            fault.hint("[USER@]HOST[:PORT]::IMAGE, such as ann@example.org::alpine")
        };
        let (host, image) = match text.rsplit_once("::") {
            Some((host, image)) => (Some(host), image),
            None => (None, text),
        };
        // It becomes a word for a shell on the other side.
        let is_plain = |text: &str| {
            !text.starts_with('-') && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._/:@-+".contains(&b))
        };
        if !is_plain(image) {
            return Err(wrong("this is no name of an image").into());
        }
        let Some(host) = host else { return Ok(Self { host: None, image: image.to_owned() }) };
        let host = host.strip_prefix("ssh://").unwrap_or(host);
        // An address of IPv6 has brackets if a port follows.
        let (name, port) = match host.rsplit_once(':').filter(|(name, _)| !name.contains(':') || name.ends_with(']')) {
            Some((name, port)) => (name, Some(port.parse().map_err(|_| wrong("this is no port"))?)),
            None => (host, None),
        };
        let name: String = name.chars().filter(|c| !"[]".contains(*c)).collect();
        if name.is_empty() || name.starts_with('-') || name.contains(char::is_whitespace) {
            return Err(wrong("this is no host").into());
        }
        Ok(Self { host: Some((name, port)), image: image.to_owned() })
    }

    /// The command that saves or loads there.
    fn command(&self, words: &[&str], globals: &Globals) -> Result<Command> {
        let Some((name, port)) = &self.host else {
            let mut command = Command::new(std::env::current_exe().context("cannot find box itself")?);
            command.args(globals.root.iter().flat_map(|root| ["--root".into(), root.clone().into_os_string()]));
            command.args(words);
            return Ok(command);
        };
        let none = || {
            let fault = Fault::new(Kind::Host, "images go to other hosts by the program `ssh`");
            fault.hint(program::how_to_install("openssh-client", &[("dnf", "openssh-clients"), ("pacman", "openssh")]))
        };
        let mut command = Command::new(program::find("ssh").ok_or_else(none)?);
        if let Some(port) = port {
            command.arg("-p").arg(port.to_string());
        }
        let words = words.join(" ");
        // In a shell that is known, whatever the user's there is.
        let there = format!(
            "sh -c 'for engine in box podman docker; do command -v $engine >/dev/null && exec $engine {words}; done; \
             echo \"this host has none of box, podman and docker\" >&2; exit 125'"
        );
        command.args(["--", name, &there]);
        Ok(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let place = |host: Option<(&str, Option<u16>)>, image: &str| Place {
            host: host.map(|(name, port)| (name.to_owned(), port)),
            image: image.to_owned(),
        };
        for (text, expected) in [
            ("alpine", place(None, "alpine")),
            ("quay.io:5000/a/b:1", place(None, "quay.io:5000/a/b:1")),
            ("ann@example.org::", place(Some(("ann@example.org", None)), "")),
            ("example.org:2222::alpine:3", place(Some(("example.org", Some(2222))), "alpine:3")),
            ("ssh://ann@[fe80::1]:22::a", place(Some(("ann@fe80::1", Some(22))), "a")),
            ("fe80::1::a", place(Some(("fe80::1", None)), "a")),
        ] {
            assert_eq!(Place::parse(text).unwrap(), expected, "{text}");
        }
        for text in ["::a", "-oProxyCommand=x::a", "h::-a", "h::a;b", "h::a b", "h:x::a", "h::$(a)", "a b::c"] {
            assert!(Place::parse(text).is_err(), "{text}");
        }
    }
}
