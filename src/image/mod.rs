//! Names for what is stored: pull, list, tag, load, import, remove, inspect, history.
//!
//! An image is a manifest in the store's index with its config and unpacked layers. Content is published from the
//! bottom up: blobs and layers, then a sync, then the name.

mod archive;
mod artifact;
mod check;
mod commit;
mod compose;
mod families;
mod fetch;
mod find;
mod history;
mod import;
mod incoming;
mod inflate;
mod inspect;
mod layer;
mod list_add;
mod lists;
mod load;
mod name;
mod prune;
mod outgoing;
mod pull;
mod push;
mod push_list;
mod remove;
mod reuse;
mod room;
mod save;
mod tag;
#[cfg(test)]
mod tests;
mod transport;
pub mod trust;
mod writer;

pub use archive::Inflating;
pub use artifact::{Artifact, ConfigOf, Part, Place, bring_layers, read_artifact, write_artifact};
pub use check::{CheckOptions, Damage, check};
pub use commit::{CommitOptions, commit};
pub use compose::{ManifestFormat, compose};
pub use families::{Family, Member, families};
pub use find::{find, find_for, list, missing, names_of, of_platform};
pub use history::{Step, history};
pub use import::{ImportOptions, import};
pub use inspect::inspect;
pub use layer::{Keep, write_layer};
pub use list_add::add_to_list;
pub use lists::{Marks, annotate_list, create_list, list_bytes, list_exists, remove_from_list, remove_list};
pub use load::{Loaded, load};
pub use name::short as short_name;
pub use outgoing::{Compression, Shape};
pub use prune::manifests;
pub use pull::{PullOptions, ask_helpers, pull, remote_digest, remote_tags};
pub use push::{PushOptions, Pushed, push};
pub use push_list::push_manifest_list;
pub use remove::{RemoveOptions, Removed, remove};
pub use save::{SaveFormat, SaveOptions, save};
pub use tag::{tag, untag};

use crate::base::digest::Digest;
use crate::oci::image::ImageConfig;
use crate::store::{ManifestRef, Store};

/// An image that is stored.
#[derive(Debug, Clone)]
pub struct Image {
    /// Its id: the digest of its config.
    pub id: Digest,
    /// Its manifest.
    pub manifest: ManifestRef,
    /// Its names, fully qualified: `docker.io/library/alpine:latest`, or with a digest after `@`.
    pub names: Vec<String>,
    /// Names that it had.
    pub past_names: Vec<String>,
    /// The index (manifest list) it was chosen from.
    pub list: Option<Digest>,
    /// Whether it is in an additional store alone, which is only read.
    pub read_only: bool,
    /// Its config.
    pub config: ImageConfig,
    /// Its layers, lowest first.
    pub layers: Vec<ImageLayer>,
    /// The annotations of its manifest. Tainted: never configuration.
    pub annotations: std::collections::BTreeMap<String, String>,
}

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageLayer {
    /// The digest of the tar archive, by which it is unpacked.
    pub diff_id: Digest,
    /// The digest of the blob, usually compressed.
    pub digest: Digest,
    /// The size of the blob.
    pub size: u64,
    /// Its media type.
    pub media_type: String,
}

impl Image {
    /// The names with a tag, `docker.io/library/alpine:latest`.
    pub fn repo_tags(&self) -> Vec<String> {
        self.names.iter().filter(|name| !name.contains('@')).cloned().collect()
    }

    /// The names that it has and had.
    pub fn all_names(&self) -> Vec<String> {
        self.names.iter().chain(&self.past_names).cloned().collect()
    }

    /// `docker.io/library/alpine@sha256:…`, for the manifest and for the index that it came from.
    pub fn repo_digests(&self) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for name in &self.names {
            let repository = name::repository(name);
            for digest in [Some(&self.manifest.digest), self.list.as_ref()].into_iter().flatten() {
                let text = format!("{repository}@{digest}");
                if !found.contains(&text) {
                    found.push(text);
                }
            }
        }
        found
    }

    /// Whether a registry's digest means this image.
    pub fn has_digest(&self, digest: &Digest) -> bool {
        self.manifest.digest == *digest || self.list.as_ref() == Some(digest)
    }

    /// The bytes of file content in all layers, unpacked. Not kept in the image: `run` has no use for it.
    pub fn size(&self, store: &Store) -> u64 {
        self.layers.iter().filter_map(|layer| store.layer_size(&layer.diff_id)).sum()
    }
}

/// What a layer that is being fetched is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerState {
    /// Another process fetches it, or its turn has not come.
    Waiting,
    /// Bytes come in and are unpacked at once.
    Downloading,
    /// All bytes are there, the rest is unpacked.
    Unpacking,
    /// It is stored.
    Done,
    /// It was stored before.
    AlreadyExists,
    /// It is packed anew, to be sent.
    Packing,
    /// Bytes go out.
    Sending,
    /// Where it goes to it was already.
    AlreadyThere,
    /// The registry had it in another repository.
    Mounted,
}

/// Who is told how a pull, load, push or save goes on. Called from several threads.
pub trait Progress: Sync {
    /// The name was resolved to this one, which is now asked for.
    fn resolved(&self, _name: &str) {}
    /// There is a layer with a blob of this digest and size.
    fn layer(&self, _digest: &Digest, _size: Option<u64>) {}
    /// More bytes of the blob came.
    fn advance(&self, _digest: &Digest, _bytes: u64) {}
    /// So many bytes of the blob were kept from an earlier pull: it goes on after them.
    fn resumed(&self, _digest: &Digest, _bytes: u64) {}
    /// The layer is doing something else now.
    fn state(&self, _digest: &Digest, _state: LayerState) {}
    /// Something the user should know: one line.
    fn message(&self, _text: &str) {}
}

/// Nobody is told.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {}
