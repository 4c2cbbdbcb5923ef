//! `export`: all files of a container as an archive.

use super::args::Globals;
use super::args::making::Export;
use super::session;
use crate::base::error::{Fault, Kind};
use crate::container;
use crate::sys::tty;
use anyhow::{Context, Result};
use std::fs::File;
use std::os::fd::AsFd;

/// `box export`.
pub fn export(args: &Export, globals: &Globals) -> Result<u8> {
    if args.output.is_none() && tty::is_terminal(std::io::stdout().as_fd()) {
        let fault = Fault::new(Kind::Usage, "stdout is a terminal, which is no place for an archive");
        return Err(fault.hint(format!("box export -o FILE.tar {}", args.container)).into());
    }
    let engine = session::open(globals)?;
    let container = container::find(&engine, &args.container)?;
    let Some(path) = &args.output else {
        let out = File::from(rustix::io::dup(std::io::stdout())?);
        container::export(&engine, &container, &out)?;
        return Ok(0);
    };
    let out = File::create(path).with_context(|| format!("cannot write `{}`", path.display()))?;
    let result = container::export(&engine, &container, &out);
    if result.is_err() && out.metadata().is_ok_and(|meta| meta.is_file()) {
        // Half an archive is none.
        let _ = std::fs::remove_file(path);
    }
    result.map(|()| 0)
}
