//! `volume export` and `volume import`.

use crate::base::error::{Fault, Kind};
use crate::cli::args::Globals;
use crate::cli::args::volumes::{Export, Import};
use crate::cli::session;
use crate::sys::tty;
use crate::{container, volume};
use anyhow::{Context, Result};
use std::fs::File;
use std::os::fd::AsFd;

/// `box volume export`.
pub fn export(args: &Export, globals: &Globals) -> Result<u8> {
    if args.output.is_none() && tty::is_terminal(std::io::stdout().as_fd()) {
        let fault = Fault::new(Kind::Usage, "stdout is a terminal, which is no place for an archive");
        return Err(fault.hint(format!("box volume export -o FILE.tar {}", args.volume)).into());
    }
    let engine = session::open(globals)?;
    let volume = volume::find(&engine.dirs, &args.volume)?;
    let Some(path) = &args.output else {
        container::export_volume(&engine, &volume, &mut File::from(rustix::io::dup(std::io::stdout())?))?;
        return Ok(0);
    };
    let mut out = File::create(path).with_context(|| format!("cannot write `{}`", path.display()))?;
    let result = container::export_volume(&engine, &volume, &mut out);
    if result.is_err() && out.metadata().is_ok_and(|meta| meta.is_file()) {
        // Half an archive is none.
        let _ = std::fs::remove_file(path);
    }
    result.map(|()| 0)
}

/// `box volume import`.
pub fn import(args: &Import, globals: &Globals) -> Result<u8> {
    let path = args.source.as_deref().filter(|path| *path != "-");
    if path.is_none() && tty::is_terminal(std::io::stdin().as_fd()) {
        let fault = Fault::new(Kind::Usage, "stdin is a terminal, not an archive");
        return Err(fault.hint(format!("box volume import {} FILE.tar", args.volume)).into());
    }
    let engine = session::open(globals)?;
    let volume = volume::find(&engine.dirs, &args.volume)?;
    let from = match path {
        Some(path) => File::open(path).with_context(|| format!("cannot read `{path}`"))?,
        None => File::from(rustix::io::dup(std::io::stdin())?),
    };
    container::import_volume(&engine, &volume, from)?;
    Ok(0)
}
