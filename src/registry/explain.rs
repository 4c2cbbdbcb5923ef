//! What went wrong on the way to a registry, in one line, with what the user can do about it.

use crate::base::env;
use crate::base::error::{Fault, Kind};
use reqwest::{Response, StatusCode};
use std::time::Duration;

/// A failed attempt.
#[derive(Debug)]
pub enum Failure {
    /// It may work in a moment, not before this delay if there is one.
    Passing(anyhow::Error, Option<Duration>),
    /// Trying again would not help.
    Final(anyhow::Error),
}

impl Failure {
    /// The error itself.
    pub fn into_error(self) -> anyhow::Error {
        match self {
            Self::Passing(error, _) | Self::Final(error) => error,
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Final(error)
    }
}

/// A lasting failure of this kind.
pub fn refusal(text: impl Into<String>) -> Failure {
    Failure::Final(Fault::new(Kind::Registry, text).into())
}

/// What to do about a registry without TLS.
const PLAIN_HTTP: &str =
    "if it is yours and speaks plain HTTP: --tls-verify=false, or `insecure = true` in registries.conf";

/// A connection that failed or broke.
pub fn transport(error: &reqwest::Error, host: &str) -> Failure {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut last = String::new();
    while let Some(cause) = source {
        if let Some(tls) = tls_error(cause) {
            return Failure::Final(handshake(tls, host).into());
        }
        last = cause.to_string();
        if last.contains("failed to lookup address") || last.contains("dns error") {
            let deeper = cause.source().map_or_else(|| last.clone(), ToString::to_string);
            return names(&deeper, host);
        }
        if last.contains("tls handshake eof") {
            let text = format!("`{host}` closed the connection in the TLS handshake");
            return Failure::Final(Fault::new(Kind::Registry, text).hint(PLAIN_HTTP).into());
        }
        if let Some(io) = cause.downcast_ref::<std::io::Error>()
            && let Some(failure) = connection(io, host)
        {
            return failure;
        }
        source = cause.source();
    }
    if error.is_timeout() {
        return stalled(host);
    }
    let fault = Fault::new(Kind::Registry, format!("the connection to `{host}` broke: {last}"));
    Failure::Passing(fault.into(), None)
}

/// The error of TLS within one of I/O, which shows its content by other means than `source`.
fn tls_error<'a>(cause: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
        return Some(tls);
    }
    let inner = cause.downcast_ref::<std::io::Error>()?.get_ref()?;
    tls_error(inner)
}

/// No answer or no data for too long.
pub fn stalled(host: &str) -> Failure {
    Failure::Passing(Fault::new(Kind::Registry, format!("`{host}` does not answer any more")).into(), None)
}

/// Errors of connect(2) and read(2).
fn connection(io: &std::io::Error, host: &str) -> Option<Failure> {
    use std::io::ErrorKind;
    let fault = match io.kind() {
        ErrorKind::ConnectionRefused if let Some(proxy) = env::proxy() => {
            let text = format!("`{host}`, or the proxy `{proxy}` on the way to it, refuses connections");
            Fault::new(Kind::Registry, text).hint(format!("without the proxy: NO_PROXY={host} box …"))
        }
        ErrorKind::ConnectionRefused => Fault::new(Kind::Registry, format!("`{host}` refuses connections"))
            .hint(format!("is a registry running there? curl -v http://{host}/v2/")),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
            Fault::new(Kind::Registry, format!("there is no route to `{host}`")).hint("check the network: ip route")
        }
        _ => return None,
    };
    Some(Failure::Final(fault.into()))
}

/// Errors of name resolution.
fn names(text: &str, host: &str) -> Failure {
    if text.contains("Temporary failure") || text.contains("Try again") {
        let fault = Fault::new(Kind::Registry, format!("the name `{host}` cannot be looked up now"));
        return Failure::Passing(fault.hint("check the network and /etc/resolv.conf").into(), None);
    }
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let fault = Fault::new(Kind::Registry, format!("there is no host `{name}`"));
    Failure::Final(fault.hint("check the spelling, or the network if all names fail").into())
}

/// Errors of TLS.
fn handshake(error: &rustls::Error, host: &str) -> Fault {
    use rustls::CertificateError as C;
    let fault = |text: String| Fault::new(Kind::Registry, text);
    let trust = format!("trust its authority: put ca.crt into ~/.config/containers/certs.d/{host}/");
    match error {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            C::Expired | C::ExpiredContext { .. } => fault(format!("the certificate of `{host}` has expired"))
                .hint("if it has not, the clock is wrong: date"),
            C::NotValidYet | C::NotValidYetContext { .. } => {
                fault(format!("the certificate of `{host}` is not valid yet"))
                    .hint("the clock of this machine is probably wrong: date")
            }
            C::UnknownIssuer => {
                fault(format!("the certificate of `{host}` is signed by an unknown authority")).hint(trust)
            }
            C::NotValidForName | C::NotValidForNameContext { .. } => {
                fault(format!("the certificate of `{host}` is for another name"))
            }
            // The verifier's words for a certificate that is used as its own authority.
            C::Other(_) | C::BadSignature | C::BadEncoding => {
                fault(format!("the certificate of `{host}` is not valid: {error}")).hint(trust)
            }
            _ => fault(format!("the certificate of `{host}` is not valid: {error}")),
        },
        rustls::Error::InvalidMessage(_) => fault(format!("`{host}` does not speak TLS")).hint(PLAIN_HTTP),
        rustls::Error::AlertReceived(alert) => {
            let fault = fault(format!("`{host}` ended the TLS handshake: {alert:?}"));
            fault.hint(format!("if it wants a client certificate: put client.cert and client.key into ~/.config/containers/certs.d/{host}/"))
        }
        other => fault(format!("no TLS connection to `{host}`: {other}")),
    }
}

/// How long the server asks us to wait: seconds, or a date.
pub fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(reqwest::header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = chrono::DateTime::parse_from_rfc2822(text).ok()?;
    (date.to_utc() - chrono::Utc::now()).to_std().ok()
}

/// Whether a status may be another in a moment.
pub fn is_passing(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
}

/// The registry's own words in the body of an error: one line, short, without control characters.
pub fn own_words(body: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    let first = value.get("errors").and_then(|errors| errors.get(0)).unwrap_or(&value);
    let text = ["message", "details", "code"].iter().find_map(|key| first.get(key)?.as_str())?;
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::CertificateError as C;

    #[test]
    fn what_is_wrong_with_a_certificate() {
        for (error, text, hint) in [
            (C::Expired, "the certificate of `h` has expired", "clock"),
            (C::NotValidYet, "the certificate of `h` is not valid yet", "clock of this machine is probably wrong"),
            (C::UnknownIssuer, "the certificate of `h` is signed by an unknown authority", "certs.d/h/"),
            (C::NotValidForName, "the certificate of `h` is for another name", ""),
        ] {
            let fault = handshake(&rustls::Error::InvalidCertificate(error), "h");
            assert_eq!(fault.text, text);
            assert!(fault.hints.concat().contains(hint), "{:?}", fault.hints);
        }
    }
}
