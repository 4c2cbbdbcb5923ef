//! Contexts: where a build's files come from, and the Dockerfile and the ignore file that lie there.
//!
//! Whatever comes from elsewhere (standard input, a git repository, a web server) is brought into a folder of ours first,
//! and read there without leaving it: a `Dockerfile` that is a link to `/etc/passwd` means the repository's own file of
//! that name. A folder of the user's is read as it is, links included: it is theirs.

mod git;
mod git_url;
mod packed;
mod url;

pub use git::{FetchedGit, fetch_git};
pub use git_url::GitUrl;
pub use packed::{Content, is_archive, tell, unpack_into};
pub use url::{FetchUrl, FetchedFile, fetch_url};

use super::request::{BuildRequest, ContextSource, FileSource};
use crate::base::error::{Fault, Kind, fault};
use crate::base::fs::read_limited;
use crate::registry::is_url;
use crate::sys::root::Root;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Dockerfiles and ignore files are at most this large, bytes.
const LARGEST: u64 = 4 << 20;
/// What the Dockerfile is called where `-f` does not say.
const NAMES: [&str; 3] = ["Containerfile", "Dockerfile", "dockerfile"];

/// Who is told how far something is: of what, bytes done, bytes in all.
pub type Progress<'a> = &'a dyn Fn(&str, u64, Option<u64>);

/// A context that is on the disk, with what leads the build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// Its files; `None`: there are none.
    pub folder: Option<PathBuf>,
    /// It came from elsewhere: nothing in it may lead out of it.
    pub remote: bool,
    /// The commit, of a git repository.
    pub revision: Option<String>,
    /// The Dockerfile.
    pub dockerfile: TextFile,
    /// What is not to be seen of the context.
    pub ignore: Option<TextFile>,
}

/// A file's name, as errors call it, and its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextFile {
    /// The name.
    pub name: String,
    /// The content.
    pub text: String,
}

/// What was brought here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetched {
    /// The files.
    pub folder: PathBuf,
    /// It was no archive but a Dockerfile alone; then there are no files.
    pub dockerfile: Option<String>,
    /// The commit, of a git repository.
    pub revision: Option<String>,
}

/// What a word means as a context: `-`, a git repository, a URL, or a folder.
pub fn source(text: &str) -> ContextSource {
    match text {
        "-" => ContextSource::Stdin,
        text if GitUrl::is_one(text) => ContextSource::Git(text.to_owned()),
        text if is_url(text) => ContextSource::Url(text.to_owned()),
        text => ContextSource::Folder(text.into()),
    }
}

/// What the value of `--build-context NAME=VALUE` means.
pub fn named_source(text: &str) -> ContextSource {
    let image =
        ["docker-image://", "container-image://", "docker://"].iter().find_map(|start| text.strip_prefix(start));
    match (image, text.strip_prefix("oci-layout://"), text.strip_prefix("target:")) {
        (Some(image), ..) => ContextSource::Image(image.to_owned()),
        (_, Some(layout), _) => ContextSource::Layout(layout.to_owned()),
        (.., Some(target)) => ContextSource::Target(target.to_owned()),
        // A folder may be called `-` here, as stdin is the context's.
        _ if text == "-" => ContextSource::Folder(text.into()),
        _ => source(text),
    }
}

/// Whether [`prepare`] fetches or unpacks: then it uses threads, and is for a worker.
pub fn is_remote(request: &BuildRequest) -> bool {
    let remote = matches!(request.context, ContextSource::Stdin | ContextSource::Git(_) | ContextSource::Url(_));
    remote || matches!(request.file, FileSource::Url(_))
}

/// Make the context ready and read what leads the build. `into` is an empty folder of ours, for what comes from elsewhere;
/// `stdin` is the caller's standard input, which is read only if the request says so.
///
/// Errors: the context or the Dockerfile is not there, or cannot be fetched; [`Kind::BadData`] if it is damaged.
pub fn prepare(request: &BuildRequest, stdin: Option<File>, into: &Path, progress: Progress<'_>) -> Result<Prepared> {
    if request.context == ContextSource::Stdin && request.file == FileSource::Stdin {
        let fault = Fault::new(Kind::Usage, "stdin cannot be both the context and the Dockerfile");
        return Err(fault.hint("box build - < Dockerfile, or box build -f - . < Dockerfile").into());
    }
    let keep_git_dir = request.args.iter().rfind(|(name, _)| name == "BUILDKIT_CONTEXT_KEEP_GIT_DIR");
    let keep_git_dir = keep_git_dir.is_some_and(|(_, value)| matches!(value.as_str(), "1" | "true"));
    let mut input = stdin;
    let fetched = fetch(&request.context, &mut input, keep_git_dir, into, progress)?;
    let (folder, remote, alone) = match (&request.context, &fetched) {
        (_, Some(fetched)) => (Some(fetched.folder.clone()), true, fetched.dockerfile.clone()),
        (ContextSource::Folder(path), None) => (Some(checked_folder(path)?), false, None),
        _ => (None, false, None),
    };
    let place = Place { folder: folder.as_deref(), remote };
    let (dockerfile, beside) = match (&request.file, alone) {
        (FileSource::Default, Some(text)) => (TextFile { name: "Dockerfile".into(), text }, None),
        (file, _) => place.dockerfile(file, &mut input, into, progress)?,
    };
    let ignore = match &request.ignore_file {
        Some(path) => Some(host_file(path).with_context(|| format!("cannot read `--ignorefile {}`", path.display()))?),
        None => place.ignore_file(beside.as_deref())?,
    };
    Ok(Prepared { folder, remote, revision: fetched.and_then(|fetched| fetched.revision), dockerfile, ignore })
}

/// Bring a context from elsewhere into `into`, an empty folder of ours. `None`: it is not elsewhere.
pub fn fetch(
    source: &ContextSource,
    stdin: &mut Option<File>,
    keep_git_dir: bool,
    into: &Path,
    progress: Progress<'_>,
) -> Result<Option<Fetched>> {
    let folder = into.join("files");
    let make = || std::fs::create_dir(&folder).with_context(|| format!("cannot make folder `{}`", folder.display()));
    match source {
        ContextSource::Git(text) => {
            make()?;
            let found = fetch_git(&GitUrl::parse(text)?, keep_git_dir, &folder)?;
            Ok(Some(Fetched { folder: found.folder, dockerfile: None, revision: Some(found.commit) }))
        }
        ContextSource::Url(url) => {
            make()?;
            let what = FetchUrl { url, checksum: None, authorization: None };
            let found = fetch_url(what, into, &|done, total| progress(url, done, total))?;
            let deed = || format!("cannot use `{}` as context", url.escape_debug());
            let result = settle(File::open(&found.path)?, &folder).with_context(deed);
            std::fs::remove_file(&found.path).with_context(deed)?;
            result.map(Some)
        }
        ContextSource::Stdin => {
            make()?;
            let stdin = stdin.take().context("stdin is closed")?;
            settle(stdin, &folder).context("cannot use stdin as context").map(Some)
        }
        _ => Ok(None),
    }
}

/// Unpack an archive, or take a Dockerfile that comes alone.
fn settle(stream: impl Read + 'static, folder: &Path) -> Result<Fetched> {
    let dockerfile = match tell(stream)? {
        Content::Archive(mut archive) => {
            unpack_into(&mut archive, folder)?;
            // Whoever writes it must not be stopped by a full pipe after the archive's end.
            std::io::copy(&mut archive, &mut std::io::sink())?;
            None
        }
        Content::Other(text) => Some(utf8(text)?),
    };
    Ok(Fetched { folder: folder.to_path_buf(), dockerfile, revision: None })
}

/// Where a Dockerfile is looked for.
struct Place<'a> {
    folder: Option<&'a Path>,
    remote: bool,
}

impl Place<'_> {
    /// The Dockerfile, and its path if files may lie beside it: in the context if that came from elsewhere.
    fn dockerfile(
        &self,
        file: &FileSource,
        stdin: &mut Option<File>,
        into: &Path,
        progress: Progress<'_>,
    ) -> Result<(TextFile, Option<PathBuf>)> {
        match file {
            FileSource::Inline(text) => Ok((TextFile { name: "Dockerfile".into(), text: text.clone() }, None)),
            FileSource::Stdin => {
                let stdin = stdin.take().context("stdin is closed")?;
                let text = utf8(stdin).context("cannot read the Dockerfile on stdin")?;
                Ok((TextFile { name: "Dockerfile".into(), text }, None))
            }
            FileSource::Url(url) => {
                let what = FetchUrl { url, checksum: None, authorization: None };
                let found = fetch_url(what, into, &|done, total| progress(url, done, total))?;
                let text = host_file(&found.path).map(|file| file.text);
                std::fs::remove_file(&found.path)?;
                let deed = || format!("cannot use `{}` as Dockerfile", url.escape_debug());
                Ok((TextFile { name: found.name, text: text.with_context(deed)? }, None))
            }
            FileSource::Path(path) => match self.read(path)? {
                Some(found) => Ok(found),
                None => Err(no_file(path, self.folder)),
            },
            FileSource::Default => {
                for name in NAMES {
                    if let Some(found) = self.in_context(Path::new(name))? {
                        return Ok(found);
                    }
                }
                let place =
                    self.folder.map_or_else(|| "the empty context".into(), |folder| format!("`{}`", folder.display()));
                let place = if self.remote { "the context".to_owned() } else { place };
                let fault = Fault::new(Kind::NotFound, format!("there is no Dockerfile or Containerfile in {place}"));
                Err(fault.hint("box build -f FILE CONTEXT").into())
            }
        }
    }

    /// A file that `-f` names: of the host, where the context is a folder there; else in the context.
    fn read(&self, path: &Path) -> Result<Option<(TextFile, Option<PathBuf>)>> {
        if !self.remote && path.exists() {
            let deed = || format!("cannot read the Dockerfile `{}`", path.display());
            return Ok(Some((host_file(path).with_context(deed)?, Some(path.to_path_buf()))));
        }
        self.in_context(path)
    }

    /// A file in the context.
    fn in_context(&self, path: &Path) -> Result<Option<(TextFile, Option<PathBuf>)>> {
        let Some(folder) = self.folder else { return Ok(None) };
        let deed = || format!("cannot read `{}` of the context", path.display());
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        if !self.remote {
            let whole = folder.join(path);
            return match whole.exists() {
                true => Ok(Some((TextFile { name, ..host_file(&whole).with_context(deed)? }, Some(whole)))),
                false => Ok(None),
            };
        }
        let root = Root::open(folder).with_context(deed)?;
        match root.open_at(path, rustix::fs::OFlags::PATH, rustix::fs::Mode::empty()) {
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Ok(None),
            Err(error) => Err(error).with_context(deed),
            Ok(_) => {
                let text = utf8(root.read(path).with_context(deed)?.as_slice()).with_context(deed)?;
                Ok(Some((TextFile { name, text }, Some(path.to_path_buf()))))
            }
        }
    }

    /// The ignore file: one beside the Dockerfile with its name in front, else the context's own. docker's names win.
    fn ignore_file(&self, dockerfile: Option<&Path>) -> Result<Option<TextFile>> {
        let beside = dockerfile.into_iter().flat_map(|path| {
            ["dockerignore", "containerignore"].map(|end| {
                let mut name = path.as_os_str().to_os_string();
                name.push(format!(".{end}"));
                PathBuf::from(name)
            })
        });
        for path in beside {
            if let Some((file, _)) = self.read(&path)? {
                return Ok(Some(file));
            }
        }
        for name in [".containerignore", ".dockerignore"] {
            if let Some((file, _)) = self.in_context(Path::new(name))? {
                return Ok(Some(file));
            }
        }
        Ok(None)
    }
}

/// A folder of the user's.
fn checked_folder(path: &Path) -> Result<PathBuf> {
    let shown = path.display();
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => Ok(path.to_path_buf()),
        Ok(_) => {
            let fault = Fault::new(Kind::Usage, format!("the context `{shown}` is a file, not a folder"));
            Err(fault.hint(format!("box build -f {shown} .")).into())
        }
        Err(error) => Err(Fault::new(Kind::NotFound, format!("cannot use the context `{shown}`")).because(error)),
    }
}

fn no_file(path: &Path, folder: Option<&Path>) -> anyhow::Error {
    let place = folder.map(|folder| format!(", and none in the context `{}`", folder.display())).unwrap_or_default();
    fault(Kind::NotFound, format!("there is no Dockerfile `{}`{place}", path.display()))
}

/// A file of the host's.
fn host_file(path: &Path) -> Result<TextFile> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    // A FIFO or /dev/fd/N is read, too: `-f <(…)`.
    let bytes = match std::fs::metadata(path)?.is_file() {
        true => read_limited(path, LARGEST)?,
        false => return Ok(TextFile { name, text: utf8(File::open(path)?)? }),
    };
    Ok(TextFile { name, text: utf8(bytes.as_slice())? })
}

/// A stream's text, bounded.
fn utf8(stream: impl Read) -> Result<String> {
    let mut bytes = Vec::new();
    stream.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(fault(Kind::BadData, format!("it is larger than {LARGEST} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let line =
            error.as_bytes().iter().take(error.utf8_error().valid_up_to()).filter(|byte| **byte == b'\n').count();
        fault(Kind::BadData, format!("it is not text in UTF-8 at line {}", line + 1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::ContainerId;

    const SILENT: Progress<'_> = &|_, _, _| {};

    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Self {
            let path = std::env::temp_dir().join(format!("box-context-{}", ContainerId::random().short()));
            std::fs::create_dir_all(path.join("into")).unwrap();
            Self(path)
        }

        fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
            let path = self.0.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, content).unwrap();
            path
        }

        fn prepare(&self, request: &BuildRequest, stdin: Option<&Path>) -> Result<Prepared> {
            prepare(request, stdin.map(|path| File::open(path).unwrap()), &self.0.join("into"), SILENT)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn words_mean_places() {
        let folder = |text: &str| ContextSource::Folder(text.into());
        for (text, plain, named) in [
            (".", folder("."), folder(".")),
            ("-", ContextSource::Stdin, folder("-")),
            (
                "https://h/x.tar",
                ContextSource::Url("https://h/x.tar".into()),
                ContextSource::Url("https://h/x.tar".into()),
            ),
            ("git@h:x", ContextSource::Git("git@h:x".into()), ContextSource::Git("git@h:x".into())),
            ("docker-image://a", folder("docker-image://a"), ContextSource::Image("a".into())),
            ("oci-layout://a:b", folder("oci-layout://a:b"), ContextSource::Layout("a:b".into())),
            ("target:a", folder("target:a"), ContextSource::Target("a".into())),
        ] {
            assert_eq!((source(text), named_source(text)), (plain, named), "{text}");
        }
    }

    #[test]
    fn a_folder_and_what_lies_beside_the_dockerfile() {
        let scratch = Scratch::new();
        let context = scratch.0.join("c");
        std::fs::create_dir(&context).unwrap();
        let mut request = BuildRequest { context: ContextSource::Folder(context.clone()), ..BuildRequest::default() };
        let error = scratch.prepare(&request, None).unwrap_err();
        assert!(error.to_string().starts_with("there is no Dockerfile or Containerfile in `/"), "{error:#}");
        scratch.file("c/Dockerfile", "FROM docker");
        scratch.file("c/.dockerignore", "context");
        let prepared = scratch.prepare(&request, None).unwrap();
        assert_eq!(
            (prepared.dockerfile.text.as_str(), prepared.dockerfile.name.as_str()),
            ("FROM docker", "Dockerfile")
        );
        assert_eq!(prepared.ignore.unwrap().name, ".dockerignore");
        scratch.file("c/Containerfile", "FROM container");
        scratch.file("c/Containerfile.dockerignore", "beside");
        let prepared = scratch.prepare(&request, None).unwrap();
        assert_eq!((prepared.dockerfile.text.as_str(), prepared.remote), ("FROM container", false));
        assert_eq!(prepared.ignore.unwrap().text, "beside");
        // In the context if it is not here, and elsewhere, too.
        request.file = FileSource::Path("Dockerfile".into());
        assert_eq!(scratch.prepare(&request, None).unwrap().dockerfile.text, "FROM docker");
        request.file = FileSource::Path(scratch.file("other/x", "FROM other"));
        let prepared = scratch.prepare(&request, None).unwrap();
        assert_eq!((prepared.dockerfile.name.as_str(), prepared.dockerfile.text.as_str()), ("x", "FROM other"));
        assert_eq!(prepared.ignore.unwrap().name, ".dockerignore");
        request.file = FileSource::Path("nowhere".into());
        assert!(scratch.prepare(&request, None).is_err());
        request.file = FileSource::Path(scratch.file("binary", b"FROM x\n\xff"));
        let error = format!("{:#}", scratch.prepare(&request, None).unwrap_err());
        assert!(error.ends_with("it is not text in UTF-8 at line 2"), "{error}");
        request.context = ContextSource::Folder(scratch.0.join("binary"));
        assert!(scratch.prepare(&request, None).is_err());
    }

    #[test]
    fn stdin_is_an_archive_or_a_dockerfile() {
        let request = BuildRequest { context: ContextSource::Stdin, ..BuildRequest::default() };
        let scratch = Scratch::new();
        let text = scratch.file("d", "FROM alone");
        let prepared = scratch.prepare(&request, Some(&text)).unwrap();
        assert_eq!((prepared.dockerfile.text.as_str(), prepared.ignore), ("FROM alone", None));
        assert_eq!(std::fs::read_dir(prepared.folder.unwrap()).unwrap().count(), 0);
        let scratch = Scratch::new();
        scratch.file("secret", "host");
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        // A link that leads out means a file inside.
        let out = format!("../../..{}", scratch.0.join("secret").display());
        builder.append_link(&mut header, "Dockerfile", out).unwrap();
        let archive = scratch.file("a", builder.into_inner().unwrap());
        let error = scratch.prepare(&request, Some(&archive)).unwrap_err();
        assert!(error.to_string().starts_with("there is no Dockerfile"), "{error:#}");
        let request = BuildRequest { file: FileSource::Stdin, ..request };
        assert!(scratch.prepare(&request, None).unwrap_err().to_string().contains("both"));
    }
}
