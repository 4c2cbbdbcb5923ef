//! `registries.d/*.yaml`: where signatures of images are kept.
//!
//! <https://github.com/containers/image/blob/main/docs/containers-registries.d.5.md>

use crate::base::error::{Kind, fault};
use crate::base::fs::read_limited;
use anyhow::Result;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A file larger than this is none.
const FILE_LIMIT: u64 = 1 << 20;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct File {
    default_docker: Option<Place>,
    docker: BTreeMap<String, Place>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Place {
    lookaside: Option<String>,
    /// The older name.
    sigstore: Option<String>,
}

impl Place {
    fn url(self) -> Option<String> {
        self.lookaside.or(self.sigstore)
    }
}

/// The URL (`file://`, `http://`, `https://`) below which signatures of a repository are; `None`: nowhere.
pub fn lookaside(repository: &str) -> Result<Option<String>> {
    let mut all = File::default();
    let user = super::user_folder().map(|dir| dir.join("registries.d"));
    for folder in [Some(PathBuf::from("/etc/containers/registries.d")), user].into_iter().flatten() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
        paths.sort();
        for path in paths {
            let file = read(&path)?;
            all.default_docker = file.default_docker.or(all.default_docker.take());
            all.docker.extend(file.docker);
        }
    }
    Ok(choose(all, repository))
}

/// The closest namespace, then the default.
fn choose(mut all: File, repository: &str) -> Option<String> {
    let mut scope = repository;
    loop {
        if let Some(url) = all.docker.remove(scope).and_then(Place::url) {
            return Some(url);
        }
        match scope.rsplit_once('/') {
            Some((shorter, _)) => scope = shorter,
            None => return all.default_docker.and_then(Place::url),
        }
    }
}

fn read(path: &Path) -> Result<File> {
    let bytes = read_limited(path, FILE_LIMIT)?;
    serde_yaml::from_slice(&bytes)
        .map_err(|error| fault(Kind::Host, format!("cannot use `{}`: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_place() {
        let text = "default-docker:\n  lookaside: file:///d\ndocker:\n  a.example:\n    sigstore: https://s\n  a.example/x/y:\n    lookaside: file:///y\n";
        for (repository, expected) in
            [("a.example/x/y/z", "file:///y"), ("a.example/x", "https://s"), ("b.example/x", "file:///d")]
        {
            let file: File = serde_yaml::from_str(text).unwrap();
            assert_eq!(choose(file, repository).as_deref(), Some(expected));
        }
    }
}
