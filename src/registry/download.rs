//! A file from any URL, for `import`: with the care that registries get, and no credentials.

use super::explain::{self, Failure};
use super::http::{self, Request, STALL, Transport};
use super::origin;
use crate::base::error::{Fault, Kind, fault};
use anyhow::{Context, Result};
use reqwest::{Method, Url};
use tokio::sync::mpsc::Sender;

/// Whether a text is a URL of the kind that [`download`] takes.
pub fn is_url(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

/// Stream the file at a URL into `sink`. When the receiver has gone, this ends without an error.
///
/// Errors: the server does not have it, or the way to it.
pub async fn download(url: &str, sink: &Sender<Vec<u8>>) -> Result<()> {
    let url = Url::parse(url).with_context(|| format!("`{}` is not a URL", url.escape_debug()))?;
    fetch(url, sink).await.map_err(Failure::into_error)
}

/// A small file at a URL; `None`: the server does not have it.
pub async fn small_file(url: &str, limit: u64) -> Result<Option<Vec<u8>>> {
    let url = Url::parse(url).with_context(|| format!("`{}` is not a URL", url.escape_debug()))?;
    let get = async {
        let transport = Transport::new(url.clone(), false, None, STALL);
        let response = transport.send(Request::new(Method::GET, url.clone())).await?;
        let host = origin::host_and_port(response.url());
        match response.status().as_u16() {
            200 => http::body(response, limit, STALL).await.map(Some),
            404 => Ok(None),
            code => Err(explain::refusal(format!("`{host}` answers {code} for `{}`", url.path()))),
        }
    };
    get.await.map_err(Failure::into_error)
}

async fn fetch(url: Url, sink: &Sender<Vec<u8>>) -> Result<(), Failure> {
    let transport = Transport::new(url.clone(), false, None, STALL);
    let shown = url.clone();
    let mut response = transport.send(Request::new(Method::GET, url)).await?;
    let host = origin::host_and_port(response.url());
    if !response.status().is_success() {
        let kind = if response.status().as_u16() == 404 { Kind::NotFound } else { Kind::Registry };
        let text = format!("`{host}` answers {} for `{}`", response.status(), shown.path());
        return Err(Failure::Final(Fault::new(kind, text).into()));
    }
    let (whole, mut came) = (response.content_length(), 0);
    loop {
        let chunk = match tokio::time::timeout(STALL, response.chunk()).await {
            Err(_) => return Err(explain::stalled(&host)),
            Ok(Err(error)) => return Err(explain::transport(&error, &host)),
            Ok(Ok(chunk)) => chunk,
        };
        let Some(chunk) = chunk else { break };
        came += chunk.len() as u64;
        if sink.send(chunk.to_vec()).await.is_err() {
            return Ok(());
        }
    }
    match whole {
        Some(whole) if whole != came => {
            Err(Failure::Final(fault(Kind::Registry, format!("`{host}` sent {came} of {whole} bytes"))))
        }
        _ => Ok(()),
    }
}
