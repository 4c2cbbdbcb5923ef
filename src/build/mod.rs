//! Builds: a Dockerfile and a context become an image.
//!
//! A build is a graph of steps, and a step is a process: the leader, single-threaded, forks a worker for each step
//! whose result is not known yet, as soon as those that it stands on are done. What a step makes is a layer in the
//! store; what is known of it is a small file in the cache, named by the digest of everything that the step depends
//! on. Whoever executes a step holds that name's lock, so that builds at the same time share the work.

mod agent;
mod attest;
mod cache_mount;
mod cache_mounts;
pub mod context;
mod copy;
#[cfg(test)]
mod corpus;
mod early;
mod event;
pub mod export;
mod finish;
pub mod kept;
mod layers;
mod lead;
pub mod lint;
mod list;
mod marks;
mod outputs;
mod plan;
mod pool;
mod progress;
mod request;
mod run;
mod sbom;
mod seal;
mod settings;
pub mod shared;
mod site;
mod step;
mod tree;
mod worker;

pub use event::{Event, Excerpt, Observer, Stream};
pub use lead::build;
pub use request::{
    BuildRequest, CacheMounts, CachePlace, ContextSource, Entitlement, FileSource, NoCache, Output, Provenance, Sbom,
    Secret, SecretSource, Squash, Ssh,
};
pub use step::StepId;

use crate::base::digest::Digest;
use crate::oci::platform::Platform;

/// What was built.
#[derive(Debug, Clone, Default)]
pub struct Built {
    /// An image a platform; none where files alone were asked for.
    pub images: Vec<BuiltImage>,
    /// The list of them, where there are several or something is attached.
    pub list: Option<Digest>,
    /// The names that the result was given.
    pub names: Vec<String>,
    /// What went to registries: by which name, and the digest of the manifest there.
    pub sent: Vec<(String, Digest)>,
}

/// An image that was built.
#[derive(Debug, Clone)]
pub struct BuiltImage {
    /// For whom.
    pub platform: Platform,
    /// Its id: the digest of its config.
    pub id: Digest,
    /// The digest of its manifest.
    pub manifest: Digest,
    /// The size of its manifest, bytes.
    pub size: u64,
}
