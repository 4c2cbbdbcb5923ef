//! `policy.json`: which images may come in, and whose signature they must bear.
//!
//! The scope that fits an image most closely decides: its whole name, its repository, the namespaces above it, the
//! host, a wildcard for the host, the transport's default, the default. All its requirements must hold. Where there is
//! no file, everything is accepted.
//! <https://github.com/containers/image/blob/main/docs/containers-policy.json.5.md>

use crate::base::base64;
use crate::base::error::{Fault, Kind, fault};
use crate::base::fs::read_limited;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A file larger than this is none.
const FILE_LIMIT: u64 = 4 << 20;

/// The policy, and where it was read.
#[derive(Debug, Default)]
pub struct Policy {
    path: Option<PathBuf>,
    file: File,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    default: Vec<Requirement>,
    #[serde(default)]
    transports: BTreeMap<String, BTreeMap<String, Vec<Requirement>>>,
}

/// What an image must fulfil.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(tag = "type", deny_unknown_fields)]
pub enum Requirement {
    /// Nothing.
    #[serde(rename = "insecureAcceptAnything")]
    Accept {},
    /// It is refused.
    #[serde(rename = "reject")]
    Reject {},
    /// A simple signature by one of these keys of GnuPG.
    #[serde(rename = "signedBy", rename_all = "camelCase")]
    SignedBy {
        /// `GPGKeys`.
        key_type: String,
        /// A file with keys.
        #[serde(default)]
        key_path: Option<PathBuf>,
        /// Files with keys.
        #[serde(default)]
        key_paths: Vec<PathBuf>,
        /// Keys in base64.
        #[serde(default)]
        key_data: Option<String>,
        /// What the signature must say that it signs.
        #[serde(default)]
        signed_identity: Identity,
    },
    /// A signature of sigstore (cosign) by one of these keys.
    #[serde(rename = "sigstoreSigned", rename_all = "camelCase")]
    SigstoreSigned {
        /// A file with a public key, PEM.
        #[serde(default)]
        key_path: Option<PathBuf>,
        /// Files with public keys.
        #[serde(default)]
        key_paths: Vec<PathBuf>,
        /// A public key in base64 (of PEM).
        #[serde(default)]
        key_data: Option<String>,
        /// Public keys in base64.
        #[serde(default)]
        key_datas: Vec<String>,
        /// Certificates of Fulcio, which box does not check.
        #[serde(default)]
        fulcio: Option<serde_json::Value>,
        /// Rekor's key, whose log box does not check.
        #[serde(default)]
        rekor_public_key_path: Option<PathBuf>,
        /// The same in base64.
        #[serde(default)]
        rekor_public_key_data: Option<String>,
        /// What the signature must say that it signs.
        #[serde(default)]
        signed_identity: Identity,
    },
}

/// What a signature must say that it signs.
#[derive(Debug, Clone, Default, Deserialize, PartialEq, Eq)]
#[serde(tag = "type", deny_unknown_fields)]
pub enum Identity {
    /// The name with its tag; for an image by digest only the repository.
    #[default]
    #[serde(rename = "matchRepoDigestOrExact")]
    RepoDigestOrExact,
    /// The name with its tag.
    #[serde(rename = "matchExact")]
    Exact,
    /// The repository.
    #[serde(rename = "matchRepository")]
    Repository,
    /// This name, whatever was asked for.
    #[serde(rename = "exactReference", rename_all = "camelCase")]
    ThisReference {
        /// The name.
        docker_reference: String,
    },
    /// This repository, whatever was asked for.
    #[serde(rename = "exactRepository", rename_all = "camelCase")]
    ThisRepository {
        /// The repository.
        docker_repository: String,
    },
    /// The name, with one beginning in place of another.
    #[serde(rename = "remapIdentity", rename_all = "camelCase")]
    Remap {
        /// The beginning of what was asked for.
        prefix: String,
        /// The beginning in signatures.
        signed_prefix: String,
    },
}

impl Policy {
    /// Read the user's file, or the system's. Errors: a file that is damaged, or has what box does not know.
    pub fn load() -> Result<Self> {
        match Self::files().into_iter().find(|path| path.exists()) {
            Some(path) => Ok(Self { file: read(&path)?, path: Some(path) }),
            None => Ok(Self { path: None, file: File { default: vec![Requirement::Accept {}], ..File::default() } }),
        }
    }

    /// The files that are looked for: the user's, the system's.
    pub fn files() -> Vec<PathBuf> {
        let user = super::user_folder().map(|dir| dir.join("policy.json"));
        user.into_iter().chain([PathBuf::from("/etc/containers/policy.json")]).collect()
    }

    /// Where it was read; `None`: there is no file.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// What an image of a registry must fulfil. `name`: `HOST/PATH:TAG` or `HOST/PATH@DIGEST`.
    pub fn of_registry(&self, name: &str, repository: &str) -> &[Requirement] {
        let mut scopes = vec![name.to_owned(), repository.to_owned()];
        while let Some((shorter, _)) = scopes.last().and_then(|scope| scope.rsplit_once('/')) {
            scopes.push(shorter.to_owned());
        }
        let host = repository.split('/').next().unwrap_or_default();
        let mut rest = host;
        while let Some((_, parent)) = rest.split_once('.') {
            scopes.push(format!("*.{parent}"));
            rest = parent;
        }
        self.find("docker", &scopes)
    }

    /// What an image in a file or folder must fulfil.
    pub fn of_files(&self, transport: &str, path: &Path) -> &[Requirement] {
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let scopes: Vec<String> = path.ancestors().map(|folder| folder.display().to_string()).collect();
        self.find(transport, &scopes)
    }

    fn find(&self, transport: &str, scopes: &[String]) -> &[Requirement] {
        let Some(map) = self.file.transports.get(transport) else { return &self.file.default };
        let named = scopes.iter().find_map(|scope| map.get(scope));
        named.or_else(|| map.get("")).unwrap_or(&self.file.default)
    }

    /// All scopes with their requirements, the default first, as (transport, scope, requirements).
    pub fn all(&self) -> Vec<(&str, &str, &[Requirement])> {
        let mut rows = vec![("", "", self.file.default.as_slice())];
        for (transport, scopes) in &self.file.transports {
            rows.extend(scopes.iter().map(|(scope, all)| (transport.as_str(), scope.as_str(), all.as_slice())));
        }
        rows
    }
}

/// The bytes of all keys that a requirement names.
pub fn keys(paths: &[&Path], datas: &[&str]) -> Result<Vec<Vec<u8>>> {
    let files = paths.iter().map(|path| read_limited(path, FILE_LIMIT));
    let texts = datas
        .iter()
        .map(|data| base64::decode(data).ok_or_else(|| fault(Kind::Host, "a key in policy.json is not in base64")));
    let found = files.chain(texts).collect::<Result<Vec<_>>>()?;
    if found.is_empty() {
        return Err(fault(Kind::Host, "a requirement in policy.json names no key"));
    }
    Ok(found)
}

fn read(path: &Path) -> Result<File> {
    let bytes = read_limited(path, FILE_LIMIT)?;
    let file: File = serde_json::from_slice(&bytes).map_err(|error| damaged(path, &error.to_string()))?;
    let empty = |all: &Vec<Requirement>| all.is_empty();
    if file.default.is_empty() || file.transports.values().flat_map(BTreeMap::values).any(empty) {
        return Err(damaged(path, "every scope, and `default`, needs a requirement"));
    }
    Ok(file)
}

fn damaged(path: &Path, why: &str) -> anyhow::Error {
    let text = format!("cannot use `{}`: {why}", path.display());
    Fault::new(Kind::Host, text).hint(format!("man 5 containers-policy.json   # then: {}", path.display())).into()
}

/// Set the requirement of a registry's scope (or, for `default`, of everything else) in the file of the caller.
///
/// The rest of the file is kept. Returns where it was written.
pub fn set(scope: &str, requirement: serde_json::Value) -> Result<PathBuf> {
    let files = Policy::files();
    let target = match rustix::process::geteuid().is_root() {
        true => files.last(),
        false => files.first(),
    };
    let target = target.context("there is no place for policy.json")?;
    let source = files.iter().find(|path| path.exists());
    let mut document: serde_json::Map<String, serde_json::Value> = match source {
        Some(path) => {
            let bytes = read_limited(path, FILE_LIMIT)?;
            serde_json::from_slice(&bytes).map_err(|error| damaged(path, &error.to_string()))?
        }
        None => {
            let accept = serde_json::json!({ "default": [{ "type": "insecureAcceptAnything" }] });
            accept.as_object().cloned().unwrap_or_default()
        }
    };
    let requirements = serde_json::json!([requirement]);
    if scope == "default" {
        document.insert("default".into(), requirements);
    } else {
        let transports = document.entry("transports").or_insert_with(|| serde_json::json!({}));
        let docker = transports.as_object_mut().map(|all| all.entry("docker").or_insert_with(|| serde_json::json!({})));
        let docker = docker.and_then(serde_json::Value::as_object_mut);
        docker.context("`transports` of policy.json is damaged")?.insert(scope.to_owned(), requirements);
    }
    if let Some(folder) = target.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make folder `{}`", folder.display()))?;
    }
    let mut text = serde_json::to_vec_pretty(&document)?;
    text.push(b'\n');
    crate::base::fs::replace(target, &text, crate::base::fs::Durability::Synced)?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(target, mode).with_context(|| format!("cannot write `{}`", target.display()))?;
    Ok(target.clone())
}

impl Identity {
    /// Whether a signature that says `signed` (`HOST/PATH[:TAG]`) may stand for what was asked for.
    pub fn fits(&self, signed: &str, name: &str, repository: &str, by_digest: bool) -> bool {
        let bare = |name: &str| -> String {
            let name = name.split('@').next().unwrap_or(name);
            match name.rsplit_once(':') {
                Some((repository, tag)) if !tag.contains('/') => repository.to_owned(),
                _ => name.to_owned(),
            }
        };
        // docker's own names for docker.io.
        let signed = signed
            .strip_prefix("index.docker.io/")
            .map_or_else(|| signed.to_owned(), |rest| format!("docker.io/{rest}"));
        match self {
            Self::Exact => signed == name,
            Self::RepoDigestOrExact if by_digest => bare(&signed) == repository,
            Self::RepoDigestOrExact => signed == name,
            Self::Repository => bare(&signed) == repository,
            Self::ThisReference { docker_reference } => signed == *docker_reference,
            Self::ThisRepository { docker_repository } => bare(&signed) == *docker_repository,
            Self::Remap { prefix, signed_prefix } => {
                let remap = |text: &str| match text.strip_prefix(prefix.as_str()) {
                    Some(rest) if rest.is_empty() || rest.starts_with(['/', ':', '@']) => {
                        format!("{signed_prefix}{rest}")
                    }
                    _ => text.to_owned(),
                };
                let (name, repository) = (remap(name), remap(repository));
                if by_digest { bare(&signed) == repository } else { signed == name }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_scope_decides() {
        let file = r#"{"default":[{"type":"reject"}],"transports":{"docker":{
            "a.example":[{"type":"insecureAcceptAnything"}],
            "a.example/team/app":[{"type":"reject"}],
            "a.example/team/app:ok":[{"type":"insecureAcceptAnything"}],
            "*.b.example":[{"type":"insecureAcceptAnything"}]},
            "dir":{"":[{"type":"insecureAcceptAnything"}]}}}"#;
        let policy = Policy { path: None, file: serde_json::from_str(file).unwrap() };
        for (name, accepted) in [
            ("a.example/x:1", true),
            ("a.example/team/app:1", false),
            ("a.example/team/app:ok", true),
            ("a.example/team/apple:1", true),
            ("www.b.example/x:1", true),
            ("b.example/x:1", false),
            ("a.example.org/x:1", false),
        ] {
            let repository = name.rsplit_once(':').unwrap().0;
            assert_eq!(policy.of_registry(name, repository) == [Requirement::Accept {}], accepted, "{name}");
        }
        assert_eq!(policy.of_files("dir", Path::new("/x")), [Requirement::Accept {}]);
        assert_eq!(policy.of_files("oci", Path::new("/x")), [Requirement::Reject {}]);
    }

    #[test]
    fn what_is_unknown_is_refused() {
        for text in [
            r#"{"default":[]}"#,
            r#"{}"#,
            r#"{"default":[{"type":"trustMe"}]}"#,
            r#"{"default":[{"type":"reject","x":1}]}"#,
            r#"{"default":[{"type":"insecureAcceptAnything"}],"transports":{"docker":{"x":[]}}}"#,
        ] {
            let path = std::env::temp_dir().join(format!("box-policy-{}", crate::base::id::ContainerId::random()));
            std::fs::write(&path, text).unwrap();
            assert!(read(&path).is_err(), "{text}");
            std::fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn identities() {
        let (name, repository) = ("a.example/x:1", "a.example/x");
        let this = Identity::ThisRepository { docker_repository: "b.example/y".into() };
        let remap = Identity::Remap { prefix: "a.example".into(), signed_prefix: "b.example".into() };
        for (identity, signed, by_digest, expected) in [
            (Identity::RepoDigestOrExact, "a.example/x:1", false, true),
            (Identity::RepoDigestOrExact, "a.example/x:2", false, false),
            (Identity::RepoDigestOrExact, "a.example/x", false, false),
            (Identity::RepoDigestOrExact, "a.example/x:2", true, true),
            (Identity::Exact, "a.example/x:2", true, false),
            (Identity::Repository, "a.example/x", false, true),
            (Identity::Repository, "a.example/xy", false, false),
            (this, "b.example/y:9", false, true),
            (remap.clone(), "b.example/x:1", false, true),
            (remap, "a.example/x:1", false, false),
        ] {
            assert_eq!(identity.fits(signed, name, repository, by_digest), expected, "{identity:?} {signed}");
        }
    }
}
