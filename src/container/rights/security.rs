//! `--security-opt`: what else separates a container from the host, word by word. Parsing is pure.
//!
//! Docker's spelling `key:value` is taken as well as `key=value`.

use crate::base::error::{Fault, Kind, fault};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Which system calls a container may make.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seccomp {
    /// The built-in profile.
    #[default]
    Default,
    /// The built-in profile, and what containers within the container need.
    Nested,
    /// Everything.
    Unconfined,
    /// A profile as docker and podman have them, made absolute; read at each start.
    File(PathBuf),
}

/// All that `--security-opt` can say.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Security {
    /// `seccomp=`.
    pub seccomp: Seccomp,
    /// `no-new-privileges`: setuid programs and file capabilities give nothing.
    pub no_new_privileges: bool,
    /// `apparmor=PROFILE`.
    pub apparmor: Option<String>,
    /// `label=user:…` and its kin: parts of a SELinux context, `filetype` for files.
    pub labels: Vec<(String, String)>,
    /// `mask=`: further paths that are hidden.
    pub mask: Vec<String>,
    /// `unmask=`: paths, patterns or `ALL` that are neither hidden nor read-only.
    pub unmask: Vec<String>,
    /// `proc-opts=`: mount options of `/proc`.
    pub proc_options: Vec<String>,
    /// As it was typed, for inspect.
    pub words: Vec<String>,
}

const KNOWN: &str = "seccomp=FILE|unconfined|nested no-new-privileges label= apparmor= mask= unmask= proc-opts=";

/// Parse all words of `--security-opt`.
pub fn parse(words: &[String]) -> Result<Security> {
    let mut found = Security { words: words.to_vec(), ..Security::default() };
    for word in words {
        take(&mut found, word)?;
    }
    Ok(found)
}

fn take(found: &mut Security, word: &str) -> Result<()> {
    let shown = || format!("`--security-opt {}`", word.escape_debug());
    let (key, value) = match word.find(['=', ':']) {
        Some(at) => (&word[..at], word.get(at + 1..).unwrap_or_default()),
        None => (word, ""),
    };
    let paths = || -> Result<Vec<String>> {
        let list: Vec<String> = value.split(':').filter(|path| !path.is_empty()).map(str::to_owned).collect();
        match list.iter().all(|path| path.starts_with('/')) && !list.is_empty() {
            true => Ok(list),
            false => Err(fault(Kind::Usage, format!("{} needs absolute paths, with colons between them", shown()))),
        }
    };
    match (key, value) {
        ("seccomp", "unconfined") => found.seccomp = Seccomp::Unconfined,
        ("seccomp", "default" | "builtin") => found.seccomp = Seccomp::Default,
        ("seccomp", "nested") => found.seccomp = Seccomp::Nested,
        ("seccomp", file) if !file.is_empty() => found.seccomp = Seccomp::File(file.into()),
        ("no-new-privileges", "" | "true" | "1") => found.no_new_privileges = true,
        ("no-new-privileges", "false" | "0") => found.no_new_privileges = false,
        ("apparmor", "unconfined") => found.apparmor = None,
        ("apparmor", profile) if !profile.is_empty() => found.apparmor = Some(profile.to_owned()),
        // box sets no label by itself, so there is none to leave out.
        ("label", "disable") => found.labels.clear(),
        ("label", part) => match part.split_once(':') {
            Some((kind @ ("user" | "role" | "type" | "level" | "filetype"), value)) if !value.is_empty() => {
                found.labels.push((kind.to_owned(), value.to_owned()));
            }
            _ => {
                let fault = Fault::new(Kind::Usage, format!("{} is no part of a SELinux label", shown()));
                return Err(fault.hint("label=disable, or label=user:U role:R type:T level:L filetype:T").into());
            }
        },
        ("mask", _) => found.mask.extend(paths()?),
        ("unmask", "ALL" | "all") | ("systempaths", "unconfined") => found.unmask.push("ALL".to_owned()),
        ("unmask", _) => found.unmask.extend(paths()?),
        ("proc-opts", options) if !options.is_empty() => found.proc_options.extend(proc_options(options, word)?),
        _ => {
            let fault = Fault::new(Kind::Usage, format!("{} is not understood", shown()));
            return Err(fault.hint(format!("known are: {KNOWN}")).into());
        }
    }
    Ok(())
}

/// Mount options of proc(5).
fn proc_options(text: &str, word: &str) -> Result<Vec<String>> {
    let known = |option: &&str| match option.split_once('=') {
        Some(("hidepid", value)) => ["0", "1", "2", "4", "off", "noaccess", "invisible", "ptraceable"].contains(&value),
        Some(("gid", value)) => value.parse::<u32>().is_ok(),
        Some(("subset", value)) => value == "pid",
        Some(_) => false,
        None => ["ro", "rw", "nosuid", "nodev", "noexec"].contains(option),
    };
    let options: Vec<&str> = text.split(',').filter(|option| !option.is_empty()).collect();
    match options.iter().find(|option| !known(option)) {
        Some(bad) => {
            let (word, bad) = (word.escape_debug(), bad.escape_debug());
            Err(Fault::new(Kind::Usage, format!("`--security-opt {word}`: /proc has no option `{bad}`"))
                .hint("proc-opts=hidepid=2,subset=pid")
                .into())
        }
        None => Ok(options.into_iter().map(str::to_owned).collect()),
    }
}

impl Security {
    /// The hidden paths and the read-only ones of a container, after `mask` and `unmask`.
    pub fn covered(&self, masked: Vec<String>, read_only: Vec<String>) -> (Vec<String>, Vec<String>) {
        let shown = |path: &String| self.unmask.iter().any(|pattern| pattern == "ALL" || fits(pattern, path));
        let left = |paths: Vec<String>| paths.into_iter().filter(|path| !shown(path)).collect::<Vec<_>>();
        let mut masked = left(masked);
        masked.extend(self.mask.iter().cloned());
        (masked, left(read_only))
    }

    /// The SELinux context of the process and that of its files, `None` without any `label=`.
    pub fn contexts(&self) -> Option<(String, String)> {
        if self.labels.is_empty() {
            return None;
        }
        let part = |kind: &str, default: &str| {
            let found = self.labels.iter().rev().find(|(known, _)| known == kind);
            found.map_or(default, |(_, value)| value.as_str()).to_owned()
        };
        let (user, level) = (part("user", "system_u"), part("level", "s0"));
        let process = format!("{user}:{}:{}:{level}", part("role", "system_r"), part("type", "container_t"));
        Some((process, format!("{user}:object_r:{}:{level}", part("filetype", "container_file_t"))))
    }
}

/// Whether a path fits a pattern as a shell's: `*` and `?` do not stand for a slash.
fn fits(pattern: &str, path: &str) -> bool {
    let (pattern, path) = (pattern.trim_end_matches('/'), Path::new(path));
    let (parts, names) = (pattern.split('/'), path.to_string_lossy());
    let names: Vec<&str> = names.split('/').collect();
    let parts: Vec<&str> = parts.collect();
    parts.len() == names.len()
        && parts.iter().zip(names).all(|(part, name)| part_fits(part.as_bytes(), name.as_bytes()))
}

fn part_fits(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => (0..=name.len()).any(|at| part_fits(rest, name.get(at..).unwrap_or_default())),
        (Some((b'?', rest)), Some((_, names))) => part_fits(rest, names),
        (Some((letter, rest)), Some((other, names))) => letter == other && part_fits(rest, names),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Security> {
        parse(&words.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn words() {
        let found = parsed(&["seccomp:unconfined", "no-new-privileges", "apparmor=mine", "label=type:x_t"]).unwrap();
        assert_eq!((found.seccomp, found.no_new_privileges), (Seccomp::Unconfined, true));
        assert_eq!(found.apparmor.as_deref(), Some("mine"));
        assert_eq!(parsed(&["seccomp=a:b.json"]).unwrap().seccomp, Seccomp::File("a:b.json".into()));
        assert!(!parsed(&["no-new-privileges", "no-new-privileges:false"]).unwrap().no_new_privileges);
        assert_eq!(parsed(&["proc-opts=hidepid=2,subset=pid"]).unwrap().proc_options, ["hidepid=2", "subset=pid"]);
        assert_eq!(parsed(&["label=type:x_t", "label:disable"]).unwrap().contexts(), None);
        let contexts = parsed(&["label=type:x_t", "label=level:s0:c1,c2"]).unwrap().contexts().unwrap();
        let expected = ("system_u:system_r:x_t:s0:c1,c2", "system_u:object_r:container_file_t:s0:c1,c2");
        assert_eq!((contexts.0.as_str(), contexts.1.as_str()), expected);
        for word in [
            "",
            "seccomp=",
            "seccomp",
            "nonsense",
            "no-new-privileges=perhaps",
            "label=x",
            "label=user:",
            "mask=x",
            "unmask=",
            "systempaths=x",
            "proc-opts=hidepid=9",
            "proc-opts=",
            "apparmor=",
        ] {
            assert!(parsed(&[word]).is_err(), "{word}");
        }
    }

    #[test]
    fn masks() {
        let covered = |words: &[&str]| {
            let masked = ["/proc/kcore", "/proc/keys", "/sys/firmware"].map(str::to_owned).to_vec();
            let (masked, read_only) = parsed(words).unwrap().covered(masked, vec!["/proc/sys".to_owned()]);
            format!("{} | {}", masked.join(" "), read_only.join(" "))
        };
        assert_eq!(covered(&[]), "/proc/kcore /proc/keys /sys/firmware | /proc/sys");
        assert_eq!(covered(&["unmask=/proc/k*"]), "/sys/firmware | /proc/sys");
        assert_eq!(covered(&["unmask=/proc/*:/sys/firmware"]), " | ");
        assert_eq!(covered(&["unmask=ALL", "mask=/etc/secret:/srv"]), "/etc/secret /srv | ");
        assert_eq!(covered(&["systempaths=unconfined"]), " | ");
        assert_eq!(covered(&["unmask=/proc/sy?"]), "/proc/kcore /proc/keys /sys/firmware | ");
    }
}
