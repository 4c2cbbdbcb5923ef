//! Sending: blobs by mount or upload, resumed where they broke, and manifests.
//!
//! `POST` begins a session, one `PATCH` sends all bytes (or those that are missing after a break), `PUT` ends it with
//! the digest. A registry without `PATCH` gets everything in the `PUT`. The session's URLs come from the registry and
//! are followed with suspicion: credentials go to the registry itself only.
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#push>

use super::client::{Client, MOST_PATIENCE, content_digest, short};
use super::explain::{Failure, refusal};
use super::http::{Content, Request, target};
use super::payload::{Meter, Part, Payload};
use super::scope::Scope;
use crate::base::digest::Digest;
use crate::base::error::{Kind, fault};
use anyhow::Result;
use reqwest::header::{HeaderMap, RANGE};
use reqwest::{Method, Response, StatusCode, Url};

/// A blob's upload is taken up at most this often, even if each attempt gains something.
const MOST_RESUMES: u32 = 100;

/// How a blob came to be in the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It was there.
    Present,
    /// Another repository of the registry had it.
    Mounted,
    /// It was uploaded.
    Uploaded,
}

/// An upload under way.
struct Session {
    location: Url,
    /// Bytes that the registry has.
    done: u64,
    /// It takes no `PATCH`.
    monolithic: bool,
}

impl Client {
    /// Whether the repository has a blob.
    pub async fn has_blob(&self, digest: &Digest) -> Result<bool> {
        self.with_retries(|| async {
            let request = Request::new(Method::HEAD, self.url(&format!("blobs/{digest}"))?);
            let response = self.call(request, Scope::Push).await?;
            match response.status() {
                StatusCode::OK => Ok(true),
                StatusCode::NOT_FOUND => Ok(false),
                _ => Err(self.refused(response, "push", "").await),
            }
        })
        .await
    }

    /// See to it that the repository has a blob: found there, mounted from `sibling`, a repository of the same
    /// registry that may have it, or uploaded.
    pub async fn send_blob(
        &self,
        digest: &Digest,
        size: u64,
        payload: &Payload,
        sibling: Option<&str>,
        meter: &Meter,
    ) -> Result<Sent> {
        if self.has_blob(digest).await? {
            return Ok(Sent::Present);
        }
        let mut session = match self.with_retries(|| self.begin(digest, sibling)).await? {
            None => return Ok(Sent::Mounted),
            Some(session) => Some(session),
        };
        let mut failures = 0;
        for _ in 0..MOST_RESUMES {
            let mut current = match session.take() {
                Some(session) => session,
                None => match self.with_retries(|| self.begin(digest, None)).await? {
                    None => return Ok(Sent::Mounted),
                    Some(session) => session,
                },
            };
            let before = current.done;
            let (failure, wait) = match self.transfer(&mut current, digest, size, payload, meter).await {
                Ok(()) => return Ok(Sent::Uploaded),
                Err(Failure::Passing(error, wait)) => (error, wait),
                Err(Failure::Final(error)) => return Err(error.context(deed(digest, &self.name))),
            };
            session = self.resume(current).await;
            let gained = session.as_ref().is_some_and(|session| session.done > before);
            failures = if gained { 1 } else { failures + 1 };
            if failures > self.retries || wait.is_some_and(|wait| wait > MOST_PATIENCE) {
                return Err(failure.context(deed(digest, &self.name)));
            }
            tokio::time::sleep(wait.unwrap_or(self.back_off * 2u32.pow(failures - 1))).await;
        }
        Err(fault(Kind::Registry, format!("the connection to `{}` breaks again and again", self.name)))
    }

    /// Begin an upload; `None`: the registry had the blob and has mounted it.
    async fn begin(&self, digest: &Digest, sibling: Option<&str>) -> Result<Option<Session>, Failure> {
        if let Some(sibling) = sibling {
            let mut url = self.url("blobs/uploads/")?;
            url.query_pairs_mut().append_pair("mount", digest.as_str()).append_pair("from", sibling);
            // Any refusal (a token that does not cover the other repository, say) leads to a plain upload.
            if let Ok(response) = self.call(Request::new(Method::POST, url), Scope::Mount(sibling)).await {
                match response.status() {
                    StatusCode::CREATED => return Ok(None),
                    StatusCode::ACCEPTED => return self.session(&response).await.map(Some),
                    _ => {}
                }
            }
        }
        let response = self.call(Request::new(Method::POST, self.url("blobs/uploads/")?), Scope::Push).await?;
        match response.status() {
            StatusCode::ACCEPTED => self.session(&response).await.map(Some),
            // Not asked for, but as good.
            StatusCode::CREATED => Ok(None),
            _ => Err(self.refused(response, "push", "").await),
        }
    }

    async fn session(&self, response: &Response) -> Result<Session, Failure> {
        Ok(Session { location: self.location(response).await?, done: 0, monolithic: false })
    }

    /// Where the registry wants the next request of an upload.
    async fn location(&self, response: &Response) -> Result<Url, Failure> {
        let location = target(response.url(), response)?;
        self.transport.check_target(&location).await?;
        Ok(location)
    }

    /// Send the rest of a blob and end the upload.
    async fn transfer(
        &self,
        session: &mut Session,
        digest: &Digest,
        size: u64,
        payload: &Payload,
        meter: &Meter,
    ) -> Result<(), Failure> {
        if session.done < size && !session.monolithic {
            let part = Part::new(payload, session.done, size, meter);
            let request = Request::new(Method::PATCH, session.location.clone()).with(Content::Part(part));
            let response = self.call(request, Scope::Push).await?;
            match response.status().as_u16() {
                200..=204 => {
                    // Some registries name the place only once.
                    if response.headers().contains_key(reqwest::header::LOCATION) {
                        session.location = self.location(&response).await?;
                    }
                    session.done = size;
                }
                404 | 405 | 501 if session.done == 0 => session.monolithic = true,
                // It has another count of what came: asked for before the next attempt.
                404 | 416 => return Err(Failure::Passing(self.refused(response, "push", "").await.into_error(), None)),
                _ => return Err(self.refused(response, "push", "").await),
            }
        }
        let mut url = session.location.clone();
        url.query_pairs_mut().append_pair("digest", digest.as_str());
        let mut request = Request::new(Method::PUT, url);
        if session.done < size {
            request = request.with(Content::Part(Part::new(payload, 0, size, meter)));
        }
        let response = self.call(request, Scope::Push).await?;
        match response.status().as_u16() {
            200..=204 => self.agrees(response.headers(), digest),
            _ => Err(self.refused(response, "push", "").await),
        }
    }

    /// After a break: ask how much has come. `None`: the upload is to begin anew.
    async fn resume(&self, mut session: Session) -> Option<Session> {
        if session.monolithic {
            return None;
        }
        let request = Request::new(Method::GET, session.location.clone());
        let response = self.call(request, Scope::Push).await.ok()?;
        if response.status() != StatusCode::NO_CONTENT {
            return None;
        }
        session.done = range_end(response.headers())?;
        if response.headers().contains_key(reqwest::header::LOCATION) {
            session.location = self.location(&response).await.ok()?;
        }
        Some(session)
    }

    /// Give the repository a manifest or an index under a tag or its digest.
    pub async fn send_manifest(&self, version: &str, media_type: &str, bytes: &[u8]) -> Result<()> {
        let digest = Digest::of(bytes);
        self.with_retries(|| async {
            let content = Content::Document(media_type.to_owned(), bytes.to_vec());
            let request = Request::new(Method::PUT, self.url(&format!("manifests/{version}"))?).with(content);
            let response = self.call(request, Scope::Push).await?;
            match response.status().as_u16() {
                200..=204 => self.agrees(response.headers(), &digest),
                _ => Err(self.refused(response, "push", "").await),
            }
        })
        .await
    }

    /// A registry that names another digest has kept something else.
    fn agrees(&self, headers: &HeaderMap, digest: &Digest) -> Result<(), Failure> {
        match content_digest(headers) {
            Some(other) if other.algorithm() == digest.algorithm() && other != *digest => {
                Err(refusal(format!("`{}` has kept {other} where {digest} was sent", self.name)))
            }
            _ => Ok(()),
        }
    }
}

fn deed(digest: &Digest, name: &str) -> String {
    format!("cannot send blob {} to `{name}`", short(digest))
}

/// The number of bytes that `Range: 0-LAST` means; a range of `0-0` is written for nothing, too.
fn range_end(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(RANGE)?.to_str().ok()?;
    let last: u64 = text.trim_start_matches("bytes=").strip_prefix("0-")?.trim().parse().ok()?;
    Some(if last == 0 { 0 } else { last.checked_add(1)? })
}
