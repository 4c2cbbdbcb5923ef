//! `stop`: stops containers.

use super::args::Globals;
use super::args::containers::Stop;
use super::session;
use crate::container::{self, Status};
use anyhow::Result;

/// `box stop`.
pub fn stop(args: &Stop, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    let mut named = match args.chosen.all {
        true => session::all(&engine, |container| matches!(container.status(), Status::Running(_))),
        false => session::named(&engine, &args.chosen.names, args.chosen.latest),
    };
    if args.ignore {
        named = session::ignore_missing(named);
    }
    let failures = session::each(named, |container| container::stop(&engine, container, args.time));
    Ok(session::code(&failures?))
}
