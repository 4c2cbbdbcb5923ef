//! Talking to registries: fetches into a sink, sends payloads, lists; knows no store.
//!
//! The protocol is <https://github.com/opencontainers/distribution-spec/blob/main/spec.md>. Everything that a registry
//! says is tainted: sizes, digests, redirects, realms and headers are checked before they are followed.

mod access;
mod ask;
pub mod challenge;
mod client;
mod download;
mod explain;
mod http;
mod listing;
mod origin;
mod payload;
mod pinned;
mod scope;
mod sink;
#[cfg(test)]
mod tests;
mod token;
mod upload;

pub use access::Access;
pub use ask::{check_login, check_name, manifest, runtime, search, tags};
pub use client::{Client, Fetched, Options};
pub use download::{Downloaded, download, download_as, is_url, small_file};
pub use listing::{Found, SearchOptions};
pub use payload::{Meter, Payload};
pub use sink::{Gathered, Sink};
pub use upload::Sent;
