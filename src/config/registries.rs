//! registries.conf, version 2: where short names belong, which registries are insecure, blocked or mirrored.
//!
//! The user's file replaces the system's; drop-ins in `registries.conf.d` of both are merged in by name. A file named
//! by CONTAINERS_REGISTRIES_CONF stands alone.
//! <https://github.com/containers/image/blob/main/docs/containers-registries.conf.5.md>

use crate::base::env;
use crate::base::error::{Fault, Kind, fault};
use crate::base::fs::read_limited;
use anyhow::Result;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A file larger than this is none.
const FILE_LIMIT: u64 = 4 << 20;

/// The merged configuration.
#[derive(Debug, Default)]
pub struct Registries {
    /// Registries that short names are looked up in, in order; `None`: nobody said.
    search: Option<Vec<String>>,
    registries: Vec<Registry>,
    aliases: BTreeMap<String, String>,
}

/// A place to ask for an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// `HOST[:PORT]/PATH`: the repository there.
    pub repository: String,
    /// Plain HTTP and unverified certificates are allowed.
    pub insecure: bool,
    /// Whether this is a mirror rather than the registry itself.
    pub mirror: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct File {
    unqualified_search_registries: Option<Vec<String>>,
    registry: Vec<Registry>,
    aliases: BTreeMap<String, String>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Registry {
    prefix: String,
    location: String,
    insecure: bool,
    blocked: bool,
    mirror_by_digest_only: bool,
    mirror: Vec<Mirror>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Mirror {
    location: String,
    insecure: bool,
    pull_from_mirror: Option<String>,
}

impl Registries {
    /// Read what is configured. Errors: a named file that cannot be read, files that are damaged.
    pub fn load() -> Result<Self> {
        let mut found = Self::default();
        if let Some(path) = env::containers_registries_conf() {
            found.merge(read(&path)?, &path)?;
            return Ok(found);
        }
        let user = super::user_folder();
        let system = PathBuf::from("/etc/containers");
        let folders: Vec<PathBuf> =
            user.iter().cloned().chain([system.clone(), "/usr/share/containers".into()]).collect();
        if let Some(path) = folders.iter().map(|folder| folder.join("registries.conf")).find(|path| path.exists()) {
            found.merge(read(&path)?, &path)?;
        }
        for folder in [Some(system), user].into_iter().flatten() {
            let Ok(entries) = std::fs::read_dir(folder.join("registries.conf.d")) else { continue };
            let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            paths.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
            paths.sort();
            for path in paths {
                found.merge(read(&path)?, &path)?;
            }
        }
        Ok(found)
    }

    /// Take in a file: its search list replaces, its registries and aliases replace those of the same name.
    fn merge(&mut self, file: File, path: &Path) -> Result<()> {
        self.search = file.unqualified_search_registries.or(self.search.take());
        for mut registry in file.registry {
            if registry.prefix.is_empty() {
                registry.prefix.clone_from(&registry.location);
            }
            let wildcard = registry.prefix.starts_with("*.");
            if registry.prefix.is_empty()
                || (registry.location.is_empty()
                    && !wildcard
                    && !registry.blocked
                    && registry.mirror.is_empty()
                    && !registry.insecure)
            {
                let text = format!("cannot use `{}`: a [[registry]] has neither prefix nor location", path.display());
                return Err(fault(Kind::Host, text));
            }
            for name in [&mut registry.prefix, &mut registry.location] {
                *name = name.trim_end_matches('/').to_owned();
            }
            self.registries.retain(|other| other.prefix != registry.prefix);
            self.registries.push(registry);
        }
        for (alias, target) in file.aliases {
            // An empty target takes an alias of an earlier file back.
            if target.is_empty() {
                self.aliases.remove(&alias)
            } else {
                self.aliases.insert(alias, target)
            };
        }
        Ok(())
    }

    /// The registries that short names are looked up in; docker.io if nothing is configured.
    pub fn search_registries(&self) -> Vec<String> {
        let search = self.search.as_deref().filter(|search| !search.is_empty());
        search.map_or_else(|| vec!["docker.io".to_owned()], <[String]>::to_vec)
    }

    /// The first of them: what `login` means without a name.
    pub fn first_search(&self) -> String {
        self.search_registries().into_iter().next().unwrap_or_default()
    }

    /// The full repositories that a short one (`alpine`, `a/b`, no tag) may mean, best first.
    ///
    /// An alias is the only one. Nothing configured: docker.io.
    pub fn resolve_short(&self, name: &str) -> Vec<String> {
        if let Some(target) = self.aliases.get(name) {
            return vec![target.clone()];
        }
        self.search_registries()
            .iter()
            .map(|registry| match registry.as_str() {
                "docker.io" if !name.contains('/') => format!("docker.io/library/{name}"),
                registry => format!("{}/{name}", registry.trim_end_matches('/')),
            })
            .collect()
    }

    /// Where to fetch `repository` (`HOST/PATH`) from, in order: mirrors, then the registry itself.
    ///
    /// Errors: the registry is blocked.
    pub fn sources(&self, repository: &str, by_digest: bool) -> Result<Vec<Source>> {
        let itself = |repository: String, insecure| Source { repository, insecure, mirror: false };
        let matching = self.registries.iter().filter_map(|entry| Some((matches(&entry.prefix, repository)?, entry)));
        let Some((length, entry)) = matching.max_by_key(|(length, entry)| (*length, entry.prefix.len())) else {
            return Ok(vec![itself(repository.to_owned(), false)]);
        };
        if entry.blocked {
            let text = format!("registry `{}` is blocked by registries.conf", entry.prefix);
            let hint = "allow it: remove `blocked = true` from its [[registry]] in registries.conf";
            return Err(Fault::new(Kind::Registry, text).hint(hint).into());
        }
        let rest = &repository[length..];
        let mut sources = Vec::new();
        for mirror in &entry.mirror {
            let wanted = match mirror.pull_from_mirror.as_deref() {
                Some("digest-only") => by_digest,
                Some("tag-only") => !by_digest,
                _ => by_digest || !entry.mirror_by_digest_only,
            };
            if wanted && !mirror.location.is_empty() {
                let repository = format!("{}{rest}", mirror.location.trim_end_matches('/'));
                sources.push(Source { repository, insecure: mirror.insecure, mirror: true });
            }
        }
        let location =
            if entry.location.is_empty() { repository.to_owned() } else { format!("{}{rest}", entry.location) };
        sources.push(itself(location, entry.insecure));
        Ok(sources)
    }
}

/// How much of `repository` a prefix covers, if it matches: at a `/`, a `:` or the end. `*.x` covers the host.
fn matches(prefix: &str, repository: &str) -> Option<usize> {
    if let Some(suffix) = prefix.strip_prefix('*') {
        let host = repository.split('/').next()?;
        let bare = host.split(':').next()?;
        return [host, bare].into_iter().find(|host| host.ends_with(suffix) && host.len() > suffix.len()).map(str::len);
    }
    let rest = repository.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(prefix.len())
}

fn read(path: &Path) -> Result<File> {
    let bytes = read_limited(path, FILE_LIMIT)?;
    let text = String::from_utf8_lossy(&bytes);
    if text.lines().any(|line| line.trim_start().starts_with("[registries.")) {
        let text = format!("cannot use `{}`: it is in the old format, version 1", path.display());
        let hint = "rewrite it: unqualified-search-registries = [\"docker.io\"]";
        return Err(Fault::new(Kind::Host, text).hint(hint).into());
    }
    toml::from_str(&text).map_err(|error| {
        let why = error.message().lines().next().unwrap_or_default().to_owned();
        let line = error.span().map_or(0, |span| text.get(..span.start).map_or(0, |head| head.lines().count().max(1)));
        fault(Kind::Host, format!("cannot use `{}`: line {line}: {why}", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registries(texts: &[&str]) -> Registries {
        let mut all = Registries::default();
        for text in texts {
            all.merge(toml::from_str(text).unwrap(), Path::new("x")).unwrap();
        }
        all
    }

    #[test]
    fn short_names() {
        let none = registries(&[]);
        assert_eq!(none.resolve_short("alpine"), ["docker.io/library/alpine"]);
        assert_eq!(none.resolve_short("a/b"), ["docker.io/a/b"]);
        let some = registries(&[
            "unqualified-search-registries = ['docker.io']\n[aliases]\nfoo = 'quay.io/foo/foo'\nbar = 'quay.io/bar'",
            "unqualified-search-registries = ['r.example:5000', 'docker.io']\n[aliases]\nbar = ''",
        ]);
        assert_eq!(some.resolve_short("x"), ["r.example:5000/x", "docker.io/library/x"]);
        assert_eq!(some.resolve_short("foo"), ["quay.io/foo/foo"]);
        assert_eq!(some.resolve_short("bar").len(), 2);
    }

    #[test]
    fn where_to_ask() {
        let all = registries(&["short-name-mode = 'permissive'
            [[registry]]
            location = 'a.example'
            insecure = true
            [[registry]]
            prefix = 'a.example/team'
            location = 'b.example:5000/x'
            [[registry.mirror]]
            location = 'm.example/y/'
            insecure = true
            [[registry.mirror]]
            location = 'd.example'
            pull-from-mirror = 'digest-only'
            [[registry]]
            prefix = '*.evil.example'
            blocked = true"]);
        let show = |repository: &str, by_digest| -> Vec<String> {
            let sources = all.sources(repository, by_digest).unwrap();
            sources
                .into_iter()
                .map(|s| format!("{}{}", s.repository, if s.insecure { " insecure" } else { "" }))
                .collect()
        };
        assert_eq!(show("c.example/x", false), ["c.example/x"]);
        assert_eq!(show("a.example/x", false), ["a.example/x insecure"]);
        assert_eq!(show("a.example.org/x", false), ["a.example.org/x"]);
        assert_eq!(show("a.example:5000/x", false), ["a.example:5000/x"]);
        assert_eq!(show("a.example/team/z", false), ["m.example/y/z insecure", "b.example:5000/x/z"]);
        assert_eq!(show("a.example/team/z", true).len(), 3);
        assert_eq!(show("a.example/teams/z", false), ["a.example/teams/z insecure"]);
        assert!(all.sources("www.evil.example/x", false).unwrap_err().to_string().contains("blocked"));
        assert!(all.sources("evil.example/x", false).is_ok());
    }

    #[test]
    fn damaged_files() {
        let path = std::env::temp_dir().join(format!("box-registries-{}", crate::base::id::ContainerId::random()));
        for text in ["x = [", "unqualified-search-registries = 1", "[registries.search]\nregistries = []"] {
            std::fs::write(&path, text).unwrap();
            assert!(read(&path).is_err(), "{text}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(Registries::default().merge(toml::from_str("[[registry]]\n").unwrap(), Path::new("x")).is_err());
    }
}
