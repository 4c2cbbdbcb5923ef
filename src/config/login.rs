//! Writing auth files: what `login` and `logout` do to them.
//!
//! The file is read, changed and replaced at once, under a lock of its folder, with everything else in it kept; it is
//! the user's alone (0600).
//! <https://github.com/containers/image/blob/main/docs/containers-auth.json.5.md>

use super::auth::{FILE_LIMIT, Secret, normal, parse, server};
use super::credential_helper;
use crate::base::error::{Kind, fault};
use crate::base::fs::{Durability, read_limited, replace};
use crate::base::{base64, env};
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The auth file that `login` writes: the one named, REGISTRY_AUTH_FILE, the one of the session, or the user's.
pub fn target(given: Option<&Path>) -> Result<PathBuf> {
    let named = given.map(Path::to_path_buf).or_else(env::registry_auth_file);
    let session = || env::xdg_runtime_dir().map(|dir| dir.join("containers/auth.json"));
    let user = || super::user_folder().map(|dir| dir.join("auth.json"));
    named
        .or_else(session)
        .or_else(user)
        .ok_or_else(|| fault(Kind::Host, "there is no place for credentials: neither XDG_RUNTIME_DIR nor HOME is set"))
}

/// Keep credentials for a key: `HOST[:PORT][/NAMESPACE…]`. A helper that the file names keeps them in its place.
pub fn store(path: &Path, key: &str, secret: &Secret) -> Result<()> {
    edit(path, |content| {
        if let Some((helper, name)) = helper(content, key) {
            return credential_helper::store(&helper, &name, secret);
        }
        let entry = match secret {
            Secret::Password { user, password } => {
                json!({ "auth": base64::encode(format!("{user}:{password}").as_bytes()) })
            }
            Secret::IdentityToken(token) => json!({ "auth": "", "identitytoken": token }),
        };
        let auths = content.entry("auths").or_insert_with(|| json!({}));
        match auths.as_object_mut() {
            Some(auths) => {
                auths.retain(|other, _| normal(other) != key);
                auths.insert(key.to_owned(), entry);
            }
            None => *auths = json!({ key: entry }),
        }
        Ok(())
    })
}

/// Forget the credentials of a key; false if there were none.
pub fn erase(path: &Path, key: &str) -> Result<bool> {
    let mut found = false;
    edit(path, |content| {
        if let Some((helper, name)) = helper(content, key) {
            found |= credential_helper::erase(&helper, &name)?;
        }
        if let Some(auths) = content.get_mut("auths").and_then(Value::as_object_mut) {
            let before = auths.len();
            auths.retain(|other, _| normal(other) != key);
            found |= auths.len() != before;
        }
        Ok(())
    })?;
    Ok(found)
}

/// Forget all credentials of a file, those kept by helpers too.
pub fn erase_all(path: &Path) -> Result<()> {
    edit(path, |content| {
        let names = |key: &str| -> Vec<String> {
            let map = content.get(key).and_then(Value::as_object);
            map.into_iter().flat_map(|map| map.keys().cloned()).collect()
        };
        for name in names("credHelpers").into_iter().chain(names("auths")) {
            if let Some((helper, name)) = helper(content, normal(&name)) {
                credential_helper::erase(&helper, &name)?;
            }
        }
        content.insert("auths".into(), json!({}));
        Ok(())
    })
}

/// The helper that keeps a key's password, and what it calls the server.
fn helper(content: &Map<String, Value>, key: &str) -> Option<(String, String)> {
    let own = content.get("credHelpers").and_then(Value::as_object).and_then(|helpers| {
        let (name, helper) = helpers.iter().find(|(name, _)| normal(name) == key)?;
        Some((helper.as_str()?.to_owned(), name.clone()))
    });
    own.or_else(|| {
        let store = content.get("credsStore")?.as_str().filter(|store| !store.is_empty())?;
        Some((store.to_owned(), server(key).to_owned()))
    })
}

/// Change a file under its folder's lock.
fn edit(path: &Path, change: impl FnOnce(&mut Map<String, Value>) -> Result<()>) -> Result<()> {
    // A link leads to where the user keeps it; the link stays.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("cannot make folder `{}`", folder.display()))?;
    let lock = File::open(folder).with_context(|| format!("cannot open `{}`", folder.display()))?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)
        .with_context(|| format!("cannot lock `{}`", folder.display()))?;
    let bytes = match read_limited(&path, FILE_LIMIT) {
        Ok(bytes) if bytes.trim_ascii().is_empty() => b"{}".to_vec(),
        Ok(bytes) => bytes,
        Err(error) if not_found(&error) => b"{}".to_vec(),
        Err(error) => return Err(error),
    };
    let mut content: Map<String, Value> = parse(&path, &bytes)?;
    let before = content.clone();
    change(&mut content)?;
    if content == before {
        return Ok(());
    }
    let mut text = serde_json::to_vec_pretty(&content)?;
    text.push(b'\n');
    replace(&path, &text, Durability::Synced)
}

fn not_found(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::auth::Credentials;
    use std::os::unix::fs::PermissionsExt;

    fn password(user: &str) -> Secret {
        Secret::Password { user: user.into(), password: "p:w".into() }
    }

    #[test]
    fn what_is_stored_is_found_and_all_else_kept() {
        let folder = std::env::temp_dir().join(format!("box-login-{}", crate::base::id::ContainerId::random()));
        let path = folder.join("deep/auth.json");
        store(&path, "a.example", &password("ann")).unwrap();
        store(&path, "a.example/team", &password("bob")).unwrap();
        store(&path, "docker.io", &Secret::IdentityToken("t".into())).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let found = Credentials::load(Some(&path)).unwrap();
        assert_eq!(found.find("a.example", "x").unwrap(), Some(password("ann")));
        assert_eq!(found.find("a.example", "team/x").unwrap(), Some(password("bob")));
        assert_eq!(found.find("docker.io", "library/x").unwrap(), Some(Secret::IdentityToken("t".into())));
        std::fs::write(
            &path,
            r#"{"detachKeys":"ctrl-q","auths":{"https://index.docker.io/v1/":{"auth":"eDp5"},"b.example":{"auth":"eDp5"}}}"#,
        )
        .unwrap();
        store(&path, "docker.io", &password("new")).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("detachKeys") && !text.contains("index.docker.io"), "{text}");
        assert!(erase(&path, "b.example").unwrap() && !erase(&path, "b.example").unwrap());
        erase_all(&path).unwrap();
        assert_eq!(Credentials::load(Some(&path)).unwrap().find("docker.io", "x").unwrap(), None);
        std::fs::write(&path, "{ damaged").unwrap();
        assert!(store(&path, "x", &password("y")).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{ damaged");
        crate::base::fs::remove_tree(&folder).unwrap();
    }
}
