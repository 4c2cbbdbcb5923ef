//! `man/` and `completions/` are what the declarations say now. `BLESS=1` writes them anew.

use boxlib::cli::{args, registration};
use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use std::fmt::Write as _;
use std::path::Path;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The file must have this content, or is given it.
fn check(path: &str, content: &str, stale: &mut Vec<String>) {
    let file = root().join(path);
    if std::fs::read_to_string(&file).is_ok_and(|found| found == content) {
        return;
    }
    if boxlib::base::env::by_name("BLESS").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, content).unwrap();
    } else {
        stale.push(path.to_owned());
    }
}

#[test]
fn man_pages_are_current() {
    let mut stale = Vec::new();
    let command = args::for_people();
    let mut pages = vec!["box.1".to_owned()];
    check("man/box.1", &page(&command, &command), &mut stale);
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
        let name = format!("box-{}.1", verb.get_name());
        check(&format!("man/{name}"), &page(verb, &command), &mut stale);
        pages.push(name);
        for sub in verb.get_subcommands().filter(|sub| sub.get_name() != "help" && !is_known(sub, &command)) {
            let name = format!("box-{}-{}.1", verb.get_name(), sub.get_name());
            check(&format!("man/{name}"), &page(sub, &command), &mut stale);
            pages.push(name);
        }
    }
    for entry in std::fs::read_dir(root().join("man")).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if !pages.contains(&name) {
            stale.push(format!("man/{name} (there is no such command)"));
        }
    }
    assert!(
        stale.is_empty(),
        "not as the declarations say: {stale:?}; write them anew: BLESS=1 cargo test --test it docs"
    );
}

/// `box container run` is `box run`, and so on: one page is enough.
fn is_known(sub: &Command, top: &Command) -> bool {
    let about = |command: &Command| command.get_about().map(ToString::to_string);
    top.find_subcommand(sub.get_name()).is_some_and(|same| about(same) == about(sub))
}

#[test]
fn completions_are_current() {
    let mut stale = Vec::new();
    for (shell, file) in [("bash", "box.bash"), ("zsh", "_box"), ("fish", "box.fish")] {
        check(&format!("completions/{file}"), &registration(shell).unwrap(), &mut stale);
    }
    assert!(stale.is_empty(), "not as the program says: {stale:?}; write them anew: BLESS=1 cargo test --test it docs");
}

/// A man page: from the declarations all but the sections that the long help ends with, which are written by hand.
fn page(command: &Command, top: &Command) -> String {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    // clap shows this text below the options; here its parts are sections of their own.
    let by_hand = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    let plain = command.clone();
    let man = Man::new(plain)
        .title(name.to_uppercase())
        .date("")
        .source(concat!("box ", env!("CARGO_PKG_VERSION")))
        .manual("box");
    let mut out = Vec::new();
    man.render_title(&mut out).unwrap();
    man.render_name_section(&mut out).unwrap();
    synopsis(command, &mut out);
    man.render_description_section(&mut out).unwrap();
    if name == "box" {
        commands(command, "COMMANDS", &mut out);
    }
    man.render_options_section(&mut out).unwrap();
    if name != "box" && command.has_subcommands() {
        commands(command, "COMMANDS", &mut out);
    }
    let by_hand = if name == "box" { top_sections().to_owned() } else { by_hand };
    sections(&by_hand, &mut out);
    see_also(command, top, &mut out);
    String::from_utf8(out).unwrap()
}

fn synopsis(command: &Command, out: &mut Vec<u8>) {
    let usage = command.clone().render_usage().to_string();
    let mut roff = Roff::default();
    roff.control("SH", ["SYNOPSIS"]);
    for line in usage.trim_start_matches("Usage: ").lines() {
        let line = line.trim();
        let name = command.get_bin_name().unwrap_or("box");
        let rest = line.strip_prefix(name).unwrap_or(line);
        roff.text([bold(name), roman(rest)]);
        roff.control("br", []);
    }
    roff.to_writer(out).unwrap();
}

fn commands(command: &Command, title: &str, out: &mut Vec<u8>) {
    let mut roff = Roff::default();
    roff.control("SH", [title]);
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        roff.control("TP", []);
        let page = sub.get_display_name().unwrap_or(sub.get_name()).to_owned();
        let aliases: Vec<&str> = sub.get_visible_aliases().collect();
        let aliases = if aliases.is_empty() { String::new() } else { format!(", {}", aliases.join(", ")) };
        match command.get_name() {
            "box" => roff.text([bold(format!("{page}(1)"))]),
            _ => roff.text([bold(format!("{}{aliases}", sub.get_bin_name().unwrap_or(sub.get_name())))]),
        };
        roff.text([roman(sub.get_about().map(ToString::to_string).unwrap_or_default())]);
    }
    roff.to_writer(out).unwrap();
}

/// Lines without an indent are titles, the others a section's text as it is.
fn sections(text: &str, out: &mut Vec<u8>) {
    let mut roff = String::new();
    let mut open = false;
    for line in text.lines() {
        if !line.is_empty() && !line.starts_with(' ') {
            let _ = write!(
                roff,
                "{}.SH \"{}\"\n.nf\n",
                if open { ".fi\n" } else { "" },
                line.trim_end_matches(':').to_uppercase()
            );
            open = true;
        } else if !line.is_empty() {
            let line = line.trim_start().replace('\\', "\\e").replace('-', "\\-");
            let quoted = if line.starts_with(['.', '\'']) { "\\&" } else { "" };
            let _ = writeln!(roff, "{quoted}{line}");
        }
    }
    if open {
        roff.push_str(".fi\n");
    }
    out.extend_from_slice(roff.as_bytes());
}

/// What has no place in the declarations: the environment and the files of the whole program.
fn top_sections() -> &'static str {
    "Environment:
  BOX_DATA                     the folder of images and containers, as --root
  XDG_DATA_HOME                its parent, if neither BOX_DATA nor storage.conf says where; $HOME/.local/share if neither is
  XDG_RUNTIME_DIR              the parent of the folder of sockets and run state
  STORAGE_DRIVER               as --storage-driver
  CONTAINERS_STORAGE_CONF      storage.conf, in place of the user's and the system's
  CONTAINERS_REGISTRIES_CONF   registries.conf, in place of the user's and the system's
  REGISTRY_AUTH_FILE           credentials, in place of auth.json and docker's config.json
  DOCKER_CONFIG                the folder of docker's config.json
  BOX_USERNS, PODMAN_USERNS    the default of `box run --userns`
  HTTPS_PROXY, HTTP_PROXY, NO_PROXY   how registries are reached
  NO_COLOR                     no colours

Files:
  $XDG_CONFIG_HOME/containers/storage.conf, /etc/containers/storage.conf
  $XDG_CONFIG_HOME/containers/registries.conf, /etc/containers/registries.conf
  $XDG_RUNTIME_DIR/containers/auth.json, $HOME/.docker/config.json
  /etc/subuid, /etc/subgid

Exit status:
  0    The deed was done.
  125  It was not; stderr says why, and what to type.
  Some commands have more; their pages name them."
}

fn see_also(command: &Command, top: &Command, out: &mut Vec<u8>) {
    let mut pages = vec!["box(1)".to_owned()];
    if command.get_name() == "box" {
        pages = vec!["subuid(5)".to_owned(), "slirp4netns(1)".to_owned(), "containers-registries.conf(5)".to_owned()];
    }
    for sub in command.get_subcommands().filter(|sub| command.get_name() != "box" && sub.get_name() != "help") {
        let own = format!("{}-{}", command.get_name(), sub.get_name());
        match is_known(sub, top) {
            true => pages.push(format!("box-{}(1)", sub.get_name())),
            false => pages.push(format!("box-{own}(1)")),
        }
    }
    let mut roff = Roff::default();
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(pages.join(", "))]);
    roff.to_writer(out).unwrap();
}
