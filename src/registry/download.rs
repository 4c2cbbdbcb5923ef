//! A file from any URL, for `import`: with the care that registries get, and no credentials.

use super::explain::{self, Failure};
use super::http::{self, Request, STALL, Transport};
use super::origin;
use crate::base::error::{Fault, Kind, fault};
use anyhow::{Context, Result};
use reqwest::header::{CONTENT_DISPOSITION, HeaderValue, LAST_MODIFIED};
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
    fetch(url, None, sink).await.map(drop).map_err(Failure::into_error)
}

/// What a server says of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Downloaded {
    /// `Last-Modified`, seconds since 1970.
    pub modified: Option<i64>,
    /// The name in `Content-Disposition`, without any folder.
    pub file_name: Option<String>,
}

/// As [`download`], with an `Authorization` header for the URL's own host, and what the server says of the file.
pub async fn download_as(url: &str, authorization: Option<&str>, sink: Sender<Vec<u8>>) -> Result<Downloaded> {
    let url = Url::parse(url).map_err(|_| fault(Kind::Usage, "it is not a URL"))?;
    let authorization = authorization.map(|value| {
        let mut value =
            HeaderValue::from_str(value).map_err(|_| fault(Kind::Usage, "its credentials are no header"))?;
        value.set_sensitive(true);
        Ok::<_, anyhow::Error>(value)
    });
    fetch(url, authorization.transpose()?, &sink).await.map_err(Failure::into_error)
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

async fn fetch(url: Url, authorization: Option<HeaderValue>, sink: &Sender<Vec<u8>>) -> Result<Downloaded, Failure> {
    let transport = Transport::new(url.clone(), false, None, STALL);
    let shown = url.clone();
    let mut response = transport.send(Request { authorization, ..Request::new(Method::GET, url) }).await?;
    let host = origin::host_and_port(response.url());
    if !response.status().is_success() {
        let kind = if response.status().as_u16() == 404 { Kind::NotFound } else { Kind::Registry };
        let text = format!("`{host}` answers {} for `{}`", response.status(), shown.path());
        return Err(Failure::Final(Fault::new(kind, text).into()));
    }
    let header = |name| response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let downloaded = Downloaded {
        modified: header(LAST_MODIFIED).and_then(http_date),
        file_name: header(CONTENT_DISPOSITION).and_then(file_name),
    };
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
            return Ok(downloaded);
        }
    }
    match whole {
        Some(whole) if whole != came => {
            Err(Failure::Final(fault(Kind::Registry, format!("`{host}` sent {came} of {whole} bytes"))))
        }
        _ => Ok(downloaded),
    }
}

/// `Tue, 15 Nov 1994 12:45:26 GMT` as seconds since 1970 (RFC 9110, section 5.6.7).
fn http_date(text: &str) -> Option<i64> {
    chrono::DateTime::parse_from_rfc2822(text).ok().map(|moment| moment.timestamp())
}

/// The name in `attachment; filename="x"` (RFC 6266): one that is a name only.
fn file_name(text: &str) -> Option<String> {
    let value = text.split(';').find_map(|part| part.trim().strip_prefix("filename="))?.trim_matches('"');
    let name = value.rsplit(['/', '\\']).next()?;
    let usable = !matches!(name, "" | "." | "..") && !name.chars().any(char::is_control);
    usable.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_say_of_files() {
        assert_eq!(http_date("Thu, 01 Jan 1970 00:01:00 GMT"), Some(60));
        assert_eq!(http_date("yesterday"), None);
        for (text, expected) in [
            ("attachment; filename=\"a b.tar\"", Some("a b.tar")),
            ("attachment; filename=a", Some("a")),
            ("attachment; filename=\"../../etc/passwd\"", Some("passwd")),
            ("attachment; filename=\"..\"", None),
            ("inline", None),
        ] {
            assert_eq!(file_name(text).as_deref(), expected, "{text}");
        }
    }
}
