//! `load`: reads images from an archive.

use super::args::Globals;
use super::args::images::Load;
use super::output::print_line;
use super::progress::Shown;
use super::session;
use crate::base::error::{Fault, Kind};
use crate::container;
use crate::oci::platform::Platform;
use crate::sys::tty;
use anyhow::Result;
use std::os::fd::AsFd;

/// `box load`.
pub fn load(args: &Load, globals: &Globals) -> Result<u8> {
    if args.input.is_none() && tty::is_terminal(std::io::stdin().as_fd()) {
        return Err(Fault::new(Kind::Usage, "stdin is a terminal, not an archive").hint("box load -i FILE").into());
    }
    let platform = args.platform.as_deref().map_or_else(|| Ok(Platform::host()), Platform::parse)?;
    let engine = session::open(globals)?;
    let progress = Shown::new(args.quiet);
    let loaded = container::load(&engine, args.input.as_deref(), &platform, &progress);
    if loaded.is_err() {
        progress.make_room();
    }
    for name in loaded? {
        print_line(&format!("Loaded image: {name}"))?;
    }
    Ok(0)
}
