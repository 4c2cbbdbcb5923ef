//! `pause` and `unpause`.

use super::args::Globals;
use super::args::limits::{Pause, Unpause};
use super::session;
use crate::container::{self, Status};
use anyhow::Result;

/// `box pause`.
pub fn pause(args: &Pause, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    let running = |status: &Status| matches!(status, Status::Running(run) if !run.paused);
    let named = session::chosen(&engine, &args.chosen, running)?;
    let failures = session::each(named, |container| container::pause(&engine, container));
    Ok(session::code(&failures?))
}

/// `box unpause`.
pub fn unpause(args: &Unpause, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    let paused = |status: &Status| matches!(status, Status::Running(run) if run.paused);
    let named = session::chosen(&engine, &args.chosen, paused)?;
    let failures = session::each(named, |container| container::unpause(&engine, container));
    Ok(session::code(&failures?))
}
