//! One repository of one registry: manifests and blobs, with retries and resumption.

use super::explain::{self, Failure, refusal};
use super::http::{self, Request, Transport, WHOLE};
use super::scope::Scope;
use super::sink::Sink;
use super::{origin, token};
use crate::base::digest::{Digest, Hasher};
use crate::base::error::{Fault, Kind, fault};
use crate::config::auth::{Credentials, Secret};
use crate::config::registries::Source;
use crate::oci::image::DOCUMENT_LIMIT;
use crate::oci::manifest::{DOCKER_LIST, DOCKER_MANIFEST};
use crate::oci::reference::{DEFAULT_DOMAIN, Reference};
use anyhow::{Context, Result};
use oci_spec::image::MediaType;
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Response, StatusCode, Url};
use std::collections::HashMap;
use std::future::Future;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;
use tokio::time::Instant;

/// Further attempts at a request that fails in passing.
const RETRIES: u32 = 3;
/// A server that asks for more patience than this is reported instead.
pub(super) const MOST_PATIENCE: Duration = Duration::from_secs(60);
/// A blob that gains fewer bytes than this within the stall time has stalled.
const SLOWEST: u64 = 8 << 10;
/// A blob is resumed at most this often, even if each attempt gains something.
const MOST_RESUMES: u32 = 100;

/// How to talk to registries.
#[derive(Debug, Clone)]
pub struct Options {
    /// `--tls-verify`; `None`: as registries.conf says. `Some(false)` holds for the registry itself, not for mirrors.
    pub tls_verify: Option<bool>,
    /// `--creds`: for the registry itself, in place of what is configured; mirrors never get them.
    pub creds: Option<Secret>,
    /// `--cert-dir`: certificates of the registry itself, in place of `certs.d`.
    pub cert_dir: Option<PathBuf>,
    /// Further attempts at what failed in passing.
    pub retries: u32,
    /// The first wait before a retry; it doubles.
    pub back_off: Duration,
    /// Without a byte for this long, a connection has stalled.
    pub stall: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tls_verify: None,
            creds: None,
            cert_dir: None,
            retries: RETRIES,
            back_off: Duration::from_secs(1),
            stall: http::STALL,
        }
    }
}

/// A repository of a registry; or a registry alone, with an empty path.
pub struct Client {
    pub(super) transport: Transport,
    pub(super) path: String,
    /// The registry as people write it, for messages and credentials.
    pub(super) name: String,
    secret: Option<Secret>,
    advice: String,
    /// What proves who we are, by what it allows.
    authorizations: Mutex<HashMap<String, HeaderValue>>,
    notices: Mutex<Vec<String>>,
    pub(super) retries: u32,
    pub(super) back_off: Duration,
}

/// A document that was fetched and is what its digest says.
#[derive(Debug)]
pub struct Fetched {
    /// The raw bytes.
    pub bytes: Vec<u8>,
    /// Their digest, computed here.
    pub digest: Digest,
    /// What the server called it.
    pub media_type: Option<String>,
}

/// The bytes of a blob on their way.
struct Flow<'a, S> {
    sink: &'a mut S,
    /// Bytes taken so far.
    done: u64,
}

impl<S: Sink> Flow<'_, S> {
    async fn take(&mut self, bytes: &[u8]) -> bool {
        self.done += bytes.len() as u64;
        self.sink.take(bytes).await
    }

    async fn flush(&mut self) -> bool {
        self.sink.flush().await
    }
}

impl Client {
    /// A client for one source. Connects only to find out whether an insecure registry speaks TLS.
    pub async fn open(source: &Source, credentials: &Credentials, options: &Options) -> Result<Self> {
        let (name, path) = parse(&source.repository)
            .with_context(|| format!("cannot use `{}` of registries.conf", source.repository))?;
        let secret = match &options.creds {
            Some(creds) if !source.mirror => Some(creds.clone()),
            _ => credentials.find(&name, &path)?,
        };
        let insecure = match options.tls_verify {
            Some(true) => false,
            Some(false) if !source.mirror => true,
            _ => source.insecure,
        };
        let host = if name == DEFAULT_DOMAIN { "registry-1.docker.io" } else { &name };
        let cert_dir = options.cert_dir.clone().filter(|_| !source.mirror);
        let transport = |scheme: &str| -> Result<Transport> {
            let url = Url::parse(&format!("{scheme}://{host}/")).context("not a host")?;
            Ok(Transport::new(url, insecure, cert_dir.clone(), options.stall))
        };
        let mut chosen = transport("https")?;
        if insecure && !speaks_tls(&chosen).await {
            chosen = transport("http")?;
        }
        Ok(Self {
            transport: chosen,
            path,
            advice: credentials.advice(&name),
            name,
            secret,
            authorizations: Mutex::default(),
            notices: Mutex::default(),
            retries: options.retries,
            back_off: options.back_off,
        })
    }

    /// Remarks since the last call that the user should see.
    pub fn notices(&self) -> Vec<String> {
        std::mem::take(&mut *self.notices.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The registry and repository, for messages.
    pub fn repository(&self) -> String {
        format!("{}/{}", self.name, self.path)
    }

    /// Fetch a manifest or an index by tag or digest; verified.
    pub async fn manifest(&self, version: &str) -> Result<Fetched> {
        self.with_retries(|| async {
            let response = self.get(Method::GET, "manifests", version, WHOLE).await?;
            let headers = response.headers().clone();
            let bytes = http::body(response, DOCUMENT_LIMIT, self.transport.stall()).await?;
            let digest = verify(&bytes, version, &headers)
                .map_err(|text| Failure::Final(fault(Kind::BadData, format!("`{}` lies: {text}", self.name))))?;
            let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let media_type = media_type.map(|text| text.split(';').next().unwrap_or_default().trim().to_owned());
            Ok(Fetched { bytes, digest, media_type })
        })
        .await
    }

    /// The digest that a tag has now, without fetching the manifest if the server tells.
    pub async fn manifest_digest(&self, version: &str) -> Result<Digest> {
        let told = self
            .with_retries(|| async {
                let response = self.get(Method::HEAD, "manifests", version, WHOLE).await?;
                Ok(content_digest(response.headers()))
            })
            .await?;
        match told {
            Some(digest) => Ok(digest),
            None => Ok(self.manifest(version).await?.digest),
        }
    }

    /// Fetch a small blob whole, verified: a config.
    pub async fn document(&self, digest: &Digest, size: u64) -> Result<Vec<u8>> {
        self.with_retries(|| async {
            let response = self.get(Method::GET, "blobs", digest.as_str(), WHOLE).await?;
            let bytes = http::body(response, DOCUMENT_LIMIT.min(size), self.transport.stall()).await?;
            let mut hasher = Hasher::new(digest.algorithm());
            hasher.update(&bytes);
            if bytes.len() as u64 != size || hasher.finish() != *digest {
                let text = format!("`{}` lies: what it sends for {digest} is something else", self.name);
                return Err(Failure::Final(fault(Kind::BadData, text)));
            }
            Ok(bytes)
        })
        .await
    }

    /// Stream a part of a blob of `size` bytes into `sink`; the receiver verifies the digest.
    ///
    /// A broken connection is taken up where it broke. When the receiver has gone, this ends without an error.
    pub async fn blob(&self, digest: &Digest, size: u64, range: Range<u64>, sink: &mut impl Sink) -> Result<()> {
        let mut flow = Flow { sink, done: range.start };
        let mut failures = 0;
        for _ in 0..MOST_RESUMES {
            let before = flow.done;
            let failure = match self.part(digest, size, range.end, &mut flow).await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            // Progress starts the count anew.
            let done = flow.done;
            failures = if done > before { 1 } else { failures + 1 };
            match failure {
                Failure::Passing(_, wait)
                    if failures <= self.retries && wait.is_none_or(|wait| wait <= MOST_PATIENCE) =>
                {
                    tokio::time::sleep(wait.unwrap_or(self.back_off * 2u32.pow(failures - 1))).await;
                }
                failure => {
                    let error = failure.into_error();
                    let text =
                        format!("cannot fetch blob {} of `{}` ({done} of {size} bytes came)", short(digest), self.name);
                    return Err(error.context(text));
                }
            }
        }
        Err(fault(Kind::Registry, format!("the connection to `{}` breaks again and again", self.name)))
    }

    /// One attempt at the rest of a blob.
    async fn part(&self, digest: &Digest, size: u64, end: u64, flow: &mut Flow<'_, impl Sink>) -> Result<(), Failure> {
        if flow.done == end && size > 0 {
            flow.flush().await;
            return Ok(());
        }
        let first = flow.done;
        let mut response =
            self.get(Method::GET, "blobs", digest.as_str(), first..if end < size { end } else { u64::MAX }).await?;
        let lie = |text: String| Failure::Final(fault(Kind::BadData, format!("`{}` lies: {text}", self.name)));
        // A server that cannot resume starts again; what we have is skipped (and stays hashed).
        let (mut skip, expected) = match response.status() {
            StatusCode::PARTIAL_CONTENT if range_start(response.headers()) == Some(first) => (0, end - first),
            StatusCode::PARTIAL_CONTENT => return Err(lie("it sends another part than the one asked for".into())),
            _ => (first, size),
        };
        if let Some(length) = response.content_length()
            && length != expected
        {
            let missing = size - expected;
            return Err(lie(format!("blob {} has {} bytes, not {size}", short(digest), length + missing)));
        }
        let host = origin::host_and_port(response.url());
        let (mut since, mut gained) = (Instant::now(), 0);
        loop {
            // What is there is handed on before we wait for more: whoever is killed then loses the less.
            let mut next = std::pin::pin!(response.chunk());
            let ready = std::future::poll_fn(|context| Poll::Ready(next.as_mut().poll(context))).await;
            if ready.is_pending() && !flow.flush().await {
                return Ok(());
            }
            let came = async {
                match ready {
                    Poll::Ready(chunk) => chunk,
                    Poll::Pending => next.await,
                }
            };
            let chunk = match tokio::time::timeout(self.transport.stall(), came).await {
                Err(_) => return Err(explain::stalled(&host)),
                Ok(Err(error)) => return Err(explain::transport(&error, &host)),
                Ok(Ok(chunk)) => chunk,
            };
            let Some(chunk) = chunk else {
                if flow.done == end {
                    flow.flush().await;
                    return Ok(());
                }
                return Err(Failure::Passing(
                    fault(Kind::Registry, format!("the connection to `{host}` broke off")),
                    None,
                ));
            };
            gained += chunk.len() as u64;
            let skipped = skip.min(chunk.len() as u64);
            skip -= skipped;
            let mut fresh = chunk.get(skipped as usize..).unwrap_or_default();
            if flow.done + fresh.len() as u64 > end {
                if expected != size || end == size {
                    return Err(lie(format!("blob {} has more than {size} bytes", short(digest))));
                }
                // All of it comes from a server that knows no parts.
                fresh = fresh.get(..(end - flow.done) as usize).unwrap_or_default();
            }
            let waited = Instant::now();
            if !flow.take(fresh).await {
                return Ok(());
            }
            if flow.done == end && end < size {
                flow.flush().await;
                return Ok(());
            }
            // A server that drips bytes has stalled as well; waiting for our own disk is not its fault.
            since += waited.elapsed();
            if since.elapsed() >= self.transport.stall() {
                if gained < SLOWEST && flow.done < end {
                    return Err(explain::stalled(&host));
                }
                (since, gained) = (Instant::now(), 0);
            }
        }
    }

    /// Ask for a manifest or a blob, or a part of it; the answer is a success (or 206).
    async fn get(&self, method: Method, kind: &str, version: &str, range: Range<u64>) -> Result<Response, Failure> {
        let accept = [MediaType::ImageIndex.as_ref(), DOCKER_LIST, MediaType::ImageManifest.as_ref(), DOCKER_MANIFEST]
            .join(", ");
        let mut request = Request::new(method, self.url(&format!("{kind}/{version}"))?);
        request.accept = (kind == "manifests").then_some(accept.as_str());
        request.range = range;
        let response = self.call(request, Scope::Pull).await?;
        self.check(response, kind, version).await
    }

    /// The URL of a part of the repository.
    pub(super) fn url(&self, rest: &str) -> Result<Url, Failure> {
        let url = self.transport.registry().join(&format!("v2/{}/{rest}", self.path));
        url.map_err(|error| refusal(format!("not a URL: {error}")))
    }

    /// Send, answering one challenge; the answer's status may be anything else.
    ///
    /// Only the registry itself is told who we are, whatever the URL.
    pub(super) async fn call(&self, request: Request<'_>, scope: Scope<'_>) -> Result<Response, Failure> {
        let own = origin::same(&request.url, self.transport.registry());
        let wanted = scope.words(&self.path);
        let locked = || self.authorizations.lock().unwrap_or_else(PoisonError::into_inner);
        for attempt in 0..2 {
            let mut again = request.again();
            again.authorization = locked().get(&wanted).filter(|_| own).cloned();
            let response = self.transport.send(again).await?;
            let own = own && origin::same(response.url(), self.transport.registry());
            if response.status() != StatusCode::UNAUTHORIZED || attempt == 1 || !own {
                return Ok(response);
            }
            let answer = token::answer(&self.transport, &response, self.secret.as_ref(), &wanted).await?;
            self.notices.lock().unwrap_or_else(PoisonError::into_inner).extend(answer.notice);
            match answer.authorization {
                Some(authorization) => locked().insert(wanted.clone(), authorization),
                None => return Ok(response),
            };
        }
        Err(refusal("unreachable: the second attempt returns"))
    }

    /// Turn what is no success into an error.
    async fn check(&self, response: Response, kind: &str, version: &str) -> Result<Response, Failure> {
        if matches!(response.status(), StatusCode::OK | StatusCode::PARTIAL_CONTENT) {
            return Ok(response);
        }
        Err(self.refused(response, kind, version).await)
    }

    /// The error that an answer other than the wanted one means.
    pub(super) async fn refused(&self, response: Response, kind: &str, version: &str) -> Failure {
        let status = response.status();
        let host = origin::host_and_port(response.url());
        let wait = explain::retry_after(&response);
        let body = http::body(response, 64 << 10, self.transport.stall()).await.unwrap_or_default();
        let words = explain::own_words(&body).map(|words| format!(": {words}")).unwrap_or_default();
        let name = match kind {
            "manifests" if version.contains(':') => format!("{}@{version}", self.path),
            "manifests" => format!("{}:{version}", self.path),
            _ if self.path.is_empty() => self.name.clone(),
            _ => self.path.clone(),
        };
        match status.as_u16() {
            401 | 403 => {
                let text = match self.secret {
                    Some(_) if kind == "push" => {
                        format!("`{host}` does not let you push to `{name}` with these credentials{words}")
                    }
                    None if kind == "push" => format!("`{host}` wants credentials for a push to `{name}`"),
                    _ if kind == "login" => format!("`{host}` refuses the user's name or password{words}"),
                    Some(_) => format!("`{host}` refuses `{name}` with these credentials"),
                    None => format!("`{host}` wants credentials for `{name}`, or does not have it"),
                };
                let fault = Fault::new(Kind::Registry, text);
                // Whoever logs in knows how.
                let fault = if kind == "login" { fault } else { fault.hint(self.advice.clone()) };
                Failure::Final(fault.into())
            }
            404 if matches!(kind, "push" | "list" | "login") => {
                Failure::Final(fault(Kind::NotFound, format!("`{host}` answers 404 for `{name}`{words}")))
            }
            404 if kind == "manifests" => {
                Failure::Final(Fault::new(Kind::NotFound, format!("`{host}` has no image `{name}`")).into())
            }
            404 => refusal(format!("`{host}` has lost a part of `{name}`: blob {version}")),
            429 => {
                let fault = Fault::new(Kind::Registry, format!("`{host}` limits the rate of requests{words}"));
                let fault = match wait {
                    Some(wait) if wait > MOST_PATIENCE => {
                        fault.hint(format!("try again in {} seconds", wait.as_secs()))
                    }
                    _ => fault.hint("try again later, or with credentials"),
                };
                Failure::Passing(fault.into(), wait)
            }
            code if explain::is_passing(status) => {
                Failure::Passing(fault(Kind::Registry, format!("`{host}` answers {code} for `{name}`{words}")), wait)
            }
            code => refusal(format!("`{host}` answers {code} for `{name}`{words}")),
        }
    }

    /// Try again what failed in passing, with growing waits or those that the server asks for.
    pub(super) async fn with_retries<T, F: Future<Output = Result<T, Failure>>>(
        &self,
        attempt: impl Fn() -> F,
    ) -> Result<T> {
        let mut failures = 0;
        loop {
            match attempt().await {
                Ok(value) => return Ok(value),
                Err(Failure::Passing(_, wait))
                    if failures < self.retries && wait.is_none_or(|wait| wait <= MOST_PATIENCE) =>
                {
                    tokio::time::sleep(wait.unwrap_or(self.back_off * 2u32.pow(failures))).await;
                    failures += 1;
                }
                Err(failure) => return Err(failure.into_error()),
            }
        }
    }
}

/// Whether an insecure registry speaks TLS at all: any answer to `/v2/` over it.
async fn speaks_tls(transport: &Transport) -> bool {
    let Ok(url) = transport.registry().join("v2/") else { return false };
    transport.send(Request::new(Method::GET, url)).await.is_ok()
}

/// Host and path of `HOST/PATH`, or a host alone.
pub(super) fn parse(repository: &str) -> Result<(String, String)> {
    if repository.contains('/') {
        let reference = Reference::parse(repository)?;
        return Ok((reference.domain, reference.path));
    }
    // Any path will do to have the host checked.
    Ok((Reference::parse_with_default("x/x", repository)?.domain, String::new()))
}

/// Compute the digest of a manifest and compare it with what was asked for and what was announced.
fn verify(bytes: &[u8], version: &str, headers: &HeaderMap) -> Result<Digest, String> {
    let wanted = Digest::parse(version);
    let announced = content_digest(headers);
    let algorithm = wanted.as_ref().map_or(crate::base::digest::Algorithm::Sha256, Digest::algorithm);
    let mut hasher = Hasher::new(algorithm);
    hasher.update(bytes);
    let digest = hasher.finish();
    if let Some(wanted) = wanted
        && wanted != digest
    {
        return Err(format!("what it sends for {wanted} is {digest}"));
    }
    match announced {
        Some(announced) if announced.algorithm() == algorithm && announced != digest => {
            Err(format!("it announces {announced} and sends {digest}"))
        }
        _ => Ok(digest),
    }
}

pub(super) fn content_digest(headers: &HeaderMap) -> Option<Digest> {
    headers.get("docker-content-digest").and_then(|value| value.to_str().ok()).and_then(Digest::parse)
}

/// The first byte of `Content-Range: bytes FIRST-LAST/SIZE`.
fn range_start(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    text.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}

/// Twelve digits, as ids are shown.
pub(super) fn short(digest: &Digest) -> &str {
    digest.digits().get(..12).unwrap_or_default()
}
