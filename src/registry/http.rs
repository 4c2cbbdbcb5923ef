//! Requests: one TLS configuration an origin, redirects followed by hand, time limits.
//!
//! HTTP/1.1 only: side by side, each layer then has a connection of its own, so that one that waits for the disk does
//! not stop the others, and floods of HTTP/2 frames are no concern.

use super::explain::{self, Failure, refusal};
use super::payload::Part;
use super::{origin, pinned};
use crate::config::certs::Certificates;
use anyhow::{Context, Result, anyhow};
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue, LOCATION, RANGE,
};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

/// Without an answer or a byte for this long, a connection has stalled.
pub const STALL: Duration = Duration::from_secs(30);
/// Names of hosts are looked up and connections made within this.
const CONNECT: Duration = Duration::from_secs(15);
/// All bytes of a blob.
pub const WHOLE: Range<u64> = 0..u64::MAX;
/// Redirects followed for one request.
const MOST_REDIRECTS: u32 = 5;
/// Response headers of more lines than this are refused.
const MOST_HEADERS: usize = 128;

/// What is asked.
pub struct Request<'a> {
    /// GET, HEAD, POST, PATCH or PUT.
    pub method: Method,
    /// Where.
    pub url: Url,
    /// `Authorization`, for the URL's own origin only.
    pub authorization: Option<HeaderValue>,
    /// `Accept`.
    pub accept: Option<&'a str>,
    /// The bytes wanted of a blob; without an end, all that follow.
    pub range: Range<u64>,
    /// What is sent along.
    pub content: Content,
}

/// The body of a request.
#[derive(Debug, Clone, Default)]
pub enum Content {
    /// None.
    #[default]
    Nothing,
    /// A form, percent-encoded. It may hold secrets: a redirect is not followed with it.
    Form(String),
    /// A document of this media type.
    Document(String, Vec<u8>),
    /// A part of a blob.
    Part(Part),
}

impl<'a> Request<'a> {
    /// A request without anything beside it.
    pub fn new(method: Method, url: Url) -> Self {
        Self { method, url, authorization: None, accept: None, range: WHOLE, content: Content::Nothing }
    }

    /// The same with a body.
    pub fn with(mut self, content: Content) -> Self {
        self.content = content;
        self
    }

    /// The same with an `Accept` header.
    pub fn accepting(mut self, accept: &'a str) -> Self {
        self.accept = Some(accept);
        self
    }

    /// The same, to be sent again.
    pub fn again(&self) -> Self {
        Self {
            method: self.method.clone(),
            url: self.url.clone(),
            authorization: self.authorization.clone(),
            accept: self.accept,
            range: self.range.clone(),
            content: self.content.clone(),
        }
    }
}

impl Content {
    fn put(&self, builder: RequestBuilder) -> RequestBuilder {
        match self {
            Self::Nothing => builder,
            Self::Form(form) => builder.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form.clone()),
            Self::Document(media_type, bytes) => builder.header(CONTENT_TYPE, media_type).body(bytes.clone()),
            Self::Part(part) => {
                let builder = match part.range() {
                    Some(range) => builder.header(CONTENT_RANGE, range),
                    None => builder,
                };
                let builder = builder.header(CONTENT_TYPE, "application/octet-stream");
                builder.header(CONTENT_LENGTH, part.len()).body(reqwest::Body::wrap_stream(part.stream()))
            }
        }
    }
}

/// The way to one registry and to where it leads.
pub struct Transport {
    /// The registry itself.
    registry: Url,
    /// Whether the registry's certificate is not checked. Holds for no other origin (CVE-2019-10214).
    unverified: bool,
    /// Whether the registry is inside, so that it may lead there. Looked up once.
    inside: tokio::sync::OnceCell<bool>,
    clients: Mutex<HashMap<String, reqwest::Client>>,
    /// The certificates of the registry itself, in place of those in `certs.d`.
    cert_dir: Option<PathBuf>,
    stall: Duration,
}

impl Transport {
    /// A transport for a registry; nothing is loaded or connected yet.
    pub fn new(registry: Url, unverified: bool, cert_dir: Option<PathBuf>, stall: Duration) -> Self {
        let inside = tokio::sync::OnceCell::new();
        Self { registry, unverified, inside, clients: Mutex::default(), cert_dir, stall }
    }

    /// The registry's URL: scheme, host and port.
    pub fn registry(&self) -> &Url {
        &self.registry
    }

    /// The time after which a connection has stalled.
    pub fn stall(&self) -> Duration {
        self.stall
    }

    /// Send a request and follow redirects; the answer's status may be anything else.
    ///
    /// Credentials go to the URL's own origin only and never come back after a redirect to another (CVE-2020-15157).
    pub async fn send(&self, request: Request<'_>) -> Result<Response, Failure> {
        let mut url = request.url.clone();
        let mut authorization = request.authorization.clone();
        for _ in 0..=MOST_REDIRECTS {
            let host = origin::host_and_port(&url);
            let mut builder = self.client(&url)?.request(request.method.clone(), url.clone());
            if let Some(value) = &authorization {
                builder = builder.header(AUTHORIZATION, value.clone());
            }
            if let Some(accept) = request.accept {
                builder = builder.header(ACCEPT, accept);
            }
            if request.range != WHOLE {
                let Range { start, end } = request.range;
                let last = if end == WHOLE.end { String::new() } else { (end - 1).to_string() };
                builder = builder.header(RANGE, format!("bytes={start}-{last}"));
            }
            let sending = request.content.put(builder).send();
            let response = match &request.content {
                Content::Part(part) => part.watch(sending, self.stall).await,
                _ => tokio::time::timeout(self.stall, sending).await.ok(),
            };
            let response = match response {
                None => return Err(explain::stalled(&host)),
                Some(Err(error)) => return Err(explain::transport(&error, &host)),
                Some(Ok(response)) => response,
            };
            if !is_followed(&request, response.status()) {
                return Ok(response);
            }
            let next = target(&url, &response)?;
            if !origin::same(&next, &request.url) {
                authorization = None;
            }
            self.check_target(&next).await?;
            url = next;
        }
        Err(refusal(format!("`{}` redirects without end", origin::host_and_port(&request.url))))
    }

    /// Refuse to be led from TLS to plain text, or from outside to inside.
    pub async fn check_target(&self, target: &Url) -> Result<(), Failure> {
        if origin::same(target, &self.registry) {
            return Ok(());
        }
        let (from, to) = (origin::host_and_port(&self.registry), origin::host_and_port(target));
        match (self.registry.scheme(), target.scheme()) {
            (_, "https") | ("http", "http") => {}
            ("https", "http") => return Err(refusal(format!("`{from}` leads to `{to}` without TLS"))),
            (_, other) => return Err(refusal(format!("`{from}` leads to a URL with `{other}:`"))),
        }
        if origin::leads_inside(target).await
            && !*self.inside.get_or_init(|| origin::leads_inside(&self.registry)).await
        {
            return Err(refusal(format!("`{from}` leads to `{to}`, which is in the local network")));
        }
        Ok(())
    }

    /// The client for a URL's origin, made on first use.
    fn client(&self, url: &Url) -> Result<reqwest::Client, Failure> {
        let own = origin::same(url, &self.registry);
        let key = format!("{}://{}", url.scheme(), origin::host_and_port(url));
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let secure = url.scheme() == "https";
        let certificates = match &self.cert_dir {
            _ if !secure => Certificates::default(),
            Some(folder) if own => Certificates::read(folder)?,
            _ => Certificates::load(&origin::host_and_port(url))?,
        };
        // Loading the system's authorities costs milliseconds: strangers without certs.d share one client.
        let shared = "https://*".to_owned();
        let share = secure && !own && certificates.is_empty();
        if share && let Some(client) = clients.get(&shared) {
            return Ok(client.clone());
        }
        let client = build(&certificates, own && self.unverified, !secure)?;
        clients.insert(if share { shared } else { key }, client.clone());
        Ok(client)
    }
}

/// A client of one TLS configuration.
fn build(certificates: &Certificates, unverified: bool, plain: bool) -> Result<reqwest::Client> {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // Err: another has installed one, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    let builder = || -> Result<_> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("box/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT)
            .http1_only()
            .http1_max_headers(MOST_HEADERS)
            .tls_danger_accept_invalid_certs(unverified);
        if let Some(identity) = &certificates.identity {
            let identity = reqwest::Identity::from_pem(identity);
            builder = builder.identity(identity.context("cannot use the client certificate in certs.d")?);
        }
        Ok(builder)
    };
    let mut authorities = Vec::new();
    for pem in &certificates.authorities {
        let found = reqwest::Certificate::from_pem_bundle(pem).context("cannot use a `.crt` file in certs.d")?;
        authorities.extend(found);
    }
    if plain {
        // No certificate is ever looked at: an empty list of authorities spares loading the system's.
        return builder()?.tls_certs_only([]).build().context("cannot start HTTP");
    }
    if !authorities.is_empty() && !unverified {
        let config = pinned::config(&certificates.authorities, certificates.identity.as_deref())?;
        return builder()?.tls_backend_preconfigured(config).build().context("cannot start TLS");
    }
    match builder()?.tls_certs_merge(authorities.clone()).build() {
        Ok(client) => Ok(client),
        // A system without any authority of its own: those of certs.d do.
        Err(_) if !authorities.is_empty() => builder()?.tls_certs_only(authorities).build().context("cannot start TLS"),
        Err(error) => Err(anyhow!(error)).context("cannot start TLS: the system has no certificates of authorities"),
    }
}

/// Whether to go where the answer leads: with a body only if it says that the body is wanted there.
fn is_followed(request: &Request<'_>, status: StatusCode) -> bool {
    let asks = matches!(request.method, Method::GET | Method::HEAD);
    match (status.as_u16(), &request.content) {
        (_, Content::Form(_)) => false,
        (301..=303, _) => asks,
        (307 | 308, _) => true,
        _ => false,
    }
}

/// Where a redirect, or the `Location` of an upload, leads.
pub fn target(from: &Url, response: &Response) -> Result<Url, Failure> {
    let host = origin::host_and_port(from);
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let mut next = location
        .and_then(|location| from.join(location).ok())
        .filter(|url| url.has_host())
        .ok_or_else(|| refusal(format!("`{host}` redirects to nowhere")))?;
    // User and password in a URL would become credentials that nobody gave.
    let cleared = next.set_username("").and_then(|()| next.set_password(None));
    cleared.map_err(|()| refusal(format!("`{host}` redirects to nowhere")))?;
    Ok(next)
}

/// Read a bounded body.
pub async fn body(mut response: Response, limit: u64, stall: Duration) -> Result<Vec<u8>, Failure> {
    let host = origin::host_and_port(response.url());
    let too_large = || refusal(format!("`{host}` sends more than {limit} bytes for a document"));
    if response.content_length().is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    let read = async {
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if bytes.len() as u64 + chunk.len() as u64 > limit => return Err(too_large()),
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) => return Ok(()),
                Err(error) => return Err(explain::transport(&error, &host)),
            }
        }
    };
    // For the whole: a document that comes byte by byte has stalled too.
    tokio::time::timeout(stall, read).await.map_err(|_| explain::stalled(&host))??;
    Ok(bytes)
}
