//! One question to a registry, for callers without a network of their own.

use super::access::Access;
use super::client;
use super::listing::{Found, SearchOptions};
use anyhow::{Context, Result};

/// A network for this thread.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().max_blocking_threads(4).build().context("cannot start the network")
}

/// Check that a text is `HOST[:PORT][/PATH]`.
pub fn check_name(text: &str) -> Result<()> {
    client::parse(text).map(drop)
}

/// Ask a registry (`HOST[:PORT][/NAMESPACE…]`) whether it takes the credentials.
pub fn check_login(access: &Access, registry: &str) -> Result<()> {
    let host = registry.split('/').next().unwrap_or(registry);
    runtime()?.block_on(async { access.open_itself(host).await?.check_login().await })
}

/// All tags of a repository.
pub fn tags(access: &Access, repository: &str) -> Result<Vec<String>> {
    runtime()?.block_on(async { access.open_itself(repository).await?.tags().await })
}

/// The raw bytes of what a repository has under a tag or digest.
pub fn manifest(access: &Access, repository: &str, version: &str) -> Result<Vec<u8>> {
    runtime()?.block_on(async { Ok(access.open_itself(repository).await?.manifest(version).await?.bytes) })
}

/// Search a registry.
pub fn search(access: &Access, registry: &str, options: SearchOptions<'_>) -> Result<Vec<Found>> {
    runtime()?.block_on(async { access.open_itself(registry).await?.search(options).await })
}
