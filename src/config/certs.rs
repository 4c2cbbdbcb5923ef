//! Certificates of registries: `certs.d/HOST[:PORT]/{*.crt, *.cert, *.key}`, as docker and podman have it.
//!
//! `*.crt` are authorities to trust besides the system's; `X.cert` with `X.key` is the client's identity.
//! <https://github.com/containers/image/blob/main/docs/containers-certs.d.5.md>

use crate::base::error::{Kind, fault};
use crate::base::fs::read_limited;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// A certificate or key file larger than this is none.
const FILE_LIMIT: u64 = 1 << 20;

/// What is configured for one registry, as PEM text.
#[derive(Default, Clone, PartialEq, Eq)]
pub struct Certificates {
    /// Authorities to trust for this registry only.
    pub authorities: Vec<Vec<u8>>,
    /// The client's certificates and key, in one text.
    pub identity: Option<Vec<u8>>,
}

impl Certificates {
    /// Read the first of the folders that exists for `host` (with its port): the user's, then the system's, docker's.
    pub fn load(host: &str) -> Result<Self> {
        let user = super::user_folder().map(|dir| dir.join("certs.d"));
        let system = ["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from);
        for folder in user.into_iter().chain(system) {
            let folder = folder.join(host);
            if folder.is_dir() {
                return Self::read(&folder);
            }
        }
        Ok(Self::default())
    }

    /// Whether nothing is configured.
    pub fn is_empty(&self) -> bool {
        self.authorities.is_empty() && self.identity.is_none()
    }

    /// Read a folder: `--cert-dir`.
    pub fn read(folder: &Path) -> Result<Self> {
        let mut found = Self::default();
        let entries = std::fs::read_dir(folder).with_context(|| format!("cannot list `{}`", folder.display()))?;
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("crt") => found.authorities.push(read_limited(&path, FILE_LIMIT)?),
                Some("cert") => {
                    let key = path.with_extension("key");
                    if !key.exists() {
                        let text = format!("`{}` has no key: `{}` is missing", path.display(), key.display());
                        return Err(fault(Kind::Host, text));
                    }
                    let mut both = read_limited(&path, FILE_LIMIT)?;
                    both.push(b'\n');
                    both.extend(read_limited(&key, FILE_LIMIT)?);
                    found.identity = Some(both);
                }
                _ => {}
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_certificates() {
        let folder = std::env::temp_dir().join(format!("box-certs-{}", crate::base::id::ContainerId::random()));
        std::fs::create_dir(&folder).unwrap();
        for (name, text) in [("ca.crt", "A"), ("b.crt", "B"), ("client.cert", "C"), ("README", "")] {
            std::fs::write(folder.join(name), text).unwrap();
        }
        assert!(Certificates::read(&folder).is_err(), "a certificate without its key");
        std::fs::write(folder.join("client.key"), "K").unwrap();
        let found = Certificates::read(&folder).unwrap();
        assert_eq!(found.authorities, [b"B".to_vec(), b"A".to_vec()]);
        assert_eq!(found.identity, Some(b"C\nK".to_vec()));
        crate::base::fs::remove_tree(&folder).unwrap();
    }
}
