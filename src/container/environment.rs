//! The environment of a container's command: the image's, then files, then words, later ones winning.

use super::request::Request;
use crate::base::env;
use crate::base::error::{Kind, fault};
use crate::oci::image::ImageConfig;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// Where commands are looked for when the image does not say.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What is changed of the variables that a container has without being asked: `--env-host`, `--env-merge`, `--unsetenv`.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// The configured `K=V`s, which come first of all.
    pub defaults: Vec<String>,
    /// `--env-host`: all variables of the caller's, before the image's.
    pub host: bool,
    /// `K=V`, in which `${NAME}` is the value that the image gives.
    pub merge: Vec<String>,
    /// Names that go.
    pub unset: Vec<String>,
    /// All go.
    pub unset_all: bool,
}

/// An env file is never larger than this.
const LIMIT: u64 = 4 << 20;

/// `K=V`, each key once, in the order of first appearance.
///
/// An image's entry is data, never a request: without `=` it is dropped with a warning, so that an image cannot name
/// variables of the caller (CVE-2026-57231).
pub fn decide(request: &Request, image: &ImageConfig, hostname: &str, warn: impl Fn(String)) -> Result<Vec<String>> {
    let mut list = Vec::new();
    set(&mut list, "PATH", DEFAULT_PATH);
    if request.tty {
        set(&mut list, "TERM", "xterm");
    }
    set(&mut list, "container", "box");
    set(&mut list, "HOSTNAME", hostname);
    extend(&mut list, &[], &request.env_changes.defaults).context("cannot use the configured environment")?;
    if request.env_changes.host {
        env::all().iter().for_each(|(key, value)| set(&mut list, key, value));
    }
    for entry in &image.env {
        match entry.split_once('=') {
            Some((key, value)) if !key.is_empty() && !entry.contains('\0') => set(&mut list, key, value),
            _ => warn(format!(
                "the image's environment entry `{}` is not NAME=value and is left out",
                entry.escape_debug()
            )),
        }
    }
    if !request.networking.no_proxy_variables {
        proxies(&mut list);
    }
    change(&mut list, &request.env_changes)?;
    extend(&mut list, &request.env_files, &request.env)?;
    Ok(list)
}

/// Merge first, so that the merged variable can be made of others that go.
fn change(list: &mut Vec<String>, changes: &Changes) -> Result<()> {
    for word in &changes.merge {
        let Some((key, value)) = word.split_once('=').filter(|(key, _)| !key.is_empty() && !word.contains('\0')) else {
            let text = format!("`--env-merge {}` is not NAME=value", word.escape_debug());
            return Err(fault(Kind::Usage, text));
        };
        let merged = merged(value, list);
        set(list, key, &merged);
    }
    let kept = |entry: &String| {
        let name = entry.split('=').next().unwrap_or_default();
        let merged = changes.merge.iter().any(|word| word.split('=').next() == Some(name));
        merged || !changes.unset_all && !changes.unset.iter().any(|unset| unset == name)
    };
    list.retain(kept);
    Ok(())
}

/// A value with each `${NAME}` and `$NAME` replaced; what is not known is nothing.
fn merged(value: &str, list: &[String]) -> String {
    let known = |name: &str| list.iter().find_map(|entry| entry.split_once('=').filter(|(key, _)| *key == name));
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (name, left) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some(parts) => parts,
            None => after.split_at(after.find(|c| !is_name(c)).unwrap_or(after.len())),
        };
        match name {
            "" => out.push('$'),
            name => out.push_str(known(name).map_or("", |(_, value)| value)),
        }
        rest = left;
    }
    out.push_str(rest);
    out
}

/// The host's proxy variables, without which much of the net is out of reach where there is a proxy.
fn proxies(list: &mut Vec<String>) {
    for name in ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy"] {
        for name in [name.to_owned(), name.to_ascii_uppercase()] {
            if let Some(value) = env::by_name(&name) {
                set(list, &name, &value);
            }
        }
    }
}

/// What the user adds: files first, then words.
pub fn extend(list: &mut Vec<String>, files: &[PathBuf], words: &[String]) -> Result<()> {
    for path in files {
        let deed = || format!("cannot read env file `{}`", path.display());
        let text = String::from_utf8(crate::base::fs::read_limited(path, LIMIT)?).with_context(deed)?;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim_start();
            if !line.is_empty() && !line.starts_with('#') {
                add(list, line).with_context(|| place(path, number + 1))?;
            }
        }
    }
    words.iter().try_for_each(|word| add(list, word))
}

/// What label files say: `KEY=VALUE` or `KEY` in each line; the last one wins.
pub fn labels(files: &[PathBuf]) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for path in files {
        let deed = || format!("cannot read label file `{}`", path.display());
        let text = String::from_utf8(crate::base::fs::read_limited(path, LIMIT)?).with_context(deed)?;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim_start();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match line.split_once('=').unwrap_or((line, "")) {
                ("", _) => return Err(fault(Kind::Usage, "a label has no key").context(place(path, number + 1))),
                (key, value) => found.push((key.to_owned(), value.to_owned())),
            }
        }
    }
    Ok(found)
}

fn place(path: &Path, line: usize) -> String {
    format!("cannot use line {line} of `{}`", path.display())
}

/// One word of the user's: `K=V`, `K` from the host, or `PREFIX*` from the host.
fn add(list: &mut Vec<String>, word: &str) -> Result<()> {
    let wrong =
        || fault(Kind::Usage, format!("`{}` is not an environment variable: use NAME=value", word.escape_debug()));
    if word.contains('\0') {
        return Err(wrong());
    }
    match word.split_once('=') {
        Some(("", _)) => Err(wrong()),
        Some((key, value)) => {
            set(list, key, value);
            Ok(())
        }
        None if word.is_empty() => Err(wrong()),
        None => {
            match word.strip_suffix('*') {
                Some(prefix) => {
                    env::all().iter().filter(|(key, _)| key.starts_with(prefix)).for_each(|(k, v)| set(list, k, v))
                }
                None => env::by_name(word).iter().for_each(|value| set(list, word, value)),
            }
            Ok(())
        }
    }
}

fn set(list: &mut Vec<String>, key: &str, value: &str) {
    let entry = format!("{key}={value}");
    match list.iter_mut().find(|old| old.split_once('=').is_some_and(|(name, _)| name == key)) {
        Some(old) => *old = entry,
        None => list.push(entry),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn later_wins_and_images_name_no_variables_of_the_host() {
        let image = ImageConfig {
            env: ["A=1", "PATH=/x", "HOME", "P*", "=x", "B=\0"].map(String::from).to_vec(),
            ..Default::default()
        };
        let request = Request { env: vec!["A=2".into(), "C=a=b".into()], ..Default::default() };
        let warned = Cell::new(0);
        let list = decide(&request, &image, "h", |_| warned.set(warned.get() + 1)).unwrap();
        assert_eq!(list, ["PATH=/x", "container=box", "HOSTNAME=h", "A=2", "C=a=b"]);
        assert_eq!(warned.get(), 4);
        assert!(decide(&Request { env: vec!["=x".into()], ..Default::default() }, &image, "h", drop).is_err());
    }

    #[test]
    fn variables_are_merged_and_unset() {
        let image = ImageConfig { env: ["PATH=/x", "B=2", "C=3"].map(String::from).to_vec(), ..Default::default() };
        let decided = |merge: &[&str], unset: &[&str], unset_all| {
            let list = |words: &[&str]| words.iter().map(ToString::to_string).collect();
            let changes = Changes { merge: list(merge), unset: list(unset), unset_all, ..Changes::default() };
            let request = Request { env: vec!["D=4".into()], env_changes: changes, ..Default::default() };
            decide(&request, &image, "h", drop).map(|list| list.join(" "))
        };
        assert_eq!(
            decided(&["PATH=/o:${PATH}", "E=$B$C-$NONE$"], &["B", "container"], false).unwrap(),
            "PATH=/o:/x HOSTNAME=h C=3 E=23-$ D=4"
        );
        assert_eq!(decided(&[], &[], true).unwrap(), "D=4");
        assert_eq!(decided(&["PATH=/o:${PATH}"], &[], true).unwrap(), "PATH=/o:/x D=4");
        assert!(decided(&["x"], &[], false).is_err());
    }

    #[test]
    fn files_are_taken_verbatim() {
        let path = std::env::temp_dir().join(format!("box-env-{}", crate::base::id::ContainerId::random()));
        std::fs::write(&path, "# c\n\n  K=\"v\" # kept \nE=\n").unwrap();
        let request = Request { env_files: vec![path.clone()], ..Default::default() };
        let list = decide(&request, &ImageConfig::default(), "h", drop).unwrap();
        assert_eq!(list[3..], ["K=\"v\" # kept ", "E="]);
        std::fs::remove_file(path).unwrap();
    }
}
