//! `docker-credential-NAME`: programs that keep passwords, in a keyring or a cloud.
//!
//! Only found in absolute folders of `PATH`, never in the current one; a secret goes through pipes, never through
//! arguments. <https://github.com/docker/docker-credential-helpers>

use super::auth::Secret;
use crate::base::error::{Fault, Kind, fault};
use crate::base::program;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::process::{Command, Stdio};

/// An answer of more bytes than this is none.
const ANSWER_LIMIT: u64 = 1 << 20;
/// The user's name that stands for an identity token.
const TOKEN: &str = "<token>";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    #[serde(default, rename = "ServerURL")]
    server_url: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

/// What a helper knows of a server; `None`: nothing.
pub fn get(helper: &str, server: &str) -> Result<Option<Secret>> {
    let Some(answer) = run(helper, "get", server.as_bytes())? else { return Ok(None) };
    let damaged = || fault(Kind::Host, format!("`docker-credential-{helper}` does not answer in its protocol"));
    let entry: Entry = serde_json::from_slice(&answer).map_err(|_| damaged())?;
    Ok(Some(match entry.username.as_str() {
        TOKEN => Secret::IdentityToken(entry.secret),
        _ => Secret::Password { user: entry.username, password: entry.secret },
    }))
}

/// Give a helper a server's credentials to keep.
pub fn store(helper: &str, server: &str, secret: &Secret) -> Result<()> {
    let (username, secret) = match secret {
        Secret::Password { user, password } => (user.clone(), password.clone()),
        Secret::IdentityToken(token) => (TOKEN.to_owned(), token.clone()),
    };
    let entry = Entry { server_url: server.to_owned(), username, secret };
    run(helper, "store", &serde_json::to_vec(&entry)?).map(drop)
}

/// Let a helper forget a server; false if it knew nothing.
pub fn erase(helper: &str, server: &str) -> Result<bool> {
    Ok(run(helper, "erase", server.as_bytes())?.is_some())
}

/// Run a helper; `None`: it has no such credentials.
fn run(helper: &str, deed: &str, input: &[u8]) -> Result<Option<Vec<u8>>> {
    let name = format!("docker-credential-{helper}");
    if helper.is_empty() || !helper.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
        return Err(fault(Kind::Host, format!("`{}` is no name of a credential helper", helper.escape_debug())));
    }
    let Some(program) = program::find(&name) else {
        let text = format!("the configuration names `{name}` for passwords, and there is no such program");
        let hint = "install it, or take `credHelpers` and `credsStore` out of the file and log in again: box login";
        return Err(Fault::new(Kind::Host, text).hint(hint).into());
    };
    let failed = || format!("cannot run `{name}`");
    let mut child = Command::new(program)
        .arg(deed)
        .stdin(program::input(input).with_context(failed)?)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(failed)?;
    let mut answer = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(ANSWER_LIMIT).read_to_end(&mut answer).with_context(failed)?;
    }
    let status = child.wait().with_context(failed)?;
    if status.success() {
        return Ok(Some(answer));
    }
    let words = String::from_utf8_lossy(&answer);
    let words = words.trim();
    // The protocol's own words for it, and those of helpers that have others.
    if words.contains("credentials not found") || words.contains("not logged in") {
        return Ok(None);
    }
    let words: String = words.lines().next().unwrap_or_default().chars().take(200).collect();
    Err(fault(Kind::Host, format!("`{name} {deed}` failed: {}", words.escape_debug())))
}
