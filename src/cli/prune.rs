//! `container prune`: removes all containers that do not run.

use super::args::Globals;
use super::args::life::Prune;
use super::session;
use crate::container::{self, RemoveOptions, Status};
use anyhow::Result;

/// `box container prune`.
pub fn prune(args: &Prune, globals: &Globals) -> Result<u8> {
    let idle = |status: &Status| matches!(status, Status::Created | Status::Exited(_));
    let engine = session::open(globals)?;
    let named = session::filtered(&engine, &args.filter, idle)?;
    if !args.force && !session::confirm("This removes all containers that do not run. Go on?")? {
        return Ok(0);
    }
    let failures = session::each(named, |container| container::remove(&engine, container, RemoveOptions::default()));
    Ok(session::code(&failures?))
}
