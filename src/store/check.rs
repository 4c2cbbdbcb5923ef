//! Verifying what is stored: blobs against their digests, layers against their blobs.

use super::Store;
use super::compare::difference;
use crate::base::digest::{Digest, Hasher};
use crate::base::error::{Kind, kind};
use anyhow::{Context, Result};
use std::io::Read;

/// Blobs are read in pieces of this size.
const PIECE: usize = 1 << 20;

/// What was found of a piece of content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// It is what it should be.
    Sound,
    /// It is not there.
    Missing,
    /// It is something else, in these words.
    Damaged(String),
}

impl Store {
    /// Read a blob and compare it with its digest and size.
    pub fn check_blob(&self, digest: &Digest, size: Option<u64>) -> Result<Condition> {
        let mut file = match self.open_blob(digest) {
            Err(error) if kind(&error) == Kind::NotFound => return Ok(Condition::Missing),
            file => file?,
        };
        let mut hasher = Hasher::new(digest.algorithm());
        let (mut piece, mut length) = (vec![0; PIECE], 0u64);
        loop {
            let count = match file.read(&mut piece) {
                Ok(count) => count,
                // A disk that cannot read it any more: as good as other content.
                Err(error) => return Ok(Condition::Damaged(format!("cannot be read: {error}"))),
            };
            if count == 0 {
                break;
            }
            length += count as u64;
            hasher.update(piece.get(..count).unwrap_or_default());
        }
        Ok(match size {
            Some(size) if size != length => Condition::Damaged(format!("has {length} bytes, not {size}")),
            _ if hasher.finish() != *digest => Condition::Damaged("has other content".into()),
            _ => Condition::Sound,
        })
    }

    /// Unpack a layer once more, of its tar stream, and compare the trees. With `repair`, the new one takes the place of
    /// one that is not as it should be. The caller holds a lease and the layer's lock and is root in its namespace.
    pub fn check_layer(&self, diff_id: &Digest, tar: &mut dyn Read, repair: bool) -> Result<Condition> {
        let fresh = self.unpack_aside(diff_id, tar)?;
        let condition = match self.has_layer(diff_id) {
            false => Condition::Missing,
            true => {
                let found = difference(&self.layer_path(diff_id), fresh.root());
                found
                    .with_context(|| format!("cannot check layer `{diff_id}`"))?
                    .map_or(Condition::Sound, Condition::Damaged)
            }
        };
        if repair && condition != Condition::Sound {
            self.publish_aside(diff_id, fresh)?;
        }
        Ok(condition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::Scratch;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn every_kind_of_damage_is_found_and_repaired() {
        let scratch = Scratch::new();
        let store = &scratch.store;
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_uid(rustix::process::geteuid().as_raw().into());
        header.set_gid(rustix::process::getegid().as_raw().into());
        header.set_mode(0o644);
        header.set_size(5);
        builder.append_data(&mut header, "d/file", &b"right"[..]).unwrap();
        header.set_size(0);
        header.set_entry_type(tar::EntryType::Symlink);
        builder.append_link(&mut header, "link", "d/file").unwrap();
        let tar = builder.into_inner().unwrap();
        let diff_id = store.put_blob(&tar).unwrap();
        let check = |repair| store.check_layer(&diff_id, &mut tar.as_slice(), repair).unwrap();
        assert_eq!(check(true), Condition::Missing);
        assert_eq!(check(false), Condition::Sound);
        let top = store.layer_path(&diff_id);
        type Harm = (&'static str, fn(&std::path::Path));
        let harms: &[Harm] = &[
            ("`/d/file` has other content", |top| std::fs::write(top.join("d/file"), "wrong").unwrap()),
            ("`/d/file` has another size", |top| std::fs::write(top.join("d/file"), "longer").unwrap()),
            ("`/d` has other entries", |top| std::fs::write(top.join("d/more"), "").unwrap()),
            ("`/` has other entries", |top| std::fs::remove_file(top.join("link")).unwrap()),
            ("`/d/file` has another mode", |top| {
                std::fs::set_permissions(top.join("d/file"), std::fs::Permissions::from_mode(0o600)).unwrap();
            }),
            ("`/link` has another target", |top| {
                std::fs::remove_file(top.join("link")).unwrap();
                std::os::unix::fs::symlink("d/fill", top.join("link")).unwrap();
            }),
            ("`/d/file` has other attributes", |top| {
                let flags = rustix::fs::XattrFlags::empty();
                rustix::fs::setxattr(top.join("d/file"), "user.x", b"y", flags).unwrap();
            }),
        ];
        for (what, harm) in harms {
            harm(&top);
            assert_eq!(check(true), Condition::Damaged((*what).into()));
            assert_eq!(check(false), Condition::Sound, "{what} is repaired");
        }
        std::fs::write(store.blob_path(&diff_id), "x").unwrap();
        assert_ne!(store.check_blob(&diff_id, None).unwrap(), Condition::Sound);
        assert_eq!(store.check_blob(&Digest::of(b"absent"), None).unwrap(), Condition::Missing);
    }
}
