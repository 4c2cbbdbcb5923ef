//! Names of images, by the grammar of docker's `distribution/reference`.
//!
//! ```text
//! alpine                          docker.io/library/alpine
//! quay.io/a/b:1                   the first part is a host if it has a dot or a port, or is localhost
//! localhost:5000/x@sha256:…       a digest wins over a tag
//! ```

use crate::base::digest::Digest;
use crate::base::error::{Fault, Kind};
use anyhow::Result;
use std::fmt;

/// The registry that short names belong to.
pub const DEFAULT_DOMAIN: &str = "docker.io";

/// An image's name, normalised. Every part is checked: they become URLs and keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    /// Host and port, such as `docker.io` or `localhost:5000`.
    pub domain: String,
    /// The repository below it, such as `library/alpine`.
    pub path: String,
    /// The tag, if one was given.
    pub tag: Option<String>,
    /// The digest, if one was given.
    pub digest: Option<Digest>,
}

impl Reference {
    /// Parse a name as people write it; short names get `docker.io/` and `library/`.
    pub fn parse(text: &str) -> Result<Self> {
        let (name, tag, digest) = split(text)?;
        let (domain, path) = match split_domain(name) {
            Some((domain, path)) => (domain, path),
            None => (DEFAULT_DOMAIN, name),
        };
        Self::assemble(text, domain, path, tag, digest)
    }

    /// As [`Reference::parse`], but a short name belongs to this host (and namespace), such as `localhost`.
    pub fn parse_with_default(text: &str, default: &str) -> Result<Self> {
        let (name, tag, digest) = split(text)?;
        if split_domain(name).is_some() {
            return Self::parse(text);
        }
        let full = format!("{default}/{name}");
        match split_domain(&full) {
            Some((domain, path)) => Self::assemble(text, domain, path, tag, digest),
            None => Err(bad(text, "its registry is not a host").into()),
        }
    }

    fn assemble(text: &str, domain: &str, path: &str, tag: Option<&str>, digest: Option<Digest>) -> Result<Self> {
        let domain = if domain == "index.docker.io" { DEFAULT_DOMAIN } else { domain };
        if !is_domain(domain) {
            return Err(bad(text, "its registry is not a host").into());
        }
        let official = domain == DEFAULT_DOMAIN && !path.contains('/');
        let path = if official { format!("library/{path}") } else { path.to_owned() };
        check_path(text, &path)?;
        Ok(Self { domain: domain.to_owned(), path, tag: tag.map(str::to_owned), digest })
    }

    /// Whether the text names no registry, so that it is up to configuration which one is meant.
    pub fn is_short(text: &str) -> bool {
        split(text).is_ok_and(|(name, ..)| split_domain(name).is_none())
    }

    /// `domain/path`.
    pub fn repository(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// The tag; `latest` if there is neither tag nor digest.
    pub fn tag_or_default(&self) -> Option<&str> {
        self.tag.as_deref().or(if self.digest.is_none() { Some("latest") } else { None })
    }

    /// The name that the store knows it by: `domain/path@digest` if there is a digest, else `domain/path:tag`.
    pub fn stored_name(&self) -> String {
        match &self.digest {
            Some(digest) => format!("{}@{digest}", self.repository()),
            None => format!("{}:{}", self.repository(), self.tag.as_deref().unwrap_or("latest")),
        }
    }

    /// What a registry is asked for: the digest, else the tag.
    pub fn version(&self) -> &str {
        self.digest.as_ref().map_or_else(|| self.tag.as_deref().unwrap_or("latest"), Digest::as_str)
    }

    /// As docker shows it: without `docker.io/` and `library/`.
    pub fn familiar(&self) -> String {
        let full = self.to_string();
        let Some(rest) = full.strip_prefix("docker.io/") else { return full };
        match rest.strip_prefix("library/") {
            Some(official) if !official.contains('/') => official.to_owned(),
            _ => rest.to_owned(),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.domain, self.path)?;
        if let Some(tag) = self.tag_or_default() {
            write!(f, ":{tag}")?;
        }
        self.digest.as_ref().map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

fn bad(text: &str, why: &str) -> Fault {
    let shown: String = text.chars().take(300).collect();
    Fault::new(Kind::Usage, format!("invalid image name `{}`: {why}", shown.escape_debug()))
}

/// Cut off digest and tag.
fn split(text: &str) -> Result<(&str, Option<&str>, Option<Digest>)> {
    if text.is_empty() {
        return Err(bad(text, "it is empty").into());
    }
    if let Some((_, rest)) = text.split_once("://") {
        return Err(bad(text, "it is a URL").hint(format!("leave out the scheme: {}", rest.escape_debug())).into());
    }
    let (rest, digest) = match text.split_once('@') {
        None => (text, None),
        Some((rest, digest)) => match Digest::parse(digest) {
            Some(digest) => (rest, Some(digest)),
            None => return Err(bad(text, "after `@` a digest is expected, `sha256:` and 64 lower-case digits").into()),
        },
    };
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    if let Some(tag) = tag
        && !is_tag(tag)
    {
        return Err(bad(text, "its tag may hold only letters, digits and `_.-`, at most 128").into());
    }
    if name.is_empty() {
        return Err(bad(text, "it has no repository").into());
    }
    if digest.is_none() && tag.is_none() && name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(bad(text, "64 hexadecimal digits are an id, not a name").into());
    }
    Ok((name, tag, digest))
}

/// The first part is a host if it has a dot or a port, is localhost, or has capitals (which no repository has).
fn split_domain(name: &str) -> Option<(&str, &str)> {
    let (first, rest) = name.split_once('/')?;
    let host = first.contains(['.', ':']) || first == "localhost" || first.bytes().any(|b| b.is_ascii_uppercase());
    host.then_some((first, rest))
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=128).contains(&tag.len())
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

/// Host names, IPv4 addresses, IPv6 addresses in brackets; then a port.
fn is_domain(domain: &str) -> bool {
    let (host, port) = match domain.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) if address.parse::<std::net::Ipv6Addr>().is_ok() => ("ipv6", port),
            _ => return false,
        },
        None => domain.split_at(domain.find(':').unwrap_or(domain.len())),
    };
    let port_is_fine = match port.strip_prefix(':') {
        Some(port) => port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok(),
        None => port.is_empty(),
    };
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    port_is_fine && host.len() <= 253 && host.split('.').all(label)
}

/// Lower-case words joined by `.`, `_`, `__` or dashes, in parts joined by `/`.
fn check_path(text: &str, path: &str) -> Result<()> {
    if path.bytes().any(|b| b.is_ascii_uppercase()) {
        let fault = bad(text, "repositories are written in lower case");
        return Err(fault.hint(format!("try {}", text.to_lowercase().escape_debug())).into());
    }
    if path.len() > 255 {
        return Err(bad(text, "its repository is longer than 255 characters").into());
    }
    if !path.split('/').all(is_component) {
        return Err(
            bad(text, "a repository is made of lower-case letters and digits, joined by `.`, `_`, `-`, `/`").into()
        );
    }
    Ok(())
}

fn is_component(part: &str) -> bool {
    let alnum = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let mut words = part.split(|c: char| c.is_ascii() && alnum(c as u8)).filter(|gap| !gap.is_empty());
    part.bytes().next().is_some_and(alnum)
        && part.bytes().last().is_some_and(alnum)
        && words.all(|gap| matches!(gap, "." | "_" | "__") || gap.bytes().all(|b| b == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn names_are_normalised() {
        let at = format!("alpine@{D}");
        let both = format!("alpine:3@{D}");
        for (text, full, familiar) in [
            ("alpine", "docker.io/library/alpine:latest", "alpine:latest"),
            ("alpine:3.20", "docker.io/library/alpine:3.20", "alpine:3.20"),
            ("a/b", "docker.io/a/b:latest", "a/b:latest"),
            ("docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
            ("index.docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
            ("quay.io/a/b/c:x", "quay.io/a/b/c:x", "quay.io/a/b/c:x"),
            ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
            ("localhost:5000/x", "localhost:5000/x:latest", "localhost:5000/x:latest"),
            ("127.0.0.1:5000/a/b:1", "127.0.0.1:5000/a/b:1", "127.0.0.1:5000/a/b:1"),
            ("[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"),
            ("Foo/bar", "Foo/bar:latest", "Foo/bar:latest"),
            ("a__b/c---d.e_f", "docker.io/a__b/c---d.e_f:latest", "a__b/c---d.e_f:latest"),
            (&at, &format!("docker.io/library/alpine@{D}"), &at),
            (&both, &format!("docker.io/library/alpine:3@{D}"), &both),
        ] {
            let reference = Reference::parse(text).unwrap();
            assert_eq!(reference.to_string(), full, "{text}");
            assert_eq!(reference.familiar(), familiar, "{text}");
            assert_eq!(Reference::parse(full).unwrap().to_string(), full, "normalising twice");
        }
        assert_eq!(Reference::parse(&both).unwrap().stored_name(), format!("docker.io/library/alpine@{D}"));
        assert_eq!(Reference::parse_with_default("x:1", "localhost").unwrap().to_string(), "localhost/x:1");
        assert_eq!(Reference::parse_with_default("quay.io/x", "localhost").unwrap().domain, "quay.io");
    }

    #[test]
    fn other_text_is_refused() {
        let long = "a".repeat(256);
        let id = "a".repeat(64);
        for text in [
            "",
            ":",
            ":tag",
            "@",
            "a@",
            "a@sha256:../../x",
            "a@md5:d41d8cd98f00b204e9800998ecf8427e",
            "a:",
            "a:-x",
            "a: b",
            "a/",
            "/a",
            "a//b",
            "a/../b",
            "../a",
            "./a",
            "a b",
            "a\n",
            "Alpine",
            "quay.io/Alpine",
            "a..b",
            "a.-b",
            "a___b",
            "-a",
            "a-",
            "_a",
            "https://quay.io/a",
            "quay.io:99999/a",
            "quay.io:/../a",
            "-x.y/a",
            "[::1/a",
            "[zz]/a",
            "ä",
            "a:ä",
            "a%2fb",
            "a?b",
            "a#b",
            &long,
            &id,
        ] {
            assert!(Reference::parse(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn capitals_get_advice() {
        let error = Reference::parse("Alpine").unwrap_err();
        assert_eq!(error.to_string(), "invalid image name `Alpine`: repositories are written in lower case");
        assert_eq!(error.downcast_ref::<Fault>().unwrap().hints, ["try alpine"]);
    }
}
