//! `registries.d`: where simple signatures are kept, apart from the registry.
//!
//! <https://github.com/containers/image/blob/main/docs/containers-registries.d.5.md>

use crate::base::digest::Digest;
use crate::base::error::{Kind, fault};
use crate::base::fs::read_limited;
use crate::config::registries_d;
use crate::oci::reference::Reference;
use crate::registry;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// More signatures of an image than this are not read.
const MOST: u32 = 32;
/// A signature is small.
const LIMIT: u64 = 1 << 20;

/// Where the signatures of a repository are.
#[derive(Debug, Clone)]
pub struct Lookaside {
    base: String,
}

impl Lookaside {
    /// The place for reading; `None`: none is configured.
    pub fn of(reference: &Reference) -> Result<Option<Self>> {
        Ok(registries_d::lookaside(&reference.repository())?.map(|base| Self { base }))
    }

    /// A folder of the caller's choosing.
    pub fn folder(folder: &Path) -> Self {
        Self { base: format!("file://{}", folder.display()) }
    }

    fn place(&self, reference: &Reference, digest: &Digest, number: u32) -> String {
        let digest = digest.as_str().replacen(':', "=", 1);
        format!("{}/{}@{digest}/signature-{number}", self.base.trim_end_matches('/'), reference.path)
    }

    /// All signatures of a manifest.
    pub async fn read(&self, reference: &Reference, digest: &Digest) -> Result<Vec<Vec<u8>>> {
        let mut found = Vec::new();
        for number in 1..=MOST {
            let place = self.place(reference, digest, number);
            let next = match place.strip_prefix("file://") {
                Some(path) if Path::new(path).exists() => Some(read_limited(Path::new(path), LIMIT)?),
                Some(_) => None,
                None => registry::small_file(&place, LIMIT).await?,
            };
            match next {
                Some(bytes) => found.push(bytes),
                None => break,
            }
        }
        Ok(found)
    }

    /// Add a signature; where it was written.
    pub fn write(&self, reference: &Reference, digest: &Digest, bytes: &[u8]) -> Result<PathBuf> {
        for number in 1..=MOST {
            let place = self.place(reference, digest, number);
            let path = place.strip_prefix("file://").map(PathBuf::from);
            let path = path.ok_or_else(|| fault(Kind::Usage, format!("cannot write to `{place}`")))?;
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)
                    .with_context(|| format!("cannot make folder `{}`", folder.display()))?;
            }
            if !path.exists() {
                std::fs::write(&path, bytes).with_context(|| format!("cannot write `{}`", path.display()))?;
                return Ok(path);
            }
        }
        Err(fault(Kind::Other, format!("`{}` has {MOST} signatures", reference.stored_name())))
    }
}
