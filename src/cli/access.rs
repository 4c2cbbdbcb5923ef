//! From flags to how registries are talked to, and questions for names and passwords.

use super::args::access::{AccessFlags, RetryFlags};
use crate::base::error::{Fault, Kind, fault};
use crate::base::time;
use crate::config::auth::Secret;
use crate::config::containers::Containers;
use crate::registry::Access;
use crate::sys::tty::{self, RawMode};
use anyhow::{Context, Result};
use std::io::{BufRead, Write};
use std::os::fd::AsFd;
use std::time::Duration;

/// What the flags say, and the configuration where they say nothing.
pub fn access(flags: &AccessFlags, retry: Option<&RetryFlags>) -> Result<Access> {
    let Some(retry) = retry else { return of(flags, &RetryFlags::default()) };
    let conf = Containers::load()?;
    let configured = |key: &str, typed: &Option<String>| typed.clone().map_or_else(|| conf.word(key), |w| Ok(Some(w)));
    let count = configured("engine.retry", &retry.retry)?;
    of(flags, &RetryFlags { retry: count, retry_delay: configured("engine.retry_delay", &retry.retry_delay)? })
}

/// The same without what is configured.
pub fn of(flags: &AccessFlags, retry: &RetryFlags) -> Result<Access> {
    let mut access = Access::with_tls_verify(flags.tls_verify);
    access.authfile.clone_from(&flags.authfile);
    access.cert_dir.clone_from(&flags.cert_dir);
    access.creds = flags.creds.as_deref().map(creds).transpose()?;
    let bad = |text: &String| fault(Kind::Usage, format!("`--retry` cannot be `{}`", text.escape_debug()));
    access.retry = retry.retry.as_ref().map(|text| text.parse().map_err(|_| bad(text))).transpose()?;
    access.retry_delay = retry.retry_delay.as_deref().map(delay).transpose()?;
    Ok(access)
}

fn delay(text: &str) -> Result<Duration> {
    let nanos = time::parse_duration(text).and_then(|nanos| u64::try_from(nanos).ok());
    let bad = || Fault::new(Kind::Usage, format!("`--retry-delay` cannot be `{text}`")).hint("such as 2s or 500ms");
    Ok(Duration::from_nanos(nanos.ok_or_else(bad)?))
}

/// `USER[:PASSWORD]`.
fn creds(text: &str) -> Result<Secret> {
    let (user, password) = match text.split_once(':') {
        Some((user, password)) => (user, password.to_owned()),
        None => (text, ask_password()?),
    };
    Ok(Secret::Password { user: user.to_owned(), password })
}

/// Ask for a line on the terminal. Errors: there is no terminal.
pub fn ask_line(question: &str) -> Result<String> {
    need_terminal()?;
    let mut err = std::io::stderr();
    let _ = write!(err, "{question}: ").and_then(|()| err.flush());
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("cannot read from the terminal")?;
    Ok(line.trim().to_owned())
}

/// Ask for a password on the terminal, without showing it.
pub fn ask_password() -> Result<String> {
    need_terminal()?;
    let stdin = std::io::stdin();
    let mut err = std::io::stderr();
    let raw = RawMode::enter(stdin.as_fd()).context("cannot hide what is typed")?;
    let _ = write!(err, "Password: ").and_then(|()| err.flush());
    let result = read_password(stdin.lock());
    drop(raw);
    let _ = writeln!(err);
    result
}

/// Read up to the end of the line, with the keys that edit one.
fn read_password(input: impl BufRead) -> Result<String> {
    let mut typed: Vec<u8> = Vec::new();
    for byte in input.bytes() {
        match byte.context("cannot read from the terminal")? {
            b'\r' | b'\n' | 4 => break,
            3 => return Err(fault(Kind::Interrupted(2), "interrupted")),
            8 | 127 => {
                // A character may be several bytes.
                while typed.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
            }
            21 => typed.clear(),
            other => typed.push(other),
        }
    }
    String::from_utf8(typed).map_err(|_| fault(Kind::Usage, "the password is not valid UTF-8"))
}

fn need_terminal() -> Result<()> {
    if tty::is_terminal(std::io::stdin().as_fd()) {
        return Ok(());
    }
    let fault = Fault::new(Kind::Usage, "cannot ask for name and password: stdin is no terminal");
    Err(fault.hint("box login -u USER --password-stdin REGISTRY < FILE").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_typed() {
        for (typed, expected) in [
            (&b"secret\r"[..], Some("secret")),
            (b"sx\x7fecret\nrest", Some("secret")),
            (b"wrong\x15right\r", Some("right")),
            ("ü\u{7f}a\r".as_bytes(), Some("a")),
            (b"", Some("")),
            (b"se\x03", None),
        ] {
            assert_eq!(read_password(typed).ok().as_deref(), expected);
        }
    }
}
