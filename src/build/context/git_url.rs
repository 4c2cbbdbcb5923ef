//! URLs of git repositories as contexts: `URL#REF:FOLDER`, or `URL?ref=…&subdir=…` (BuildKit, `util/gitutil`).
//! Pure; nothing here touches the world.

use crate::base::error::{Fault, Kind};
use anyhow::Result;

/// A part of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GitUrl {
    /// What git is given.
    pub remote: String,
    /// A branch, tag, or commit; `None`: what the repository has as `HEAD`.
    pub reference: Option<String>,
    /// The folder that is wanted.
    pub subdir: Option<String>,
    /// The commit that it must be, or the beginning of its digits.
    pub checksum: Option<String>,
    /// `keep-git-dir=`.
    pub keep_git_dir: Option<bool>,
    /// `submodules=false`.
    pub no_submodules: bool,
}

impl GitUrl {
    /// Whether a text means a git repository: by its scheme, by `.git` at its end, or as `USER@HOST:PATH`.
    pub fn is_one(text: &str) -> bool {
        let (url, _) = text.split_once('#').unwrap_or((text, ""));
        let (url, _) = url.split_once('?').unwrap_or((url, ""));
        let web = url.starts_with("http://") || url.starts_with("https://");
        let known = ["git://", "ssh://", "file://"].iter().any(|scheme| url.starts_with(scheme));
        known || (web && url.ends_with(".git")) || url.starts_with("github.com/") || is_scp(url)
    }

    /// Parse. Errors: a part that git would take for an option, or that leads out of the repository; an unknown key.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |what: &str| {
            let text = format!("cannot use the git repository `{}`: {what}", text.escape_debug());
            Fault::new(Kind::Usage, text).hint("https://HOST/PATH.git#REF:FOLDER")
        };
        let (url, fragment) = text.split_once('#').map_or((text, None), |(url, rest)| (url, Some(rest)));
        let (url, query) = match is_scp(url) {
            true => (url, None),
            false => url.split_once('?').map_or((url, None), |(url, rest)| (url, Some(rest))),
        };
        let remote = if url.starts_with("github.com/") { format!("https://{url}") } else { url.to_owned() };
        let mut git = Self { remote, ..Self::default() };
        if let Some(fragment) = fragment {
            let (reference, subdir) = fragment.split_once(':').unwrap_or((fragment, ""));
            git.reference = some(reference);
            git.subdir = some(subdir);
        }
        for pair in query.into_iter().flat_map(|query| query.split('&')).filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decode(value).ok_or_else(|| wrong(&format!("`{pair}` is not percent-encoded UTF-8")))?;
            let boolean = || match value.as_str() {
                "" | "1" | "true" => Ok(true),
                "0" | "false" => Ok(false),
                _ => Err(wrong(&format!("`{key}` is true or false"))),
            };
            match key {
                "ref" | "branch" | "tag" if git.reference.is_some() => {
                    return Err(wrong("it says twice which ref is wanted").into());
                }
                "ref" => git.reference = some(&value),
                "branch" => git.reference = some(&value).map(|name| format!("refs/heads/{name}")),
                "tag" => git.reference = some(&value).map(|name| format!("refs/tags/{name}")),
                "subdir" => git.subdir = some(&value),
                "checksum" | "commit" => git.checksum = some(&value),
                "keep-git-dir" => git.keep_git_dir = Some(boolean()?),
                "submodules" => git.no_submodules = !boolean()?,
                _ => {
                    let known = "branch, checksum, keep-git-dir, ref, subdir, submodules, tag";
                    return Err(wrong(&format!("it has no key `{key}`, but {known}")).into());
                }
            }
        }
        git.check().map_err(|what| wrong(&what))?;
        Ok(git)
    }

    /// What git would misunderstand (CVE-2019-13139, CVE-2024-10220 and their kin).
    fn check(&self) -> Result<(), String> {
        let control = |text: &str| text.contains(|c: char| c.is_control() || c.is_whitespace());
        if self.remote.starts_with('-') || control(&self.remote) || self.remote.contains("::") {
            return Err("this is no address of a repository".into());
        }
        // A host that begins with a dash is an option to ssh (CVE-2017-1000117).
        let after = self.remote.split_once("://").map_or(self.remote.as_str(), |(_, rest)| rest);
        let host = after.split(['/', ':']).next().unwrap_or_default();
        if host.starts_with('-') || host.rsplit('@').next().is_some_and(|host| host.starts_with('-')) {
            return Err("its host begins with a dash".into());
        }
        if let Some(reference) = &self.reference
            && (reference.starts_with(['-', '+'])
                || control(reference)
                || reference.contains(['*', ':', '^', '~', '\\']))
        {
            return Err(format!("`{}` is no branch, tag or commit", reference.escape_debug()));
        }
        if let Some(sum) = &self.checksum
            && !((7..=64).contains(&sum.len()) && sum.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)))
        {
            return Err(format!("`{}` is no commit: 7 to 64 digits of 0-9a-f", sum.escape_debug()));
        }
        Ok(())
    }

    /// The name that a file or folder made of it gets: the last part of its path.
    pub fn name(&self) -> &str {
        let path = self.remote.trim_end_matches('/').trim_end_matches(".git");
        path.rsplit(['/', ':']).next().unwrap_or(path)
    }
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// `USER@HOST:PATH`, as scp(1) has it.
fn is_scp(url: &str) -> bool {
    let Some((login, path)) = url.split_once(':') else { return false };
    let name = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    !path.is_empty() && !path.starts_with("//") && login.split_once('@').is_some_and(|(u, h)| name(u) && name(h))
}

/// Percent-encoding undone (RFC 3986, section 2.1).
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                (digit(rest.next())? * 16 + digit(rest.next())?) as u8
            }
            b'+' => b' ',
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_repository() {
        for (text, expected) in [
            ("git://host/x", true),
            ("https://host/x.git", true),
            ("https://host/x.git#main:a", true),
            ("https://host/x.git?ref=v1", true),
            ("git@github.com:me/x.git", true),
            ("git@github.com:me/x", true),
            ("ssh://git@host/x", true),
            ("file:///x", true),
            ("github.com/me/x", true),
            ("https://host/x.tar.gz", false),
            ("./x.git", false),
            ("x@y", false),
            ("a:b", false),
            ("oci-layout://x@y:z", false),
        ] {
            assert_eq!(GitUrl::is_one(text), expected, "{text}");
        }
    }

    #[test]
    fn parts_of_urls() {
        let git = |remote: &str, reference: &str, subdir: &str| GitUrl {
            remote: remote.into(),
            reference: some(reference),
            subdir: some(subdir),
            ..GitUrl::default()
        };
        for (text, expected) in [
            ("https://h/x.git", git("https://h/x.git", "", "")),
            ("https://h/x.git#main", git("https://h/x.git", "main", "")),
            ("https://h/x.git#main:a/b", git("https://h/x.git", "main", "a/b")),
            ("https://h/x.git#:a", git("https://h/x.git", "", "a")),
            ("git@h:me/x.git#v1", git("git@h:me/x.git", "v1", "")),
            ("github.com/me/x#v1", git("https://github.com/me/x", "v1", "")),
            ("https://h/x.git?branch=a%2Fb&subdir=c", git("https://h/x.git", "refs/heads/a/b", "c")),
            ("https://h/x.git?tag=v1", git("https://h/x.git", "refs/tags/v1", "")),
            (
                "https://h/x.git?ref=v1&checksum=0123abc&keep-git-dir=1&submodules=false",
                GitUrl {
                    checksum: Some("0123abc".into()),
                    keep_git_dir: Some(true),
                    no_submodules: true,
                    ..git("https://h/x.git", "v1", "")
                },
            ),
        ] {
            assert_eq!(GitUrl::parse(text).unwrap(), expected, "{text}");
        }
        assert_eq!(GitUrl::parse("https://h/me/x.git/#a").unwrap().name(), "x");
        assert_eq!(GitUrl::parse("git@h:x.git").unwrap().name(), "x");
    }

    #[test]
    fn what_git_would_misunderstand_is_refused() {
        for text in [
            "--upload-pack=touch /tmp/x",
            "ssh://-oProxyCommand=x/y",
            "ssh://git@-oProxyCommand=x/y",
            "ext::sh -c x",
            "https://h/x.git#--upload-pack=x",
            "https://h/x.git#+refs/heads/*",
            "https://h/x.git?ref=%0a",
            "https://h/x.git?ref=%zz",
            "https://h/x.git?ref=a&branch=b",
            "https://h/x.git?x=1",
            "https://h/x.git?keep-git-dir=perhaps",
            "https://h/x.git?checksum=xyz",
            "https://h/x y.git",
        ] {
            assert!(GitUrl::parse(text).is_err(), "{text}");
        }
    }
}
