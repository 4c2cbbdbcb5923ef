//! `rm`: removes containers, with podman's exit codes.

use super::args::Globals;
use super::args::containers::Rm;
use super::session::{self, Named};
use crate::base::error::Kind;
use crate::base::id::ContainerId;
use crate::container::{self, Container, RemoveOptions};
use crate::engine::Engine;
use anyhow::Result;

/// `box rm`.
pub fn rm(args: &Rm, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    let mut named = session::chosen(&engine, &args.chosen, |_| true)?;
    if args.ignore || args.force {
        named = session::ignore_missing(named);
    }
    let depend = args.depend || args.chosen.all;
    if args.depend {
        add_dependents(&engine, &mut named);
    }
    let options = RemoveOptions { force: args.force, volumes: args.volumes, time: args.time, depend };
    let failures = session::each_in_turn(
        named,
        |container| container::prepare_removal(&engine, container, options),
        |container, removing| removing.finish(&engine, container),
    );
    Ok(code(&failures?))
}

/// Those that require one that was named go before it.
fn add_dependents(engine: &Engine, named: &mut Vec<Named>) {
    let mut at = 0;
    while let Some((_, container)) = named.get(at) {
        let others = container.as_ref().map(|container| container::dependents(engine, container)).unwrap_or_default();
        let known = |id: &ContainerId| named.iter().any(|(_, one)| one.as_ref().is_ok_and(|one| one.config.id == *id));
        let fresh: Vec<Container> = others.into_iter().filter(|other| !known(&other.config.id)).collect();
        named.extend(fresh.into_iter().map(|other| (other.config.id.to_string(), Ok(other))));
        at += 1;
    }
    named.reverse();
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
