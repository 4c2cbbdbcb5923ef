//! What `ADD` brings here before it copies: archives unpacked, files of web servers, git repositories.

use super::select::Found;
use super::source::Source;
use crate::base::digest::Digest;
use crate::base::error::{Fault, Kind, fault};
use crate::base::temp::TempDir;
use crate::build::context::{self, Content, FetchUrl, GitUrl};
use crate::build::request::SecretSource;
use crate::build::site::Site;
use crate::build::step::{CopyOp, Unpack};
use crate::build::tree::Tree;
use crate::build::worker::Reporter;
use anyhow::{Context, Result};
use rustix::fs::{FileType, Mode, Timespec, Timestamps};
use std::fs::File;
use std::path::{Path, PathBuf};

/// What was brought here.
pub struct Fetched<'a> {
    /// The build.
    pub site: &'a Site<'a>,
    /// What asked for it.
    pub op: &'a CopyOp,
    /// Where it is.
    pub temp: &'a TempDir,
    /// The content of archives, which keeps its owners.
    pub archives: Vec<Tree>,
    /// Other things.
    pub folders: Vec<FetchedFolder>,
}

/// A folder of ours with something that was fetched.
pub struct FetchedFolder {
    /// The folder.
    pub tree: Tree,
    /// The one file in it that is meant; else all of it.
    pub file: Option<String>,
}

impl Fetched<'_> {
    /// Unpack what was found, if it is an archive that is to be unpacked; whether it is.
    pub fn unpack_from(&mut self, source: &Source<'_>, found: &Found) -> Result<bool> {
        if self.op.unpack == Unpack::Never {
            return Ok(false);
        }
        let real = source.tree.real_path(&found.named);
        if FileType::from_raw_mode(source.stat(&real)?.st_mode) != FileType::RegularFile {
            return Ok(false);
        }
        let file = super::hash::open(&[source.tree], 0, &real)?;
        self.unpack(file).with_context(|| format!("cannot unpack `{}`", found.named.display()))
    }

    fn unpack(&mut self, file: File) -> Result<bool> {
        let Content::Archive(mut archive) = context::tell(file)? else { return Ok(false) };
        let folder = self.folder()?;
        context::unpack_into(&mut archive, &folder)?;
        self.archives.push(Tree::folder(&folder)?);
        Ok(true)
    }

    /// Fetch what a URL means.
    pub fn fetch(&mut self, url: &str, reporter: &Reporter) -> Result<()> {
        let folder = self.folder()?;
        if GitUrl::is_one(url) {
            let mut wanted = GitUrl::parse(url)?;
            if let Some(checksum) = &self.op.checksum {
                wanted.checksum = Some(checksum.clone());
            }
            let found = context::fetch_git(&wanted, self.op.keep_git_dir, &folder)?;
            self.folders.push(FetchedFolder { tree: Tree::folder(&found.folder)?, file: None });
            return Ok(());
        }
        let checksum = self.op.checksum.as_deref().map(|text| {
            let wrong = || Fault::new(Kind::Usage, format!("`--checksum={text}` is no digest")).hint("sha256:…");
            Digest::parse(text).ok_or_else(wrong)
        });
        let checksum = checksum.transpose()?;
        let authorization = self.authorization(url)?;
        let what = FetchUrl { url, checksum: checksum.as_ref(), authorization: authorization.as_deref() };
        let found = context::fetch_url(what, &folder, &|done, total| reporter.progress(url, done, total))?;
        if self.op.unpack == Unpack::All && self.unpack(File::open(&found.path)?)? {
            return Ok(());
        }
        let into_folder = self.op.dest.ends_with('/');
        if found.name.is_empty() && into_folder {
            let text = format!("`{url}` has no file name, and the destination is a folder");
            return Err(fault(Kind::Usage, text));
        }
        let name = if found.name.is_empty() { "file".to_owned() } else { found.name };
        let path = folder.join("file").join(&name);
        std::fs::create_dir(folder.join("file")).context("cannot keep what was fetched")?;
        std::fs::rename(&found.path, &path).context("cannot keep what was fetched")?;
        // As docker: what comes from the web is for its owner alone, and as old as the server says.
        rustix::fs::chmod(&path, Mode::from_raw_mode(0o600)).context("cannot keep what was fetched")?;
        let time = Timespec { tv_sec: found.modified.unwrap_or(crate::build::plan::OLDEST), tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        rustix::fs::utimensat(rustix::fs::CWD, &path, &times, rustix::fs::AtFlags::empty())?;
        self.folders.push(FetchedFolder { tree: Tree::folder(&folder.join("file"))?, file: Some(name) });
        Ok(())
    }

    /// What `--secret id=HTTP_AUTH_TOKEN_<host>` or `HTTP_AUTH_HEADER_<host>` says to the server.
    fn authorization(&self, url: &str) -> Result<Option<String>> {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = host.rsplit('@').next().unwrap_or_default().split(':').next().unwrap_or_default();
        for (id, before) in [("HTTP_AUTH_HEADER", ""), ("HTTP_AUTH_TOKEN", "Bearer ")] {
            let id = format!("{id}_{host}");
            let Some(secret) = self.site.request.secrets.iter().find(|secret| secret.id == id) else { continue };
            return Ok(Some(format!("{before}{}", text(&secret.source)?.trim())));
        }
        Ok(None)
    }

    fn folder(&self) -> Result<PathBuf> {
        let count = self.archives.len() + self.folders.len();
        let name = (count..).map(|number| self.temp.path().join(format!("fetched{number}")));
        let path = name.into_iter().find(|path: &PathBuf| !path.exists()).context("there are no names left")?;
        std::fs::create_dir(&path).with_context(|| format!("cannot make folder `{}`", path.display()))?;
        Ok(path)
    }
}

/// A secret's value as a text.
fn text(source: &SecretSource) -> Result<String> {
    let read = |path: &Path| -> Result<String> {
        let bytes = crate::base::fs::read_limited(path, 1 << 20)?;
        String::from_utf8(bytes).context("it is no text")
    };
    match source {
        SecretSource::File(path) => read(path).with_context(|| format!("cannot read the secret `{}`", path.display())),
        SecretSource::Env(name) => crate::base::env::by_name(name)
            .ok_or_else(|| fault(Kind::Usage, format!("there is no variable `{name}` for the secret"))),
    }
}
