//! How the user wants registries to be talked to: the flags that pull, push, search and manifests share.

use super::client::{Client, Options};
use crate::config::auth::{Credentials, Secret};
use crate::config::registries::{Registries, Source};
use anyhow::Result;
use std::cell::OnceCell;
use std::path::PathBuf;
use std::time::Duration;

/// The flags, and the credentials once they are loaded.
#[derive(Debug, Default)]
pub struct Access {
    /// `--tls-verify`; `None`: as registries.conf says.
    pub tls_verify: Option<bool>,
    /// `--authfile`.
    pub authfile: Option<PathBuf>,
    /// `--creds`, for the registry that is named; never for its mirrors.
    pub creds: Option<Secret>,
    /// `--cert-dir`.
    pub cert_dir: Option<PathBuf>,
    /// `--retry`.
    pub retry: Option<u32>,
    /// `--retry-delay`: the first wait; it doubles.
    pub retry_delay: Option<Duration>,
    credentials: OnceCell<Credentials>,
}

impl Access {
    /// Only `--tls-verify`.
    pub fn with_tls_verify(tls_verify: Option<bool>) -> Self {
        Self { tls_verify, ..Self::default() }
    }

    /// The configured credentials, read when first asked for.
    pub fn credentials(&self) -> Result<&Credentials> {
        if self.credentials.get().is_none() {
            let _ = self.credentials.set(Credentials::load(self.authfile.as_deref())?);
        }
        self.credentials.get().ok_or_else(|| anyhow::anyhow!("the credentials are gone"))
    }

    /// The settings of a client.
    pub fn options(&self) -> Options {
        let default = Options::default();
        Options {
            tls_verify: self.tls_verify,
            creds: self.creds.clone(),
            cert_dir: self.cert_dir.clone(),
            retries: self.retry.unwrap_or(default.retries),
            back_off: self.retry_delay.unwrap_or(default.back_off),
            ..default
        }
    }

    /// A client for one source.
    pub async fn open(&self, source: &Source) -> Result<Client> {
        Client::open(source, self.credentials()?, &self.options()).await
    }

    /// A client for the registry itself, past its mirrors: what is sent there, and lists of what it has.
    pub async fn open_itself(&self, repository: &str) -> Result<Client> {
        let sources = Registries::load()?.sources(repository, false)?;
        let source = sources.into_iter().find(|source| !source.mirror);
        let source =
            source.unwrap_or_else(|| Source { repository: repository.to_owned(), insecure: false, mirror: false });
        self.open(&source).await
    }

    /// Ask for the credentials of these repositories now: helpers must run before the process is another user.
    pub fn ask_helpers<'a>(&self, repositories: impl Iterator<Item = &'a str>) -> Result<()> {
        let credentials = self.credentials()?;
        for repository in repositories {
            let (host, path) = repository.split_once('/').unwrap_or((repository, ""));
            credentials.find(host, path)?;
        }
        Ok(())
    }
}
