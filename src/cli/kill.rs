//! `kill`: sends a signal to containers.

use super::args::Globals;
use super::args::containers::Kill;
use super::session;
use crate::base::signal;
use crate::container::{self, Status};
use anyhow::Result;

/// `box kill`.
pub fn kill(args: &Kill, globals: &Globals) -> Result<u8> {
    let signal = args.signal.as_deref().map_or(Ok(signal::SIGKILL), signal::parse)?;
    let engine = session::open(globals)?;
    let named = session::chosen(&engine, &args.chosen, |status| matches!(status, Status::Running(_)))?;
    let failures = session::each(named, |container| container::kill(&engine, container, signal));
    Ok(session::code(&failures?))
}
