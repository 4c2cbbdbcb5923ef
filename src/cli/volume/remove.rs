//! `volume rm` and `volume prune`.

use super::filter::{Filter, count, fitting};
use crate::base::error::{Kind, kind};
use crate::cli::args::Globals;
use crate::cli::args::volumes::{Prune, Rm};
use crate::cli::output::print_line;
use crate::cli::{errors, session};
use crate::container::{self, RemoveOptions, mounts};
use crate::engine::Engine;
use crate::volume::{self, Volume};
use anyhow::Result;

/// `box volume rm`.
pub fn rm(args: &Rm, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    let names = match args.all {
        true => volume::all(&engine.dirs).into_iter().map(|volume| volume.record.name).collect(),
        false => args.names.clone(),
    };
    engine.enter()?;
    let mut failures = Vec::new();
    for name in &names {
        match volume::find(&engine.dirs, name).and_then(|volume| remove(&engine, volume, args)) {
            Ok(()) => print_line(name)?,
            Err(error) if args.force && kind(&error) == Kind::NotFound => {}
            Err(error) => {
                errors::report(&error);
                failures.push(kind(&error));
            }
        }
    }
    Ok(code(&failures))
}

fn remove(engine: &Engine, volume: Volume, args: &Rm) -> Result<()> {
    if args.force {
        let name = &volume.record.name;
        for user in container::all(engine).iter().filter(|container| mounts::uses(container, name)) {
            let options = RemoveOptions { force: true, time: args.time, ..Default::default() };
            container::remove(engine, user, options)?;
        }
    }
    mounts::remove(&engine.dirs, volume, None)
}

/// podman's codes: the last failure decides.
fn code(failures: &[Kind]) -> u8 {
    match failures.last() {
        None => 0,
        Some(Kind::NotFound) => 1,
        Some(Kind::InUse) => 2,
        Some(_) => 125,
    }
}

/// `box volume prune`.
pub fn prune(args: &Prune, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    let filters = Filter::parse_all(&engine, &args.filter)?;
    let (volumes, users) = fitting(&engine, &filters);
    let unused = |volume: &Volume| (args.all || volume.record.anonymous) && count(volume, &users) == 0;
    let volumes: Vec<Volume> = volumes.into_iter().filter(unused).collect();
    if args.dry_run {
        return volumes.iter().try_for_each(|volume| print_line(&volume.record.name)).map(|()| 0);
    }
    let which = if args.all { "all volumes" } else { "all anonymous volumes" };
    if volumes.is_empty()
        || !(args.force || session::confirm(&format!("This removes {which} that no container uses. Go on?"))?)
    {
        return Ok(0);
    }
    engine.enter()?;
    let mut failures = Vec::new();
    for volume in volumes {
        let name = volume.record.name.clone();
        match mounts::remove(&engine.dirs, volume, None) {
            Ok(()) => print_line(&name)?,
            // Somebody has begun to use it, or removed it.
            Err(error) if matches!(kind(&error), Kind::InUse | Kind::NotFound) => {}
            Err(error) => {
                errors::report(&error);
                failures.push(kind(&error));
            }
        }
    }
    Ok(session::code(&failures))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes() {
        for (failures, expected) in [
            (&[][..], 0),
            (&[Kind::NotFound], 1),
            (&[Kind::NotFound, Kind::InUse], 2),
            (&[Kind::InUse, Kind::NotFound], 1),
            (&[Kind::Other], 125),
        ] {
            assert_eq!(code(failures), expected, "{failures:?}");
        }
    }
}
