//! The environment of a container's command: the image's, then files, then words, later ones winning.

use super::request::Request;
use crate::base::env;
use crate::base::error::{Kind, fault};
use crate::oci::image::ImageConfig;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// Where commands are looked for when the image does not say.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

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
    for entry in &image.env {
        match entry.split_once('=') {
            Some((key, value)) if !key.is_empty() && !entry.contains('\0') => set(&mut list, key, value),
            _ => warn(format!(
                "the image's environment entry `{}` is not NAME=value and is left out",
                entry.escape_debug()
            )),
        }
    }
    extend(&mut list, &request.env_files, &request.env)?;
    Ok(list)
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
    fn files_are_taken_verbatim() {
        let path = std::env::temp_dir().join(format!("box-env-{}", crate::base::id::ContainerId::random()));
        std::fs::write(&path, "# c\n\n  K=\"v\" # kept \nE=\n").unwrap();
        let request = Request { env_files: vec![path.clone()], ..Default::default() };
        let list = decide(&request, &ImageConfig::default(), "h", drop).unwrap();
        assert_eq!(list[3..], ["K=\"v\" # kept ", "E="]);
        std::fs::remove_file(path).unwrap();
    }
}
