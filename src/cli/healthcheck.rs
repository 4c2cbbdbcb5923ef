//! `healthcheck run`: checks a container now.

use super::args::Globals;
use super::args::life::HealthcheckRun;
use super::output::print_line;
use super::session;
use crate::container::{self, health};
use anyhow::Result;

/// `box healthcheck run`: 0 if the check succeeds, 1 if it fails.
pub fn run(args: &HealthcheckRun, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    let health = health::check_now(&engine, &container::find(&engine, &args.container)?)?;
    if health.log.last().is_some_and(|checked| checked.code == 0) {
        return Ok(0);
    }
    print_line(&health.status)?;
    Ok(1)
}
