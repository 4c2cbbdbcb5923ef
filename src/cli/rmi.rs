//! `rmi`: removes images, with podman's exit codes.

use super::args::Globals;
use super::args::images::Rmi;
use super::output::print_line;
use super::{errors, session};
use crate::base::error::{Kind, kind};
use crate::container;
use crate::image::{self, Image, RemoveOptions, Removed};
use crate::oci::platform::Platform;
use anyhow::Result;

/// `box rmi`.
pub fn rmi(args: &Rmi, globals: &Globals) -> Result<u8> {
    let platforms = args.platform.iter().map(|text| Platform::parse(text).map(Some)).collect::<Result<Vec<_>>>()?;
    let platforms = if platforms.is_empty() { vec![None] } else { platforms };
    let engine = session::open(globals)?;
    let names = match args.all {
        true => image::list(&engine.store)?.into_iter().flat_map(all_names).collect(),
        false => args.images.clone(),
    };
    let mut failures = Vec::new();
    for (name, platform) in names.iter().flat_map(|name| platforms.iter().map(move |platform| (name, platform))) {
        let options = RemoveOptions { force: args.force, platform: platform.as_ref() };
        let result = container::remove_image(&engine, name, options);
        match result {
            Ok(removed) => {
                for what in removed {
                    print_line(&match what {
                        Removed::Untagged(name) => format!("Untagged: {name}"),
                        Removed::Deleted(id) => format!("Deleted: {}", id.digits()),
                    })?;
                }
            }
            Err(error) if (args.ignore || args.force) && kind(&error) == Kind::NotFound => {}
            Err(error) => {
                errors::report(&error);
                failures.push(kind(&error));
            }
        }
    }
    container::collect_behind(&engine);
    Ok(code(&failures))
}

/// An image's names, or its id if it has none: what it takes to remove it as a whole.
fn all_names(image: Image) -> Vec<String> {
    if image.names.is_empty() { vec![image.id.digits().to_owned()] } else { image.names }
}

/// podman's codes: one in use wins; a missing one counts only if nothing else failed.
fn code(failures: &[Kind]) -> u8 {
    match () {
        () if failures.is_empty() => 0,
        () if failures.contains(&Kind::InUse) => 2,
        () if failures.iter().all(|kind| *kind == Kind::NotFound) => 1,
        () => 125,
    }
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
            (&[Kind::NotFound, Kind::Other], 125),
            (&[Kind::Other], 125),
        ] {
            assert_eq!(code(failures), expected, "{failures:?}");
        }
    }
}
