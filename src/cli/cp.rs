//! `cp`: copies files between the host and containers.

use super::args::Globals;
use super::args::life::Cp;
use super::session;
use crate::base::error::{Fault, Kind, fault};
use crate::container::{self, CopyOptions, Side};
use crate::engine::Engine;
use anyhow::{Context, Result};
use std::os::fd::AsFd;

/// `box cp`.
pub fn cp(args: &Cp, globals: &Globals) -> Result<u8> {
    let plain = |text: &String| text == "-" || container::split_path(text).is_none();
    if plain(&args.from) && plain(&args.to) {
        let text = "neither is in a container: one of the two must be CONTAINER:PATH";
        return Err(Fault::new(Kind::Usage, text).hint("box cp ./file web:/tmp/").into());
    }
    let out = std::io::stdout();
    if args.to == "-" && rustix::termios::isatty(&out) {
        return Err(Fault::new(Kind::Usage, "a tar stream would spoil the terminal")
            .hint(format!("box cp {} - | tar t", args.from))
            .into());
    }
    let engine = session::open(globals)?;
    let (from, to) = (side(&engine, &args.from)?, side(&engine, &args.to)?);
    let options = CopyOptions { archive: args.archive, follow: args.follow_link, overwrite: args.overwrite };
    container::copy(&engine, &from, &to, options, std::io::stdin().as_fd(), out.as_fd())
        .with_context(|| format!("cannot copy `{}` to `{}`", args.from, args.to))?;
    Ok(0)
}

fn side(engine: &Engine, text: &str) -> Result<Side> {
    if text == "-" {
        return Ok(Side::Stream);
    }
    if let Some((name, path)) = container::split_path(text) {
        if path.is_empty() {
            return Err(fault(Kind::Usage, format!("`{text}` has no path after the colon")));
        }
        return Ok(Side::Container(Box::new(container::find(engine, name)?), path.to_owned()));
    }
    // The slash or `/.` at the end has a meaning, which making it absolute would take away.
    let folder = std::env::current_dir().context("cannot tell the working folder")?;
    Ok(Side::Host(if text.starts_with('/') { text.to_owned() } else { format!("{}/{text}", folder.display()) }))
}
