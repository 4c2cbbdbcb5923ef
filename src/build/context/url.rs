//! A file from a web server: `ADD` of URLs, contexts, Dockerfiles.

use crate::base::digest::{Digest, Hasher};
use crate::base::error::{Kind, fault};
use crate::registry::{self, Downloaded};
use anyhow::{Context, Result};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Pieces on their way from the network to the disk.
const QUEUE: usize = 16;

/// A file that was brought here.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FetchedFile {
    /// Where it is.
    pub path: PathBuf,
    /// What the server calls it, or the last part of the URL's path; empty if that has none.
    pub name: String,
    /// When it was changed last, seconds since 1970, if the server says so.
    pub modified: Option<i64>,
    /// The digest of its content.
    pub digest: Digest,
}

/// How a file is to be fetched.
#[derive(Debug, Clone, Copy)]
pub struct FetchUrl<'a> {
    /// Where it is: `http:` or `https:`.
    pub url: &'a str,
    /// What it must be.
    pub checksum: Option<&'a Digest>,
    /// The `Authorization` header, for the URL's own host.
    pub authorization: Option<&'a str>,
}

/// Fetch a file into `folder`, under a name of ours. Uses threads: the caller is a worker.
///
/// Errors: the server, or the way to it; [`Kind::BadData`] if it is another than `checksum` says. Nothing is left then.
pub fn fetch_url(what: FetchUrl<'_>, folder: &Path, progress: &dyn Fn(u64, Option<u64>)) -> Result<FetchedFile> {
    let deed = || format!("cannot fetch `{}`", shown(what.url));
    let path = folder.join("download");
    let result = write(what, &path, progress).with_context(deed);
    let (downloaded, digest) = result.inspect_err(|_| drop(std::fs::remove_file(&path)))?;
    if let Some(checksum) = what.checksum.filter(|checksum| **checksum != digest) {
        let _ = std::fs::remove_file(&path);
        return Err(fault(Kind::BadData, format!("its digest is {digest}, not {checksum}"))).with_context(deed);
    }
    let name = downloaded.file_name.unwrap_or_else(|| name_of(what.url));
    Ok(FetchedFile { path, name, modified: downloaded.modified, digest })
}

fn write(what: FetchUrl<'_>, path: &Path, progress: &dyn Fn(u64, Option<u64>)) -> Result<(Downloaded, Digest)> {
    let algorithm = what.checksum.map_or(crate::base::digest::Algorithm::Sha256, Digest::algorithm);
    let (mut file, mut hasher) = (File::create(path)?, Hasher::new(algorithm));
    let (to, mut from) = tokio::sync::mpsc::channel::<Vec<u8>>(QUEUE);
    let downloaded = registry::runtime()?.block_on(async {
        let download = registry::download_as(what.url, what.authorization, to);
        let keep = async {
            let mut done = 0;
            while let Some(piece) = from.recv().await {
                hasher.update(&piece);
                file.write_all(&piece)?;
                done += piece.len() as u64;
                progress(done, None);
            }
            Ok::<_, anyhow::Error>(done)
        };
        let (downloaded, kept) = tokio::join!(download, keep);
        let done = kept?;
        let downloaded = downloaded?;
        progress(done, Some(done));
        Ok::<_, anyhow::Error>(downloaded)
    })?;
    Ok((downloaded, hasher.finish()))
}

/// A URL without the password that may be in it, and without what follows the path, which may hold a token.
fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = host.rsplit('@').next().unwrap_or(host);
    format!("{scheme}://{host}/{path}").escape_debug().to_string()
}

/// The last part of the path; nothing where it ends with a slash.
fn name_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = rest.split(['?', '#']).next().unwrap_or(rest);
    path.split_once('/').and_then(|(_, path)| path.rsplit('/').next()).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_secrets_of_urls() {
        for (url, name, text) in [
            ("https://h/a/b.tar.gz", "b.tar.gz", "https://h/a/b.tar.gz"),
            ("https://h/a/b?x=y/z", "b", "https://h/a/b"),
            ("https://h/a/", "", "https://h/a/"),
            ("https://h", "", "https://h/"),
            ("https://me:secret@h:1/x#y", "x", "https://h:1/x"),
        ] {
            assert_eq!((name_of(url).as_str(), shown(url).as_str()), (name, text), "{url}");
        }
    }
}
