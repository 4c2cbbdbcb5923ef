//! `login` and `logout`: credentials into the auth file and out of it.

use super::access::{ask_line, ask_password};
use super::args::Globals;
use super::args::login::{Login, Logout};
use super::output::print_line;
use super::session;
use crate::base::error::{Fault, Kind, fault};
use crate::config::auth::{self, Credentials, Secret};
use crate::config::login;
use crate::config::registries::Registries;
use crate::registry::{self, Access};
use crate::volume::secret;
use anyhow::{Context, Result};
use std::io::{Read, Write};

/// A password is not longer than this.
const PASSWORD_LIMIT: u64 = 1 << 20;

/// `box login`.
pub fn login(args: &Login, globals: &Globals) -> Result<u8> {
    let key = key(args.registry.as_deref())?;
    let (host, path) = key.split_once('/').unwrap_or((&key, ""));
    let given = args.compat_auth_file.as_deref().or(args.authfile.as_deref());
    let known = || -> Result<Option<Secret>> {
        match given {
            // A file that is about to be made has nothing yet.
            Some(file) if !file.exists() => Ok(None),
            given => Credentials::load(given)?.find(host, path),
        }
    };
    if args.get_login {
        let name = match known()? {
            Some(Secret::Password { user, .. }) => user,
            Some(Secret::IdentityToken(_)) => "<token>".to_owned(),
            None => return Err(not_logged_in(&key)),
        };
        print_line(&name)?;
        return Ok(0);
    }
    let asks = args.username.is_none() && args.password.is_none() && args.secret.is_none();
    if asks && let Some(secret) = known()? {
        if check(args, &key, &secret).is_ok() {
            print_line(&format!("Existing credentials are valid. Already logged in to {key}"))?;
            return Ok(0);
        }
        let _ = writeln!(std::io::stderr(), "The credentials that are kept for {key} are not valid any more.");
    }
    let user = match args.username.as_ref().or(args.secret.as_ref()) {
        Some(user) => user.clone(),
        None => ask_line("Username")?,
    };
    let password = match (&args.password, &args.secret) {
        (Some(password), _) => password.clone(),
        (None, Some(name)) => of_secret(name, globals)?,
        (None, None) if args.password_stdin => read_password()?,
        (None, None) => ask_password()?,
    };
    if user.is_empty() || user.contains(':') {
        return Err(fault(Kind::Usage, "a user's name is not empty and has no colon"));
    }
    let secret = Secret::Password { user, password };
    check(args, &key, &secret).with_context(|| format!("cannot log in to `{key}`"))?;
    let file = login::target(given)?;
    login::store(&file, &key, &secret).with_context(|| format!("cannot keep the login to `{key}`"))?;
    if args.verbose {
        let _ = writeln!(std::io::stderr(), "Used: {}", file.display());
    }
    print_line("Login Succeeded!")?;
    Ok(0)
}

/// `box logout`.
pub fn logout(args: &Logout) -> Result<u8> {
    let file = login::target(args.compat_auth_file.as_deref().or(args.authfile.as_deref()))?;
    if args.all {
        if file.exists() {
            login::erase_all(&file)?;
        }
        print_line("Removed login credentials for all registries")?;
        return Ok(0);
    }
    let key = key(args.registry.as_deref())?;
    let removed = file.exists() && login::erase(&file, &key)?;
    if removed {
        print_line(&format!("Removed login credentials for {key}"))?;
        return Ok(0);
    }
    // Others' files are left to those who wrote them.
    let (host, path) = key.split_once('/').unwrap_or((&key, ""));
    match Credentials::load(args.authfile.as_deref())?.locate(host, path)? {
        Some((_, other)) => {
            let text = format!("the login to `{key}` is not in `{}` but in `{}`", file.display(), other.display());
            let hint = format!("box logout --authfile {} {key}", other.display());
            Err(Fault::new(Kind::NotFound, text).hint(hint).into())
        }
        None => Err(not_logged_in(&key)),
    }
}

fn not_logged_in(key: &str) -> anyhow::Error {
    Fault::new(Kind::NotFound, format!("not logged in to `{key}`")).hint(format!("box login {key}")).into()
}

/// The key of a registry in auth files: what was typed without a scheme, or the default registry.
fn key(typed: Option<&str>) -> Result<String> {
    let typed = match typed {
        Some(typed) => typed.to_owned(),
        None => Registries::load()?.first_search(),
    };
    let bare = auth::normal(typed.trim_end_matches('/'));
    registry::check_name(bare).with_context(|| format!("`{}` is no registry", typed.escape_debug()))?;
    Ok(bare.to_owned())
}

fn check(args: &Login, key: &str, secret: &Secret) -> Result<()> {
    let mut access = Access::with_tls_verify(args.tls_verify);
    access.cert_dir.clone_from(&args.cert_dir);
    access.creds = Some(secret.clone());
    registry::check_login(&access, key)
}

/// The password that a secret holds.
fn of_secret(name: &str, globals: &Globals) -> Result<String> {
    let value = secret::find(&session::open(globals)?.dirs, name)?.value()?;
    let no_text = |_| fault(Kind::Usage, format!("the secret `{}` is no text", name.escape_debug()));
    let text = String::from_utf8(value).map_err(no_text)?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

fn read_password() -> Result<String> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(PASSWORD_LIMIT).read_to_string(&mut text);
    read.context("cannot read the password from stdin")?;
    let password = text.strip_suffix('\n').unwrap_or(&text);
    let password = password.strip_suffix('\r').unwrap_or(password);
    if password.is_empty() {
        return Err(fault(Kind::Usage, "there is no password on stdin"));
    }
    Ok(password.to_owned())
}
