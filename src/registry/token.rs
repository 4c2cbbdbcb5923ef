//! Answering challenges: Basic, and Bearer tokens from a token server.
//!
//! The registry names the token server (`realm`), so credentials go there only if it belongs to the registry by name;
//! a stranger is asked anonymously. <https://distribution.github.io/distribution/spec/auth/token/>

use super::challenge::{self, Challenge};
use super::explain::{self, Failure, refusal};
use super::http::{self, Content, Request, Transport};
use super::{origin, scope};
use crate::base::base64;
use crate::config::auth::Secret;
use reqwest::header::{HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, Response, Url};

/// An answer of a token server has at most this many bytes.
const TOKEN_LIMIT: u64 = 1 << 20;

/// What to send, and what the user should know.
pub struct Answer {
    /// The `Authorization` header.
    pub authorization: Option<HeaderValue>,
    /// A remark: credentials were kept back.
    pub notice: Option<String>,
}

/// Answer the challenges of a 401. `wanted`: scopes that the token shall have beside those that the registry names.
pub async fn answer(
    transport: &Transport,
    response: &Response,
    secret: Option<&Secret>,
    wanted: &str,
) -> Result<Answer, Failure> {
    let headers = response.headers().get_all(WWW_AUTHENTICATE);
    let challenges: Vec<Challenge> =
        headers.iter().take(8).filter_map(|value| value.to_str().ok()).flat_map(challenge::parse).collect();
    for challenge in &challenges {
        if let Challenge::Bearer { realm, service, scope } = challenge {
            let scopes = scope::merge(wanted, scope.as_deref().unwrap_or_default());
            return bearer(transport, realm, service.as_deref(), &scopes, secret).await;
        }
    }
    let basic = challenges.contains(&Challenge::Basic);
    match secret {
        Some(Secret::Password { user, password }) if basic => {
            Ok(Answer { authorization: Some(basic_header(user, password)?), notice: None })
        }
        _ => Ok(Answer { authorization: None, notice: None }),
    }
}

/// Ask the token server.
async fn bearer(
    transport: &Transport,
    realm: &str,
    service: Option<&str>,
    scopes: &[String],
    secret: Option<&Secret>,
) -> Result<Answer, Failure> {
    let registry = transport.registry();
    let host = origin::host_and_port(registry);
    let mut url = Url::parse(realm).ok().filter(|url| url.has_host()).ok_or_else(|| {
        let shown: String = realm.chars().take(100).collect();
        refusal(format!("`{host}` names a token server that is no URL: `{}`", shown.escape_debug()))
    })?;
    transport.check_target(&url).await?;
    let (own, theirs) = (registry.host_str().unwrap_or_default(), url.host_str().unwrap_or_default());
    let known = origin::same_site(own, theirs);
    let notice = (!known && secret.is_some())
        .then(|| format!("`{host}` wants credentials sent to `{theirs}`, which is not its own: asking anonymously"));
    let secret = secret.filter(|_| known);
    let mut request = Request::new(Method::GET, url.clone());
    let service_pair = service.map(|service| ("service", service));
    match secret {
        Some(Secret::IdentityToken(token)) => {
            let mut form = Url::parse("http://form/").map_err(|error| refusal(error.to_string()))?;
            form.query_pairs_mut()
                .extend_pairs([("grant_type", "refresh_token"), ("client_id", "box")])
                .extend_pairs((!scopes.is_empty()).then(|| ("scope", scopes.join(" "))))
                .append_pair("refresh_token", token)
                .extend_pairs(service_pair);
            request.method = Method::POST;
            request.content = Content::Form(form.query().unwrap_or_default().to_owned());
        }
        other => {
            if let Some(Secret::Password { user, password }) = other {
                request.authorization = Some(basic_header(user, password)?);
                url.query_pairs_mut().append_pair("account", user);
            }
            url.query_pairs_mut().extend_pairs(service_pair).extend_pairs(scopes.iter().map(|scope| ("scope", scope)));
        }
    }
    request.url = url;
    let token_host = origin::host_and_port(&request.url);
    let response = transport.send(request).await?;
    let status = response.status();
    if !status.is_success() {
        let wait = explain::retry_after(&response);
        let words = http::body(response, TOKEN_LIMIT, transport.stall()).await.ok();
        let words =
            words.and_then(|body| explain::own_words(&body)).map(|words| format!(": {words}")).unwrap_or_default();
        let refused = refusal(format!("token server `{token_host}` answers {}{words}", status.as_u16()));
        return match status.as_u16() {
            // The registry's own refusal, which follows, says more.
            401 | 403 => Ok(Answer { authorization: None, notice }),
            _ if explain::is_passing(status) => Err(Failure::Passing(refused.into_error(), wait)),
            _ => Err(refused),
        };
    }
    let body = http::body(response, TOKEN_LIMIT, transport.stall()).await?;
    let damaged = || refusal(format!("token server `{token_host}` sends no token"));
    let value: serde_json::Value = serde_json::from_slice(&body).map_err(|_| damaged())?;
    let token = ["token", "access_token"].iter().find_map(|key| value.get(key)?.as_str()).ok_or_else(damaged)?;
    Ok(Answer { authorization: Some(header(format!("Bearer {token}"))?), notice })
}

fn basic_header(user: &str, password: &str) -> Result<HeaderValue, Failure> {
    header(format!("Basic {}", base64::encode(format!("{user}:{password}").as_bytes())))
}

/// A header that no debug print shows.
fn header(text: String) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::from_str(&text).map_err(|_| refusal("the credentials hold control characters"))?;
    value.set_sensitive(true);
    Ok(value)
}
