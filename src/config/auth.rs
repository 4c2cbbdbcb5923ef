//! Credentials for registries: `auth.json` and docker's `config.json`.
//!
//! Keys are `HOST[:PORT][/NAMESPACE…]`; the longest that covers the repository wins, and the first file that has one.
//! Within a file a helper that is named for the host is asked first, then the file's own entries, then the store that
//! keeps all the rest (`credsStore`). Secrets never show in debug prints.
//! <https://github.com/containers/image/blob/main/docs/containers-auth.json.5.md>

use super::credential_helper;
use crate::base::error::{Kind, fault};
use crate::base::fs::read_limited;
use crate::base::{base64, env};
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A file larger than this is none.
pub(super) const FILE_LIMIT: u64 = 4 << 20;

/// What a registry is told about the user.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// A user's name and password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// A refresh token (`identitytoken`), for the token server only.
    IdentityToken(String),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The credentials in all files, most important file first.
#[derive(Debug, Default)]
pub struct Credentials {
    files: Vec<(PathBuf, AuthFile)>,
    /// What helpers have answered, by helper and server: some ask the user, and they do it once.
    asked: Mutex<BTreeMap<(String, String), Option<Secret>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuthFile {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    #[serde(default)]
    creds_store: String,
}

#[derive(Default, Deserialize)]
struct Entry {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    identitytoken: String,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entry(..)")
    }
}

impl Credentials {
    /// Read `given` (`--authfile`), or REGISTRY_AUTH_FILE, or the default files that exist.
    ///
    /// Errors: a file that was named and cannot be read, any file that is damaged.
    pub fn load(given: Option<&Path>) -> Result<Self> {
        if let Some(path) = given.map(Path::to_path_buf).or_else(env::registry_auth_file) {
            return Ok(Self { files: vec![(path.clone(), read(&path)?)], ..Self::default() });
        }
        let runtime = env::xdg_runtime_dir().map(|dir| dir.join("containers/auth.json"));
        let login = PathBuf::from(format!("/run/containers/{}/auth.json", rustix::process::geteuid().as_raw()));
        let user = super::user_folder().map(|dir| dir.join("auth.json"));
        let docker = env::docker_config().or_else(|| dirs::home_dir().map(|home| home.join(".docker")));
        let docker = docker.map(|dir| dir.join("config.json"));
        let mut files = Vec::new();
        for path in [runtime, Some(login), user, docker].into_iter().flatten() {
            if path.exists() {
                files.push((path.clone(), read(&path)?));
            }
        }
        Ok(Self { files, ..Self::default() })
    }

    /// The credentials for `host/path`; `None`: ask anonymously.
    ///
    /// Errors: a damaged entry; a helper that is missing or fails.
    pub fn find(&self, host: &str, path: &str) -> Result<Option<Secret>> {
        Ok(self.locate(host, path)?.map(|(secret, _)| secret))
    }

    /// The credentials for `host/path`, and the file that has them or names who has.
    pub fn locate(&self, host: &str, path: &str) -> Result<Option<(Secret, &Path)>> {
        for (file, auth) in &self.files {
            let found = |secret| Ok(Some((secret, file.as_path())));
            if let Some((key, helper)) = auth.cred_helpers.iter().find(|(key, _)| normal(key) == host)
                && let Some(secret) = self.ask(helper, key)?
            {
                return found(secret);
            }
            for key in keys(host, path) {
                if let Some(secret) = auth.get(&key).with_context(|| format!("in `{}`", file.display()))? {
                    return found(secret);
                }
            }
            if !auth.creds_store.is_empty()
                && let Some(secret) = self.ask(&auth.creds_store, server(host))?
            {
                return found(secret);
            }
        }
        Ok(None)
    }

    fn ask(&self, helper: &str, server: &str) -> Result<Option<Secret>> {
        let key = (helper.to_owned(), server.to_owned());
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = asked.get(&key) {
            return Ok(answer.clone());
        }
        let answer = credential_helper::get(helper, server)?;
        asked.insert(key, answer.clone());
        Ok(answer)
    }

    /// A remark for an answer of 401.
    pub fn advice(&self, host: &str) -> String {
        format!("box login {host}")
    }
}

/// What docker's helpers call a registry.
pub(super) fn server(host: &str) -> &str {
    if host == "docker.io" { "https://index.docker.io/v1/" } else { host }
}

impl AuthFile {
    fn get(&self, wanted: &str) -> Result<Option<Secret>> {
        // An exact key first: `https://HOST/v1/` is docker's old way and never wins over it.
        let exact = self.auths.get_key_value(wanted);
        let Some((key, entry)) = exact.or_else(|| self.auths.iter().find(|(key, _)| normal(key) == wanted)) else {
            return Ok(None);
        };
        if !entry.identitytoken.is_empty() {
            return Ok(Some(Secret::IdentityToken(entry.identitytoken.clone())));
        }
        if entry.auth.is_empty() {
            return Ok(None);
        }
        let plain = base64::decode(entry.auth.trim_end_matches('\0')).and_then(|bytes| String::from_utf8(bytes).ok());
        let pair = plain.as_deref().and_then(|plain| plain.split_once(':'));
        let (user, password) =
            pair.ok_or_else(|| fault(Kind::Host, format!("the `auth` of `{}` is damaged", key.escape_debug())))?;
        let password = password.trim_end_matches('\0').to_owned();
        Ok(Some(Secret::Password { user: user.to_owned(), password }))
    }
}

/// `host/a/b`, `host/a`, `host`.
fn keys(host: &str, path: &str) -> Vec<String> {
    let mut keys = vec![format!("{host}/{path}")];
    while let Some((shorter, _)) = keys.last().and_then(|key| key.rsplit_once('/')) {
        let shorter = shorter.to_owned();
        keys.push(shorter);
    }
    keys
}

/// Docker's old keys: `https://index.docker.io/v1/` is `docker.io`, a URL is its host.
///
/// Only schemes and `/v1/`, `/v2/` are cut: `host/namespace` stays what it is.
pub fn normal(key: &str) -> &str {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let was_url = bare.is_some();
    let bare = bare.unwrap_or(key);
    let bare = match bare.split_once('/') {
        Some((host, "v1/" | "v2/" | "v1" | "v2" | "")) => host,
        Some((host, _)) if was_url => host,
        _ => bare,
    };
    match bare {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        other => other,
    }
}

fn read(path: &Path) -> Result<AuthFile> {
    parse(path, &read_limited(path, FILE_LIMIT)?)
}

/// Parse an auth file, or a part of it.
pub(super) fn parse<T: serde::de::DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T> {
    // serde's message could quote a secret: only the place is told.
    serde_json::from_slice(bytes).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        fault(Kind::Host, format!("cannot read `{}`: it is not valid at {place}", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(text: &str) -> Credentials {
        Credentials { files: vec![("auth.json".into(), serde_json::from_str(text).unwrap())], ..Default::default() }
    }

    fn user(credentials: &Credentials, host: &str, path: &str) -> Option<String> {
        credentials.find(host, path).unwrap().map(|secret| match secret {
            Secret::Password { user, .. } => user,
            Secret::IdentityToken(token) => format!("token {token}"),
        })
    }

    #[test]
    fn the_longest_key_wins_and_other_hosts_get_nothing() {
        // host:p, ns:p, repo:p, hub:p
        let found = credentials(
            r#"{"auths":{"a.example":{"auth":"aG9zdDpw"},"a.example/ns":{"auth":"bnM6cA=="},"a.example/ns/repo":{"auth":"cmVwbzpw"},
            "https://index.docker.io/v1/":{"auth":"aHViOnA="},"t.example:5000":{"auth":"","identitytoken":"T"},"e.example":{}}}"#,
        );
        for (host, path, expected) in [
            ("a.example", "x", Some("host")),
            ("a.example", "ns/x", Some("ns")),
            ("a.example", "ns/repo", Some("repo")),
            ("a.example", "nsx/repo", Some("host")),
            ("docker.io", "library/alpine", Some("hub")),
            ("t.example:5000", "x", Some("token T")),
            ("t.example", "x", None),
            ("e.example", "x", None),
            ("a.example.evil", "x", None),
            ("evil", "a.example/ns", None),
            ("A.EXAMPLE:443", "x", None),
            ("a.example:5000", "x", None),
        ] {
            assert_eq!(user(&found, host, path).as_deref(), expected, "{host}/{path}");
        }
    }

    #[test]
    fn helpers_and_damage_are_told() {
        let helper = credentials(r#"{"credHelpers":{"gcr.example":"no-such-helper","../x":"x"}}"#);
        assert!(helper.find("gcr.example", "x").unwrap_err().to_string().contains("docker-credential-no-such-helper"));
        assert_eq!(helper.find("b.example", "x").unwrap(), None);
        let store = credentials(r#"{"auths":{"a.example":{"auth":"aG9zdDpw"}},"credsStore":"../x"}"#);
        assert_eq!(user(&store, "a.example", "x").as_deref(), Some("host"));
        assert!(store.find("b.example", "x").is_err(), "a path is no name of a helper");
        for auth in ["!", "eA=="] {
            let damaged = credentials(&format!(r#"{{"auths":{{"x":{{"auth":"{auth}"}}}}}}"#));
            assert!(damaged.find("x", "y").is_err());
        }
        assert!(!format!("{:?}", credentials(r#"{"auths":{"x":{"auth":"c2VjcmV0"}}}"#)).contains("c2VjcmV0"));
    }
}
