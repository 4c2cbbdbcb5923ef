//! `save`: writes images into an archive or a folder.

use super::args::Globals;
use super::args::push::Save;
use super::progress::Shown;
use super::session;
use crate::base::error::{Fault, Kind};
use crate::container;
use crate::events;
use crate::image::{self, Compression, SaveFormat, SaveOptions};
use crate::oci::platform::Platform;
use crate::sys::tty;
use anyhow::{Context, Result};
use std::fs::File;
use std::os::fd::AsFd;

/// `box save`.
pub fn save(args: &Save, globals: &Globals) -> Result<u8> {
    let stdout = std::io::stdout();
    if args.output.is_none() && tty::is_terminal(stdout.as_fd()) {
        let fault = Fault::new(Kind::Usage, "an archive does not belong on a terminal");
        return Err(fault.hint("box save -o FILE IMAGE, or: box save IMAGE > FILE").into());
    }
    let stream = stdout.as_fd().try_clone_to_owned().map(File::from).context("cannot write to stdout")?;
    let format = match args.format.as_str() {
        "oci-archive" => SaveFormat::OciArchive,
        "oci-dir" => SaveFormat::OciFolder,
        "docker-dir" => SaveFormat::DockerFolder,
        _ => SaveFormat::DockerArchive,
    };
    let compression = match (args.uncompressed, args.compress) {
        (true, _) => Some(Compression::None),
        (_, true) => Some(Compression::Gzip(None)),
        _ => None,
    };
    let platform = args.platform.as_deref().map(Platform::parse).transpose()?;
    let engine = session::open(globals)?;
    let progress = Shown::new(args.quiet);
    let options = SaveOptions { images: &args.images, platform: platform.as_ref(), format, compression };
    let saved = image::save(&engine.store, &options, args.output.as_deref(), stream, &progress);
    if saved.is_err() {
        progress.make_room();
    }
    saved.map_err(|error| container::advise(&engine, error))?;
    args.images.iter().for_each(|name| events::tell(&engine.dirs, "image", "save", "", name));
    Ok(0)
}
