//! `import`: an image from the archive of a root file system.

use super::args::Globals;
use super::args::making::Import;
use super::output::print_line;
use super::progress::Shown;
use super::session;
use crate::base::error::{Fault, Kind};
use crate::container;
use crate::image::ImportOptions;
use crate::oci::platform::Platform;
use crate::oci::reference::Reference;
use crate::sys::tty;
use anyhow::Result;
use std::os::fd::AsFd;

/// `box import`: the id on stdout.
pub fn import(args: &Import, globals: &Globals) -> Result<u8> {
    let name = args.name.as_deref().map(|name| Reference::parse_with_default(name, "localhost")).transpose()?;
    if let Some(name) = name.as_ref().filter(|name| name.digest.is_some()) {
        return Err(Fault::new(Kind::Usage, format!("cannot name an image `{name}`: a digest cannot be chosen")).into());
    }
    if args.source == "-" && tty::is_terminal(std::io::stdin().as_fd()) {
        return Err(Fault::new(Kind::Usage, "stdin is a terminal, not an archive").hint("box import FILE").into());
    }
    let platform =
        Platform::chosen(args.platform.as_deref(), args.os.as_deref(), args.arch.as_deref(), args.variant.as_deref())?;
    let engine = session::open(globals)?;
    let options = ImportOptions {
        source: &args.source,
        name,
        changes: &args.change,
        message: args.message.as_deref(),
        platform: platform.unwrap_or_else(Platform::host),
    };
    print_line(container::import(&engine, &options, &Shown::new(args.quiet))?.digits())?;
    Ok(0)
}
