//! Fetching from registries; streams into a sink and knows no store.
//!
//! The protocol is <https://github.com/opencontainers/distribution-spec/blob/main/spec.md>. Everything that a registry
//! says is tainted: sizes, digests, redirects, realms and headers are checked before they are followed.

mod challenge;
mod client;
mod download;
mod explain;
mod http;
mod origin;
#[cfg(test)]
mod tests;
mod token;

pub use client::{Client, Fetched, Options};
pub use download::{download, is_url};
