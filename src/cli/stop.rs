//! `stop` and `restart`: all are asked first, then waited for in turn.

use super::args::Globals;
use super::args::containers::Stop;
use super::args::life::Restart;
use super::session;
use crate::base::signal;
use crate::container::{self, Status, StopOptions};
use anyhow::Result;

fn options(time: Option<i64>, signal: Option<&str>) -> Result<StopOptions> {
    Ok(StopOptions { timeout: time, signal: signal.map(signal::parse).transpose()? })
}

/// `box stop`.
pub fn stop(args: &Stop, globals: &Globals) -> Result<u8> {
    let options = options(args.time, args.signal.as_deref())?;
    let engine = session::open(globals)?;
    let active = |status: &Status| matches!(status, Status::Running(_) | Status::Restarting(_));
    let mut named = session::chosen(&engine, &args.chosen, active)?;
    if args.ignore {
        named = session::ignore_missing(named);
    }
    let failures = session::each_in_turn(
        named,
        |container| container::ask(&engine, container, options),
        |container, stopping| stopping.map_or(Ok(()), |stopping| container::stopped(&engine, container, stopping)),
    );
    Ok(session::code(&failures?))
}

/// `box restart`.
pub fn restart(args: &Restart, globals: &Globals) -> Result<u8> {
    let options = options(args.time, args.signal.as_deref())?;
    let engine = session::open(globals)?;
    let runs = |status: &Status| matches!(status, Status::Running(_));
    let mut named = session::chosen(&engine, &args.chosen, |status| !args.running || runs(status))?;
    if args.running {
        named.retain(|(_, container)| container.as_ref().map_or(true, |container| runs(&container.status())));
    }
    let failures = session::each_in_turn(
        named,
        |container| container::ask(&engine, container, options),
        |container, stopping| {
            session::with_terminal(|terminal| container::restart(&engine, container, stopping, terminal))
        },
    );
    Ok(session::code(&failures?))
}
