//! What a registry has: tags of a repository, repositories, a search, the login's check, and referrers of a manifest.

use super::client::{Client, Fetched};
use super::explain::{Failure, refusal};
use super::http::{self, Request};
use super::scope::Scope;
use crate::base::digest::Digest;
use crate::base::error::{Kind, kind};
use crate::oci::image::DOCUMENT_LIMIT;
use crate::oci::json;
use anyhow::Result;
use reqwest::header::LINK;
use reqwest::{Method, Response, StatusCode, Url};
use serde::Deserialize;

/// Pages of a list that are read, at most.
const MOST_PAGES: usize = 1_000;
/// Entries of a list that are kept, at most.
const MOST_ENTRIES: usize = 200_000;

/// A repository that a search has found.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Found {
    /// Its name in the registry.
    pub name: String,
    /// What its owner says of it.
    pub description: String,
    /// How many like it.
    #[serde(alias = "stars")]
    pub star_count: u64,
    /// Whether it is one of docker's own.
    pub is_official: bool,
    /// Whether it is built by the registry.
    pub is_automated: bool,
}

/// What to search for.
#[derive(Debug, Clone, Copy)]
pub struct SearchOptions<'a> {
    /// The word.
    pub term: &'a str,
    /// The most results.
    pub limit: usize,
}

#[derive(Deserialize)]
struct Tags {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Catalog {
    #[serde(default)]
    repositories: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Results {
    #[serde(default)]
    results: Vec<Found>,
}

impl Client {
    /// Ask the registry whether it takes the credentials.
    pub async fn check_login(&self) -> Result<()> {
        self.with_retries(|| async {
            let url = self.root("v2/")?;
            let response = self.call(Request::new(Method::GET, url), Scope::Nothing).await?;
            match response.status() {
                StatusCode::OK => Ok(()),
                _ => Err(self.refused(response, "login", "").await),
            }
        })
        .await
    }

    /// All tags of the repository, in the registry's order.
    pub async fn tags(&self) -> Result<Vec<String>> {
        let url = self.url("tags/list").map_err(Failure::into_error)?;
        let pages = self.pages(url, Scope::Pull, MOST_ENTRIES, |body| {
            Some(serde_json::from_slice::<Tags>(body).ok()?.tags.unwrap_or_default())
        });
        pages.await
    }

    /// Repositories of the registry.
    pub async fn repositories(&self, limit: usize) -> Result<Vec<String>> {
        let url = self.root("v2/_catalog?n=1000").map_err(Failure::into_error)?;
        let pages = self.pages(url, Scope::Catalog, limit, |body| {
            Some(serde_json::from_slice::<Catalog>(body).ok()?.repositories.unwrap_or_default())
        });
        pages.await
    }

    /// Search by docker's old interface; where there is none, by the names of all repositories.
    pub async fn search(&self, options: SearchOptions<'_>) -> Result<Vec<Found>> {
        let found = self.with_retries(|| async {
            let root = match self.name.as_str() {
                "docker.io" => Url::parse("https://index.docker.io/"),
                _ => Ok(self.transport.registry().clone()),
            };
            let url = root.and_then(|root| root.join("v1/search"));
            let mut url = url.map_err(|error| refusal(error.to_string()))?;
            url.query_pairs_mut()
                .append_pair("q", options.term)
                .append_pair("n", &options.limit.clamp(1, 100).to_string());
            let response = self.call(Request::new(Method::GET, url), Scope::Nothing).await?;
            if response.status() != StatusCode::OK {
                return Ok(None);
            }
            let body = http::body(response, DOCUMENT_LIMIT, self.transport.stall()).await?;
            Ok(serde_json::from_slice::<Results>(&body).ok().map(|answer| answer.results))
        });
        // A registry that has no such interface may answer anything, or nothing.
        if let Ok(Some(mut found)) = found.await {
            found.truncate(options.limit);
            return Ok(found);
        }
        let names = self.repositories(MOST_ENTRIES).await?;
        let matching = names.into_iter().filter(|name| name.contains(options.term));
        Ok(matching.take(options.limit).map(|name| Found { name, ..Found::default() }).collect())
    }

    /// The manifests that refer to one: an index, from the registry's list or from the tag that stands in for it.
    pub async fn referrers(&self, digest: &Digest) -> Result<Option<Vec<u8>>> {
        let listed = self.with_retries(|| async {
            let url = self.url(&format!("referrers/{digest}"))?;
            let response = self
                .call(Request::new(Method::GET, url).accepting("application/vnd.oci.image.index.v1+json"), Scope::Pull)
                .await?;
            match response.status() {
                StatusCode::OK => {
                    let body = http::body(response, DOCUMENT_LIMIT, self.transport.stall()).await?;
                    // Registries that do not know the path have been seen to answer with a page.
                    Ok(json::object(&body).is_ok_and(|map| map.contains_key("manifests")).then_some(body))
                }
                _ => Ok(None),
            }
        });
        if let Some(body) = listed.await? {
            return Ok(Some(body));
        }
        let tag = format!("{}-{}", digest.as_str().split(':').next().unwrap_or_default(), digest.digits());
        Ok(self.manifest_if_there(&tag).await?.map(|document| document.bytes))
    }

    /// A manifest; `None` if there is none.
    pub async fn manifest_if_there(&self, version: &str) -> Result<Option<Fetched>> {
        match self.manifest(version).await {
            Ok(document) => Ok(Some(document)),
            Err(error) if kind(&error) == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn root(&self, rest: &str) -> Result<Url, Failure> {
        self.transport.registry().join(rest).map_err(|error| refusal(format!("not a URL: {error}")))
    }

    /// Read a list page by page, as its `Link` headers lead.
    async fn pages(
        &self,
        first: Url,
        scope: Scope<'_>,
        limit: usize,
        entries: impl Fn(&[u8]) -> Option<Vec<String>>,
    ) -> Result<Vec<String>> {
        let mut found = Vec::new();
        let mut next = Some(first);
        for _ in 0..MOST_PAGES {
            let Some(url) = next.take() else { break };
            let (page, link) = self
                .with_retries(|| async {
                    let response = self.call(Request::new(Method::GET, url.clone()), scope).await?;
                    if response.status() != StatusCode::OK {
                        return Err(self.refused(response, "list", "").await);
                    }
                    let link = self.next_page(&response).await?;
                    let body = http::body(response, DOCUMENT_LIMIT, self.transport.stall()).await?;
                    let page = entries(&body);
                    Ok((page.ok_or_else(|| refusal(format!("`{}` sends no list", self.name)))?, link))
                })
                .await?;
            let is_end = page.is_empty();
            found.extend(page);
            if found.len() >= limit || is_end {
                found.truncate(limit);
                break;
            }
            next = link;
        }
        Ok(found)
    }

    /// `Link: <URL>; rel="next"` (RFC 8288), within the rules for redirects.
    async fn next_page(&self, response: &Response) -> Result<Option<Url>, Failure> {
        let link = response.headers().get(LINK).and_then(|value| value.to_str().ok());
        let Some(link) = link.filter(|link| link.contains("rel=\"next\"") || link.contains("rel=next")) else {
            return Ok(None);
        };
        let target = link.trim_start().strip_prefix('<').and_then(|rest| rest.split_once('>'));
        let url = target.and_then(|(target, _)| response.url().join(target).ok()).filter(Url::has_host);
        let url = url.ok_or_else(|| refusal(format!("`{}` leads from page to nowhere", self.name)))?;
        self.transport.check_target(&url).await?;
        Ok(Some(url))
    }
}
