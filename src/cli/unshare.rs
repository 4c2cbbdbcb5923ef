//! `unshare`: a command in the user's own namespace.

use super::args::Globals;
use super::args::host::Unshare;
use super::session;
use crate::base::env;
use crate::base::error::{Fault, Kind};
use crate::rootless::Ids;
use anyhow::{Context, Result};
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::UnshareFlags;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;

/// `box unshare`: becomes the command, so that signals and the terminal are its own.
pub fn unshare(args: &Unshare, globals: &Globals) -> Result<u8> {
    let mut words = args.command.clone();
    if words.is_empty() {
        words.push(env::shell().unwrap_or_else(|| OsString::from("/bin/sh")));
    }
    let engine = session::open(globals)?;
    // What is mounted there goes with it, and with its children.
    if engine.enter()?.ids != Ids::Root {
        let deed = "cannot make a mount namespace";
        crate::sys::namespace::unshare(UnshareFlags::NEWNS.bits() as i32).context(deed)?;
        mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC).context(deed)?;
    }
    let (program, rest) = words.split_at(1);
    let program = program.first().cloned().unwrap_or_default();
    let error = std::process::Command::new(&program).args(rest).exec();
    let kind = if error.kind() == ErrorKind::NotFound { Kind::CommandNotFound } else { Kind::CommandNotExecutable };
    Err(Fault::new(kind, format!("cannot run `{}`", program.to_string_lossy())).because(error))
}
