//! The program to execute: found along the container's PATH by trying, as execvp(3) does, and a good reason if not.

use super::user::User;
use crate::base::error::{Fault, Kind, fault};
use crate::sys::process::execve;
use anyhow::{Context, Result};
use oci_spec::runtime::Process;
use rustix::fs::StatVfsMountFlags;
use rustix::io::Errno;
use std::ffi::{CStr, CString, OsStr};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Where programs are looked for if the container has no PATH.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A command line, ready to be executed.
#[derive(Debug)]
pub(super) struct Command {
    argv: Vec<CString>,
    envp: Vec<CString>,
    path: String,
}

impl Command {
    /// The command of a process, with HOME of the user if the process has none.
    pub(super) fn new(process: &Process, user: &User) -> Result<Self> {
        let args = process.args().as_deref().unwrap_or_default();
        if args.is_empty() {
            return Err(Fault::new(Kind::Usage, "there is no command to run").hint("box run IMAGE COMMAND").into());
        }
        let env = process.env().as_deref().unwrap_or_default();
        let value = |name: &str| env.iter().find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='));
        let mut envp = strings(env, "an environment variable")?;
        if value("HOME").is_none() {
            envp.extend(strings(&[format!("HOME={}", user.home)], "HOME")?);
        }
        let path = value("PATH").filter(|path| !path.is_empty()).unwrap_or(DEFAULT_PATH).to_owned();
        Ok(Self { argv: strings(args, "an argument")?, envp, path })
    }

    /// An error if the program cannot be executed, as far as its file tells.
    pub(super) fn must_exist(&self) -> Result<()> {
        let Some(name) = self.argv.first() else { return Ok(()) };
        let candidates = match name.as_bytes().contains(&b'/') {
            true => vec![name.clone()],
            false => self.candidates(name).collect(),
        };
        let mut found = candidates.into_iter().filter(exists).peekable();
        let Some(first) = found.peek().cloned() else { return Err(self.explain_missing(name)) };
        match found.any(|candidate| is_program(&candidate)) {
            true => Ok(()),
            false => Err(self.explain(&first, Errno::ACCESS)),
        }
    }

    /// Execute it. Returns only with the reason why not.
    pub(super) fn execute(self) -> anyhow::Error {
        let Some(name) = self.argv.first() else { return fault(Kind::Usage, "there is no command to run") };
        if name.as_bytes().is_empty() {
            return fault(Kind::CommandNotFound, "cannot run ``: the command is empty");
        }
        if name.as_bytes().contains(&b'/') {
            return self.explain(name, self.try_path(name));
        }
        let mut denied = None;
        for candidate in self.candidates(name) {
            match self.try_path(&candidate) {
                // There, but its interpreter is not: that is what to tell.
                Errno::NOENT | Errno::NOTDIR if !exists(&candidate) => {}
                Errno::NOTDIR | Errno::NAMETOOLONG | Errno::LOOP => {}
                // A folder or a file without the x bit: perhaps further along the PATH there is the right one.
                Errno::ACCESS => denied = denied.or(Some(candidate)),
                error => return self.explain(&candidate, error),
            }
        }
        match denied {
            Some(candidate) => self.explain(&candidate, Errno::ACCESS),
            None => self.explain_missing(name),
        }
    }

    /// Where a name without a slash may be, in the order of the container's PATH.
    fn candidates(&self, name: &CString) -> impl Iterator<Item = CString> {
        self.path.split(':').filter_map(|folder| {
            let folder = if folder.is_empty() { "." } else { folder };
            let mut candidate = Vec::with_capacity(folder.len() + 1 + name.as_bytes().len());
            candidate.extend_from_slice(folder.as_bytes());
            candidate.push(b'/');
            candidate.extend_from_slice(name.as_bytes());
            CString::new(candidate).ok()
        })
    }

    fn explain_missing(&self, name: &CString) -> anyhow::Error {
        if name.as_bytes().contains(&b'/') {
            return self.explain(name, Errno::NOENT);
        }
        fault(Kind::CommandNotFound, format!("cannot run `{}`: no such command in the container", shown(name)))
    }

    fn try_path(&self, path: &CString) -> Errno {
        let error = execve(path, &self.argv, &self.envp);
        Errno::from_io_error(&error).unwrap_or(Errno::IO)
    }

    /// Why the program could not be executed, with the exit code's kind.
    fn explain(&self, path: &CString, error: Errno) -> anyhow::Error {
        let shown = shown(path);
        let not_executable = |cause: &str| fault(Kind::CommandNotExecutable, format!("cannot run `{shown}`: {cause}"));
        let is_folder = std::fs::metadata(Path::new(OsStr::from_bytes(path.as_bytes()))).map(|meta| meta.is_dir());
        match error {
            Errno::NOENT if exists(path) => match interpreter(path) {
                Some(interpreter) => not_executable(&format!("its interpreter `{interpreter}` is missing")),
                None => not_executable("it is a link to nothing, or its program loader is missing"),
            },
            Errno::NOENT | Errno::NOTDIR => {
                fault(Kind::CommandNotFound, format!("cannot run `{shown}`: no such file in the container"))
            }
            Errno::ACCESS if is_folder.as_ref().is_ok_and(|folder| *folder) => not_executable("it is a folder"),
            Errno::ACCESS => match executable_bits(path) {
                Some(false) => not_executable("it is not executable (permission denied)"),
                _ if is_noexec(path) => {
                    let hint = match is_noexec(c"/") {
                        true => "keep images and containers on another disk: export BOX_DATA=/var/tmp/box-$(id -u)",
                        false => "without the mount's option noexec, it can be run",
                    };
                    let text = format!("cannot run `{shown}`: it is on a file system that is mounted noexec");
                    Fault::new(Kind::CommandNotExecutable, text).hint(hint).into()
                }
                _ => not_executable("permission denied"),
            },
            Errno::NOEXEC => Fault::new(Kind::CommandNotExecutable, format!("cannot run `{shown}`: exec format error"))
                .hint("a script needs a first line as `#!/bin/sh`; a program must be for this machine's processor")
                .into(),
            error => Fault::new(Kind::CommandNotExecutable, format!("cannot run `{shown}`")).because(error),
        }
    }
}

fn strings(list: &[String], what: &str) -> Result<Vec<CString>> {
    list.iter()
        .map(|text| {
            CString::new(text.as_bytes())
                .map_err(|_| fault(Kind::Usage, format!("{what} has a zero byte in it")))
                .with_context(|| format!("cannot pass `{}`", text.escape_debug()))
        })
        .collect()
}

fn shown(path: &CString) -> String {
    path.to_string_lossy().escape_debug().to_string()
}

fn exists(path: &CString) -> bool {
    std::fs::symlink_metadata(Path::new(OsStr::from_bytes(path.as_bytes()))).is_ok()
}

/// Whether it is no folder, and somebody may execute it. A link to nothing is left to the execution to explain.
fn is_program(path: &CString) -> bool {
    let meta = std::fs::metadata(Path::new(OsStr::from_bytes(path.as_bytes())));
    meta.map_or(true, |meta| !meta.is_dir() && meta.permissions().mode() & 0o111 != 0)
}

/// Whether nothing on the file system that a path is on may be executed (statvfs(3)).
fn is_noexec(path: &CStr) -> bool {
    rustix::fs::statvfs(path).is_ok_and(|stat| stat.f_flag.contains(StatVfsMountFlags::NOEXEC))
}

fn executable_bits(path: &CString) -> Option<bool> {
    let meta = std::fs::metadata(Path::new(OsStr::from_bytes(path.as_bytes()))).ok()?;
    Some(meta.permissions().mode() & 0o111 != 0)
}

/// What a script's first line names. Opening does not block: it may be a FIFO by now.
fn interpreter(path: &CString) -> Option<String> {
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let path = Path::new(OsStr::from_bytes(path.as_bytes()));
    let mut file = std::fs::OpenOptions::new().read(true).custom_flags(nonblocking).open(path).ok()?;
    let mut start = [0; 256];
    let length = file.read(&mut start).ok()?;
    let line = start.get(..length)?.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let name = String::from_utf8_lossy(line).split_whitespace().next()?.escape_debug().to_string();
    Some(name)
}
