//! Completion in the shell: the scripts, and the candidates that depend on what there is.
//!
//! The shell calls box with `COMPLETE` set; box answers from the same declarations that it parses with.

use super::args;
use crate::base::dirs::Dirs;
use crate::config::storage::Storage;
use anyhow::{Context, Result};
use clap_complete::CompletionCandidate;
use clap_complete::env::{Bash, CompleteEnv, EnvCompleter, Fish, Zsh};
use std::process::ExitCode;

/// Answer the shell that asks for candidates.
pub fn answer(_shell: &str) -> ExitCode {
    CompleteEnv::with_factory(args::for_people).bin("box").complete();
    ExitCode::SUCCESS
}

/// For bash, to which a colon, as in an image's name, ends a word: bash-completion knows how to put it right.
const BASH_COLONS: &str = r#"
_box() {
    if ! declare -F _get_comp_words_by_ref >/dev/null; then
        _clap_complete_box "$@"
        return
    fi
    local cur words cword
    _get_comp_words_by_ref -n : cur words cword
    local -a COMP_WORDS=("${words[@]}")
    local COMP_CWORD=$cword
    _clap_complete_box box "$cur"
    __ltrim_colon_completions "$cur"
}
if [[ "${BASH_VERSINFO[0]}" -eq 4 && "${BASH_VERSINFO[1]}" -ge 4 || "${BASH_VERSINFO[0]}" -gt 4 ]]; then
    complete -o nospace -o bashdefault -o nosort -F _box box
else
    complete -o nospace -o bashdefault -F _box box
fi
"#;

/// The script that makes a shell ask: bash, zsh or fish; `None` for another.
pub fn registration(shell: &str) -> Option<String> {
    let completer: &dyn EnvCompleter = match shell {
        "bash" => &Bash,
        "zsh" => &Zsh,
        "fish" => &Fish,
        _ => return None,
    };
    let mut script = Vec::new();
    completer.write_registration("COMPLETE", "box", "box", "box", &mut script).ok()?;
    let script = String::from_utf8(script).ok()?;
    Some(if shell == "bash" { script + BASH_COLONS } else { script })
}

/// `box completion`.
pub fn completion(args: &args::host::Completion) -> Result<u8> {
    let script = registration(&args.shell).unwrap_or_default();
    let script = if args.no_desc { without_descriptions(&args.shell, script) } else { script };
    match &args.file {
        Some(path) => std::fs::write(path, script).with_context(|| format!("cannot write `{}`", path.display()))?,
        None => super::output::print(&script)?,
    }
    Ok(0)
}

/// The script, changed so that what a candidate is for is not shown. bash shows none in any case.
fn without_descriptions(shell: &str, script: String) -> String {
    match shell {
        "zsh" => script.replace(r#"other+=("$completion")"#, r#"other+=("$value")"#).replace(":$desc", ""),
        "fish" => script
            .replace("(commandline --current-token))", r"(commandline --current-token) | string replace -r '\t.*' '')"),
        _ => script,
    }
}

fn folders() -> Result<Dirs> {
    crate::engine::folders(None, &Storage::load()?)
}

/// The names of containers.
pub fn containers() -> Vec<CompletionCandidate> {
    let Ok(dirs) = folders() else { return Vec::new() };
    let Ok(entries) = std::fs::read_dir(dirs.names()) else { return Vec::new() };
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    names.into_iter().map(CompletionCandidate::new).collect()
}

/// The names of images, as short as they may be typed.
pub fn images() -> Vec<CompletionCandidate> {
    let Ok(dirs) = folders() else { return Vec::new() };
    let mut names = image_names(&std::fs::read(dirs.oci().join("index.json")).unwrap_or_default());
    names.sort();
    names.into_iter().map(CompletionCandidate::new).collect()
}

/// The stages of the Dockerfile in this folder.
pub fn stages() -> Vec<CompletionCandidate> {
    let texts = ["Containerfile", "Dockerfile"].iter().filter_map(|name| std::fs::read(name).ok());
    let found = texts.filter_map(|text| crate::dockerfile::parse(&text, "").ok()).next();
    let names = found.into_iter().flat_map(|file| file.stages).filter_map(|stage| stage.name);
    names.map(CompletionCandidate::new).collect()
}

/// The names of volumes.
pub fn volumes() -> Vec<CompletionCandidate> {
    folders().map(|dirs| entries(&dirs.volumes())).unwrap_or_default()
}

/// The names of secrets.
pub fn secrets() -> Vec<CompletionCandidate> {
    folders().map(|dirs| entries(&dirs.secrets())).unwrap_or_default()
}

fn entries(folder: &std::path::Path) -> Vec<CompletionCandidate> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    names.into_iter().map(CompletionCandidate::new).collect()
}

/// The names of networks.
pub fn networks() -> Vec<CompletionCandidate> {
    let Ok(dirs) = folders() else { return Vec::new() };
    crate::network::record::all(&dirs).into_iter().map(|network| CompletionCandidate::new(network.name)).collect()
}

/// Containers first, then images.
pub fn containers_and_images() -> Vec<CompletionCandidate> {
    let mut all = containers();
    all.extend(images());
    all
}

/// The keys of `--filter` for containers, each up to its value.
pub fn filters() -> Vec<CompletionCandidate> {
    let keys = [
        "ancestor=",
        "before=",
        "command=",
        "exited=",
        "expose=",
        "id=",
        "label!=",
        "label=",
        "name=",
        "network=",
        "publish=",
        "since=",
        "until=",
        "volume=",
    ];
    let values = [
        "health=healthy",
        "health=starting",
        "health=unhealthy",
        "restart-policy=always",
        "restart-policy=on-failure",
        "restart-policy=unless-stopped",
        "status=created",
        "status=exited",
        "status=paused",
        "status=running",
    ];
    keys.into_iter().chain(values).map(CompletionCandidate::new).collect()
}

/// The names of signals.
pub fn signals() -> Vec<CompletionCandidate> {
    (1..=31).map(|number| CompletionCandidate::new(crate::base::signal::name(number).replace("SIG", ""))).collect()
}

/// The names in an OCI layout's index.
fn image_names(index: &[u8]) -> Vec<String> {
    let index: serde_json::Value = serde_json::from_slice(index).unwrap_or_default();
    let manifests = index["manifests"].as_array().map(Vec::as_slice).unwrap_or_default();
    let full = manifests.iter().filter_map(|m| m["annotations"]["org.opencontainers.image.ref.name"].as_str());
    full.map(crate::image::short_name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_short_as_they_may_be() {
        let index = br#"{"manifests":[
            {"annotations":{"org.opencontainers.image.ref.name":"docker.io/library/alpine:latest"}},
            {"annotations":{"org.opencontainers.image.ref.name":"quay.io/a/b:1"}},
            {"annotations":{"org.opencontainers.image.ref.name":"docker.io/me/x:2"}}, {}]}"#;
        assert_eq!(image_names(index), ["alpine", "quay.io/a/b:1", "me/x:2"]);
        assert!(image_names(b"").is_empty());
    }

    #[test]
    fn three_shells_have_a_script() {
        for shell in ["bash", "zsh", "fish"] {
            assert!(registration(shell).is_some_and(|script| script.contains("COMPLETE")), "{shell}");
        }
        assert_eq!(registration("tcsh"), None);
    }
}
