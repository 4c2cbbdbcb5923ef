//! `rm`: removes containers, with podman's exit codes.

use super::args::Globals;
use super::args::containers::Rm;
use super::session;
use crate::base::error::Kind;
use crate::container::{self, RemoveOptions};
use anyhow::Result;

/// `box rm`.
pub fn rm(args: &Rm, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    let mut named = session::chosen(&engine, &args.chosen, |_| true)?;
    if args.ignore || args.force {
        named = session::ignore_missing(named);
    }
    let options = RemoveOptions { force: args.force, volumes: args.volumes, time: args.time };
    let failures = session::each_in_turn(
        named,
        |container| container::prepare_removal(&engine, container, options),
        |container, removing| removing.finish(&engine, container),
    );
    Ok(code(&failures?))
}

/// podman's codes: one that is missing wins over one that is running, and that over all else.
fn code(failures: &[Kind]) -> u8 {
    match () {
        () if failures.is_empty() => 0,
        () if failures.contains(&Kind::NotFound) => 1,
        () if failures.contains(&Kind::InUse) => 2,
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
            (&[Kind::InUse], 2),
            (&[Kind::InUse, Kind::NotFound], 1),
            (&[Kind::Other, Kind::InUse], 2),
            (&[Kind::Other], 125),
        ] {
            assert_eq!(code(failures), expected, "{failures:?}");
        }
    }
}
