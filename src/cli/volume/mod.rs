//! `box volume`: a file a verb, or a family of verbs.

mod create;
pub use create::pairs;
mod filter;
mod list;
mod remove;
mod transfer;

use super::args::Globals;
use super::args::volumes::{Many, One, VolumeVerb};
use super::output::print_line;
use super::session;
pub use list::inspect_one;

use crate::base::error::{Fault, Kind, kind};
use crate::engine::Engine;
use crate::volume::{self, Driver, Volume};
use anyhow::{Context, Result};

/// Do what was asked; the exit code.
pub fn dispatch(verb: VolumeVerb, globals: &Globals) -> Result<u8> {
    match verb {
        VolumeVerb::Create(args) => create::create(args, globals),
        VolumeVerb::Ls(args) => list::ls(&args, globals),
        VolumeVerb::Inspect(args) => list::inspect(&args, globals),
        VolumeVerb::Rm(args) => remove::rm(&args, globals),
        VolumeVerb::Prune(args) => remove::prune(&args, globals),
        VolumeVerb::Exists(args) => exists(&args, globals),
        VolumeVerb::Export(args) => transfer::export(&args, globals),
        VolumeVerb::Import(args) => transfer::import(&args, globals),
        VolumeVerb::Reload => reload(globals),
        VolumeVerb::Mount(args) => mount(&args, globals),
        VolumeVerb::Unmount(args) => unmount(&args, globals),
    }
}

fn exists(args: &One, globals: &Globals) -> Result<u8> {
    match volume::find(&session::open(globals)?.dirs, &args.name) {
        Ok(_) => Ok(0),
        Err(error) if kind(&error) == Kind::NotFound => Ok(1),
        Err(error) => Err(error),
    }
}

fn mount(args: &Many, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    each(&engine, &args.names, |volume| print_line(&in_a_folder(&volume)?.display().to_string()))
}

fn unmount(args: &Many, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    each(&engine, &args.names, |volume| {
        in_a_folder(&volume)?;
        print_line(&volume.record.name)
    })
}

/// Look at what each volume stands for: there are no plugins that could have others.
fn reload(globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    let mut failures = Vec::new();
    for volume in volume::all(&engine.dirs) {
        if let Err(error) = usable(&engine, &volume) {
            super::errors::report(&error);
            failures.push(kind(&error));
        }
    }
    Ok(session::code(&failures))
}

/// Whether what it stands for is there. What the kernel mounts shows when it does.
fn usable(engine: &Engine, volume: &Volume) -> Result<()> {
    let deed = || format!("volume `{}` cannot be used", volume.record.name);
    match volume.driver()? {
        Driver::Bind { device, .. } => std::fs::metadata(&device)
            .map(drop)
            .with_context(|| format!("{}: `{}` is not there", deed(), device.display())),
        Driver::Image { reference } => match crate::image::find(&engine.store, &reference).with_context(deed)? {
            Some(_) => Ok(()),
            None => {
                let text = format!("{}: there is no image `{reference}` here", deed());
                Err(Fault::new(Kind::NotFound, text).hint(format!("box pull {reference}")).into())
            }
        },
        Driver::Folder | Driver::Tmpfs { .. } | Driver::Kernel { .. } => Ok(()),
    }
}

/// Where its files are, if they are somewhere without a container.
fn in_a_folder(volume: &Volume) -> Result<std::path::PathBuf> {
    let name = &volume.record.name;
    match volume.driver()? {
        Driver::Folder | Driver::Bind { .. } => Ok(volume.mount_point()),
        Driver::Image { reference } => {
            let text = format!("volume `{name}` is an image, which containers mount");
            Err(Fault::new(Kind::Usage, text).hint(format!("box run --rm -it -v {name}:/{name} {reference} sh")).into())
        }
        Driver::Tmpfs { .. } | Driver::Kernel { .. } => {
            let text = format!("volume `{name}` is mounted by each container for itself");
            Err(Fault::new(Kind::Usage, text).hint(format!("box run --rm -it -v {name}:/mnt alpine sh")).into())
        }
    }
}

/// Do the deed to each volume that was named; report each failure.
fn each(engine: &Engine, names: &[String], deed: impl Fn(Volume) -> Result<()>) -> Result<u8> {
    let mut failures = Vec::new();
    for name in names {
        if let Err(error) = volume::find(&engine.dirs, name).and_then(&deed) {
            super::errors::report(&error);
            failures.push(kind(&error));
        }
    }
    Ok(session::code(&failures))
}
