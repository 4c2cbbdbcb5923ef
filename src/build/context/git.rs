//! A git repository brought here by the `git` program: one ref of it, as shallow as the server allows.
//!
//! A repository is not to be trusted, and neither is its address: no hook runs, no filter that the repository names, no
//! transport but those in `GIT_ALLOW_PROTOCOL` (git(1); here `git:http:https:ssh` by default), nothing is asked on the
//! terminal, and of the environment only what reaching a server needs goes along.

use super::git_url::GitUrl;
use crate::base::error::{Fault, Kind, fault};
use crate::base::{env, program};
use crate::sys::root::Root;
use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Transports that contexts come over, unless the user's own `GIT_ALLOW_PROTOCOL` says otherwise.
const PROTOCOLS: &str = "git:http:https:ssh";

/// Variables that git and ssh need for reaching a server.
const PASSED: [&str; 19] = [
    "HOME",
    "USER",
    "LOGNAME",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    "SSH_AUTH_SOCK",
    "GIT_SSH_COMMAND",
    "GIT_SSL_CAINFO",
    "GIT_SSL_NO_VERIFY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "TMPDIR",
];

/// Settings that keep a repository from running anything.
const SETTINGS: [&str; 9] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "init.defaultBranch=main",
    "init.templateDir=",
    "advice.detachedHead=false",
    "submodule.recurse=false",
    "gc.auto=0",
    "maintenance.auto=false",
];

/// A repository that was brought here.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FetchedGit {
    /// The folder that was wanted of it.
    pub folder: PathBuf,
    /// The commit.
    pub commit: String,
}

/// Bring what the URL says into `into`, an empty folder of ours.
///
/// Errors: there is no git; the server, or the way to it; no such ref or folder; another commit than `checksum` says.
pub fn fetch_git(url: &GitUrl, keep_git_dir: bool, into: &Path) -> Result<FetchedGit> {
    let protocols = env::by_name("GIT_ALLOW_PROTOCOL");
    fetch(url, keep_git_dir, into, protocols.as_deref().unwrap_or(PROTOCOLS))
}

fn fetch(url: &GitUrl, keep_git_dir: bool, into: &Path, protocols: &str) -> Result<FetchedGit> {
    let git = program::find("git").ok_or_else(|| {
        let fault = Fault::new(Kind::Host, "contexts and sources in git repositories need the program `git`");
        fault.hint(program::how_to_install("git", &[]))
    })?;
    let deed = || format!("cannot fetch the git repository `{}`", url.remote.escape_debug());
    // Without links on the way, so that what is found below it can be compared.
    let into = &std::fs::canonicalize(into)?;
    let git = Git { program: git, folder: into, protocols };
    git.run(&["init", "--quiet", "."]).with_context(deed)?;
    git.run(&["remote", "add", "origin", "--", &url.remote]).with_context(deed)?;
    git.fetch(url.reference.as_deref()).with_context(deed)?;
    git.run(&["checkout", "--quiet", "--detach", "FETCH_HEAD", "--"]).with_context(deed)?;
    let commit = git.run(&["rev-parse", "HEAD"]).with_context(deed)?.trim().to_owned();
    if let Some(sum) = url.checksum.as_ref().filter(|sum| !commit.starts_with(sum.as_str())) {
        let text = format!("it has commit {commit} there, not {sum}");
        return Err(fault(Kind::BadData, text)).with_context(deed);
    }
    if !url.no_submodules && into.join(".gitmodules").is_file() {
        git.run(&["submodule", "update", "--quiet", "--init", "--recursive", "--depth=1"]).with_context(deed)?;
    }
    if !url.keep_git_dir.unwrap_or(keep_git_dir) {
        remove_git(&git, into).with_context(deed)?;
    }
    let folder = match &url.subdir {
        None => into.to_path_buf(),
        Some(subdir) => inside(into, subdir).with_context(deed)?,
    };
    Ok(FetchedGit { folder, commit })
}

struct Git<'a> {
    program: PathBuf,
    folder: &'a Path,
    protocols: &'a str,
}

impl Git<'_> {
    /// One ref; a commit that the server does not give by its digits is looked for in everything it has.
    fn fetch(&self, reference: Option<&str>) -> Result<()> {
        const FETCH: [&str; 5] = ["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--force"];
        let wanted = reference.unwrap_or("HEAD");
        let shallow = [&FETCH[..], &["--depth=1", "origin", "--", wanted]].concat();
        let Err(error) = self.run(&shallow) else { return Ok(()) };
        let is_commit = (7..=64).contains(&wanted.len()) && wanted.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_commit {
            return Err(error);
        }
        let all = [&FETCH[..], &["origin", "--", "+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"]];
        self.run(&all.concat())?;
        let commit =
            self.run(&["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{wanted}^{{commit}}")]);
        let commit = commit.map_err(|_| fault(Kind::NotFound, format!("it has no commit `{wanted}`")))?;
        // Where `checkout` looks.
        Ok(std::fs::write(self.folder.join(".git/FETCH_HEAD"), commit)?)
    }

    /// Run git; its stdout. Errors: what it says.
    fn run(&self, words: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.program);
        command.env_clear().env("PATH", program::search_path()).env("LC_ALL", "C.UTF-8");
        for name in PASSED {
            if let Some(value) = env::by_name(name) {
                command.env(name, value);
            }
        }
        command.env("GIT_ALLOW_PROTOCOL", self.protocols).env("GIT_TERMINAL_PROMPT", "0");
        command
            .env("GIT_LFS_SKIP_SMUDGE", "1")
            .env("GIT_CEILING_DIRECTORIES", self.folder.parent().unwrap_or(self.folder));
        if env::by_name("GIT_SSH_COMMAND").is_none() {
            command.env("GIT_SSH_COMMAND", ssh());
        }
        for setting in SETTINGS {
            command.arg("-c").arg(setting);
        }
        let done =
            command.args(words).current_dir(self.folder).stdin(Stdio::null()).output().context("cannot run `git`")?;
        if done.status.success() {
            return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&done.stderr);
        let words = said.lines().rfind(|line| line.starts_with("fatal:") || line.starts_with("error:"));
        // What ssh says comes before, and says more.
        let words = words.filter(|words| !words.contains("Could not read from remote"));
        let words = words.or(said.lines().next()).unwrap_or("git says nothing");
        let words: String =
            words.trim_start_matches("fatal: ").trim_start_matches("error: ").chars().take(300).collect();
        let fault = Fault::new(Kind::Registry, words.clone());
        Err(match words.contains("not allowed") {
            true => {
                fault.hint("which transports git may use: export GIT_ALLOW_PROTOCOL=git:http:https:ssh:file").into()
            }
            false => fault.into(),
        })
    }
}

/// In the user's namespace we are user 0, for whom ssh would look into root's home.
fn ssh() -> String {
    let hosts =
        env::by_name("HOME").map(|home| format!("{home}/.ssh/known_hosts")).filter(|path| !path.contains(['\'', '"']));
    let hosts = hosts.map(|path| format!(" -o 'UserKnownHostsFile=\"{path}\"'")).unwrap_or_default();
    format!("ssh -o BatchMode=yes{hosts}")
}

/// Take away what is git's own, of submodules and theirs, too.
fn remove_git(git: &Git<'_>, folder: &Path) -> Result<()> {
    let mut pending = vec![folder.to_path_buf()];
    while let Some(here) = pending.pop() {
        let own = here.join(".git");
        if here != folder && std::fs::symlink_metadata(&own).is_err() {
            continue;
        }
        for line in (Git { folder: &here, program: git.program.clone(), ..*git })
            .run(&["ls-files", "--stage", "-z"])?
            .split('\0')
        {
            // `160000 DIGITS 0\tPATH`: a commit, which is a submodule.
            if let Some((_, name)) = line.strip_prefix("160000 ").and_then(|rest| rest.split_once('\t')) {
                pending.push(inside(folder, &here.strip_prefix(folder)?.join(name).to_string_lossy())?);
            }
        }
        // A submodule has a file there, which leads into the top one's folder: that goes last.
        if here != folder {
            std::fs::remove_file(&own)?;
        }
    }
    crate::base::fs::remove_tree(&folder.join(".git"))
}

/// A folder inside a tree, as a path without links, whatever links it leads over.
pub fn inside(tree: &Path, wanted: &str) -> Result<PathBuf> {
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let found = Root::open(tree)?.open_at(Path::new(wanted), flags, Mode::empty()).map_err(|error| {
        Fault::new(Kind::NotFound, format!("it has no folder `{}`", wanted.escape_debug())).because(error)
    })?;
    let path = std::fs::read_link(format!("/proc/self/fd/{}", found.as_raw_fd()))?;
    match path.starts_with(tree) {
        true => Ok(path),
        false => Err(fault(Kind::BadData, format!("`{}` leads out of it", wanted.escape_debug()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::ContainerId;

    struct Scratch(PathBuf);

    impl Scratch {
        /// A folder with a repository `origin`.
        fn new() -> Self {
            let path = std::env::temp_dir().join(format!("box-git-{}", ContainerId::random().short()));
            std::fs::create_dir_all(path.join("origin/sub")).unwrap();
            let scratch = Self(path);
            scratch.git("origin", &["init", "-q", "-b", "main", "."]);
            std::fs::write(scratch.0.join("origin/Dockerfile"), "one").unwrap();
            std::fs::write(scratch.0.join("origin/sub/file"), "x").unwrap();
            std::os::unix::fs::symlink("/", scratch.0.join("origin/out")).unwrap();
            std::os::unix::fs::symlink("/sub", scratch.0.join("origin/in")).unwrap();
            scratch.commit("origin");
            scratch.git("origin", &["tag", "v1"]);
            std::fs::write(scratch.0.join("origin/Dockerfile"), "two").unwrap();
            scratch.commit("origin");
            scratch
        }

        fn git(&self, folder: &str, words: &[&str]) -> String {
            let mut command = Command::new("git");
            command.args(["-c", "user.name=x", "-c", "user.email=x@x", "-c", "protocol.file.allow=always"]);
            let done = command.args(words).current_dir(self.0.join(folder)).output().unwrap();
            assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
            String::from_utf8(done.stdout).unwrap().trim().to_owned()
        }

        fn commit(&self, folder: &str) {
            self.git(folder, &["add", "-A"]);
            self.git(folder, &["commit", "-q", "-m", "x"]);
        }

        fn fetch(&self, rest: &str, keep: bool, protocols: &str) -> Result<FetchedGit> {
            let into = self.0.join(ContainerId::random().short());
            std::fs::create_dir(&into).unwrap();
            let url = GitUrl::parse(&format!("file://{}/origin{rest}", self.0.display()))?;
            super::fetch(&url, keep, &into, protocols)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = crate::base::fs::remove_tree(&self.0);
        }
    }

    #[test]
    fn one_ref_and_one_folder_of_it() {
        let scratch = Scratch::new();
        let first = scratch.git("origin", &["rev-parse", "v1"]);
        let read = |rest: &str, file: &str| {
            let found = scratch.fetch(rest, false, "file").unwrap_or_else(|error| panic!("{rest}: {error:#}"));
            assert!(!found.folder.join(".git").exists());
            std::fs::read_to_string(found.folder.join(file)).unwrap()
        };
        assert_eq!(read("", "Dockerfile"), "two");
        assert_eq!(read("#main", "Dockerfile"), "two");
        assert_eq!(read("#v1", "Dockerfile"), "one");
        assert_eq!(read(&format!("#{first}"), "Dockerfile"), "one");
        assert_eq!(read(&format!("#{}", &first[..8]), "Dockerfile"), "one");
        assert_eq!(read("#v1:sub", "file"), "x");
        assert_eq!(read("#:in", "file"), "x");
        assert_eq!(read(&format!("?tag=v1&subdir=sub&checksum={}", &first[..10]), "file"), "x");
        assert!(scratch.fetch("?keep-git-dir=1", false, "file").unwrap().folder.join(".git").is_dir());
        for (rest, expected) in [
            ("#nope", "couldn't find remote ref nope"),
            ("#0123456789", "it has no commit `0123456789`"),
            ("#:nowhere", "it has no folder `nowhere`"),
            ("#:Dockerfile", "it has no folder `Dockerfile`"),
            ("?ref=main&checksum=0123456", "not 0123456"),
        ] {
            let error = format!("{:#}", scratch.fetch(rest, false, "file").unwrap_err());
            assert!(error.contains(expected), "{rest}: {error}");
        }
    }

    #[test]
    fn nothing_leads_out_of_it_and_nothing_is_run() {
        let scratch = Scratch::new();
        for rest in ["#:out", "#:../../", "#:sub/../.."] {
            let found = scratch.fetch(rest, false, "file").unwrap();
            // The root of the repository is where they lead.
            assert!(found.folder.join("sub/file").exists() && found.folder.starts_with(&scratch.0), "{rest}");
        }
        let error = format!("{:#}", scratch.fetch("", false, PROTOCOLS).unwrap_err());
        assert!(error.contains("transport 'file' not allowed"), "{error}");
        // A hook in a template folder, and one in a submodule that comes over a transport that is not allowed.
        scratch.git(".", &["init", "-q", "-b", "main", "module"]);
        std::fs::write(scratch.0.join("module/m"), "m").unwrap();
        scratch.commit("module");
        let module = format!("file://{}/module", scratch.0.display());
        scratch.git("origin", &["submodule", "--quiet", "add", &module, "deep/module"]);
        scratch.commit("origin");
        let found = scratch.fetch("", false, "file").unwrap().folder;
        assert_eq!(std::fs::read_to_string(found.join("deep/module/m")).unwrap(), "m");
        assert!(!found.join("deep/module/.git").exists() && !found.join(".git").exists());
        assert!(!scratch.fetch("?submodules=0", false, "file").unwrap().folder.join("deep/module/m").exists());
        scratch.git("origin", &["config", "-f", ".gitmodules", "submodule.deep/module.url", "ext::sh -c touch% evil"]);
        scratch.commit("origin");
        let error = format!("{:#}", scratch.fetch("", false, "file").unwrap_err());
        assert!(error.contains("cannot fetch the git repository"), "{error}");
    }
}
